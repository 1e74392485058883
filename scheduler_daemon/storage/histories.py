"""Queries on how runs went: how long those of jobs took, and what is recorded of the fires of a period."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from scheduler_daemon.storage.executions import EXECUTIONS, OWN

_E = EXECUTIONS.c
_TOOK = (
    select(_E.started_at, _E.ended_at)
    .where(OWN, _E.job_id == bindparam("job_id"), _E.started_at.is_not(None), _E.ended_at.is_not(None))
    .order_by(_E.id.desc())
    .limit(bindparam("count"))
)


def took(db: Connection, job_ids: Iterable[str], count: int) -> dict[str, list[tuple[datetime, datetime]]]:
    """Return (start, end) of up to `count` of the last runs of each job that are over, the latest first."""
    return {
        job_id: [(row.started_at, row.ended_at) for row in db.execute(_TOOK, {"job_id": job_id, "count": count})]
        for job_id in job_ids
    }


def of_fires(db: Connection, start: datetime, end: datetime, limit: int) -> list[Row[*tuple[Any, ...]]]:
    """Return up to `limit` first attempts for fires of schedules with start <= fire < end, in the order of fires."""
    query = select(_E.job_id, _E.fire_at, _E.state, _E.outcome, _E.started_at, _E.ended_at).where(
        _E.fire_at >= start, _E.fire_at < end, _E.attempt == 0, _E.trigger.in_(("schedule", "catch_up"))
    )
    return list(db.execute(query.order_by(_E.fire_at, _E.id).limit(limit)))


_RUNS = (
    select(
        *(_E.id, _E.job_version, _E.trigger, _E.attempt, _E.fire_at, _E.started_at, _E.ended_at, _E.state, _E.outcome),
        *(_E.exit_code, _E.cpu_ms, _E.max_rss_bytes, _E.output_bytes, _E.said),
    )
    .where(_E.job_id == bindparam("job_id"), _E.started_at.is_not(None), _E.ended_at.is_not(None), OWN)
    .order_by(_E.id.desc())
    .limit(bindparam("count"))
)


def last_runs(db: Connection, job_id: str, count: int) -> list[Row[*tuple[Any, ...]]]:
    """Return up to `count` of the last attempts of a job that began and are over, in the order of their starts."""
    found = db.execute(_RUNS, {"job_id": job_id, "count": count}).all()
    return sorted(found, key=lambda row: (row.started_at, row.id))


def taking_time(db: Connection, start: datetime, end: datetime, limit: int) -> list[Row[*tuple[Any, ...]]]:
    """Return (job_id, started_at, ended_at) of the last `limit` attempts that ended in start <= instant < end."""
    query = select(_E.job_id, _E.started_at, _E.ended_at).where(
        _E.ended_at >= start, _E.ended_at < end, _E.started_at.is_not(None), OWN
    )
    return list(db.execute(query.order_by(_E.ended_at.desc(), _E.id.desc()).limit(limit)))[::-1]
