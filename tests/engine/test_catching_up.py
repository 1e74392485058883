"""What comes due while a job is paused is skipped, or stays owed where the job is to catch up when it is resumed."""

from datetime import datetime

import pytest

from scheduler_daemon.contract.calendars import CalendarPut, CalendarSpec
from scheduler_daemon.contract.jobs import JobPatch, Snooze
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.services import calendars, explain, jobs
from scheduler_daemon.storage.session import Database
from tests.support.rig import Rig
from tests.support.world import MINUTE, NOON, SECOND, add_job, rows

HOUR = 60 * MINUTE
FOUR = (1, 2, 3, 4)


async def fires(database: Database) -> list[tuple[float, str, str]]:
    """Return each run as (hours after noon, state, trigger), oldest fire first."""
    found = await database.read(lambda db: rows(db, "executions"))
    return sorted(((row.fire_at - NOON) / HOUR, row.state, row.trigger) for row in found)


async def pause(rig: Rig, admin: Actor, *, paused: bool) -> None:
    now = rig.clock.now
    job = await rig.database.write(lambda db: jobs.set_paused(db, admin, "job", now, paused=paused))
    await rig.ticker.changed([job.id])


async def edit(rig: Rig, admin: Actor, **changes: object) -> None:
    now = rig.clock.now
    version = (await rig.database.read(lambda db: jobs.show(db, admin, "job"))).version
    patch = JobPatch(version=version, changes=changes)
    job = await rig.database.write(lambda db: jobs.edit(db, admin, "job", patch, now))
    await rig.ticker.changed([job.id])


async def verdict(rig: Rig, admin: Actor, at: datetime) -> str:
    told = await rig.database.read(lambda db: explain.explain(db, admin, "job", at, rig.clock.now))
    return told.verdict


@pytest.fixture
async def hourly(rig: Rig, admin: Actor) -> Rig:
    """A rig with an hourly job that catches up, paused a minute after noon."""
    await rig.database.write(
        lambda db: add_job(
            db, admin, schedule="@hourly", concurrency="allow", misfire_grace_ms=4 * 3_600_000, catchup_on_resume=True
        )
    )
    await rig.ticker.load()
    rig.clock.forward(minutes=1)
    await pause(rig, admin, paused=True)
    return rig


@pytest.mark.parametrize(
    ("policy", "states"),
    [
        ("skip", ("missed",) * 4),
        ("run_once", ("missed", "missed", "missed", "starting")),
        ("run_all", ("starting",) * 4),
    ],
)
async def test_a_resume_is_the_end_of_an_outage(hourly: Rig, admin: Actor, policy: str, states: tuple[str]) -> None:
    await edit(hourly, admin, misfire=policy)
    await hourly.until(NOON + 3 * HOUR)
    await hourly.ticker.load()  # as after a restart
    await hourly.until(NOON + 4 * HOUR + 30 * MINUTE)
    while_paused = await fires(hourly.database)
    told = await verdict(hourly, admin, NOON + HOUR), await verdict(hourly, admin, NOON + 5 * HOUR)

    await pause(hourly, admin, paused=False)
    await hourly.until(hourly.clock.now)

    assert while_paused == []
    assert [f"misfire policy ({policy}) " in each for each in told] == [True, True], told
    assert [(hour, state) for hour, state, _ in await fires(hourly.database)] == list(zip(FOUR, states, strict=True))
    assert {trigger for _, state, trigger in await fires(hourly.database) if state == "starting"} <= {"catch_up"}
    later = await verdict(hourly, admin, NOON + HOUR)
    assert later == "is being started" if states[0] == "starting" else "or the job was paused" in later


async def test_what_is_older_than_the_grace_when_it_is_resumed_is_missed(hourly: Rig, admin: Actor) -> None:
    await edit(hourly, admin, misfire="run_all")
    await hourly.until(NOON + 7 * HOUR + 30 * MINUTE)

    await pause(hourly, admin, paused=False)
    await hourly.until(hourly.clock.now)

    assert [state for _, state, _ in await fires(hourly.database)] == ["missed"] * 3 + ["starting"] * 4


async def test_one_that_no_longer_catches_up_has_what_it_owed_skipped(hourly: Rig, admin: Actor) -> None:
    await hourly.until(NOON + 2 * HOUR + 30 * MINUTE)

    await edit(hourly, admin, catchup_on_resume=False)
    await hourly.until(NOON + 3 * HOUR + 30 * MINUTE)
    await pause(hourly, admin, paused=False)
    await hourly.until(NOON + 4 * HOUR)

    assert await fires(hourly.database) == [
        (1, "skipped", "catch_up"), (2, "skipped", "catch_up"), (3, "skipped", "schedule"), (4, "starting", "schedule"),
    ]  # fmt: skip


