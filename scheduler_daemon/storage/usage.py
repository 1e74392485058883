"""Queries on what runs used, summed over a period."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, Float, and_, cast, func, select, type_coerce

from scheduler_daemon.storage.executions import EXECUTIONS, Record
from scheduler_daemon.storage.jobs import JOBS, USERS

_E = EXECUTIONS.c


def by_job(db: Connection, start: datetime, end: datetime, owner: str | None) -> list[Record]:
    """Return of each job, deleted ones too, what its runs used that ended in start <= instant < end.

    Columns: job_id, name, spec, owner, runs, cpu_ms, byte_s (the most memory of each run times its seconds) and
    unmeasured. Of all jobs, or those of one owner.
    """
    seconds = _seconds(db)
    nothing = and_(_E.cpu_ms.is_(None), _E.max_rss_bytes.is_(None))
    sums = (
        select(
            _E.job_id,
            func.count().label("runs"),
            func.coalesce(func.sum(_E.cpu_ms), 0).label("cpu_ms"),
            func.coalesce(func.sum(cast(_E.max_rss_bytes, Float) * seconds), 0.0).label("byte_s"),
            func.sum(cast(nothing, _E.attempt.type)).label("unmeasured"),
        )
        .where(_in(start, end))
        .group_by(_E.job_id)
        .subquery()
    )
    query = (
        select(JOBS.c.name, JOBS.c.spec, USERS.c.name.label("owner"), sums)
        .select_from(sums.join(JOBS, JOBS.c.id == sums.c.job_id).join(USERS, USERS.c.id == JOBS.c.owner_id))
        .order_by(JOBS.c.name, sums.c.job_id)
    )
    return list(db.execute(query if owner is None else query.where(USERS.c.name == owner)))


def said(db: Connection, start: datetime, end: datetime) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (job id, what it said of itself) of the runs that ended in start <= instant < end and said anything."""
    for row in db.execute(
        select(_E.job_id, _E.said).where(_in(start, end), _E.parent_id.is_(None), _E.said.is_not(None))
    ):
        yield row.job_id, row.said


def _in(start: datetime, end: datetime) -> ColumnElement[bool]:
    return and_(_E.ended_at >= start, _E.ended_at < end, _E.started_at.is_not(None))


def _seconds(db: Connection) -> ColumnElement[float]:
    if db.dialect.name == "sqlite":  # which keeps microseconds
        took = type_coerce(_E.ended_at, BigInteger) - type_coerce(_E.started_at, BigInteger)
        return type_coerce(cast(took, Float) / 1e6, Float)
    return cast(func.extract("epoch", _E.ended_at - _E.started_at), Float)
