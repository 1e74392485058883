"""A daemon's world without the daemon: accounts, jobs and fires in a database, made by the services themselves."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select

from scheduler_daemon.contract.executions import ACTIVE, Trigger
from scheduler_daemon.contract.jobs import JobCreate, JobSpec, JobView
from scheduler_daemon.contract.people import Actor, Role
from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.domain.lifecycle import Report
from scheduler_daemon.services import jobs, runs
from scheduler_daemon.services.fires import Due, Holder
from scheduler_daemon.services.runs import Ended, Fired
from scheduler_daemon.storage import executions, people
from scheduler_daemon.storage.tables import metadata
from scheduler_daemon.storage.vault import Vault

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
HOLDER = Holder(host="here", fence="first")
NO_KEY = Vault(Path("/nowhere/master.key"), {})
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)

_numbers = itertools.count(1)


def add_actor(db: Connection, name: str, role: Role, uid: int | None = None) -> Actor:
    """Make an account."""
    return Actor(id=people.add_user(db, name=name, role=role, uid=uid, now=NOON), name=name, role=role)


def new_id() -> str:
    """Return an id no other job has."""
    return f"00000000-0000-4000-8000-{next(_numbers):012d}"


def job_spec(name: str = "job", schedule: str | Schedule | None = "* * * * *", **fields: Any) -> JobSpec:
    """Return a spec that fires each minute unless told otherwise."""
    if not isinstance(schedule, Schedule):
        schedule = Schedule(expressions=(schedule,) if schedule else ())
    said: dict[str, Any] = {"command": "true", "policy": "trusted"} | fields
    return JobSpec(name=name, schedule=schedule, **said)


def add_job(
    db: Connection, actor: Actor, name: str = "job", *, now: datetime = NOON, paused: bool = False, **fields: Any
) -> JobView:
    """Make a job as the API would."""
    return jobs.create(db, actor, JobCreate(spec=job_spec(name, **fields), paused=paused), now=now, new_id=new_id)


def fire(
    db: Connection,
    job: JobView,
    *instants: datetime,
    missed: Sequence[datetime] = (),
    free: int = 100,
    version: int | None = None,
) -> Fired:
    """Let the clock say that these instants of a job are due."""
    handled = max([*instants, *missed])
    due = Due(
        job_id=job.id,
        version=version or job.version,
        concurrency=job.spec.concurrency,
        run=tuple(instants),
        missed=tuple(missed),
        trigger=Trigger.SCHEDULE,
        handled=handled,
        upcoming=handled + MINUTE,
    )
    return runs.fire(db, [due], now=handled, holder=HOLDER, free=free)


def end(db: Connection, *ids: int, at: datetime = NOON + MINUTE, **report: Any) -> None:
    """Let runs end, with exit code 0 unless told otherwise."""
    known = Report(**(report or {"exit_code": 0}))
    runs.ended(db, [Ended(number, known, None, at, 5, 1000, 10) for number in ids], at)


def rows(db: Connection, table: str) -> list[Any]:
    """Return every row of a table, in the order of its key."""
    found = metadata.tables[table]
    return list(db.execute(select(found).order_by(*found.primary_key.columns)))


def states(db: Connection) -> list[tuple[str, str | None]]:
    """Return (state, outcome) of every run, oldest first."""
    return [(row.state, row.outcome) for row in rows(db, "executions")]


def recount(db: Connection) -> list[str]:
    """Compare each job's counters with its runs; return what is wrong."""
    found = metadata.tables["executions"]
    wrong = []
    for row in rows(db, "job_states"):
        query = select(func.count()).where(found.c.job_id == row.job_id, found.c.parent_id.is_(None))
        active = db.execute(query.where(found.c.state.in_([str(state) for state in ACTIVE]))).scalar_one()
        if row.active != active:
            wrong.append(f"{row.job_id} counts {row.active} active runs and has {active}")
        if row.last_id is None:
            continue
        last = executions.find(db, row.last_id)
        assert last is not None
        kept = (row.last_state, row.last_outcome, row.last_fire_at, row.last_ended_at)
        if kept != (last.state, last.outcome, last.fire_at, last.ended_at):
            wrong.append(f"{row.job_id} shows {kept} of run {last.id}, which is {last.state}")
    return wrong
