"""Fires are prepared ahead of their instant: recorded and handed over early, started at the instant, never twice."""

import asyncio
import random
import time
from datetime import datetime, timedelta

import pytest

from scheduler_daemon.contract.jobs import JobPatch
from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.domain.schedule import compile_schedule
from scheduler_daemon.services import jobs, runs
from scheduler_daemon.storage.session import Database, SQLiteDatabase
from tests.support.rig import Rig
from tests.support.world import HOLDER, MINUTE, NOON, SECOND, add_actor, add_job, end, recount, rows

HALF = timedelta(seconds=0.5)


async def recorded(database: Database) -> list[tuple[datetime, str]]:
    found = await database.read(lambda db: rows(db, "executions"))
    return sorted((row.fire_at, row.state) for row in found)


async def loaded(rig: Rig, admin, **job):
    made = await rig.database.write(lambda db: add_job(db, admin, **job))
    await rig.ticker.load()
    return made.id


async def test_a_fire_is_handed_over_before_its_instant_and_held_until_then(early_rig, database, admin) -> None:
    await loaded(early_rig, admin)
    early_rig.clock.now = NOON + MINUTE - HALF

    upcoming = await early_rig.ticker.step()

    assert await recorded(database) == [(NOON + MINUTE, "starting")]
    assert list(early_rig.launches.not_before.values()) == [NOON + MINUTE]
    assert upcoming == NOON + 2 * MINUTE - SECOND
    assert await database.read(recount) == []


async def test_it_comes_back_a_lead_before_the_next_instant(early_rig, admin) -> None:
    await loaded(early_rig, admin, schedule="7 * * * *")

    assert await early_rig.ticker.step() == NOON + 7 * MINUTE - SECOND


async def test_a_fire_is_recorded_once_however_often_the_ticker_looks(early_rig, database, admin) -> None:
    await loaded(early_rig, admin)
    for part in range(13):
        early_rig.clock.now = NOON + MINUTE - SECOND + part * SECOND / 6

        await early_rig.ticker.step()

    assert await recorded(database) == [(NOON + MINUTE, "starting")]


@pytest.mark.parametrize(("ends_in_time", "state"), [(True, "starting"), (False, "skipped")])
async def test_a_fire_that_an_active_run_is_in_the_way_of_is_decided_at_its_instant(
    early_rig, database, admin, ends_in_time: bool, state: str
) -> None:
    await loaded(early_rig, admin, concurrency="forbid")
    await early_rig.until(NOON + MINUTE)
    early_rig.clock.now = NOON + 2 * MINUTE - HALF
    upcoming = await early_rig.ticker.step()
    before = await recorded(database)

    if ends_in_time:
        await database.write(lambda db: end(db, early_rig.launches.started[0], at=early_rig.clock.now))
    early_rig.clock.now = NOON + 2 * MINUTE
    await early_rig.ticker.step()

    assert upcoming == NOON + 2 * MINUTE
    assert before == [(NOON + MINUTE, "starting")]
    assert (await recorded(database))[1] == (NOON + 2 * MINUTE, state)
    assert await database.read(recount) == []


async def test_a_fire_without_room_is_recorded_at_its_instant_and_waits(early_rig, database, admin) -> None:
    for number in range(11):
        await loaded(early_rig, admin, name=f"job {number}")
    early_rig.clock.now = NOON + MINUTE - HALF

    await early_rig.ticker.step()
    before = await recorded(database)
    early_rig.clock.now = NOON + MINUTE
    await early_rig.ticker.step()

    assert len(before) == len(early_rig.launches.started) == 10
    assert [state for _, state in await recorded(database)] == ["queued"] + ["starting"] * 10


async def test_a_clock_set_back_before_the_instant_repeats_nothing(early_rig, database, admin) -> None:
    await loaded(early_rig, admin, concurrency="allow")
    await early_rig.until(NOON + 5 * MINUTE - HALF)

    early_rig.clock.forward(minutes=-4)
    await early_rig.until(NOON + 5 * MINUTE + HALF)

    assert [fire for fire, _ in await recorded(database)] == [NOON + n * MINUTE for n in range(1, 6)]
    assert len(early_rig.launches.started) == 5


async def test_an_edit_waits_for_what_has_been_prepared_and_nothing_is_prepared_meanwhile(admin, database) -> None:
    early = Rig(database, max_active=10, lead=HALF)
    early.clock.now = NOON + HALF
    job = await loaded(early, admin, schedule="* * * * * *", concurrency="allow")
    await early.ticker.step()
    instant = early.launches.not_before[early.launches.started[0]]
    begun = time.monotonic()

    async with early.ticker.editing():
        waited = time.monotonic() - begun
        early.clock.now = instant + HALF + HALF / 5
        await early.ticker.step()
        handed_over = len(early.launches.started)
        patch = JobPatch(version=1, changes={"command": "echo changed"})
        await database.write(lambda db: jobs.edit(db, admin, job, patch, early.clock.now))
        await early.ticker.refresh([job])
    await early.ticker.step()

    assert waited >= 0.49
    assert handed_over == 1
    versions = [row.job_version for row in await database.read(lambda db: rows(db, "executions"))]
    assert versions == [1, 2]


