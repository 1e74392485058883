"""The ticker records what calendars and blackouts suppress, moves what is to be moved, and holds starts by jitter."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from scheduler_daemon.contract.calendars import CalendarPut, CalendarSpec
from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.domain.jitter import jitter
from scheduler_daemon.services import calendars, runs
from scheduler_daemon.storage.session import Database
from tests.support.rig import Rig
from tests.support.times import utc
from tests.support.world import HOLDER, MINUTE, NOON, SECOND, add_job, recount, rows

HOUR = 60 * MINUTE


async def put(database: Database, actor, *rules: str, name: str = "german", now=NOON) -> Sequence[str]:
    request = CalendarPut(spec=CalendarSpec.model_validate({"rules": rules}))
    _, ids = await database.write(lambda db: calendars.put(db, actor, name, request, now))
    return ids


async def loaded(rig: Rig, admin, expression: str, *uses: str, blackouts=(), jitter_s=0, **job):
    schedule = Schedule(expressions=(expression,), calendars=uses, blackouts=blackouts, jitter_s=jitter_s)
    made = await rig.database.write(lambda db: add_job(db, admin, schedule=schedule, **{"concurrency": "allow"} | job))
    await rig.ticker.load()
    return made


async def recorded(database: Database):
    """Every recorded instant with its state and reason, in order."""
    found = await database.read(lambda db: rows(db, "executions"))
    return sorted((row.fire_at, row.state, row.outcome, row.reason) for row in found)


async def test_a_suppressed_instant_is_recorded_when_it_comes_and_starts_nothing(rig, database, admin) -> None:
    await put(database, admin, "2026-05-05")
    await loaded(rig, admin, "0 0/12 * * *", "german", blackouts=[{"when": "wed 11:00-13:00", "name": "freeze"}])

    await rig.until(utc(2026, 5, 5, 13))
    early = await recorded(database)
    await rig.until(utc(2026, 5, 7))

    off = "suppressed by calendar german (2026-05-05)"
    assert early == [(utc(2026, 5, 5, hour), "suppressed", "calendar", off) for hour in (0, 12)]
    assert (await recorded(database))[2:] == [
        (utc(2026, 5, 6), "starting", None, ""),
        (utc(2026, 5, 6, 12), "suppressed", "blackout", "suppressed by blackout freeze"),
        (utc(2026, 5, 7), "starting", None, ""),
    ]
    assert len(rig.launches.started) == 2
    (state,) = await database.read(lambda db: rows(db, "job_states"))
    assert (state.last_handled, state.next_fire_at) == (utc(2026, 5, 7), utc(2026, 5, 7, 12))
    assert await database.read(recount) == []


async def test_fires_that_are_prepared_ahead_leave_no_suppressed_instant_out(rigged_ahead, database, admin) -> None:
    rig = rigged_ahead
    await loaded(rig, admin, "* * * * *", blackouts=["12:02-12:04"])

    await rig.until(NOON + 5 * MINUTE)

    assert [(at - NOON) / MINUTE for at, state, _, _ in await recorded(database) if state == "suppressed"] == [2, 3]
    assert [(at - NOON) / MINUTE for at, state, _, _ in await recorded(database) if state == "starting"] == [1, 4, 5]


@pytest.fixture
def rigged_ahead(database: Database) -> Rig:
    """A ticker that prepares fires half a second ahead."""
    return Rig(database, 10**9, timedelta(seconds=0.5))


async def test_a_moved_fire_runs_once_at_its_new_instant(rig, database, admin) -> None:
    await put(database, admin, "sat,sun")
    await loaded(rig, admin, "0 9 * * 5-7", "german:next")

    await rig.until(utc(2026, 5, 12))

    assert [(at, state) for at, state, _, _ in await recorded(database)] == [
        (utc(2026, 5, 8, 9), "starting"), (utc(2026, 5, 11, 9), "starting"),
    ]  # fmt: skip


async def test_what_was_suppressed_during_an_outage_is_neither_missed_nor_caught_up(rig, database, admin) -> None:
    await loaded(rig, admin, "*/10 * * * *", blackouts=["12:15-12:45"], misfire="run_all")
    rig.clock.forward(minutes=60, seconds=2)

    await rig.ticker.load()
    await rig.ticker.step()

    assert [((at - NOON) / MINUTE, state) for at, state, _, _ in await recorded(database)] == [
        (10, "starting"), (20, "suppressed"), (30, "suppressed"), (40, "suppressed"), (50, "starting"),
        (60, "starting"),
    ]  # fmt: skip


async def test_a_changed_calendar_counts_from_now_on_and_runs_nothing_from_before(rig, database, admin) -> None:
    await put(database, admin, "2026-05-04")
    made = await loaded(rig, admin, "0 11,13 * * *", "german:next")
    before = await rig.ticker.step()
    rig.clock.now = NOON + 30 * MINUTE

    ids = await put(database, admin, "2027-05-04", now=rig.clock.now)
    await rig.ticker.refresh(ids)
    await rig.until(NOON + 2 * HOUR)

    assert (before, ids) == (utc(2026, 5, 5, 11), (made.id,))
    assert [(at, state) for at, state, _, _ in await recorded(database)] == [(utc(2026, 5, 4, 13), "starting")]


async def test_a_calendar_that_another_daemon_changed_holds_for_a_fire_prepared_here(rig, database, admin) -> None:
    await put(database, admin, "sat,sun")
    await loaded(rig, admin, "0 13 * * *", "german")

    await put(database, admin, "mon", now=NOON + MINUTE)  # nobody tells this ticker
    await rig.until(utc(2026, 5, 5, 14))

    assert [(at, state) for at, state, _, _ in await recorded(database)] == [
        (utc(2026, 5, 4, 13), "suppressed"), (utc(2026, 5, 5, 13), "starting"),
    ]  # fmt: skip


async def test_jitter_holds_the_start_and_leaves_the_fire_where_it_is(rig, database, admin) -> None:
    made = await loaded(rig, admin, "0 * * * *", jitter_s=600)

    await rig.until(NOON + 2 * HOUR)

    found = await database.read(lambda db: rows(db, "executions"))
    window = timedelta(minutes=10)
    assert [row.fire_at for row in found] == [NOON + HOUR, NOON + 2 * HOUR]
    assert [rig.launches.not_before[row.id] for row in found] == [
        row.fire_at + jitter(made.id, row.fire_at, window, row.fire_at + HOUR) for row in found
    ]
    assert len({rig.launches.not_before[row.id] - row.fire_at for row in found}) == 2


async def test_jitter_is_kept_by_a_start_that_waited_or_was_taken_over(rigged, database, admin) -> None:
    rig = rigged(0)
    made = await loaded(rig, admin, "* * * * *", jitter_s=3600)
    await rig.until(NOON + MINUTE)
    expected = NOON + MINUTE + jitter(made.id, NOON + MINUTE, timedelta(hours=1), NOON + 2 * MINUTE)

    (waited,) = await database.write(lambda db: runs.start_waiting(db, now=rig.clock.now, holder=HOLDER, free=1).starts)
    (taken,) = await database.read(lambda db: runs.take_over(db, [waited.execution_id], node=None))

    assert waited.not_before == taken.not_before == expected
    assert NOON + MINUTE <= expected < NOON + 2 * MINUTE


async def test_a_manual_run_starts_in_a_blackout_and_without_jitter(rig, database, admin) -> None:
    await loaded(rig, admin, "0 * * * *", blackouts=["11:00-12:30"], jitter_s=600)

    view, _ = await database.write(
        lambda db: runs.request(db, admin, "job", "", now=NOON + SECOND, holder=HOLDER, free=1)
    )
    (start,) = await database.read(lambda db: runs.take_over(db, [view.id], node=None))

    assert (view.state, start.not_before) == ("starting", None)
