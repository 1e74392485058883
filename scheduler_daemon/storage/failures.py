"""Queries on what failed runs said, and on the patterns in it."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select
from sqlalchemy.dialects import postgresql, sqlite

from scheduler_daemon.storage.bulk import among
from scheduler_daemon.storage.executions import EXECUTIONS
from scheduler_daemon.storage.jobs import JOBS
from scheduler_daemon.storage.tables import metadata

FAILURES = metadata.tables["failures"]
PATTERNS = metadata.tables["error_patterns"]

Record = Row[*tuple[Any, ...]]

_F = FAILURES.c
_SEEN = FAILURES.join(EXECUTIONS, EXECUTIONS.c.id == _F.execution_id).join(JOBS, JOBS.c.id == _F.job_id)
_VIEW = (
    select(FAILURES, JOBS.c.name.label("job"), EXECUTIONS.c.host).select_from(_SEEN).where(JOBS.c.deleted_at.is_(None))
)


def _insert(db: Connection, table: Any) -> Any:
    return (sqlite if db.dialect.name == "sqlite" else postgresql).insert(table)


def keep(db: Connection, rows: Sequence[Mapping[str, Any]], texts: Mapping[str, str]) -> None:
    """Write failures down, each once, and the texts of their patterns as they now are."""
    for pattern_id, text in texts.items():
        statement = _insert(db, PATTERNS).values(
            id=pattern_id, text=text[:1000], succeeded_with=0, name="", meaning="", fix=""
        )
        db.execute(statement.on_conflict_do_update(index_elements=["id"], set_={"text": statement.excluded.text}))
    if rows:
        db.execute(_insert(db, FAILURES).values(list(rows)).on_conflict_do_nothing())


def seen_in_successes(db: Connection, counts: Mapping[str, int]) -> None:
    """Add to the number of successful runs in which lines of these patterns stood."""
    for pattern_id, count in counts.items():
        table = PATTERNS.update().where(PATTERNS.c.id == pattern_id)
        db.execute(table.values(succeeded_with=PATTERNS.c.succeeded_with + count))


def describe(db: Connection, pattern_id: str, *, name: str, meaning: str, fix: str) -> None:
    """Give a pattern a name, what it means and what helps."""
    table = PATTERNS.update().where(PATTERNS.c.id == pattern_id)
    db.execute(table.values(name=name, meaning=meaning, fix=fix))


def find(db: Connection, execution_id: int) -> Record | None:
    """Return what a run said, with its job's name and its host."""
    return db.execute(_VIEW.where(_F.execution_id == execution_id)).one_or_none()


def pattern(db: Connection, pattern_id: str) -> Record | None:
    """Return a pattern by its id, or by so much of its beginning that there is only one."""
    found = db.execute(select(PATTERNS).where(PATTERNS.c.id.startswith(pattern_id)).limit(2)).all()
    return found[0] if len(found) == 1 else None


def patterns(db: Connection, *, owner_id: int | None, since: datetime | None, job_id: str | None) -> list[Record]:
    """Return how often each pattern came, first and last, and its texts, the latest first."""
    query = (
        select(
            PATTERNS,
            func.count().label("count"),
            func.min(_F.at).label("first_seen"),
            func.max(_F.at).label("last_seen"),
            func.max(_F.execution_id).label("last_run"),
        )
        .select_from(_SEEN.join(PATTERNS, PATTERNS.c.id == _F.pattern_id))
        .where(JOBS.c.deleted_at.is_(None))
        .group_by(PATTERNS.c.id)
        .order_by(func.max(_F.execution_id).desc())
    )
    if owner_id is not None:
        query = query.where(JOBS.c.owner_id == owner_id)
    if job_id is not None:
        query = query.where(_F.job_id == job_id)
    if since is not None:
        query = query.having(func.max(_F.at) >= since)
    return list(db.execute(query))


def places(db: Connection, pattern_ids: Collection[str], owner_id: int | None) -> list[Record]:
    """Return (pattern, job id, job, host, last run, last instant) of each place where a pattern was seen."""
    query = (
        select(
            _F.pattern_id,
            _F.job_id,
            JOBS.c.name.label("job"),
            EXECUTIONS.c.host,
            func.max(_F.execution_id).label("last_run"),
            func.max(_F.at).label("at"),
        )
        .select_from(_SEEN)
        .where(_F.pattern_id.in_(sorted(pattern_ids)), JOBS.c.deleted_at.is_(None))
        .group_by(_F.pattern_id, _F.job_id, JOBS.c.name, EXECUTIONS.c.host)
        .order_by(JOBS.c.name, EXECUTIONS.c.host)
    )
    return list(db.execute(query if owner_id is None else query.where(JOBS.c.owner_id == owner_id)))


def totals(db: Connection) -> int:
    """Return how many failures are written down."""
    return int(db.execute(select(func.count()).select_from(FAILURES)).scalar_one())


def earlier(
    db: Connection, execution_id: int, *, owner_id: int | None, pattern_id: str | None, limit: int
) -> list[Record]:
    """Return failures before a run, newest first; of one pattern, where one is named."""
    query = _VIEW.where(_F.execution_id < execution_id)
    if owner_id is not None:
        query = query.where(JOBS.c.owner_id == owner_id)
    if pattern_id is not None:
        query = query.where(_F.pattern_id == pattern_id)
    return list(db.execute(query.order_by(_F.execution_id.desc()).limit(limit)))


def latest_runs(db: Connection, limit: int) -> list[int]:
    """Return the latest runs of living jobs that said something, newest first."""
    query = select(_F.execution_id).join(JOBS, JOBS.c.id == _F.job_id).where(JOBS.c.deleted_at.is_(None))
    return list(db.execute(query.order_by(_F.execution_id.desc()).limit(limit)).scalars())


def of_runs(db: Connection, execution_ids: Collection[int], owner_id: int | None = None) -> list[Record]:
    """Return what these runs said, with the names and owners of their jobs; of one owner's, where one is named."""
    query = _VIEW.add_columns(JOBS.c.owner_id).where(among(db, _F.execution_id, execution_ids))
    return list(db.execute(query if owner_id is None else query.where(JOBS.c.owner_id == owner_id)))


def since_failure(db: Connection, job_id: str, execution_id: int) -> tuple[Record | None, int]:
    """Return the first success of a job after a run, and how many there were, unless a failure came after it."""
    after = EXECUTIONS.c.job_id == job_id, EXECUTIONS.c.id > execution_id, EXECUTIONS.c.state == "succeeded"
    first = db.execute(select(EXECUTIONS).where(*after).order_by(EXECUTIONS.c.id).limit(1)).one_or_none()
    return first, int(db.execute(select(func.count()).select_from(EXECUTIONS).where(*after)).scalar_one())
