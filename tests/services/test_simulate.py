"""What-if on both databases: jobs, history, calendars and changes as they are read, played and compared."""

from datetime import timedelta
from typing import Any

import pytest

from scheduler_daemon.contract.calendars import CalendarPut
from scheduler_daemon.contract.pools import PoolPut
from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.contract.simulations import Simulation, SimulationRequest
from scheduler_daemon.domain.errors import Invalid, NotFound
from scheduler_daemon.domain.lifecycle import Report
from scheduler_daemon.services import calendars, jobs, pools, runs, simulate
from scheduler_daemon.services.runs import Ended
from tests.support.world import MINUTE, NOON, add_job, fire, rows

HOUR = timedelta(hours=1)


async def simulated(database, actor, *, first=NOON, last=NOON + HOUR, now=NOON, **fields: Any) -> Simulation:
    request = SimulationRequest.model_validate({"from": first, "to": last, **fields})
    material = await database.read(lambda db: simulate.read(db, actor, request, now))
    return simulate.play(material, request)


async def made(database, actor, name="job", **fields):
    return await database.write(lambda db: add_job(db, actor, name, **fields))


async def ran(database, job, minute: int, *, takes: float, late: float = 0) -> None:
    """Let a run of a job begin and end."""
    instant = NOON + minute * MINUTE
    start = instant + timedelta(seconds=late)
    fired = await database.write(lambda db: fire(db, job, instant))
    ended = Ended(
        fired.starts[0].execution_id,
        Report(exit_code=0),
        start,
        start + timedelta(seconds=takes),
        None,
        None,
        None,
    )
    await database.write(lambda db: runs.ended(db, [ended], ended.ended_at))


async def test_runs_take_as_long_as_they_took_and_the_first_instant_counts_and_the_last_does_not(
    database, admin
) -> None:
    job = await made(database, admin)
    await ran(database, job, 1, takes=90)

    found = await simulated(database, admin, first=NOON + HOUR, last=NOON + 2 * HOUR)

    assert (found.plan.fires, found.plan.started, found.plan.skipped) == (60, 30, 30)
    assert found.plan.busy_ms == 30 * 90_000
    assert (found.changed, found.actual, found.notes) == (None, None, ())


async def test_a_changed_plan_stands_beside_the_unchanged_and_nothing_is_saved(database, admin) -> None:
    await made(database, admin, "slow", schedule=Schedule(expressions=("*/10 * * * *",), zone="Europe/Berlin"))
    await made(database, admin, "other", schedule="0 * * * *")
    before = await database.read(lambda db: rows(db, "jobs"))
    change = {
        "job": "slow",
        "changes": {"schedule": {"expressions": ["*/5 * * * *"]}, "concurrency": "allow"},
        "duration_ms": 400_000,
    }

    found = await simulated(database, admin, changes=[change])

    assert (found.plan.fires, found.plan.overlaps) == (7, 0)
    assert found.changed is not None
    assert (found.changed.fires, found.changed.overlaps, found.changed.skipped) == (13, 11, 0)
    assert {each.job: (each.plan.fires, each.changed and each.changed.fires) for each in found.jobs} == {
        "other": (1, 1),
        "slow": (6, 12),
    }
    assert found.notes == ("never ran, and taken to take 1000 ms a run: 2 jobs",)
    assert await database.read(lambda db: rows(db, "jobs")) == before


async def test_a_past_period_is_compared_with_what_is_recorded_of_it(database, admin) -> None:
    job = await made(database, admin, schedule="*/20 * * * *")
    await ran(database, job, 20, takes=60, late=2)
    await database.write(lambda db: fire(db, job, missed=[NOON + 40 * MINUTE]))

    found = await simulated(database, admin, now=NOON + HOUR)

    assert found.actual is not None
    assert (found.plan.fires, found.plan.started, found.plan.missed) == (3, 3, 0)
    assert (found.actual.fires, found.actual.started, found.actual.missed) == (2, 1, 1)
    assert (found.actual.late_p50_ms, found.actual.busy_ms) == (2000, 60_000)
    assert found.actual.peak_at == NOON + 20 * MINUTE + timedelta(seconds=2)


async def test_pools_and_the_room_for_all_may_be_different(database, admin) -> None:
    await database.write(lambda db: pools.put(db, admin, "db", PoolPut(slots=2), NOON))
    for number in range(4):
        await made(database, admin, f"job {number}", schedule="0 * * * *", pool="db")

    narrow = await simulated(database, admin, pools={"db": 1})
    alone = await simulated(database, admin, pools={"db": 9}, max_active=3)

    assert narrow.plan.late_p99_ms == 1000
    assert narrow.changed is not None
    assert narrow.changed.late_p99_ms == 3000
    assert alone.changed is not None
    assert (alone.changed.peak, alone.changed.late_p99_ms) == (3, 1000)


