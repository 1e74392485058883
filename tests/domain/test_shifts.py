"""A schedule is moved by minutes only where its hours, its days and the number of its fires stay what they are."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.domain.errors import BadSchedule
from scheduler_daemon.domain.schedule import compile_schedule
from scheduler_daemon.domain.shifts import means_the_same, moved, moved_schedule, offsets, rarer
from tests.support.times import utc

MINUTE = timedelta(minutes=1)
START, END = utc(2026, 3, 1), utc(2026, 4, 15)


@pytest.mark.parametrize(
    ("expression", "by", "expected"),
    [
        ("0 3 * * *", 17, "17 3 * * *"),
        ("30 3 * * MON-FRI", -30, "0 3 * * MON-FRI"),
        ("@daily", 5, "5 0 * * *"),
        ("@hourly", 59, "59 * * * *"),
        ("0 8-18/2 * * *", 9, "9 8-18/2 * * *"),
        ("*/15 * * * *", 7, "7-59/15 * * * *"),
        ("7-59/15 * * * *", -7, "*/15 * * * *"),
        ("30 0 3 * * *", 4, "30 4 3 * * *"),
        ("0 3 1 * *", 150, "30 5 1 * *"),
        ("15 3 * * *", -195, "0 0 * * *"),
    ],
)
def test_the_new_expression_is_what_a_person_would_have_written(expression: str, by: int, expected: str) -> None:
    assert moved(expression, by) == expected


@pytest.mark.parametrize(
    "expression",
    [
        "0,7 * * * *",  # uneven: another distance is another meaning
        "*/7 * * * *",  # does not divide the hour
        "*/15 3 * * *",  # without its `*` it would be another thing at a change of clocks
        "* * * * *",
        "H 3 * * *",
        "*/10 0 3 * * *",  # seconds
        "@every 90m",
        "@at 2026-12-01T08:00",
        "@reboot",
        "@calendar Mon..Fri 09:00",
    ],
)
def test_what_says_more_than_a_minute_stays(expression: str) -> None:
    assert offsets(expression, hours=True) == (0,)
    with pytest.raises(BadSchedule, match="cannot be moved by 1 minutes"):
        moved(expression, 1)


def test_the_hour_and_the_day_are_never_left() -> None:
    assert offsets("20 3 * * *") == tuple(range(-20, 40))
    assert offsets("20 3 * * *", hours=True) == tuple(range(-200, 1240))
    assert offsets("20 * * * *", hours=True) == tuple(range(-20, 40))
    assert offsets("5-59/15 * * * *") == tuple(range(-5, 10))
    with pytest.raises(BadSchedule):
        moved("20 3 * * *", 1240)


@given(
    expression=st.sampled_from(
        ["0 3 * * *", "@daily", "45 23 * * SUN", "0 * * * *", "*/20 * * * *", "30 2 * * *", "0 6-20/3 1-7 * *"]
    ),
    pick=st.floats(0, 1, exclude_max=True),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns", "Australia/Lord_Howe"]),
)
def test_every_fire_has_its_counterpart(expression: str, pick: float, zone: str) -> None:
    schedule = Schedule(expressions=(expression,), zone=zone)
    allowed = offsets(expression)
    by = allowed[int(pick * len(allowed))]

    before = list(compile_schedule(schedule).fires(START, END))
    after = list(compile_schedule(moved_schedule(schedule, by)).fires(START + by * MINUTE, END + by * MINUTE))

    assert means_the_same(before, after, by)


def test_a_fire_that_would_fall_into_a_blackout_is_noticed() -> None:
    before = [utc(2026, 3, day, 3) for day in range(1, 8)]

    assert not means_the_same(before, [utc(2026, 3, day, 3, 20) for day in range(1, 8) if day % 2], 20)
    assert means_the_same(before, [utc(2026, 3, day, 3, 20) for day in range(1, 8)], 20)


def test_a_schedule_of_several_expressions_stays() -> None:
    with pytest.raises(BadSchedule, match="one expression"):
        moved_schedule(Schedule(expressions=("0 3 * * *", "0 9 * * *")), 5)


@pytest.mark.parametrize(
    ("expression", "every_s", "expected"),
    [
        ("* * * * *", 720, "*/12 * * * *"),
        ("* * * * *", 430, "*/6 * * * *"),
        ("*/5 * * * *", 1300, "*/20 * * * *"),
        ("*/5 8-18 * * *", 900, "*/15 8-18 * * *"),
        ("*/5 * * * MON-FRI", 7200, "0 */2 * * MON-FRI"),
        ("@hourly", 4 * 3600, "0 */4 * * *"),
        ("20 */2 * * *", 9 * 3600, "20 */8 * * *"),
        ("*/10 * * * *", 3600, "0 * * * *"),
        ("* * * * * *", 13, "*/12 * * * * *"),
        ("*/5 * 8-18 * * *", 45, "*/30 * 8-18 * * *"),
        ("*/20 * * * * *", 60, "0 * * * * *"),
        ("*/20 * * * * *", 750, "0 */12 * * * *"),
        ("*/20 * * * * *", 30, None),
        ("*/7 * * * * *", 30, None),
        ("*/10 * * * *", 900, None),
        ("0 * * * *", 3600, None),
        ("0 3 * * *", 90_000, None),
        ("*/5 8-18 * * *", 7200, None),
        ("7-59/15 * * * *", 3600, None),
        ("@every 90s", 3600, None),
    ],
)
def test_a_rarer_schedule_fires_at_some_of_the_times_of_the_old_one(
    expression: str, every_s: float, expected: str | None
) -> None:
    assert rarer(expression, every_s) == expected
    if expected is not None:
        old, new = (
            set(compile_schedule(Schedule(expressions=(each,))).fires(START, END)) for each in (expression, expected)
        )
        assert new < old
