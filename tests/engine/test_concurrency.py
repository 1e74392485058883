"""What the engine does for runs that wait for others: it stops what gives way and starts what waits, as room comes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from scheduler_daemon.contract.people import Actor
from scheduler_daemon.contract.pools import PoolPut
from scheduler_daemon.domain.masks import Mask
from scheduler_daemon.engine import dispatcher as dispatchers
from scheduler_daemon.engine.dispatcher import Dispatcher
from scheduler_daemon.engine.supervisor import Supervisor
from scheduler_daemon.runners.process import Ended, ProcessRunner
from scheduler_daemon.services import pools, runs
from scheduler_daemon.services.fires import Holder
from scheduler_daemon.storage import executions
from scheduler_daemon.storage.session import Database
from tests.support.rig import Launches, Rig
from tests.support.world import HOLDER, MINUTE, NO_KEY, NOON, SECOND, add_job, end, fire, recount, rows, states

GRACE = timedelta(milliseconds=700)


class Ear:
    """A sink nobody asks for output."""

    def expect(self, execution_id: int, *, limit_bytes: int, mask: Mask | None = None) -> None:
        """Take note."""

    def begin(self, ids: Iterable[int]) -> None:
        """Read nothing."""

    def limit_of(self, execution_id: int) -> int | None:
        """No limit is known."""

    async def resume(self, execution_id: int, *, limit_bytes: int) -> None:
        """Read nothing."""


@contextlib.asynccontextmanager
async def serving(rig: Rig) -> AsyncIterator[None]:
    """Let the dispatcher serve what waits."""
    task = asyncio.create_task(rig.dispatcher.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def loaded(rig: Rig, admin: Actor, name: str = "job", **fields: Any) -> Any:
    job = await rig.database.write(lambda db: add_job(db, admin, name, **fields))
    await rig.ticker.load()
    return job


async def over(rig: Rig, *ids: int, **report: Any) -> None:
    """Let runs end, as the supervisor would record and tell it."""
    await rig.database.write(lambda db: end(db, *ids, at=rig.clock.now, **report))
    rig.dispatcher.ended(ids)


async def begun(rig: Rig, *wanted: int, seconds: float = 5) -> None:
    """Wait until exactly these runs have been handed over."""
    async with asyncio.timeout(seconds):
        while rig.launches.started != list(wanted):
            await asyncio.sleep(0.01)


async def test_a_replaced_run_is_stopped_with_its_grace_and_its_end_starts_the_next(rig, admin) -> None:
    await loaded(rig, admin, concurrency="replace", grace_ms=700)
    async with serving(rig):
        await rig.until(NOON + 2 * MINUTE)
        stopped = dict(rig.launches.stopped)
        before = list(rig.launches.started)

        await over(rig, 1, signal=15, killed_by="cancel")
        await begun(rig, 1, 2)

    assert (before, stopped) == ([1], {1: ("replaced by run 2", GRACE)})
    assert await rig.database.read(states) == [("cancelled", "superseded"), ("starting", None)]
    assert await rig.database.read(recount) == []


async def test_a_replacing_fire_is_not_decided_before_its_instant(early_rig, admin) -> None:
    await loaded(early_rig, admin, concurrency="replace")
    await early_rig.until(NOON + MINUTE)
    early_rig.clock.now = NOON + 2 * MINUTE - SECOND / 2

    upcoming = await early_rig.ticker.step()
    before = dict(early_rig.launches.stopped)
    early_rig.clock.now = NOON + 2 * MINUTE
    await early_rig.ticker.step()

    assert (upcoming, before) == (NOON + 2 * MINUTE, {})
    assert list(early_rig.launches.stopped) == [1]


async def test_what_waits_starts_at_each_end_and_the_dispatcher_rests_in_between(rig, admin) -> None:
    await loaded(rig, admin, concurrency="queue_all")
    asked = 0
    waiting = rig.dispatcher.step

    async def counted() -> None:
        nonlocal asked
        asked += 1
        await waiting()

    rig.dispatcher.step = counted
    async with serving(rig):
        await rig.until(NOON + 4 * MINUTE)
        await asyncio.sleep(0.2)
        for run in (1, 2, 3):
            await over(rig, run)
            await begun(rig, *range(1, run + 2))

    assert asked <= 3 + 3  # a look at each fire that waits and at each end
    assert await rig.database.read(recount) == []


async def test_a_dispatcher_at_rest_starts_nothing_in_the_place_of_what_ends(rig, admin) -> None:
    await loaded(rig, admin, concurrency="queue_one")
    await rig.until(NOON + 2 * MINUTE)

    rig.dispatcher.rest()
    await over(rig, 1)
    await rig.dispatcher.step()
    await rig.until(NOON + 4 * MINUTE)

    assert rig.launches.started == [1]
    assert [state for state, _ in await rig.database.read(states)] == ["succeeded", "queued", "skipped", "skipped"]


async def test_more_slots_are_noticed_at_once(rig, admin) -> None:
    await rig.database.write(lambda db: pools.put(db, admin, "db", PoolPut(slots=0), NOON))
    await loaded(rig, admin, pool="db")
    async with serving(rig):
        await rig.until(NOON + MINUTE)
        before = list(rig.launches.started)

        await rig.database.write(lambda db: pools.put(db, admin, "db", PoolPut(slots=1), NOON))
        rig.dispatcher.look()
        await begun(rig, 1)

    assert before == []


async def test_a_pool_and_the_room_for_all_are_both_kept_while_much_comes_and_ends(rigged, admin) -> None:
    rig = rigged(5)
    await rig.database.write(lambda db: pools.put(db, admin, "db", PoolPut(slots=2), NOON))
    for number in range(6):
        kind = ("allow", "queue_all", "replace")[number % 3]
        await loaded(rig, admin, str(number), pool="db" if number < 4 else None, concurrency=kind)
    async with serving(rig):
        for minute in range(1, 13):
            await rig.until(NOON + minute * MINUTE)
            await asyncio.sleep(0.03)
            standing = await rig.database.read(executions.active)
            held = [row for row in standing if row.state != "queued"]
            assert len(held) <= 5
            assert sum(row.pool == "db" for row in held) <= 2
            await over(rig, *(row.id for row in held[: minute % 3 + 1]))

    found = await rig.database.read(lambda db: rows(db, "executions"))
    assert len(found) == 12 * 6  # each instant of each job has its record
    assert await rig.database.read(recount) == []


def supervisor(database: Database, runner: Any, holder: Holder, state: Path) -> Supervisor:
    common: dict[str, Any] = {"holder": holder, "recorded": lambda: None, "now": lambda: NOON + 2 * MINUTE}
    sink: Any = Ear()
    dispatcher = Dispatcher(database, runner, sink, max_active=10, vault=NO_KEY, **common)
    return Supervisor(database, runner, sink, dispatcher, spool=state / "spool", **common)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_daemon_killed_between_the_decision_to_replace_and_the_stop_goes_on(
    database: Database, admin: Actor, tmp_path: Path
) -> None:
    command = "trap 'exit 0' TERM; echo $$ > pid; while :; do sleep 0.05; done"
    job = await database.write(lambda db: add_job(db, admin, concurrency="replace", command=command, cwd=str(tmp_path)))
    first = await database.write(lambda db: fire(db, job, NOON + MINUTE))

    async with ProcessRunner(tmp_path) as runner:
        await supervisor(database, runner, HOLDER, tmp_path)._dispatcher.hand_over(first.starts)
        async with asyncio.timeout(10):
            while not (tmp_path / "pid").exists():
                await asyncio.sleep(0.02)
        # The next fire replaces it, and the daemon is killed before it tells the launcher.
        await database.write(lambda db: fire(db, job, NOON + 2 * MINUTE))
        after = supervisor(database, runner, Holder(HOLDER.host, "first.2"), tmp_path)
        await after.recover()
        async for event in runner.events():
            after._take([event])
            if isinstance(event, Ended):
                break
        await after.step()
        await after._dispatcher.step()
        second = await database.read(lambda db: rows(db, "executions")[1])
        await runner.cancel(2, "", timedelta(0))
        async for event in runner.events():
            if isinstance(event, Ended):
                break
        await runner.forget([1, 2])
        await runner.shut_down_if_idle()

    found = await database.read(lambda db: rows(db, "executions"))
    assert (found[0].state, found[0].outcome, found[0].reason) == ("cancelled", "superseded", "replaced by run 2")
    assert (second.state, second.fence) == ("starting", "first.2")
    assert await database.read(recount) == []


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_a_daemon_stops_its_run_that_another_replaces_and_the_other_starts_when_it_has_ended(
    rig: Rig, database: Database, admin: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatchers, "LOOK_AGAIN", 0.05)
    await loaded(rig, admin, concurrency="replace", grace_ms=700)
    theirs = Launches()
    neighbour = supervisor(database, theirs, Holder("there", "other.1"), tmp_path)
    await database.write(
        lambda db: runs.request(db, admin, "job", "", now=NOON, holder=Holder("there", "other.1"), free=1)
    )

    async with serving(rig):
        await rig.until(NOON + MINUTE)
        ours = dict(rig.launches.stopped)
        await neighbour.obey()
        await neighbour.obey()
        await database.write(lambda db: end(db, 1, signal=15, killed_by="cancel"))  # the neighbour hears it, not we
        await begun(rig, 2)

    assert (ours, theirs.stopped) == ({}, {1: ("replaced by run 2", GRACE)})
