"""The whole picture is made from SQL a page at a time, or grows by what events tell, and equals it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from scheduler_daemon.contract.jobs import JobPatch
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.engine import changes
from scheduler_daemon.engine.relay import FEW, Relay
from scheduler_daemon.live.embedded import RedisServer
from scheduler_daemon.services import jobs, runs
from scheduler_daemon.storage import events
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
    kept = [key async for key in client.scan_iter(match="cs:exec:*", count=1000)]

    assert await relay.differences() == []
    assert (found["total_results"], len(kept)) == (45, 45 * 3)


async def test_what_events_tell_one_after_the_other_equals_sql(relay: Relay, database: Database, admin: Actor) -> None:
    await relay.rebuild()
    kept, edited, gone = [
        await database.write(lambda db, name=name: add_job(db, admin, name)) for name in ("kept", "edited", "gone")
    ]
    for minute in range(1, 6):
        at = NOON + MINUTE * minute
        for job in (kept, edited):
            fired = await database.write(lambda db, job=job, at=at: fire(db, job, at))
            await relay.step()
            ids = [start.execution_id for start in fired.starts]
            await database.write(lambda db, ids=ids, at=at: runs.started(db, dict.fromkeys(ids, at), at))
            await relay.step(1)
            await database.write(lambda db, ids=ids, at=at: end(db, *ids, at=at + timedelta(milliseconds=1234)))
        patch = JobPatch(version=edited.version, changes={"command": f"echo {minute}", "tags": [f"t{minute}"]})
        edited = await database.write(lambda db, ref=edited.id, patch=patch: jobs.edit(db, admin, ref, patch, NOON))
    await database.write(lambda db: jobs.set_paused(db, admin, kept.id, NOON + MINUTE * 9, paused=True))
    await database.write(lambda db: jobs.delete(db, admin, gone.id, NOON))

    while await relay.step():
        pass

    assert await relay.differences() == []
    found = await relay.client.execute_command("FT.SEARCH", "cs:idx:job", "@tags:{t5} @status:{succeeded}", "NOCONTENT")
    assert [each["id"] for each in found["results"]] == [f"cs:job:{edited.id}"]


async def test_of_many_states_of_a_run_that_wait_the_last_is_told(
    relay: Relay, database: Database, admin: Actor
) -> None:
    job = await database.write(lambda db: add_job(db, admin))
    await relay.rebuild()
    fired = await database.write(lambda db: fire(db, job, NOON + MINUTE))
    ids = [start.execution_id for start in fired.starts]
    await database.write(lambda db: runs.started(db, dict.fromkeys(ids, NOON + MINUTE), NOON + MINUTE))
    await database.write(lambda db: end(db, *ids, at=NOON + MINUTE * 2))

    taken = await relay.step()

    assert taken == 4
    assert await relay.client.get("cs:seq:all") == "2"
    assert await relay.step() == 0


async def test_only_the_events_that_were_seen_are_done(database: Database, admin: Actor) -> None:
    for number in range(9):
        await database.write(lambda db, name=f"job-{number}": add_job(db, admin, name))
    seen = [row.id for row in await database.read(lambda db: events.pending(db, 100))]
    unseen = {seen[2], seen[5], seen[6]}

    await database.write(lambda db: events.done(db, [number for number in reversed(seen) if number not in unseen]))

    assert {row.id for row in await database.read(lambda db: events.pending(db, 100))} == unseen


async def test_more_events_than_a_few_are_shown_after_a_rest(relay: Relay, database: Database, admin: Actor) -> None:
    await relay.rebuild()
    made = [await database.write(lambda db, name=f"j{n}": add_job(db, admin, name)) for n in range(FEW + 5)]
    await database.write(lambda db: [fire(db, job, NOON + MINUTE) for job in made])
    running = asyncio.create_task(relay.run())

    try:
        async with asyncio.timeout(20):
            while await database.read(lambda db: events.pending(db, 1)):
                await asyncio.sleep(0.01)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert await relay.differences() == []
