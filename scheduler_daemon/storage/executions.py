"""Queries on runs. A change of state is one guarded update: it names the states it may come from."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    TextClause,
    and_,
    bindparam,
    case,
    func,
    or_,
    select,
    text,
    update,
)

from scheduler_daemon.contract.executions import ACTIVE
from scheduler_daemon.storage.bulk import ForEach, InsertNew, among
from scheduler_daemon.storage.jobs import JOBS
from scheduler_daemon.storage.tables import metadata

EXECUTIONS = metadata.tables["executions"]
LOG_STATES = metadata.tables["log_states"]

Record = Row[*tuple[Any, ...]]
_IS_ACTIVE = EXECUTIONS.c.ended_at.is_(None)
"""In the words of the partial index: asked for the states, SQLite reads every run there ever was."""

VIEW = select(EXECUTIONS, JOBS.c.name.label("job"), JOBS.c.owner_id).select_from(
    EXECUTIONS.join(JOBS, JOBS.c.id == EXECUTIONS.c.job_id)
)

NEW = (
    "job_id",
    "job_version",
    "version",
    "fire_at",
    "attempt",
    "attempts",
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
    "pool",
    "slots",
    "turn",
)
NOTHING_YET: dict[str, Any] = dict.fromkeys(
    (
        *("started_at", "exit_code", "signal", "cpu_ms", "max_rss_bytes", "output_bytes"),
        *("first_id", "start_after", "run_ends_at", "used", "said", "snapshot_id", "parent_id", "handler"),
    )
)
"""The other columns of a run that has just come up."""
_INSERT = InsertNew(EXECUTIONS, NEW, returning=("id", "job_id", "fire_at"))


def insert(db: Connection, rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, datetime], int]:
    """Insert first attempts and return the ids of those that were ours to insert, by (job id, fire).

    The rest exist already and belong to who was first. Keys: job_id, job_version, version, fire_at, attempt, attempts,
    trigger, state, outcome, reason, actor, host, fence, queued_at, ended_at, policy.
    """
    return {(job_id, fire_at): number for number, job_id, fire_at in _INSERT.run(db, rows)}


def find(db: Connection, execution_id: int, *, lock: bool = False) -> Record | None:
    """Return one run with its job's name; nobody else changes a locked one before our transaction ends."""
    query = VIEW.where(EXECUTIONS.c.id == execution_id)
    return db.execute(query.with_for_update(of=EXECUTIONS) if lock else query).one_or_none()


def by_ids(db: Connection, ids: Collection[int], *, lock: bool = False) -> list[Record]:
    """Return these runs with their jobs' names, oldest first; nobody else changes locked ones before we are done."""
    query = VIEW.where(among(db, EXECUTIONS.c.id, ids)).order_by(EXECUTIONS.c.id)
    return list(db.execute(query.with_for_update(of=EXECUTIONS) if lock else query).all())


def at_instant(db: Connection, job_id: str, fire_at: datetime) -> Record | None:
    """Return the last attempt of the run for one fire of a job."""
    wanted = VIEW.where(EXECUTIONS.c.job_id == job_id, EXECUTIONS.c.fire_at == fire_at)
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
    query = VIEW
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
    query = VIEW.where(_IS_ACTIVE)
    if node is not None:
        query = query.where(or_(EXECUTIONS.c.fence == node, EXECUTIONS.c.fence.startswith(f"{node}.")))
    return list(db.execute(query.order_by(EXECUTIONS.c.id)))


# As literals, for what an index holds a part of is compared by its words.
_IN_TURN = text("executions.state = 'queued'")
"""In the words of the index that knows the turns: said more, SQLite sorts all that wait."""
_WAITS = text("executions.ended_at IS NULL AND executions.state = 'queued'")
_BEGUN = text("executions.ended_at IS NULL AND executions.state IN ('starting', 'running')")
OWN = EXECUTIONS.c.parent_id.is_(None)
"""It is a run of its job's own, and no handler."""


def queued(
    db: Connection,
    limit: int,
    now: datetime,
    *,
    full_pools: Collection[str] = (),
    of_jobs: Collection[str] | None = None,
    lock: bool = False,
) -> list[Record]:
    """Return runs that wait and that neither their time, nor their jobs, nor full pools hold back, in turn.

    Each tells in `begun` how many runs of its job have begun: of one job there may be more than it may still run.
    Locked ones are those that nobody else has locked.
    """
    began = running().subquery()
    of_job = func.coalesce(began.c.begun, 0)
    found = VIEW.add_columns(of_job.label("begun")).outerjoin(began, began.c.job_id == EXECUTIONS.c.job_id)
    query = found.where(
        _IN_TURN,
        its_time(now),
        or_(EXECUTIONS.c.slots.is_(None), of_job < EXECUTIONS.c.slots),
    )
    if full_pools:
        query = query.where(or_(EXECUTIONS.c.pool.is_(None), EXECUTIONS.c.pool.not_in(sorted(full_pools))))
    if of_jobs is not None:
        query = query.where(among(db, EXECUTIONS.c.job_id, of_jobs))
    query = query.order_by(EXECUTIONS.c.turn, EXECUTIONS.c.id).limit(limit)
    return list(db.execute(query.with_for_update(skip_locked=True, of=EXECUTIONS) if lock else query))


