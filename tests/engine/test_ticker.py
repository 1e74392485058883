"""The ticker fires every job at each of its instants, once; what came due while nobody looked follows the policy."""

import asyncio
import random
import time
from datetime import timedelta

import pytest

from scheduler_daemon.contract.jobs import JobCreate, JobPatch, Snooze
from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.domain.errors import Unavailable
from scheduler_daemon.domain.schedule import compile_schedule
from scheduler_daemon.services import jobs
from scheduler_daemon.storage.session import Database, SQLiteDatabase, open_database
from tests.support.databases import Databases
from tests.support.rig import Rig
from tests.support.world import MINUTE, NOON, SECOND, add_actor, add_job, job_spec, new_id, recount, rows

HOUR = 60 * MINUTE


async def fires(database):
    """Every recorded run as (minutes after noon, state, trigger), oldest fire first."""
    found = await database.read(lambda db: rows(db, "executions"))
    return sorted(((row.fire_at - NOON) / MINUTE, row.state, row.trigger) for row in found)


async def loaded(rig, admin, **job):
    made = await rig.database.write(lambda db: add_job(db, admin, **{"concurrency": "allow"} | job))
    await rig.ticker.load()
    return made


async def test_a_job_fires_at_each_of_its_instants_and_not_between(rig, database: Database, admin) -> None:
    await loaded(rig, admin)

    await rig.until(NOON + 3 * MINUTE + 59 * SECOND)

    assert await fires(database) == [(n, "starting", "schedule") for n in (1, 2, 3)]
    assert len(rig.launches.started) == 3
    assert await database.read(recount) == []


async def test_it_comes_back_exactly_when_the_next_job_is_due(rig, admin) -> None:
    await loaded(rig, admin, schedule="7 * * * *")

    upcoming = await rig.ticker.step()

    assert upcoming == NOON + 7 * MINUTE


async def test_a_wake_a_little_late_is_still_on_time(rig, database: Database, admin) -> None:
    await loaded(rig, admin)
    rig.clock.forward(seconds=64)

    await rig.ticker.step()

    assert await fires(database) == [(1, "starting", "schedule")]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("run_once", ["missed", "missed", "missed", "missed", "starting"]),
        ("skip", ["missed"] * 5),
        ("run_all", ["starting"] * 5),
    ],
)
async def test_after_an_outage_the_policy_decides(rig, database: Database, admin, policy: str, expected) -> None:
    await loaded(rig, admin, schedule="*/10 * * * *", misfire=policy)
    rig.clock.forward(minutes=55)

    await rig.ticker.load()
    await rig.ticker.step()

    assert [(minute, state) for minute, state, _ in await fires(database)] == list(
        zip((10, 20, 30, 40, 50), expected, strict=True)
    )
    (state,) = await database.read(lambda db: rows(db, "job_states"))
    assert state.next_fire_at == NOON + HOUR


async def test_what_is_older_than_the_grace_is_missed_even_if_all_should_run(rig, database: Database, admin) -> None:
    await loaded(rig, admin, schedule="@hourly", misfire="run_all", misfire_grace_ms=7_200_000)
    rig.clock.forward(hours=4, minutes=30)

    await rig.ticker.step()

    assert [state for _, state, _ in await fires(database)] == ["missed", "missed", "starting", "starting"]


async def test_a_late_and_a_punctual_fire_are_told_apart(rig, database: Database, admin) -> None:
    await loaded(rig, admin, misfire="run_all")
    rig.clock.forward(minutes=3, seconds=2)

    await rig.ticker.step()

    assert await fires(database) == [
        (1, "starting", "catch_up"), (2, "starting", "catch_up"), (3, "starting", "schedule"),
    ]  # fmt: skip
    assert await database.read(recount) == []


async def test_a_step_of_the_clock_forward_is_an_outage(rig, database: Database, admin) -> None:
    await loaded(rig, admin)
    await rig.until(NOON + MINUTE)

    rig.clock.forward(hours=3)
    await rig.until(NOON + 3 * HOUR + 2 * MINUTE)

    found = await fires(database)
    assert [minute for minute, _, _ in found] == list(range(1, 183))
    assert [minute for minute, state, _ in found if state == "starting"] == [1, 181, 182]


