"""Rows that storage tests need to exist, and nothing more about them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, insert, select

from scheduler_daemon.storage.tables import metadata

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
EXECUTIONS, JOBS, USERS = (metadata.tables[name] for name in ("executions", "jobs", "users"))


def execution_values(number: int, job_id: str = "job") -> dict[str, Any]:
    """Return the columns of a queued run that fires `number` seconds after noon."""
    fire_at = NOON + timedelta(seconds=number)
    return {
        "job_id": job_id,
        "job_version": 1,
        "version": 1,
        "fire_at": fire_at,
        "attempt": 0,
        "attempts": 1,
        "trigger": "schedule",
        "state": "queued",
        "reason": "",
        "actor": "system",
        "host": "here",
        "fence": "",
        "queued_at": fire_at,
        "policy": {"requested": "trusted"},
    }


def add_job(connection: Connection, job_id: str = "job") -> None:
    """Add a job, and its owner where there is none yet."""
    if connection.execute(select(USERS.c.id)).first() is None:
        connection.execute(insert(USERS).values(id=1, name="root", role="admin", disabled=False, created_at=NOON))
    saved = {"created_at": NOON, "updated_at": NOON}
    values = {"id": job_id, "version": 1, "revision": 1, "name": job_id, "spec": {}, "paused": False, "owner_id": 1}
    connection.execute(insert(JOBS).values(**values, **saved))


def add_execution(connection: Connection) -> int:
    """Add a run and what it needs; return its id."""
    return add_executions(connection, 1)[0]


def add_executions(connection: Connection, count: int) -> list[int]:
    """Add runs of one new job; return their ids, rising."""
    job_id = f"job{connection.scalar(select(func.count()).select_from(JOBS))}"
    add_job(connection, job_id)
    statement = insert(EXECUTIONS).returning(EXECUTIONS.c.id)
    return sorted(connection.execute(statement, [execution_values(n, job_id) for n in range(count)]).scalars())