async def test_an_edit_also_waits_for_what_is_about_to_be_prepared(admin, database) -> None:
    early = Rig(database, max_active=10, lead=SECOND)
    await database.write(lambda db: add_job(db, admin, "due", schedule="1 * * * * *"))
    await loaded(early, admin, name="soon", schedule="2 * * * * *")
    early.clock.now = NOON + SECOND + HALF
    step = asyncio.create_task(early.ticker.step())
    await asyncio.sleep(0)  # the one that is due is being recorded
    begun = time.monotonic()

    async with early.ticker.editing():
        waited = time.monotonic() - begun
    await step

    assert await recorded(database) == [(NOON + SECOND, "starting"), (NOON + 2 * SECOND, "starting")]
    assert waited >= 0.49


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_a_change_is_through_when_what_another_daemon_has_prepared_has_begun(database, admin) -> None:
    other, ours = (Rig(database, max_active=10, lead=HALF) for _ in range(2))
    job = await loaded(other, admin)
    other.clock.now = ours.clock.now = NOON + MINUTE - HALF
    await other.ticker.step()
    begun = time.monotonic()

    async with ours.ticker.editing():
        await database.write(lambda db: jobs.set_paused(db, admin, job, ours.clock.now, paused=True))
        await ours.ticker.changed([job])
    waited = time.monotonic() - begun

    assert other.launches.not_before == {other.launches.started[0]: NOON + MINUTE}
    assert waited >= 0.49


async def test_a_fault_with_some_fires_loses_none_of_those_that_were_to_be_prepared(databases, tmp_path) -> None:
    databases.sqlite(tmp_path / "chronos.db")
    database = FaultyDatabase(tmp_path / "chronos.db")
    try:
        admin = await database.write(lambda db: add_actor(db, "root", "admin"))
        early = Rig(database, max_active=10, lead=SECOND)
        await database.write(lambda db: add_job(db, admin, "due", schedule="1 * * * * *"))
        await loaded(early, admin, name="soon", schedule="2 * * * * *")
        early.clock.now = NOON + SECOND + HALF

        database.faults = 1
        with pytest.raises(ZeroDivisionError):
            await early.ticker.step()
        await early.until(NOON + 3 * SECOND)

        assert await recorded(database) == [(NOON + SECOND, "starting"), (NOON + 2 * SECOND, "starting")]
    finally:
        await database.close()


class FaultyDatabase(SQLiteDatabase):
    """A real database whose next writes fail by a fault of ours."""

    faults = 0

    async def write(self, work):
        if self.faults:
            self.faults -= 1
            raise ZeroDivisionError
        return await super().write(work)


async def test_what_was_claimed_ahead_is_handed_over_again_for_its_instant(early_rig, database, admin) -> None:
    await loaded(early_rig, admin)
    early_rig.clock.now = NOON + MINUTE - HALF
    await early_rig.ticker.step()

    again = await database.read(lambda db: runs.take_over(db, early_rig.launches.started, node=HOLDER.node))

    assert [start.not_before for start in again] == [NOON + MINUTE]


async def test_with_and_without_a_lead_every_instant_fires_once(database, admin) -> None:
    chance = random.Random(7)
    schedules = {}
    for number in range(40):
        minute, step = chance.randrange(60), chance.choice([1, 2, 7, 13, 30])
        expression = chance.choice([f"{minute} * * * *", f"*/{step} * * * *", f"*/{step} * * * * *"])
        made = await database.write(
            lambda db, name=str(number), expression=expression: add_job(
                db, admin, name, schedule=expression, concurrency="allow"
            )
        )
        schedules[made.id] = expression
    early = Rig(database, max_active=10**9, lead=HALF)
    await early.ticker.load()
    until = NOON + 3 * MINUTE

    await early.until(until)

    found = await database.read(lambda db: rows(db, "executions"))
    got = {made: sorted(row.fire_at for row in found if row.job_id == made) for made in schedules}
    for made, expression in schedules.items():
        compiled = compile_schedule(Schedule(expressions=(expression,)), made)
        assert [fire for fire in got[made] if fire <= until] == list(compiled.fires(NOON, until=until)), expression
    assert all(early.launches.not_before[run] for run in early.launches.started)
