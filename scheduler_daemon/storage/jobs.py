"""Queries on jobs, their versions and what changes with each run."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    false,
    func,
    not_,
    or_,
    select,
    true,
    update,
)

from scheduler_daemon.domain.filters import Clause, JobFilter
from scheduler_daemon.storage.bulk import ForEach, among
from scheduler_daemon.storage.tables import metadata

JOBS = metadata.tables["jobs"]
STATES = metadata.tables["job_states"]
VERSIONS = metadata.tables["job_versions"]
USERS = metadata.tables["users"]

Record = Row[*tuple[Any, ...]]

_FEW = 500
"""More names than these are faster looked for among all."""

# SQLite takes 32,766 parameters in a statement, Postgres 32,767.
PARAMETERS = 10_000

_VIEW = select(
    JOBS,
    USERS.c.name.label("owner"),
    STATES.c.next_fire_at,
    STATES.c.last_handled,
    STATES.c.active,
    STATES.c.last_id,
    STATES.c.last_state,
    STATES.c.last_outcome,
    STATES.c.last_fire_at,
    STATES.c.last_ended_at,
    STATES.c.last_duration_ms,
    (JOBS.c.revision + STATES.c.revision).label("whole_revision"),
).select_from(JOBS.join(STATES, STATES.c.job_id == JOBS.c.id).join(USERS, USERS.c.id == JOBS.c.owner_id))

_LIVING = JOBS.c.deleted_at.is_(None)


def slices(items: Sequence[Any], size: int = PARAMETERS) -> Iterable[Sequence[Any]]:
    """Yield runs of at most `size` items, for statements with a list of values."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def find(db: Connection, ref: str, *, lock: bool = False) -> Record | None:
    """Return the living job with this id or name; an id wins. Nobody changes a locked one before we are done."""
    query = _VIEW.with_for_update(of=(JOBS, STATES)) if lock else _VIEW
    for column in (JOBS.c.id, JOBS.c.name):  # asked for either at once, SQLite would read every job
        if found := db.execute(query.where(_LIVING, column == ref)).one_or_none():
            return found
    return None


def by_ids(db: Connection, ids: Collection[str]) -> list[Record]:
    """Return the living jobs among `ids`, in no order."""
    return list(db.execute(_VIEW.where(_LIVING, among(db, JOBS.c.id, ids))).all())


def living(db: Connection) -> Iterable[Record]:
    """Yield every living job, by name."""
    return db.execute(_VIEW.where(_LIVING).order_by(JOBS.c.name))


def living_after(db: Connection, job_id: str, limit: int) -> list[Record]:
    """Return the next living jobs behind an id, in the order of ids; "" is before the first."""
    return list(db.execute(_VIEW.where(_LIVING, JOBS.c.id > job_id).order_by(JOBS.c.id).limit(limit)))


def names_taken(db: Connection, names: Collection[str]) -> set[str]:
    """Return which of `names` living jobs have."""
    query = select(JOBS.c.name).where(_LIVING)
    if len(names) <= _FEW:
        query = query.where(among(db, JOBS.c.name, names))
    return set(names).intersection(db.execute(query).scalars())


def all_names(db: Connection) -> set[str]:
    """Return the names of all living jobs."""
    return set(db.execute(select(JOBS.c.name).where(_LIVING)).scalars())


def by_source(db: Connection, source: str) -> dict[str, Record]:
    """Return the living jobs an import made from `source`, by source key."""
    return {row.source_key: row for row in db.execute(_VIEW.where(_LIVING, JOBS.c.source == source))}


_EVERYTHING = JobFilter()
_SORTS = {
    "name": JOBS.c.name,
    "next": STATES.c.next_fire_at,
    "last": STATES.c.last_fire_at,
    "state": STATES.c.last_state,
}
SORTS = tuple(_SORTS)


