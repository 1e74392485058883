"""Findings put beside a running daemon into its database, as its analyst would have told them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from scheduler_daemon.contract.insights import Finding
from scheduler_daemon.services import insights
from scheduler_daemon.storage import insights as stored
from scheduler_daemon.storage import jobs
from scheduler_daemon.storage.session import open_database
from tests.support.daemon import DaemonHandle


def find(daemon: DaemonHandle, job: str, key: str, **fields: Any) -> None:
    """Record a finding of a job, found now."""
    asyncio.run(found(daemon, job, key, **fields))


async def found(daemon: DaemonHandle, job: str, key: str, **fields: Any) -> None:
    """Record it from within a running loop."""
    database = open_database(f"sqlite:///{daemon.state / 'chronos.db'}")
    now = datetime.now(UTC)
    usual = {"kind": "slow", "severity": "warning", "confidence": 0.8, "title": "it is slow", "at": now}

    def record(db: Any) -> None:
        row = jobs.find(db, job)
        assert row is not None
        told = Finding(**{**usual, "key": key, "job_id": row.id, "expires": now + timedelta(days=7), **fields})
        assert insights.keep(db, [told], now) == 1

    await database.write(record)
    await database.close()


async def judged(daemon: DaemonHandle) -> list[Any]:
    """Return what people said of insights, as the analyst reads it."""
    database = open_database(f"sqlite:///{daemon.state / 'chronos.db'}")
    rows = await database.read(lambda db: stored.judged(db, (datetime(2000, 1, 1, tzinfo=UTC), ""), 100))
    await database.close()
    return list(rows)
