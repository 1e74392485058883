"""Queries on runs. A change of state is one guarded update: it names the states it may come from."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, TextClause, bindparam, func, or_, select, update

from scheduler_daemon.contract.executions import ACTIVE
from scheduler_daemon.storage.bulk import ForEach, InsertNew, among
from scheduler_daemon.storage.jobs import JOBS
from scheduler_daemon.storage.tables import metadata

EXECUTIONS = metadata.tables["executions"]
LOG_STATES = metadata.tables["log_states"]

Record = Row[*tuple[Any, ...]]
_IS_ACTIVE = EXECUTIONS.c.ended_at.is_(None)
"""In the words of the partial index: asked for the states, SQLite reads every run there ever was."""

_VIEW = select(EXECUTIONS, JOBS.c.name.label("job"), JOBS.c.owner_id).select_from(
    EXECUTIONS.join(JOBS, JOBS.c.id == EXECUTIONS.c.job_id)
)

_NEW = (
    "job_id",
    "job_version",
    "version",
    "fire_at",
    "attempt",
    "trigger",
    "state",
    "outcome",
    "reason",
    "actor",
    "host",
    "fence",
    "queued_at",
    "ended_at",
    "policy",
)
_INSERT = InsertNew(EXECUTIONS, _NEW, returning=("id", "job_id", "fire_at"))


def insert(db: Connection, rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, datetime], int]:
    """Insert first attempts and return the ids of those that were ours to insert, by (job id, fire).

    The rest exist already and belong to who was first. Keys: job_id, job_version, version, fire_at, attempt, trigger,
    state, outcome, reason, actor, host, fence, queued_at, ended_at, policy.
    """
    return {(job_id, fire_at): number for number, job_id, fire_at in _INSERT.run(db, rows)}


def find(db: Connection, execution_id: int, *, lock: bool = False) -> Record | None:
    """Return one run with its job's name; nobody else changes a locked one before our transaction ends."""
    query = _VIEW.where(EXECUTIONS.c.id == execution_id)
    return db.execute(query.with_for_update(of=EXECUTIONS) if lock else query).one_or_none()


def by_ids(db: Connection, ids: Collection[int], *, lock: bool = False) -> list[Record]:
    """Return these runs with their jobs' names, oldest first; nobody else changes locked ones before we are done."""
    query = _VIEW.where(among(db, EXECUTIONS.c.id, ids)).order_by(EXECUTIONS.c.id)
    return list(db.execute(query.with_for_update(of=EXECUTIONS) if lock else query).all())


def at_instant(db: Connection, job_id: str, fire_at: datetime) -> Record | None:
    """Return the last attempt of the run for one fire of a job."""
    wanted = _VIEW.where(EXECUTIONS.c.job_id == job_id, EXECUTIONS.c.fire_at == fire_at)
    return db.execute(wanted.order_by(EXECUTIONS.c.attempt.desc()).limit(1)).one_or_none()


def page(
    db: Connection,
    *,
    job_id: str | None = None,
    states: Collection[str] = (),
    since: datetime | None = None,
    holding: str = "",
    before: int | None = None,
    limit: int = 100,
    owner_id: int | None = None,
) -> list[Record]:
    """Return runs newest first: those with an id below `before`; of one owner's jobs, where one is named."""
    query = _VIEW
    if owner_id is not None:
        query = query.where(JOBS.c.owner_id == owner_id)
    if job_id:
        query = query.where(EXECUTIONS.c.job_id == job_id)
    if states:
        query = query.where(EXECUTIONS.c.state.in_(states))
        if ACTIVE.issuperset(states):
            query = query.where(_IS_ACTIVE)
    if since:
        query = query.where(EXECUTIONS.c.queued_at >= since)
    if before is not None:
        query = query.where(EXECUTIONS.c.id < before)
    if holding:
        like = "%" + holding.lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        columns = (JOBS.c.name, EXECUTIONS.c.reason)
        query = query.where(or_(*(func.lower(column).like(like, escape="\\") for column in columns)))
    return list(db.execute(query.order_by(EXECUTIONS.c.id.desc()).limit(limit)))


