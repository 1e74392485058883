"""When jobs fire where clocks do not change: fields, days, aliases, intervals, bounds."""

from datetime import timedelta

import pytest

from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.domain.errors import Invalid
from scheduler_daemon.domain.schedule import compile_schedule, next_fire
from tests.support.times import cron, utc, wall


@pytest.mark.parametrize(
    ("expression", "after", "fires"),
    [
        ("*/15 * * * *", "2026-01-01T00:00", ["2026-01-01 00:15+0000", "2026-01-01 00:30+0000"]),
        ("*/20 * * * * *", "2026-01-01T23:59:45", ["2026-01-02 00:00+0000", "2026-01-02 00:00:20+0000"]),
        ("0 9 31 * *", "2026-01-31T09:00", ["2026-03-31 09:00+0000", "2026-05-31 09:00+0000"]),
        ("0 0 29 2 *", "2096-02-29T00:00", ["2104-02-29 00:00+0000"]),  # 2100 is no leap year
        ("0 0 29 2 *", "2396-02-29T00:00", ["2400-02-29 00:00+0000"]),
        ("0 0 * 2 MON#5", "2026-01-01T00:00", ["2044-02-29 00:00+0000", "2072-02-29 00:00+0000"]),
        ("0 0 13 * FRI", "2026-02-01T00:00", ["2026-02-06 00:00+0000", "2026-02-13 00:00+0000"]),  # either field
        ("0 0 */13 * FRI", "2026-02-01T00:00", ["2026-02-27 00:00+0000", "2026-03-27 00:00+0000"]),  # both fields
        ("0 0 13 * *", "2026-02-13T00:00", ["2026-03-13 00:00+0000"]),
        ("0 0 ? * MON", "2026-02-01T00:00", ["2026-02-02 00:00+0000", "2026-02-09 00:00+0000"]),
        ("0 0 L * *", "2028-02-01T00:00", ["2028-02-29 00:00+0000", "2028-03-31 00:00+0000"]),
        ("0 0 L-2 * *", "2026-02-01T00:00", ["2026-02-26 00:00+0000", "2026-03-29 00:00+0000"]),
        ("0 0 LW * *", "2026-01-31T00:00", ["2026-02-27 00:00+0000", "2026-03-31 00:00+0000"]),
        ("0 0 1W * *", "2026-07-31T00:00", ["2026-08-03 00:00+0000", "2026-09-01 00:00+0000"]),  # the 1st is a Saturday
        ("0 0 31W * *", "2026-04-01T00:00", ["2026-05-29 00:00+0000", "2026-07-31 00:00+0000"]),
        ("0 0 * * FRIL", "2026-01-01T00:00", ["2026-01-30 00:00+0000", "2026-02-27 00:00+0000"]),
        ("0 0 * * 5#L", "2026-01-01T00:00", ["2026-01-30 00:00+0000"]),
        ("0 0 1W,15,L * *", "2026-01-14T00:00", ["2026-01-15 00:00+0000", "2026-01-31 00:00+0000"]),
        ("0 0 1 * 2#2", "2026-01-02T00:00", ["2026-01-13 00:00+0000", "2026-02-01 00:00+0000"]),
        ("  @WEEKLY ", "2026-01-01T00:00", ["2026-01-04 00:00+0000"]),
        ("@yearly", "2026-01-01T00:00", ["2027-01-01 00:00+0000"]),
        ("@hourly", "2026-01-01T00:59:59", ["2026-01-01 01:00+0000", "2026-01-01 02:00+0000"]),
    ],
)
def test_it_fires_then(expression: str, after: str, fires: list[str]) -> None:
    assert wall(cron(expression), after, len(fires)) == fires


def test_a_fire_is_strictly_later_even_by_a_microsecond() -> None:
    hourly = compile_schedule(cron("0 * * * *"))
    hour = utc(2026, 1, 1, 5)

    assert hourly.next_fire(hour) == utc(2026, 1, 1, 6)
    assert hourly.next_fire(hour - timedelta(microseconds=1)) == hour
    assert hourly.next_fire(hour + timedelta(microseconds=1)) == utc(2026, 1, 1, 6)


def test_several_expressions_merge_without_duplicates() -> None:
    both = compile_schedule(cron("0 */6 * * *", "0 0,9 * * *", "@daily"))

    hours = [fire.hour for fire in both.fires(utc(2026, 1, 1), until=utc(2026, 1, 2))]

    assert hours == [6, 9, 12, 18, 0]