async def test_a_step_of_the_clock_back_repeats_nothing(rig, database: Database, admin) -> None:
    await loaded(rig, admin)
    await rig.until(NOON + 5 * MINUTE)

    rig.clock.forward(minutes=-4)
    again = await rig.ticker.step()
    await rig.until(NOON + 6 * MINUTE)

    assert again == NOON + 6 * MINUTE
    assert await fires(database) == [(n, "starting", "schedule") for n in range(1, 7)]


async def test_a_restart_after_a_step_back_repeats_nothing_either(rig, database: Database, admin) -> None:
    await loaded(rig, admin)
    await rig.until(NOON + 5 * MINUTE)

    rig.clock.forward(minutes=-4)
    await rig.ticker.load()
    await rig.until(NOON + 6 * MINUTE)

    assert [minute for minute, _, _ in await fires(database)] == [1, 2, 3, 4, 5, 6]


async def test_an_edit_never_runs_the_past(rig, database: Database, admin) -> None:
    made = await loaded(rig, admin, schedule="0 23 * * *")
    rig.clock.forward(minutes=30, milliseconds=500)
    change = JobPatch(version=1, changes={"schedule": {"expressions": ["*/10 * * * *"]}})
    await database.write(lambda db: jobs.edit(db, admin, made.id, change, rig.clock()))

    await rig.ticker.refresh([made.id])
    await rig.until(NOON + 41 * MINUTE)

    assert await fires(database) == [(40, "starting", "schedule")]


async def test_an_edit_that_the_ticker_has_not_heard_of_is_found_at_the_fire(rig, database: Database, admin) -> None:
    made = await loaded(rig, admin)
    change = JobPatch(version=1, changes={"schedule": {"expressions": ["*/2 * * * *"]}})
    await database.write(lambda db: jobs.edit(db, admin, made.id, change, NOON + SECOND))

    await rig.until(NOON + 4 * MINUTE)

    assert await fires(database) == [(2, "starting", "schedule"), (4, "starting", "schedule")]


async def test_a_paused_job_skips_its_fires_and_a_resumed_one_goes_on_from_now(rig, database: Database, admin) -> None:
    made = await loaded(rig, admin)

    for paused, minutes in ((True, 3), (False, 2)):
        await database.write(lambda db, paused=paused: jobs.set_paused(db, admin, made.id, rig.clock(), paused=paused))
        await rig.ticker.refresh([made.id])
        await rig.until(rig.clock() + minutes * MINUTE)

    assert [(minute, state) for minute, state, _ in await fires(database)] == [
        *((minute, "skipped") for minute in (1, 2, 3)),
        *((minute, "starting") for minute in (4, 5)),
    ]
    assert await database.read(recount) == []


@pytest.mark.parametrize("lead", [timedelta(), timedelta(seconds=0.5)])
async def test_a_snoozed_job_skips_its_fires_and_goes_on_by_itself(database: Database, admin, lead) -> None:
    early = Rig(database, max_active=10, lead=lead)
    made = await loaded(early, admin)
    await database.write(lambda db: jobs.snooze(db, admin, made.id, Snooze(fires=2), NOON))
    await early.ticker.refresh([made.id])

    await early.until(NOON + 4 * MINUTE)

    assert [(minute, state) for minute, state, _ in await fires(database)] == [
        (1, "skipped"), (2, "skipped"), (3, "starting"), (4, "starting"),
    ]  # fmt: skip
    (first, *_) = sorted(await database.read(lambda db: rows(db, "executions")), key=lambda row: row.fire_at)
    assert (first.outcome, first.reason) == ("paused", "snoozed until 2026-05-04 12:02:01 UTC")


async def test_what_came_due_in_a_pause_and_was_not_seen_is_skipped_after_the_resume(
    rig, database: Database, admin
) -> None:
    made = await loaded(rig, admin, misfire="run_all")
    await database.write(lambda db: jobs.set_paused(db, admin, made.id, NOON, paused=True))
    rig.clock.forward(minutes=3, seconds=30)
    await database.write(lambda db: jobs.set_paused(db, admin, made.id, rig.clock(), paused=False))
    await rig.ticker.load()

    await rig.until(NOON + 4 * MINUTE)

    assert [state for _, state, _ in await fires(database)] == ["skipped"] * 3 + ["starting"]