def any_queued(db: Connection, now: datetime) -> bool:
    """Tell whether any run waits that might start now if there were room."""
    return db.execute(select(EXECUTIONS.c.id).where(_WAITS, its_time(now)).limit(1)).first() is not None


def its_time(now: datetime) -> ColumnElement[bool]:
    """Return the condition that a run that waits does not wait for its time."""
    return or_(EXECUTIONS.c.start_after.is_(None), EXECUTIONS.c.start_after <= now)


def ahead_in_pool(db: Connection, row: Any) -> int:
    """Return how many runs wait for a slot of the pool of a waiting run and come before it."""
    earlier = or_(EXECUTIONS.c.turn < row.turn, and_(EXECUTIONS.c.turn == row.turn, EXECUTIONS.c.id < row.id))
    return db.execute(select(func.count()).where(_WAITS, EXECUTIONS.c.pool == row.pool, earlier)).scalar_one()


def running() -> Select[Any]:
    """Ask how many runs of each job have begun and not ended, as `begun`."""
    return select(EXECUTIONS.c.job_id, func.count().label("begun")).where(_BEGUN, OWN).group_by(EXECUTIONS.c.job_id)


def standing(db: Connection, job_ids: Collection[str]) -> list[Record]:
    """Return id, job_id and state of the active runs of these jobs, oldest first; not backfilled ones that wait.

    Those stand aside whenever it is decided on other runs of their job.
    """
    query = select(EXECUTIONS.c.id, EXECUTIONS.c.job_id, EXECUTIONS.c.state)
    active = or_(_BEGUN, and_(_WAITS, EXECUTIONS.c.trigger != "backfill")).self_group()
    return list(db.execute(query.where(active, OWN, _one_of(db, job_ids)).order_by(EXECUTIONS.c.id)))


def last_ahead(db: Connection, job_ids: Collection[str], now: datetime) -> datetime | None:
    """Return the last instant to come for which a run of these jobs is starting already."""
    starting = (_BEGUN, EXECUTIONS.c.state == "starting", EXECUTIONS.c.fire_at > now, _one_of(db, job_ids))
    found: datetime | None = db.execute(select(func.max(EXECUTIONS.c.fire_at)).where(*starting)).scalar_one()
    return found


def _one_of(db: Connection, job_ids: Collection[str]) -> ColumnElement[bool]:
    """Return the condition that a run is one of these jobs'; not by the index of all the runs they ever had."""
    return among(db, EXECUTIONS.c.job_id.concat(""), job_ids)


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
    "used",
)

_TRANSITION = ForEach(
    update(EXECUTIONS)
    .where(EXECUTIONS.c.id == bindparam("b_id"), EXECUTIONS.c.ended_at.is_(None))
    .values(version=EXECUTIONS.c.version + 1),
    _FIELDS,
)


def transition(db: Connection, changed: Sequence[Mapping[str, Any]]) -> None:
    """Write new states of active runs; a run that has ended stays as it is.

    Keys: id, state, outcome, reason, started_at, ended_at, exit_code, signal, cpu_ms, max_rss_bytes, output_bytes,
    used.
    """
    _TRANSITION.run(db, changed)


def keep_said(db: Connection, said: Mapping[int, Mapping[str, Any]]) -> None:
    """Note what runs have said of themselves; nobody is told of it by that."""
    for execution_id in sorted(said):
        db.execute(update(EXECUTIONS).where(EXECUTIONS.c.id == execution_id).values(said=said[execution_id]))


def latest_said(db: Connection, job_id: str, limit: int) -> list[Record]:
    """Return id and what was said of the latest runs of a job that said something, newest first."""
    query = select(EXECUTIONS.c.id, EXECUTIONS.c.said).where(EXECUTIONS.c.job_id == job_id, OWN)
    return list(db.execute(query.where(EXECUTIONS.c.said.is_not(None)).order_by(EXECUTIONS.c.id.desc()).limit(limit)))


def next_version(db: Connection, ids: Collection[int]) -> list[Record]:
    """Let these runs count as changed; return them as they now are, oldest first."""
    changed = update(EXECUTIONS).where(among(db, EXECUTIONS.c.id, ids))
    db.execute(changed.values(version=EXECUTIONS.c.version + 1))
    return by_ids(db, ids)


def set_policies(db: Connection, policies: Mapping[int, Mapping[str, Any]]) -> None:
    """Note how runs that are starting are kept apart; what is announced of them next tells it."""
    for execution_id, policy in policies.items():
        db.execute(update(EXECUTIONS).where(EXECUTIONS.c.id == execution_id, _IS_ACTIVE).values(policy=policy))