def test_an_interval_counts_from_its_anchor_and_never_drifts() -> None:
    anchor = utc(2026, 3, 28, 23, 10)
    every = compile_schedule(cron("@every 1h30m", zone="Europe/Berlin", anchor=anchor))

    fires = list(every.fires(anchor - timedelta(days=1), limit=4))

    assert fires == [anchor + timedelta(minutes=90) * k for k in range(4)]  # summer time begins in between
    assert every.next_fire(anchor + timedelta(days=1000, seconds=1)) == anchor + timedelta(days=1000, minutes=90)


def test_an_interval_without_anchor_counts_from_start_or_else_from_1970() -> None:
    assert next_fire(cron("@every 1h"), utc(2026, 1, 1, 0, 30)) == utc(2026, 1, 1, 1)
    assert next_fire(cron("@every 1h", start=utc(2026, 1, 1, 0, 7)), utc(2026, 1, 1, 0, 30)) == utc(2026, 1, 1, 1, 7)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-07-01T08:00", utc(2026, 7, 1, 6)),
        ("2026-07-01 08:00:30", utc(2026, 7, 1, 6, 0, 30)),
        ("2026-07-01T08:00Z", utc(2026, 7, 1, 8)),
        ("2026-07-01T08:00-05:00", utc(2026, 7, 1, 13)),
        ("2026-03-29T02:30", utc(2026, 3, 29, 1)),  # skipped: the end of the gap
        ("2026-10-25T02:30", utc(2026, 10, 25, 0, 30)),  # repeated: the first pass
        ("2026-10-25T02:30+01:00", utc(2026, 10, 25, 1, 30)),
    ],
)
def test_once_means_that_instant(text: str, instant: object) -> None:
    once = compile_schedule(cron(f"@at {text}", zone="Europe/Berlin"))

    assert list(once.fires(utc(2026, 1, 1))) == [instant]


def test_bounds_are_inclusive() -> None:
    bounded = compile_schedule(cron("0 * * * *", start=utc(2026, 1, 1, 3), end=utc(2026, 1, 1, 5)))

    assert [fire.hour for fire in bounded.fires(utc(2020, 1, 1))] == [3, 4, 5]


def test_a_bound_within_a_second_leaves_out_that_second() -> None:
    late = timedelta(microseconds=1)
    bounded = compile_schedule(cron("0 * * * *", start=utc(2026, 1, 1, 3) + late, end=utc(2026, 1, 1, 5) - late))

    assert [fire.hour for fire in bounded.fires(utc(2020, 1, 1))] == [4]


def test_bounds_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match="lies before start"):
        cron("* * * * *", start=utc(2026, 1, 2), end=utc(2026, 1, 1))


def test_a_schedule_without_expressions_never_fires_by_itself() -> None:
    assert next_fire(Schedule(), utc(2026, 1, 1)) is None


def test_reboot_is_an_event_and_not_a_time() -> None:
    compiled = compile_schedule(cron("@Reboot", "0 9 * * *"))

    assert compiled.is_reboot
    assert compiled.next_fire(utc(2026, 1, 1)) == utc(2026, 1, 1, 9)
    assert compile_schedule(cron("@reboot")).next_fire(utc(2026, 1, 1)) is None


@pytest.mark.parametrize(
    ("zone", "hint"),
    [
        ("Europe/Berln", "Europe/Berlin"),
        ("tokyo", "Asia/Tokyo"),
        ("../etc/passwd", "IANA"),
        ("", "IANA"),
        ("America", ""),
    ],
)
def test_an_unknown_zone_is_refused_with_the_nearest(zone: str, hint: str) -> None:
    with pytest.raises(Invalid, match="no time zone") as caught:
        compile_schedule(cron("* * * * *", zone=zone))

    assert caught.value.field == "schedule.zone"
    assert hint in caught.value.message


@pytest.mark.parametrize("expression", ["* * * * *", "0 0 29 2 *", "@every 7d", "@at 8999-01-01T00:00"])
@pytest.mark.parametrize("year", [1, 1500, 1970, 9998, 9999])
def test_the_ends_of_the_calendar_do_not_break_it(expression: str, year: int) -> None:
    fire = next_fire(cron(expression, zone="America/New_York"), utc(year, 12, 31, 23, 59, 59))

    assert fire is None or fire > utc(year, 12, 31)


def test_compiled_schedules_share_what_they_have_in_common() -> None:
    first, second = (compile_schedule(cron("*/5 * * * *", zone="Europe/Paris"), job) for job in ("a", "b"))

    assert first._rules[0] is second._rules[0]