def active(db: Connection, node: str | None = None) -> list[Record]:
    """Return every run that has not ended, oldest first; of one node, where it is named."""
    query = _VIEW.where(_IS_ACTIVE)
    if node is not None:
        query = query.where(or_(EXECUTIONS.c.fence == node, EXECUTIONS.c.fence.startswith(f"{node}.")))
    return list(db.execute(query.order_by(EXECUTIONS.c.id)))


def queued(db: Connection, limit: int) -> list[Record]:
    """Return the runs that wait to be started, oldest first, locked against other daemons."""
    query = _VIEW.where(_IS_ACTIVE, EXECUTIONS.c.state == "queued").order_by(EXECUTIONS.c.id).limit(limit)
    return list(db.execute(query.with_for_update(skip_locked=True, of=EXECUTIONS)))


_FIELDS = (
    "state",
    "outcome",
    "reason",
    "started_at",
    "ended_at",
    "exit_code",
    "signal",
    "cpu_ms",
    "max_rss_bytes",
    "output_bytes",
)

_TRANSITION = ForEach(
    update(EXECUTIONS)
    .where(EXECUTIONS.c.id == bindparam("b_id"), EXECUTIONS.c.ended_at.is_(None))
    .values(version=EXECUTIONS.c.version + 1),
    _FIELDS,
)


def transition(db: Connection, changed: Sequence[Mapping[str, Any]]) -> None:
    """Write new states of active runs; a run that has ended stays as it is.

    Keys: id, state, outcome, reason, started_at, ended_at, exit_code, signal, cpu_ms, max_rss_bytes, output_bytes.
    """
    _TRANSITION.run(db, changed)


def claim(db: Connection, ids: Collection[int], *, host: str, fence: str) -> None:
    """Take queued runs for this daemon: they are starting."""
    db.execute(
        update(EXECUTIONS)
        .where(among(db, EXECUTIONS.c.id, ids), EXECUTIONS.c.state == "queued")
        .values(state="starting", host=host, fence=fence, version=EXECUTIONS.c.version + 1)
    )


def ask_cancel(db: Connection, execution_id: int, actor: str, reason: str) -> None:
    """Note who wants a run to stop; the first wish counts."""
    db.execute(
        update(EXECUTIONS)
        .where(EXECUTIONS.c.id == execution_id, _IS_ACTIVE, EXECUTIONS.c.cancel_actor.is_(None))
        .values(cancel_actor=actor, cancel_reason=reason, version=EXECUTIONS.c.version + 1)
    )


def latest_of(db: Connection, job_ids: Collection[str], limit: int) -> list[Record]:
    """Return the last `limit` runs of each of these jobs, oldest first, for the picture's rebuild."""
    rank = func.row_number().over(partition_by=EXECUTIONS.c.job_id, order_by=EXECUTIONS.c.id.desc()).label("rank")
    ranked = select(EXECUTIONS.c.id, rank).where(among(db, EXECUTIONS.c.job_id, job_ids)).subquery()
    query = _VIEW.join(ranked, ranked.c.id == EXECUTIONS.c.id).where(ranked.c.rank <= limit)
    return list(db.execute(query.order_by(EXECUTIONS.c.id)))


def counts_since(db: Connection, since: datetime, owner_id: int | None = None) -> dict[str, int]:
    """Return how many runs ended in each final state since an instant; of one owner's jobs, where one is named."""
    return _counts(db, EXECUTIONS.c.ended_at >= since, owner_id)


def active_counts(db: Connection, owner_id: int | None = None) -> dict[str, int]:
    """Return how many runs are in each active state; of one owner's jobs, where one is named."""
    return _counts(db, _IS_ACTIVE, owner_id)


def _counts(db: Connection, condition: ColumnElement[bool] | TextClause, owner_id: int | None) -> dict[str, int]:
    query = select(EXECUTIONS.c.state, func.count()).where(condition).group_by(EXECUTIONS.c.state)
    if owner_id is not None:
        query = query.join(JOBS, JOBS.c.id == EXECUTIONS.c.job_id).where(JOBS.c.owner_id == owner_id)
    return {row[0]: row[1] for row in db.execute(query).all()}