def claim(db: Connection, ids: Collection[int], *, host: str, fence: str, reason: str = "") -> None:
    """Take queued runs for this daemon: they are starting, and what they waited for is no reason any more."""
    db.execute(
        update(EXECUTIONS)
        .where(among(db, EXECUTIONS.c.id, ids), EXECUTIONS.c.state == "queued")
        .values(state="starting", reason=reason, host=host, fence=fence, version=EXECUTIONS.c.version + 1)
    )


def ask_cancel(db: Connection, execution_id: int, actor: str, reason: str) -> None:
    """Note who wants a run to stop; the first wish counts."""
    db.execute(
        update(EXECUTIONS)
        .where(EXECUTIONS.c.id == execution_id, _IS_ACTIVE, EXECUTIONS.c.cancel_actor.is_(None))
        .values(cancel_actor=actor, cancel_reason=reason, version=EXECUTIONS.c.version + 1)
    )


def replace(db: Connection, old: Collection[int], new: int, actor: str) -> list[int]:
    """Note that active runs are to give way to another; return those that nobody had asked to stop before."""
    told = db.execute(
        update(EXECUTIONS)
        .where(among(db, EXECUTIONS.c.id, old), _IS_ACTIVE, EXECUTIONS.c.cancel_actor.is_(None))
        .values(
            cancel_actor=actor,
            cancel_reason=f"replaced by run {new}",
            replaced_by=new,
            version=EXECUTIONS.c.version + 1,
        )
        .returning(EXECUTIONS.c.id)
    )
    return sorted(told.scalars())


def to_stop(db: Connection, node: str) -> dict[int, str]:
    """Return the begun runs of a node that somebody wants stopped, and why."""
    query = select(EXECUTIONS.c.id, EXECUTIONS.c.cancel_reason)
    ours = or_(EXECUTIONS.c.fence == node, EXECUTIONS.c.fence.startswith(f"{node}."))
    rows = db.execute(query.where(_BEGUN, EXECUTIONS.c.cancel_actor.is_not(None), ours))
    return {row.id: row.cancel_reason or "" for row in rows}


def latest_of(db: Connection, job_ids: Collection[str], limit: int) -> list[Record]:
    """Return the last `limit` runs of each of these jobs, oldest first, for the picture's rebuild."""
    rank = func.row_number().over(partition_by=EXECUTIONS.c.job_id, order_by=EXECUTIONS.c.id.desc()).label("rank")
    ranked = select(EXECUTIONS.c.id, rank).where(among(db, EXECUTIONS.c.job_id, job_ids)).subquery()
    query = VIEW.join(ranked, ranked.c.id == EXECUTIONS.c.id).where(ranked.c.rank <= limit)
    return list(db.execute(query.order_by(EXECUTIONS.c.id)))


def counts_since(db: Connection, since: datetime, owner_id: int | None = None) -> dict[str, int]:
    """Return how many runs ended in each final state since an instant; of one owner's jobs, where one is named."""
    return _counts(db, EXECUTIONS.c.ended_at >= since, owner_id)


def active_counts(db: Connection, owner_id: int | None = None) -> dict[str, int]:
    """Return how many runs are in each active state; of one owner's jobs, where one is named."""
    return _counts(db, _IS_ACTIVE, owner_id)


def tally(db: Connection, since: datetime, *, by: str, limit: int, owner_id: int | None = None) -> list[Record]:
    """Return (name, runs, failed, cpu_ms) of the runs that ended since an instant, most failures first.

    `by` is `job` or `outcome`.
    """
    name = {"job": JOBS.c.name, "outcome": EXECUTIONS.c.outcome}[by].label("name")
    failed = func.sum(case((EXECUTIONS.c.state == "failed", 1), else_=0)).label("failed")
    query = select(name, func.count().label("runs"), failed, func.sum(EXECUTIONS.c.cpu_ms).label("cpu_ms"))
    query = query.join(JOBS, JOBS.c.id == EXECUTIONS.c.job_id).where(EXECUTIONS.c.ended_at >= since, OWN)
    if owner_id is not None:
        query = query.where(JOBS.c.owner_id == owner_id)
    return list(db.execute(query.group_by(name).order_by(failed.desc(), name).limit(limit)))


def _counts(db: Connection, condition: ColumnElement[bool] | TextClause, owner_id: int | None) -> dict[str, int]:
    query = select(EXECUTIONS.c.state, func.count()).where(condition).group_by(EXECUTIONS.c.state)
    if owner_id is not None:
        query = query.join(JOBS, JOBS.c.id == EXECUTIONS.c.job_id).where(JOBS.c.owner_id == owner_id)
    return {row[0]: row[1] for row in db.execute(query).all()}
