"""Write down what happened, in the transaction in which it happens: audit rows and events."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from scheduler_daemon.contract.people import Actor
from scheduler_daemon.services import views
from scheduler_daemon.storage import events, people


def act(db: Connection, actor: Actor, verb: str, subjects: Sequence[tuple[str, dict[str, Any]]], now: datetime) -> None:
    """Record that the actor did `verb` to each (subject, detail)."""
    people.audit(
        db,
        [
            {"at": now, "actor": actor.name, "verb": verb, "subject": subject, "detail": detail}
            for subject, detail in subjects
        ],
    )


def jobs_changed(db: Connection, verb: str, jobs: Sequence[tuple[str, int, int, str]], now: datetime) -> None:
    """Announce changed jobs: (id, revision, owner id, name). The relay reads their documents when it shows them."""
    events.add(
        db,
        [
            {
                "at": now,
                "kind": "job_deleted" if verb == "delete" else "job",
                "subject": job_id,
                "version": revision,
                "owner_id": owner_id,
                "doc": {"verb": verb, "name": name},
            }
            for job_id, revision, owner_id, name in jobs
        ],
    )


def executions_changed(
    db: Connection, rows: Sequence[Any], names: Mapping[str, tuple[str, int]], now: datetime
) -> None:
    """Announce runs as they now are; `names` gives (name, owner id) of each job id."""
    events.add(
        db,
        [
            {
                "at": now,
                "kind": "execution",
                "subject": str(row.id),
                "version": row.version,
                "owner_id": names[row.job_id][1],
                "doc": views.execution_json(row, names[row.job_id][0]),
            }
            for row in rows
        ],
    )