async def test_what_came_due_in_a_snooze_and_was_not_seen_is_skipped_after_the_resume(
    rig, database: Database, admin
) -> None:
    made = await loaded(rig, admin, misfire="run_all")
    await database.write(lambda db: jobs.snooze(db, admin, made.id, Snooze(for_s=3600), NOON))
    rig.clock.forward(minutes=3, seconds=30)
    await database.write(lambda db: jobs.set_paused(db, admin, made.id, rig.clock(), paused=False))
    await rig.ticker.load()

    await rig.until(NOON + 4 * MINUTE)

    assert [state for _, state, _ in await fires(database)] == ["skipped"] * 3 + ["starting"]
    found = await database.read(lambda db: rows(db, "executions"))
    assert {row.reason for row in found} == {"paused or snoozed until 2026-05-04 12:03:30 UTC", ""}


async def test_a_deleted_job_fires_no_more(rig, database: Database, admin) -> None:
    made = await loaded(rig, admin)
    await database.write(lambda db: jobs.delete(db, admin, made.id, NOON))
    await rig.ticker.refresh([made.id])

    upcoming = await rig.ticker.step()

    assert (upcoming, rig.ticker.jobs) == (None, 0)


async def test_refreshes_at_the_same_time_end_with_the_newest(rig, database: Database, admin) -> None:
    made = await loaded(rig, admin)
    version = 1
    waiting = []
    for minute in range(1, 30):
        change = JobPatch(version=version, changes={"schedule": {"expressions": [f"{minute} * * * *"]}})
        version = (await database.write(lambda db, change=change: jobs.edit(db, admin, made.id, change, NOON))).version
        waiting.append(asyncio.create_task(rig.ticker.refresh([made.id])))

    await asyncio.gather(*waiting)

    assert await rig.ticker.step() == NOON + 29 * MINUTE


async def test_reboot_jobs_run_once_and_owe_their_other_fires_still(rig, database: Database, admin) -> None:
    schedule = Schedule(expressions=("@reboot", "*/10 * * * *"))
    await loaded(rig, admin, schedule=schedule, misfire="skip")
    await loaded(rig, admin, name="plain")
    rig.clock.forward(minutes=9, seconds=30)

    await rig.ticker.reboot()
    await rig.until(NOON + 10 * MINUTE)

    found = await database.read(lambda db: rows(db, "executions"))
    mine = [(row.trigger, row.state) for row in found if row.job_id == found[0].job_id]
    assert mine == [("reboot", "starting"), ("schedule", "starting")]


async def test_a_fire_that_the_database_could_not_take_is_recorded_later(databases: Databases, tmp_path) -> None:
    databases.sqlite(tmp_path / "chronos.db")
    database = FailingDatabase(tmp_path / "chronos.db")
    try:
        admin = await database.write(lambda db: add_actor(db, "root", "admin"))
        rig = Rig(database, 10**9)
        await loaded(rig, admin)
        rig.clock.forward(minutes=1)

        database.failing = True
        retry = await rig.ticker.step()
        database.failing = False
        rig.clock.now = retry
        await rig.until(NOON + 2 * MINUTE)

        assert retry == NOON + MINUTE + SECOND
        assert await fires(database) == [(1, "starting", "schedule"), (2, "starting", "schedule")]
    finally:
        await database.close()


class FailingDatabase(SQLiteDatabase):
    """A real database that does not answer while `failing`."""

    failing = False

    async def write(self, work):
        if self.failing:
            raise Unavailable("the disk is full")
        return await super().write(work)


async def test_days_of_mixed_jobs_fire_nothing_more_and_nothing_less(rig, database: Database, admin) -> None:
    end = NOON + timedelta(days=3)
    schedules = [mixed(index) for index in range(60)]
    requests = [
        JobCreate(spec=job_spec(f"j{index}", schedule, concurrency="allow")) for index, schedule in enumerate(schedules)
    ]
    ids = await database.write(lambda db: jobs.create_many(db, admin, requests, now=NOON, new_id=new_id))
    await rig.ticker.load()

    await rig.until(end)

    found = await database.read(lambda db: [(row.job_id, row.fire_at) for row in rows(db, "executions")])
    specs = await database.read(lambda db: {row.id: jobs.views.spec_of(row) for row in rows(db, "jobs")})
    targets = [
        (job_id, fire)
        for job_id in ids
        for fire in compile_schedule(specs[job_id].schedule, job_id).fires(NOON, until=end)
    ]
    assert len(found) == len(set(found))
    assert set(found) == set(targets)
    assert len(rig.launches.started) == len(targets)


