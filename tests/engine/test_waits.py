"""Attempts that wait begin when their time has come: over restarts, over clocks that are set, and once."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from scheduler_daemon.contract.people import Actor
from scheduler_daemon.domain.lifecycle import Report
from scheduler_daemon.engine.dispatcher import Dispatcher
from scheduler_daemon.engine.waits import LONGEST_SLEEP, Waits
from scheduler_daemon.runners.process import LaunchRequest
from scheduler_daemon.services import runs
from scheduler_daemon.services.fires import Holder
from scheduler_daemon.services.runs import Ended
from scheduler_daemon.storage import jobs
from scheduler_daemon.storage.session import Database
from tests.support.rig import Rig
from tests.support.world import HOLDER, MINUTE, NO_KEY, NOON, SECOND, add_job, fire, states

FAILED_AT = NOON + MINUTE
WAIT = 20 * SECOND
RETRY = {"attempts": 3, "delay_ms": 20_000}


async def failed(database: Database, admin: Actor, rig: Rig, **spec: Any) -> int:
    """Let an attempt fail at FAILED_AT, and the clock be there; return the id of the one that waits."""
    job = await database.write(lambda db: add_job(db, admin, **{"schedule": None, "retry": RETRY, **spec}))
    fired = await database.write(lambda db: fire(db, job, NOON + SECOND))
    run = fired.starts[0].execution_id
    await database.write(lambda db: _no_more_fires(db, job.id))
    end = Ended(run, Report(exit_code=1), NOON + SECOND, FAILED_AT, None, None, None)
    await database.write(lambda db: runs.ended(db, [end], FAILED_AT))
    rig.clock.now = FAILED_AT
    return run + 1


def _no_more_fires(db: Any, job_id: str) -> None:
    jobs.set_state(db, job_id, next_fire_at=None)


def waits_of(rig: Rig) -> Waits:
    return Waits(rig.database, rig.dispatcher.look, rig.clock)


async def test_an_attempt_that_nobody_announced_and_whose_time_came_meanwhile_begins(
    database: Database, admin: Actor, rig: Rig
) -> None:
    waits = waits_of(rig)
    rig.clock.now = FAILED_AT
    await waits.step()
    waiting = await failed(database, admin, rig)  # written by another daemon, or in passing: nothing is said of it

    rig.clock.now = FAILED_AT + WAIT + SECOND
    await waits.step()
    await started_soon(rig)

    assert rig.launches.started == [waiting]


async def started_soon(rig: Rig) -> None:
    """Serve what waits as the dispatcher does, if it has been woken."""
    if rig.dispatcher._room.is_set():
        await rig.dispatcher.step()


async def test_an_attempt_begins_when_its_time_has_come(database: Database, admin: Actor, rig: Rig) -> None:
    waiting = await failed(database, admin, rig)
    waits = waits_of(rig)
    waits.expect([FAILED_AT + WAIT])

    wait = await waits.step()
    await rig.dispatcher.step()
    early = list(rig.launches.started)
    rig.clock.forward(seconds=wait)
    await waits.step()
    await rig.dispatcher.step()
    await rig.dispatcher.step()

    assert (wait, early, rig.launches.started) == (20, [], [waiting])


async def test_a_daemon_that_starts_later_begins_what_came_up_meanwhile(
    database: Database, admin: Actor, rig: Rig
) -> None:
    waiting = await failed(database, admin, rig)
    rig.clock.forward(hours=1)
    loops = [asyncio.create_task(loop()) for loop in (waits_of(rig).run, rig.dispatcher.run)]

    async with asyncio.timeout(10):
        while not rig.launches.started:
            await asyncio.sleep(0.01)
    for loop in loops:
        loop.cancel()
    await asyncio.gather(*loops, return_exceptions=True)

    assert rig.launches.started == [waiting]


async def test_a_daemon_that_starts_earlier_finds_the_instant_in_the_database(
    database: Database, admin: Actor, rig: Rig
) -> None:
    await failed(database, admin, rig)
    rig.clock.forward(seconds=13)

    assert await waits_of(rig).step() == 7


async def test_without_attempts_that_wait_it_sleeps_as_long_as_it_may(rig: Rig) -> None:
    assert await waits_of(rig).step() == LONGEST_SLEEP


@pytest.mark.parametrize("hours", [-24, 24])
async def test_a_clock_that_is_set_neither_loses_nor_doubles_an_attempt(
    database: Database, admin: Actor, rig: Rig, hours: int
) -> None:
    waiting = await failed(database, admin, rig)
    waits = waits_of(rig)
    waits.expect([FAILED_AT + WAIT])
    rig.clock.forward(hours=hours)

    for _ in range(5):
        rig.clock.forward(seconds=await waits.step())
        await rig.dispatcher.step()

    assert rig.launches.started == [waiting]
    assert rig.clock.now - FAILED_AT - timedelta(hours=hours) < timedelta(minutes=5)
    assert await database.read(states) == [("failed", "exit_code"), ("starting", None)]


class Timeouts:
    """A runner that notes how long runs may take."""

    def __init__(self) -> None:
        self.allowed: list[timedelta | None] = []

    async def launch(self, batch: Sequence[LaunchRequest]) -> None:
        """Note them."""
        self.allowed += [request.timeout for request in batch]


@pytest.mark.parametrize(
    ("timeout", "run_timeout", "allowed"), [(None, 100_000, 21), (5_000, 100_000, 5), (30_000, None, 30)]
)
async def test_an_attempt_is_given_what_is_left_of_the_runs_time(
    database: Database,
    admin: Actor,
    rig: Rig,
    monkeypatch: pytest.MonkeyPatch,
    timeout: int | None,
    run_timeout: int | None,
    allowed: int,
) -> None:
    noted = Timeouts()
    monkeypatch.setattr(rig.launches, "launch", noted.launch)
    await failed(database, admin, rig, timeout_ms=timeout, run_timeout_ms=run_timeout)
    rig.clock.forward(seconds=20)

    await rig.dispatcher.step()

    assert noted.allowed == [timedelta(seconds=allowed)]


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_of_two_daemons_one_starts_each_attempt(database: Database, admin: Actor, rig: Rig) -> None:
    waiting = [await failed(database, admin, rig, name=f"job{number}") for number in range(20)]
    rig.clock.forward(seconds=20)
    neighbour = Dispatcher(
        database,
        rig.launches,
        rig.launches,
        vault=NO_KEY,
        holder=Holder(host="there", fence="second"),
        max_active=100,
        recorded=lambda: None,
        now=rig.clock,
    )

    await asyncio.gather(*(one.step() for one in (rig.dispatcher, neighbour) * 3))

    assert sorted(rig.launches.started) == waiting


async def test_a_run_that_waits_for_a_time_of_the_day_starts_then(database: Database, admin: Actor, rig: Rig) -> None:
    def work(db: Connection, free: int) -> tuple[Any, Any]:
        add_job(db, admin, "extract", schedule=None)
        add_job(db, admin, "load", schedule=None, after=("extract",), not_before="12:00:20", trigger_rule="always")
        return runs.request(db, admin, "extract", "", now=rig.clock.now, holder=HOLDER, free=free)

    waits = waits_of(rig)
    rig.dispatcher._later = waits.expect
    rig.clock.now = NOON
    _, begun = await rig.dispatcher.request_in(work)
    await rig.dispatcher.begin(begun)
    await rig.dispatcher.step()
    before, heard = list(rig.launches.started), waits._next

    rig.clock.forward(seconds=await waits.step())
    await waits.step()
    await rig.dispatcher.step()

    assert (before, heard, rig.clock.now) == ([1], NOON + timedelta(seconds=20), NOON + timedelta(seconds=20))
    assert rig.launches.started == [1, 2]
