"""Queries on which jobs run after which, and on what their runs of a run set have come to."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select

from scheduler_daemon.storage.bulk import ForEach, among
from scheduler_daemon.storage.executions import EXECUTIONS, OWN
from scheduler_daemon.storage.jobs import JOBS, STATES, slices
from scheduler_daemon.storage.tables import metadata

EDGES = metadata.tables["dependencies"]

_GRAPH_LOCK = 0x6772617068
"""The key of the advisory lock on Postgres: "graph" in ASCII."""
_AT_ONCE = 1000
"""Instants asked for in one statement."""


def lock_graph(db: Connection) -> None:
    """Let nobody else change what runs after what before we are done. SQLite has one writer."""
    if db.dialect.name != "sqlite":
        db.execute(select(func.pg_advisory_xact_lock(_GRAPH_LOCK)))


def behind(db: Connection, job_ids: Collection[str]) -> list[tuple[str, str]]:
    """Return (upstream, downstream) of all that runs after these jobs."""
    return [tuple(row) for row in db.execute(select(EDGES).where(among(db, EDGES.c.upstream_id, job_ids)))]


def all_of_them(db: Connection) -> list[tuple[str, str]]:
    """Return every (upstream, downstream)."""
    return [tuple(row) for row in db.execute(select(EDGES).order_by(EDGES.c.upstream_id, EDGES.c.downstream_id))]


_INSERT = ForEach(EDGES.insert(), ("upstream_id", "downstream_id"))


def insert(db: Connection, edges: Iterable[tuple[str, str]]) -> None:
    """Insert (upstream, downstream) pairs."""
    _INSERT.run(db, [{"upstream_id": upstream, "downstream_id": downstream} for upstream, downstream in edges])


def put(db: Connection, job_id: str, upstreams: Iterable[str]) -> None:
    """Let a job run after these and no others."""
    db.execute(delete(EDGES).where(EDGES.c.downstream_id == job_id))
    insert(db, ((upstream, job_id) for upstream in upstreams))


def names(db: Connection, job_ids: Collection[str]) -> dict[str, str]:
    """Return the names of jobs by id, of deleted ones too."""
    return {row.id: row.name for row in db.execute(select(JOBS.c.id, JOBS.c.name).where(among(db, JOBS.c.id, job_ids)))}


def standing(
    db: Connection, job_ids: Collection[str], instants: Sequence[datetime]
) -> dict[tuple[str, datetime], Row[*tuple[Any, ...]]]:
    """Return id, attempt and state of the last attempt of each run of these jobs for these instants."""
    columns = (EXECUTIONS.c[name] for name in ("id", "job_id", "fire_at", "attempt", "state"))
    query = select(*columns).where(among(db, EXECUTIONS.c.job_id, job_ids)).order_by(EXECUTIONS.c.attempt)
    return {
        (row.job_id, row.fire_at): row
        for some in slices(instants, _AT_ONCE)
        for row in db.execute(query.where(EXECUTIONS.c.fire_at.in_(some)))
    }


def latest_instant(db: Connection, job_ids: Collection[str]) -> datetime | None:
    """Return the instant of the latest run of any of these jobs."""
    query = select(EXECUTIONS.c.fire_at).where(OWN, among(db, EXECUTIONS.c.job_id, job_ids))
    found: datetime | None = db.execute(query.order_by(EXECUTIONS.c.fire_at.desc()).limit(1)).scalar()
    return found


def nodes(db: Connection, job_ids: Collection[str]) -> list[Row[*tuple[Any, ...]]]:
    """Return living jobs with what is shown of them in a graph, also of runs that never began, by name."""
    columns = (JOBS.c[name] for name in ("id", "name", "owner_id", "paused", "spec"))
    last = (EXECUTIONS.c[name] for name in ("state", "outcome", "fire_at"))
    newest = (
        select(func.max(EXECUTIONS.c.id)).where(EXECUTIONS.c.job_id == JOBS.c.id, OWN).correlate(JOBS).scalar_subquery()
    )
    query = (
        select(*columns, STATES.c.active, *last)
        .join(STATES, STATES.c.job_id == JOBS.c.id)
        .outerjoin(EXECUTIONS, EXECUTIONS.c.id == newest)
    )
    wanted = query.where(JOBS.c.deleted_at.is_(None), among(db, JOBS.c.id, job_ids))
    return list(db.execute(wanted.order_by(JOBS.c.name)))