def mixed(index: int) -> Schedule:
    chance = random.Random(index)
    zone = chance.choice(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"])
    minute, hour = chance.choice((0, 30)), chance.randrange(24)
    if index % 40 == 0:
        text = "0 * * * *"
    elif index % 7 == 0:
        text = f"{minute} {hour} * * {chance.randrange(7)}"
    elif index % 11 == 0:
        text = f"{minute} {hour} {chance.choice(['1', '15', 'L', '13'])} * *"
    elif index % 13 == 0:
        text = f"@every {chance.randint(3, 40)}h"
    elif index % 17 == 0:
        text = f"@at 2026-05-{chance.randint(5, 30):02d}T{hour:02d}:30"
    else:
        text = f"{minute} {hour} * * *"
    return Schedule(expressions=(text,), zone=zone)


async def test_ten_thousand_jobs_due_at_once_leave_the_loop_free_and_starts_bounded(
    databases: Databases, tmp_path
) -> None:
    database = open_database(databases.sqlite(tmp_path / "burst.db"))
    admin = await database.write(lambda db: add_actor(db, "root", "admin"))
    requests = [JobCreate(spec=job_spec(f"j{number}", "0 13 * * *")) for number in range(10_000)]
    await database.write(lambda db: jobs.create_many(db, admin, requests, now=NOON, new_id=new_id))
    rig = Rig(database, 500)
    await rig.ticker.load()
    rig.clock.now = NOON + HOUR
    gaps: list[float] = []

    async def beat():
        while True:
            began = time.thread_time()  # of the loop's own thread: neighbours on the machine do not count
            await asyncio.sleep(0.001)
            gaps.append(time.thread_time() - began)

    beating = asyncio.create_task(beat())
    while (await rig.ticker.step()) == NOON + HOUR:
        pass
    beating.cancel()

    found = await database.read(lambda db: [row.state for row in rows(db, "executions")])
    assert (found.count("starting"), found.count("queued")) == (500, 9500)
    assert (len(rig.launches.started), rig.dispatcher.active) == (500, 500)
    assert max(gaps) < 0.25, f"the loop stood still for {max(gaps):.3f} s of CPU"
    await database.close()


async def test_waiting_runs_start_as_others_end(rigged, database: Database, admin) -> None:
    rig = rigged(2)
    for name in "abcde":
        await loaded(rig, admin, name=name)
    serving = asyncio.create_task(rig.dispatcher.run())
    rig.clock.forward(minutes=1)
    await rig.ticker.step()

    most = rig.dispatcher.active
    deadline = time.monotonic() + 10
    while len(rig.launches.started) < 5 and time.monotonic() < deadline:
        rig.dispatcher.ended(rig.launches.started)
        await asyncio.sleep(0.01)
    serving.cancel()

    assert most == 2
    assert len(rig.launches.started) == len(set(rig.launches.started)) == 5


async def test_room_that_comes_while_a_fire_is_written_down_is_used(rigged, database: Database, admin) -> None:
    rig = rigged(1)
    await loaded(rig, admin, name="a", schedule="1 * * * *")
    await loaded(rig, admin, name="b", schedule="2 * * * *")
    serving = asyncio.create_task(rig.dispatcher.run())
    await rig.until(NOON + MINUTE)
    rig.clock.forward(minutes=1)

    firing = asyncio.create_task(rig.ticker.step())
    while not rig.dispatcher._claims.locked():
        await asyncio.sleep(0)
    rig.dispatcher.ended(list(rig.launches.started))  # after room was counted, before the fire is written
    await firing
    deadline = time.monotonic() + 5
    while len(rig.launches.started) < 2 and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    serving.cancel()

    assert len(rig.launches.started) == 2
