"""Which output goes: that of runs beyond the newest of their job, an age, or a size of all output together.

The runs themselves stay, with all that is known of them. The output of a job's last failure is never removed.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, case, delete, false, func, or_, select, update

from scheduler_daemon.contract.executions import State
from scheduler_daemon.storage.bulk import among
from scheduler_daemon.storage.executions import EXECUTIONS, LOG_STATES, OWN
from scheduler_daemon.storage.tables import metadata

_CHUNKS = metadata.tables["log_chunks"]


class Kept(NamedTuple):
    """How much output is kept; None is no bound."""

    age: timedelta | None = None
    """Since the end of its run."""
    runs: int | None = None
    """Of each job, the newest."""
    size: int | None = None
    """Bytes of all runs together, compressed as they are stored."""


def excess(db: Connection, kept: Kept, now: datetime, limit: int) -> list[int]:
    """Return up to `limit` ended runs whose output is more than is kept, oldest first."""
    newest_first = EXECUTIONS.c.id.desc()
    failed = case((and_(EXECUTIONS.c.state == State.FAILED, OWN), EXECUTIONS.c.id))
    having_output = (
        select(
            EXECUTIONS.c.id,
            EXECUTIONS.c.ended_at,
            func.row_number().over(partition_by=EXECUTIONS.c.job_id, order_by=newest_first).label("place"),
            func.sum(LOG_STATES.c.stored_bytes).over(order_by=newest_first).label("size"),
            func.max(failed).over(partition_by=EXECUTIONS.c.job_id).label("last_failure"),
        )
        .join(LOG_STATES, LOG_STATES.c.execution_id == EXECUTIONS.c.id)
        .where(EXECUTIONS.c.ended_at.is_not(None), LOG_STATES.c.complete, LOG_STATES.c.removed_at.is_(None))
        .subquery()
    )
    found = having_output.c
    bounds: list[ColumnElement[bool]] = [false()]
    if kept.age is not None:
        bounds.append(found.ended_at < now - kept.age)
    if kept.runs is not None:
        bounds.append(found.place > kept.runs)
    if kept.size is not None:
        bounds.append(found.size > kept.size)
    not_the_last_failure = or_(found.last_failure.is_(None), found.id != found.last_failure)
    query = select(found.id).where(and_(or_(*bounds), not_the_last_failure))
    return list(db.execute(query.order_by(found.id).limit(limit)).scalars())


def remove(db: Connection, execution_ids: Collection[int], now: datetime) -> None:
    """Remove the output of these runs, and note when."""
    db.execute(delete(_CHUNKS).where(among(db, _CHUNKS.c.execution_id, execution_ids)))
    states = update(LOG_STATES).where(among(db, LOG_STATES.c.execution_id, execution_ids))
    db.execute(states.values(removed_at=now, stored_bytes=0))
