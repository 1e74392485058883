"""Queries on backfilled runs, and on the runs that tell what is to be backfilled."""

from collections import Counter
from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select, text, update

from scheduler_daemon.storage.bulk import among
from scheduler_daemon.storage.executions import EXECUTIONS, OWN, VIEW, Record

_BACKFILLED = EXECUTIONS.c.trigger == "backfill"
# In the words of the partial index.
_ACTIVE = text("executions.ended_at IS NULL AND executions.state IN ('queued', 'starting', 'running')")
_WAITS = text("executions.ended_at IS NULL AND executions.state = 'queued'")


def seen(db: Connection, job_id: str, start: datetime, end: datetime) -> list[Row[*tuple[Any, ...]]]:
    """Return the runs of a job with start <= fire < end, oldest first, as `domain.backfill.Seen`."""
    columns = (EXECUTIONS.c[name] for name in ("id", "fire_at", "state", "outcome", "trigger", "started_at"))
    wanted = select(*columns).where(
        OWN, EXECUTIONS.c.job_id == job_id, EXECUTIONS.c.fire_at >= start, EXECUTIONS.c.fire_at < end
    )
    return list(db.execute(wanted.order_by(EXECUTIONS.c.fire_at, EXECUTIONS.c.attempt)))


def aside(db: Connection, job_ids: Collection[str]) -> Counter[str]:
    """Return how many backfilled runs of each of these jobs wait."""
    query = select(EXECUTIONS.c.job_id, func.count()).where(
        _WAITS, _BACKFILLED, among(db, EXECUTIONS.c.job_id.concat(""), job_ids)
    )
    return Counter({row[0]: row[1] for row in db.execute(query.group_by(EXECUTIONS.c.job_id)).all()})


def not_begun(db: Connection, job_id: str) -> list[Record]:
    """Return the backfilled runs of a job none of whose attempts has begun, locked, oldest first."""
    wanted = VIEW.where(_WAITS, _BACKFILLED, EXECUTIONS.c.job_id == job_id, EXECUTIONS.c.attempt == 0)
    return list(db.execute(wanted.order_by(EXECUTIONS.c.id).with_for_update(of=EXECUTIONS)))


def active(db: Connection, job_id: str) -> list[Record]:
    """Return the backfilled runs of a job that are not over, locked, oldest first."""
    wanted = VIEW.where(_ACTIVE, _BACKFILLED, EXECUTIONS.c.job_id == job_id)
    return list(db.execute(wanted.order_by(EXECUTIONS.c.id).with_for_update(of=EXECUTIONS)))


def ask_cancel(db: Connection, ids: Collection[int], actor: str, reason: str) -> None:
    """Note who wants these runs to stop; the first wish counts."""
    db.execute(
        update(EXECUTIONS)
        .where(among(db, EXECUTIONS.c.id, ids), _ACTIVE, EXECUTIONS.c.cancel_actor.is_(None))
        .values(cancel_actor=actor, cancel_reason=reason, version=EXECUTIONS.c.version + 1)
    )
