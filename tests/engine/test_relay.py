"""The whole picture is made from SQL a page at a time, and equals it."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from scheduler_daemon.contract.people import Actor
from scheduler_daemon.engine import changes
from scheduler_daemon.engine.relay import Relay
from scheduler_daemon.live.embedded import RedisServer
from scheduler_daemon.storage.session import Database
from tests.support.world import MINUTE, NOON, add_job, end, fire


@pytest.fixture
async def relay(database: Database, redis_server: RedisServer, redis_state: Path) -> AsyncIterator[Relay]:
    made = Relay(database, redis_state, None, keep=3, now=lambda: NOON)
    await made.open()
    yield made
    await made.close(stop_server=False)


async def test_the_picture_of_many_pages_equals_sql(
    relay: Relay, database: Database, admin: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "JOBS_AT_ONCE", 20)
    for number in range(45):
        job = await database.write(lambda db, name=f"job-{number}": add_job(db, admin, name, concurrency="allow"))
        fires = [NOON + MINUTE * n for n in range(1, 6)]
        fired = await database.write(lambda db, job=job, fires=fires: fire(db, job, *fires))
        await database.write(
            lambda db, fired=fired: end(db, *(s.execution_id for s in fired.starts), at=NOON + timedelta(hours=1))
        )

    await relay.rebuild()
    client = relay.client
    found = await client.execute_command("FT.SEARCH", "cs:idx:job", "*", "LIMIT", 0, 0)
    runs = [key async for key in client.scan_iter(match="cs:exec:*", count=1000)]

    assert await relay.differences() == []
    assert (found["total_results"], len(runs)) == (45, 45 * 3)