def page(
    db: Connection,
    *,
    wanted: JobFilter = _EVERYTHING,
    visible_to: str | None = None,
    fired_since: datetime | None = None,
    sort: str = "name",
    limit: int = 200,
    offset: int = 0,
) -> tuple[list[Record], int]:
    """Return a window of the living jobs and how many match in all. `sort` is one of SORTS, `-` before it reverses."""
    conditions = [_LIVING, *map(_holds, wanted.words), *map(_clause, wanted.clauses)]
    if visible_to is not None:
        conditions.append(USERS.c.name == visible_to)
    if fired_since is not None:
        conditions.append(STATES.c.last_fire_at >= fired_since)
    total = db.execute(_VIEW.where(and_(*conditions)).with_only_columns(func.count())).scalar_one()
    rows = db.execute(_sorted(_VIEW.where(and_(*conditions)), sort).limit(limit).offset(offset)).all()
    return list(rows), total


def _clause(clause: Clause) -> ColumnElement[bool]:
    test = {"state": _in_state, "tag": _tagged, "owner": _owned}[clause.key]
    found = or_(*map(test, clause.values))
    return not_(func.coalesce(found, false())) if clause.negated else found


def _tagged(tag: str) -> ColumnElement[bool]:
    return func.lower(JOBS.c.spec["tags"].as_string()).like(f'%"{_escaped(tag.lower())}"%', escape="\\")


def _owned(owner: str) -> ColumnElement[bool]:
    return func.lower(USERS.c.name) == owner.lower()


def _holds(word: str) -> ColumnElement[bool]:
    like = f"%{_escaped(word.lower())}%"
    columns = (JOBS.c.name, JOBS.c.spec["command"].as_string())
    return or_(*(func.lower(column).like(like, escape="\\") for column in columns))


def _in_state(state: str) -> ColumnElement[bool]:
    state = state.lower()
    if state in {"paused", "enabled"}:
        return JOBS.c.paused.is_(state == "paused")
    if state in {"queued", "starting", "running"}:
        return STATES.c.active > 0
    return or_(STATES.c.last_state == state, STATES.c.last_outcome == state)


def _sorted(query: Select[Any], sort: str) -> Select[Any]:
    column = _SORTS[sort.removeprefix("-")]
    order = column.desc().nulls_last() if sort.startswith("-") else column.asc().nulls_last()
    return query.order_by(order, JOBS.c.name)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


_INSERT_JOBS = ForEach(
    JOBS.insert(),
    (
        "id",
        "version",
        "revision",
        "name",
        "spec",
        "paused",
        "owner_id",
        "source",
        "source_key",
        "created_at",
        "updated_at",
    ),
)
_INSERT_STATES = ForEach(STATES.insert(), ("job_id", "last_handled", "next_fire_at", "revision", "active"))
_INSERT_VERSIONS = ForEach(VERSIONS.insert(), ("job_id", "version", "spec", "author", "message", "created_at"))


def insert(
    db: Connection,
    jobs: Sequence[Mapping[str, Any]],
    states: Sequence[Mapping[str, Any]],
    versions: Sequence[Mapping[str, Any]],
) -> None:
    """Insert new jobs with their first states and versions."""
    _INSERT_JOBS.run(db, jobs)
    _INSERT_STATES.run(db, states)
    _INSERT_VERSIONS.run(db, versions)


def save(db: Connection, job_id: str, expected: int, values: Mapping[str, Any]) -> bool:
    """Update a job whose version is still `expected`; return whether it was."""
    changed = db.execute(
        update(JOBS)
        .where(JOBS.c.id == job_id, JOBS.c.version == expected, _LIVING)
        .values(**values, revision=JOBS.c.revision + 1)
    )
    return changed.rowcount == 1


def add_version(db: Connection, values: Mapping[str, Any]) -> None:
    """Keep a saved spec for ever."""
    db.execute(VERSIONS.insert(), values)


def versions(db: Connection, job_id: str) -> list[Record]:
    """Return all saved specs of a job, newest first."""
    return list(db.execute(select(VERSIONS).where(VERSIONS.c.job_id == job_id).order_by(VERSIONS.c.version.desc())))