async def test_a_new_schedule_lets_go_what_the_old_one_owed_and_records_it(hourly: Rig, admin: Actor) -> None:
    await hourly.until(NOON + 2 * HOUR + 30 * MINUTE)

    await edit(hourly, admin, schedule={"expressions": ["45 * * * *"]})
    await hourly.until(NOON + 3 * HOUR)
    await pause(hourly, admin, paused=False)
    await hourly.until(hourly.clock.now)

    assert await fires(hourly.database) == [
        (1, "skipped", "schedule"), (2, "skipped", "schedule"), (2.75, "starting", "catch_up"),
    ]  # fmt: skip
    assert "paused" in await verdict(hourly, admin, NOON + 2 * HOUR)


async def test_a_fire_that_a_new_schedule_comes_before_is_recorded_with_the_reason(rig: Rig, admin: Actor) -> None:
    await rig.database.write(lambda db: add_job(db, admin))
    await rig.ticker.load()
    rig.clock.now = NOON + MINUTE + SECOND

    await edit(rig, admin, schedule={"expressions": ["*/5 * * * *"]})
    await rig.until(NOON + 5 * MINUTE)

    found = await rig.database.read(lambda db: rows(db, "executions"))
    assert [((row.fire_at - NOON) / MINUTE, row.state) for row in found] == [(1, "missed"), (5, "starting")]
    assert "the schedule was changed" in await verdict(rig, admin, NOON + MINUTE)


async def test_a_snooze_that_is_ended_by_hand_is_not_caught_up_with(rig: Rig, admin: Actor) -> None:
    await rig.database.write(lambda db: add_job(db, admin, schedule="@hourly", catchup_on_resume=True))
    await rig.database.write(lambda db: jobs.snooze(db, admin, "job", Snooze(for_s=4 * 3600), NOON + SECOND))
    await rig.ticker.load()
    await rig.until(NOON + 2 * HOUR + MINUTE)

    await pause(rig, admin, paused=False)
    await rig.until(NOON + 3 * HOUR)

    assert [state for _, state, _ in await fires(rig.database)] == ["skipped", "skipped", "starting"]


async def test_a_job_with_no_fire_to_come_can_be_resumed_for_what_it_owes(rig: Rig, admin: Actor) -> None:
    await rig.database.write(
        lambda db: add_job(db, admin, schedule="@at 2026-05-04T12:30", catchup_on_resume=True, paused=True)
    )
    await rig.ticker.load()
    await rig.until(NOON + HOUR)

    await pause(rig, admin, paused=False)
    await rig.until(rig.clock.now)

    assert await fires(rig.database) == [(0.5, "starting", "catch_up")]


async def test_a_calendar_that_is_changed_meanwhile_takes_nothing_from_what_is_owed(rig: Rig, admin: Actor) -> None:
    async def put(*rules: str) -> None:
        request = CalendarPut(spec=CalendarSpec.model_validate({"rules": rules}))
        _, ids = await rig.database.write(lambda db: calendars.put(db, admin, "works", request, rig.clock.now))
        await rig.ticker.changed(ids)

    await put("sun")
    schedule = Schedule.model_validate({"expressions": ["@hourly"], "calendars": ["works"]})
    await rig.database.write(
        lambda db: add_job(db, admin, schedule=schedule, catchup_on_resume=True, paused=True, concurrency="allow")
    )
    await rig.ticker.load()
    await rig.until(NOON + 2 * HOUR + MINUTE)

    await put("sat")
    await rig.until(NOON + 2 * HOUR + 2 * MINUTE)
    await pause(rig, admin, paused=False)
    await rig.until(rig.clock.now)

    assert [(hour, state) for hour, state, _ in await fires(rig.database)] == [(1, "missed"), (2, "starting")]


async def test_a_clock_that_has_not_heard_of_the_resume_does_not_pass_over_what_is_owed(
    hourly: Rig, admin: Actor
) -> None:
    other = Rig(hourly.database, max_active=10)
    other.clock = other.ticker._now = other.dispatcher._now = hourly.clock
    await other.ticker.load()
    await other.until(NOON + 2 * HOUR + 30 * MINUTE)

    now = hourly.clock.now
    await hourly.database.write(lambda db: jobs.set_paused(db, admin, "job", now, paused=False))
    await other.until(NOON + 3 * HOUR)

    assert [(hour, state) for hour, state, _ in await fires(hourly.database)] == [
        (1, "missed"), (2, "missed"), (3, "starting"),
    ]  # fmt: skip


async def test_a_boot_while_it_is_paused_takes_nothing_from_what_it_owes(rig: Rig, admin: Actor) -> None:
    schedule = Schedule.model_validate({"expressions": ["@hourly", "@reboot"]})
    await rig.database.write(
        lambda db: add_job(db, admin, schedule=schedule, catchup_on_resume=True, paused=True, concurrency="allow")
    )
    rig.clock.forward(hours=2, minutes=30)
    await rig.ticker.load()

    await rig.ticker.reboot()
    await pause(rig, admin, paused=False)
    await rig.until(rig.clock.now)

    found = [(round(hour, 3), state, trigger) for hour, state, trigger in await fires(rig.database)]
    assert found == [
        (1, "missed", "catch_up"), (2, "starting", "catch_up"), (2.5, "skipped", "reboot"),
    ]  # fmt: skip
