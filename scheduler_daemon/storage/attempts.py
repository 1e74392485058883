"""Queries on the attempts of runs: the one to come, those there were, and those that wait for their time.

A first attempt waits for a time too where its job starts not before one.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from scheduler_daemon.storage import executions
from scheduler_daemon.storage.bulk import InsertNew, among
from scheduler_daemon.storage.executions import EXECUTIONS, Record
from scheduler_daemon.storage.jobs import JOBS, STATES

_COLUMNS = (*executions.NEW, "first_id", "start_after", "run_ends_at")
_INSERT = InsertNew(EXECUTIONS, _COLUMNS, returning=("id", "job_id", "fire_at", "attempt"))
# In the words of the partial index.
_TIMED = (EXECUTIONS.c.start_after.is_not(None), EXECUTIONS.c.ended_at.is_(None), EXECUTIONS.c.state == "queued")


def insert(db: Connection, rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, datetime, int], int]:
    """Insert attempts; return the ids of those that were not there, by (job id, fire, attempt).

    Keys: those of `executions.insert`, and first_id, start_after, run_ends_at; rows may hold others too.
    """
    bare = [{key: row[key] for key in _COLUMNS} for row in rows]
    return {(job_id, fire, attempt): number for number, job_id, fire, attempt in _INSERT.run(db, bare)}


def of_run(db: Connection, job_id: str, fire_at: datetime) -> list[Record]:
    """Return every attempt of a run with its job's name, the first one first."""
    wanted = executions.VIEW.where(EXECUTIONS.c.job_id == job_id, EXECUTIONS.c.fire_at == fire_at)
    return list(db.execute(wanted.order_by(EXECUTIONS.c.attempt)))


def waiting(db: Connection, job_ids: Collection[str]) -> list[Record]:
    """Return the attempts of these jobs that wait for their time, oldest first, locked."""
    wanted = executions.VIEW.where(*_TIMED, among(db, EXECUTIONS.c.job_id, job_ids)).order_by(EXECUTIONS.c.id)
    return list(db.execute(wanted.with_for_update(of=EXECUTIONS)))


def late(db: Connection, now: datetime) -> list[Record]:
    """Return the further attempts whose time has come and that still wait, locked, oldest first."""
    come = (*_TIMED, EXECUTIONS.c.start_after <= now, EXECUTIONS.c.attempt > 0)
    wanted = executions.VIEW.where(*come).order_by(EXECUTIONS.c.id)
    return list(db.execute(wanted.with_for_update(of=EXECUTIONS, skip_locked=True)))


def next_start(db: Connection, after: datetime) -> datetime | None:
    """Return the earliest instant later than `after` that an attempt waits for."""
    query = select(func.min(EXECUTIONS.c.start_after)).where(*_TIMED, EXECUTIONS.c.start_after > after)
    found: datetime | None = db.execute(query).scalar_one()
    return found


def from_the_future(db: Connection, now: datetime) -> list[Record]:
    """Return the attempts that wait for their time and were written down later than `now`, locked, oldest first."""
    wanted = executions.VIEW.where(*_TIMED, EXECUTIONS.c.queued_at > now).order_by(EXECUTIONS.c.id)
    return list(db.execute(wanted.with_for_update(of=EXECUTIONS)))


def put_off(db: Connection, execution_id: int, queued_at: datetime, start_after: datetime) -> None:
    """Let an attempt that waits wait anew."""
    db.execute(
        update(EXECUTIONS)
        .where(EXECUTIONS.c.id == execution_id, *_TIMED)
        .values(queued_at=queued_at, start_after=start_after, version=EXECUTIONS.c.version + 1)
    )


def jobs_behind(db: Connection, job_ids: Collection[str]) -> list[Row[*tuple[Any, ...]]]:
    """Return id, spec, paused and next_fire_at of living jobs, locked, by id."""
    query = select(JOBS.c.id, JOBS.c.spec, JOBS.c.paused, STATES.c.next_fire_at).join(
        STATES, STATES.c.job_id == JOBS.c.id
    )
    wanted = query.where(JOBS.c.deleted_at.is_(None), among(db, JOBS.c.id, job_ids)).order_by(JOBS.c.id)
    return list(db.execute(wanted.with_for_update(of=(JOBS, STATES))))
