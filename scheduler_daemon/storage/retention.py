"""Which output goes: that of runs beyond the newest of their job, an age, or a size of all output together.

The runs themselves stay, with all that is known of them. The output of a job's last failure is never removed.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, case, delete, false, func, not_, or_, select, true, update

from scheduler_daemon.contract.executions import State
from scheduler_daemon.contract.jobs import OutputKept
from scheduler_daemon.storage.bulk import among
from scheduler_daemon.storage.executions import EXECUTIONS, LOG_STATES
from scheduler_daemon.storage.jobs import JOBS
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
    """Return up to `limit` ended runs whose output is more than is kept, oldest first.

    What a job says itself goes before `kept`, but for the size of all runs together, which holds for all.
    """
    own = _own(db)
    found = set(_beyond(db, kept, now, limit, but=own))
    for job_id, said in own.items():
        bound = Kept(said.age or kept.age, said.runs or kept.runs, said.size)
        found.update(_beyond(db, bound, now, limit, of=job_id))
    return sorted(found)[:limit]


def _own(db: Connection) -> dict[str, Kept]:
    """Return what jobs say themselves; their size is that of their own runs together."""
    said = JOBS.c.spec["output_kept"]
    query = select(JOBS.c.id, said.label("said")).where(said.as_string().is_not(None), said.as_string() != "null")
    found = {}
    for row in db.execute(query):
        own = OutputKept.model_validate(row.said)
        found[row.id] = Kept(None if own.days is None else timedelta(days=own.days), own.runs, own.bytes)
    return found


def _beyond(
    db: Connection, kept: Kept, now: datetime, limit: int, *, of: str | None = None, but: Collection[str] = ()
) -> list[int]:
    """Return runs beyond these bounds: of one job, or of all, of which these are judged by the size of all alone."""
    newest_first = EXECUTIONS.c.id.desc()
    failed = case((EXECUTIONS.c.state == State.FAILED, EXECUTIONS.c.id))
    having_output = (
        select(
            EXECUTIONS.c.id,
            EXECUTIONS.c.job_id,
            EXECUTIONS.c.ended_at,
            func.row_number().over(partition_by=EXECUTIONS.c.job_id, order_by=newest_first).label("place"),
            func.sum(LOG_STATES.c.stored_bytes).over(order_by=newest_first).label("size"),
            func.max(failed).over(partition_by=EXECUTIONS.c.job_id).label("last_failure"),
        )
        .join(LOG_STATES, LOG_STATES.c.execution_id == EXECUTIONS.c.id)
        .where(EXECUTIONS.c.ended_at.is_not(None), LOG_STATES.c.complete, LOG_STATES.c.removed_at.is_(None))
        .where(true() if of is None else EXECUTIONS.c.job_id == of)
        .subquery()
    )
    found = having_output.c
    bounds: list[ColumnElement[bool]] = [false()]
    if kept.age is not None:
        bounds.append(found.ended_at < now - kept.age)
    if kept.runs is not None:
        bounds.append(found.place > kept.runs)
    beyond = or_(*bounds) if not but else and_(or_(*bounds), not_(among(db, found.job_id, but)))
    if kept.size is not None:
        beyond = or_(beyond, found.size > kept.size)
    not_the_last_failure = or_(found.last_failure.is_(None), found.id != found.last_failure)
    query = select(found.id).where(and_(beyond, not_the_last_failure))
    return list(db.execute(query.order_by(found.id).limit(limit)).scalars())


def remove(db: Connection, execution_ids: Collection[int], now: datetime) -> None:
    """Remove the output of these runs, and note when."""
    db.execute(delete(_CHUNKS).where(among(db, _CHUNKS.c.execution_id, execution_ids)))
    states = update(LOG_STATES).where(among(db, LOG_STATES.c.execution_id, execution_ids))
    db.execute(states.values(removed_at=now, stored_bytes=0))
