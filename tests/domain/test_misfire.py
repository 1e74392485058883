"""What becomes of fires that came due while nobody looked."""

from datetime import timedelta

import pytest

from scheduler_daemon.contract.schedule import Misfire
from scheduler_daemon.domain.misfire import COUNTED_AT_MOST, Owed, owed
from scheduler_daemon.domain.schedule import compile_schedule
from tests.support.times import cron, utc

HOURLY = compile_schedule(cron("0 * * * *"))
NOON = utc(2026, 1, 1, 12)
LATE = NOON + timedelta(minutes=20)
HOUR = timedelta(hours=1)


def hours(owed: Owed) -> tuple[list[int], list[int]]:
    return [fire.hour for fire in owed.run], [fire.hour for fire in owed.missed]


@pytest.mark.parametrize("policy", list(Misfire))
def test_a_normal_tick_runs_what_is_due_whatever_the_policy(policy: Misfire) -> None:
    result = owed(HOURLY, NOON - HOUR, NOON + timedelta(milliseconds=3), policy=policy, grace=timedelta(0))

    assert result == Owed(run=(NOON,))


@pytest.mark.parametrize("policy", list(Misfire))
def test_every_second_of_a_busy_tick_runs(policy: Misfire) -> None:
    secondly = compile_schedule(cron("* * * * * *"))

    result = owed(secondly, NOON, NOON + timedelta(seconds=4.5), policy=policy, grace=HOUR)

    assert [fire.second for fire in result.run] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("policy", "run", "missed"),
    [
        (Misfire.SKIP, [], [9, 10, 11, 12]),
        (Misfire.RUN_ONCE, [12], [9, 10, 11]),
        (Misfire.RUN_ALL, [11, 12], [9, 10]),
    ],
)
def test_after_an_outage_the_policy_decides_within_the_grace(
    policy: Misfire, run: list[int], missed: list[int]
) -> None:
    result = owed(HOURLY, NOON - 4 * HOUR, LATE, policy=policy, grace=1.5 * HOUR)

    assert hours(result) == (run, missed)


@pytest.mark.parametrize("policy", list(Misfire))
def test_nothing_older_than_the_grace_runs(policy: Misfire) -> None:
    result = owed(HOURLY, NOON - 2 * HOUR, LATE, policy=policy, grace=timedelta(minutes=10))

    assert hours(result) == ([], [11, 12])


def test_a_punctual_fire_supersedes_the_catch_up_run() -> None:
    result = owed(HOURLY, NOON - 3 * HOUR, NOON, policy=Misfire.RUN_ONCE, grace=10 * HOUR)

    assert hours(result) == ([12], [10, 11])


def test_what_was_handled_is_not_owed_again() -> None:
    assert owed(HOURLY, NOON, NOON, policy=Misfire.RUN_ALL, grace=HOUR) == Owed()
    assert owed(HOURLY, NOON, NOON - HOUR, policy=Misfire.RUN_ALL, grace=HOUR) == Owed()  # the clock went back


def test_the_oldest_beyond_the_bound_are_counted_not_named() -> None:
    result = owed(HOURLY, NOON - 50 * HOUR, NOON, policy=Misfire.RUN_ALL, grace=100 * HOUR, bound=20)

    assert len(result.run) == 20
    assert result.run[-1] == NOON
    assert result.dropped == 30


def test_of_a_year_of_seconds_only_so_many_are_counted() -> None:
    secondly = compile_schedule(cron("* * * * * *", zone="Europe/Berlin"))

    result = owed(secondly, NOON - timedelta(days=365), NOON, policy=Misfire.RUN_ONCE, grace=HOUR)

    assert len(result.run) + len(result.missed) == 1000
    assert result.dropped == COUNTED_AT_MOST


def test_a_busy_hour_after_a_quiet_month_is_found_backwards() -> None:
    bursts = compile_schedule(cron("* * 3 1 * *"))  # each second of one hour a month

    result = owed(bursts, NOON - timedelta(days=300), NOON, policy=Misfire.RUN_ALL, grace=timedelta(days=2), bound=5)

    assert [fire.second for fire in result.run] == [55, 56, 57, 58, 59]