async def test_calendars_jitter_and_outages_count(database, admin) -> None:
    spec = CalendarPut.model_validate({"spec": {"rules": ["2026-05-04"]}})
    await database.write(lambda db: calendars.put(db, admin, "closed", spec, NOON))
    off = Schedule.model_validate({"expressions": ["* * * * *"], "calendars": [{"calendar": "closed"}]})
    spread = Schedule(expressions=("*/10 * * * *",), jitter_s=300)
    await made(database, admin, "never", schedule=off)
    await made(database, admin, "spread", schedule=spread, misfire="skip")
    outage = {"from": NOON + 5 * MINUTE, "to": NOON + 25 * MINUTE}

    found = await simulated(database, admin, outages=[outage])

    assert [each.job for each in found.jobs] == ["spread"]
    assert (found.plan.fires, found.plan.missed, found.plan.started) == (6, 2, 4)
    assert found.plan.late_p99_ms == 0
    assert found.plan.busy_ms > 4 * 1000


async def test_the_same_seed_gives_the_same_answer(database, admin) -> None:
    job = await made(database, admin)
    for minute in range(1, 6):
        await ran(database, job, minute, takes=minute)
    later = {"first": NOON + HOUR, "last": NOON + 3 * HOUR}

    once, again, other = [await simulated(database, admin, seed=seed, **later) for seed in (7, 7, 8)]

    assert once == again
    assert once.plan.busy_ms != other.plan.busy_ms


async def test_paused_jobs_and_those_one_may_not_see_are_left_out(database, admin, ada) -> None:
    await made(database, admin, "of root")
    await made(database, ada, "of ada", user="ada", schedule="*/30 * * * *")
    await database.write(lambda db: jobs.set_paused(db, admin, "of root", NOON, paused=True))

    hers = await simulated(database, ada)
    his = await simulated(database, admin)

    assert [each.job for each in hers.jobs] == ["of ada"]
    assert "paused and left out: 1 job" in his.notes
    with pytest.raises(NotFound):
        await simulated(database, ada, changes=[{"job": "of root"}])


async def test_conditions_are_taken_to_hold_and_that_is_said(database, admin) -> None:
    await made(database, admin, conditions=[{"kind": "file", "path": "/nowhere"}])

    found = await simulated(database, admin)

    assert found.plan.started == found.plan.fires
    assert "with conditions, which are taken to hold: 1 job" in found.notes


async def test_what_makes_no_sense_is_refused_with_its_place(database, admin) -> None:
    await made(database, admin)

    with pytest.raises(Invalid) as wrong:
        await simulated(database, admin, changes=[{"job": "job", "changes": {"concurrency": "both"}}])
    every = {"job": "job", "changes": {"schedule": {"expressions": ["* * * * * *"]}}}
    with pytest.raises(Invalid, match="more than 2,000,000 fires"):
        await simulated(database, admin, last=NOON + timedelta(days=30), changes=[every])

    assert wrong.value.field == "changes.concurrency"


async def test_jobs_behind_others_come_up_when_these_have_ended_and_a_change_may_put_more_there(
    database, admin
) -> None:
    first = await made(database, admin, "first", schedule="0 * * * *")
    await ran(database, first, 60, takes=90)
    await made(database, admin, "second", schedule=None, after=["first"])
    await made(
        database,
        admin,
        "third",
        schedule=Schedule(zone="Europe/Berlin"),
        after=["second"],
        not_before="16:30",
        concurrency="allow",
    )
    await made(database, admin, "free", schedule="30 * * * *", retry={"attempts": 2})
    change = {"job": "free", "changes": {"schedule": {"expressions": []}, "after": ["second"]}}

    found = await simulated(database, admin, first=NOON + HOUR, last=NOON + 3 * HOUR, changes=[change])

    told = {each.job: each for each in found.jobs}
    assert [told[name].plan.started for name in ("first", "second", "third", "free")] == [2, 2, 2, 2]
    assert told["second"].plan.late_p50_ms == 90_000
    assert told["third"].plan.late_p99_ms == 90 * 60_000  # the set of 13:00 waits for 14:30 UTC, that of 14:00 too
    assert told["free"].changed.late_p50_ms == 91_000
    assert found.notes[-1] == "with retries, which are taken not to be needed: 1 job"
    with pytest.raises(NotFound, match="no job 'nobody'"):
        await simulated(database, admin, changes=[{"job": "second", "changes": {"after": ["nobody"]}}])