def specs(db: Connection, keys: Collection[tuple[str, int]]) -> dict[tuple[str, int], dict[str, Any]]:
    """Return the specs of (job id, version) pairs."""
    query = select(VERSIONS.c.job_id, VERSIONS.c.version, VERSIONS.c.spec)
    rows = db.execute(query.where(among(db, VERSIONS.c.job_id, {job_id for job_id, _ in keys})))
    return {(row.job_id, row.version): row.spec for row in rows if (row.job_id, row.version) in keys}


def set_state(db: Connection, job_id: str, **values: Any) -> None:
    """Change what changes with each run, and the revision with it."""
    db.execute(update(STATES).where(STATES.c.job_id == job_id).values(**values, revision=STATES.c.revision + 1))


def add_active(db: Connection, job_id: str, added: int = 1) -> None:
    """Count runs that are not the clock's."""
    set_state(db, job_id, active=STATES.c.active + added)


_ADVANCE = ForEach(
    update(STATES)
    .where(STATES.c.job_id == bindparam("b_job_id"))
    .values(active=STATES.c.active + bindparam("b_added"), revision=STATES.c.revision + 1),
    ("last_handled", "next_fire_at"),
)


def advance(db: Connection, moves: Sequence[Mapping[str, Any]]) -> None:
    """Move cursors. Keys: job_id, last_handled, next_fire_at, added (runs)."""
    _ADVANCE.run(db, moves)


_FINISH = ForEach(
    update(STATES)
    .where(STATES.c.job_id == bindparam("b_job_id"))
    .values(active=STATES.c.active - 1, revision=STATES.c.revision + 1),
    ("last_id", "last_state", "last_outcome", "last_fire_at", "last_ended_at", "last_duration_ms"),
)


def record_last(db: Connection, ends: Sequence[Mapping[str, Any]]) -> None:
    """Note runs that have just ended.

    Keys: job_id, last_id, last_state, last_outcome, last_fire_at, last_ended_at, last_duration_ms.
    """
    _FINISH.run(db, ends)


def count(db: Connection, owner_id: int | None = None) -> tuple[int, int]:
    """Return how many living jobs there are, and how many of them are paused; of one owner, where one is named."""
    query = select(func.count(), func.sum(JOBS.c.paused.cast(STATES.c.active.type))).where(_LIVING, _of(owner_id))
    row = db.execute(query).one()
    return cast("int", row[0]), int(row[1] or 0)


def _of(owner_id: int | None) -> ColumnElement[bool]:
    return true() if owner_id is None else JOBS.c.owner_id == owner_id


def next_fires(db: Connection, limit: int, owner_id: int | None = None) -> list[Record]:
    """Return the jobs that fire soonest; of one owner, where one is named."""
    query = select(JOBS.c.id, JOBS.c.name, STATES.c.next_fire_at).select_from(
        JOBS.join(STATES, STATES.c.job_id == JOBS.c.id)
    )
    wanted = query.where(_LIVING, _of(owner_id), JOBS.c.paused.is_(False), STATES.c.next_fire_at.is_not(None))
    return list(db.execute(wanted.order_by(STATES.c.next_fire_at).limit(limit)))


def launch_facts(db: Connection, ids: Collection[str]) -> list[Record]:
    """Return id, name, owner_id, version, spec, paused, snoozed_until, last_handled and active of living jobs.

    They are locked, in the order of ids.
    """
    columns = tuple(JOBS.c[name] for name in ("id", "name", "owner_id", "version", "spec", "paused", "snoozed_until"))
    query = select(*columns, STATES.c.last_handled, STATES.c.active).join(STATES, STATES.c.job_id == JOBS.c.id)
    wanted = query.where(_LIVING, among(db, JOBS.c.id, ids)).order_by(JOBS.c.id)
    return list(db.execute(wanted.with_for_update(of=(JOBS, STATES))).all())
