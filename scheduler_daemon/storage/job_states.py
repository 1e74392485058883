"""What of jobs changes with each run, read apart from what somebody saved: the relay knows that already."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Row, select

from scheduler_daemon.storage.bulk import among
from scheduler_daemon.storage.jobs import JOBS, STATES

_MOVES = (
    select(
        JOBS.c.id,
        JOBS.c.revision.label("saved"),
        (JOBS.c.revision + STATES.c.revision).label("whole_revision"),
        JOBS.c.paused,
        *(STATES.c[name] for name in ("next_fire_at", "active", "last_id", "last_state", "last_outcome")),
        *(STATES.c[name] for name in ("last_fire_at", "last_ended_at", "last_duration_ms")),
    )
    .join(STATES, STATES.c.job_id == JOBS.c.id)
    .where(JOBS.c.deleted_at.is_(None))
)


def moves(db: Connection, ids: Collection[str]) -> list[Row[*tuple[Any, ...]]]:
    """Return where the living jobs among `ids` stand, in no order; `saved` rises whenever somebody saves one."""
    return list(db.execute(_MOVES.where(among(db, JOBS.c.id, ids))).all())


def lock(db: Connection, ids: Collection[str]) -> None:
    """Let nobody else decide on runs of these jobs before we are done."""
    query = select(STATES.c.job_id).where(among(db, STATES.c.job_id, ids)).order_by(STATES.c.job_id)
    db.execute(query.with_for_update())
