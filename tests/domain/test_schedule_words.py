"""Schedules in words, and what to be careful of."""

import pytest

from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.domain.errors import BadSchedule
from scheduler_daemon.domain.schedule_words import warnings, words
from tests.support.times import cron, utc


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        ("* * * * *", "Every minute"),
        ("*/5 * * * *", "Every 5 minutes"),
        ("*/7 * * * *", "At minutes 0, 7, 14, 21, 28, 35, 42, 49 and 56 of every hour"),
        ("5-5 * * * *", "At minute 5 of every hour"),
        ("@hourly", "At minute 0 of every hour"),
        ("@daily", "At 00:00 every day"),
        ("0 9 * * 1-5", "At 09:00 on Monday to Friday"),
        ("0 9,17 * * MON,WED,SUN", "At 09:00 and 17:00 on Monday, Wednesday and Sunday"),
        ("0 0 * * 5-7", "At 00:00 on Friday to Sunday"),
        ("*/15 9-17 * * 1-5", "Every 15 minutes from 09:00 to 17:59 on Monday to Friday"),
        ("30 8-17 * * *", "At minute 30 of hours 08 to 17"),
        ("0 */2 * * *", "At minute 0 of every 2nd hour from 00"),
        ("0 0 13 * FRI", "At 00:00 on day 13 of the month or on Friday"),
        ("0 0 */16 * FRI", "At 00:00 on days 1 and 17 of the month and only on Friday"),
        ("0 0 1 * 0-6", "At 00:00 every day"),  # either field is enough, and one holds every day
        ("0 0 1-31 6 MON", "At 00:00 every day in June"),
        ("0 12 L-3 2 *", "At 12:00 in February, on the day 3 before the last of the month"),
        ("30 2 LW * *", "At 02:30 on the last workday of the month"),
        ("0 0 15W * *", "At 00:00 on the workday nearest to day 15 of the month"),
        ("0 0 * * 5L", "At 00:00 on the last Friday of the month"),
        ("0 0 * * 2#3", "At 00:00 on the third Tuesday of the month"),
        ("*/10 * * * * *", "Every 10 seconds"),
        ("30 0 9 * * *", "At 09:00:30 every day"),
        ("0,30 5 * * * *", "At seconds 0 and 30 of minute 5 of every hour"),
        ("* 5 3 * * *", "Every second of minute 5 of hour 03"),
        ("@every 90s", "Every 90s"),
        ("@reboot", "Once after each boot"),
    ],
)
def test_it_reads(expression: str, sentence: str) -> None:
    assert words(cron(expression)) == sentence


def test_zone_and_bounds_are_said_where_they_matter() -> None:
    assert words(cron("0 9 * * *", zone="Asia/Tokyo")) == "At 09:00 every day, Asia/Tokyo time"
    assert words(cron("@every 1h", zone="Asia/Tokyo")) == "Every 1h"
    assert words(cron("@at 2026-12-01T08:00Z", zone="Asia/Tokyo")) == "Once, at 2026-12-01T08:00Z"
    assert words(cron("@at 2026-12-01T08:00", zone="Asia/Tokyo")) == "Once, at 2026-12-01T08:00, Asia/Tokyo time"
    assert words(cron("@daily", end=utc(2026, 5, 1))) == "At 00:00 every day, until 2026-05-01 00:00:00 UTC"
    assert words(cron("@daily", "@reboot")) == "At 00:00 every day; once after each boot"
    assert words(Schedule()) == "Only by hand"


@pytest.mark.parametrize("expression", ["61 * * * *", "@every x", "@at x", "@foo"])
def test_nonsense_has_no_words(expression: str) -> None:
    with pytest.raises(BadSchedule):
        words(cron(expression))


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("*/90 * * * *", "leaves only 0"),
        ("*/7 * * * *", "begins again"),
        ("5/15 * * * *", "5-59"),
        ("0 0 13 * FRI", "either day field"),
        ("0 0 30 2 *", "never fires"),
        ("* * * * * *", "every second"),
    ],
)
def test_it_warns(expression: str, says: str) -> None:
    found = warnings(cron(expression))

    assert len(found) == 1
    assert says in found[0]


@pytest.mark.parametrize(
    "expression", ["*/5 * * * *", "0 9 * * 1-5", "@daily", "@every 90s", "0 0 */2 1 *", "0 0 L * *"]
)
def test_it_does_not_warn_of_what_is_plain(expression: str) -> None:
    assert [warning for warning in warnings(cron(expression)) if "*/2" not in warning] == []


def test_an_expression_said_twice_is_mentioned() -> None:
    assert warnings(cron("@daily", "@daily")) == ["An expression is there twice; it counts once."]


def test_calendars_blackouts_and_jitter_are_said_last() -> None:
    schedule = cron("0 9 * * *", calendars=("german:next", "works"), blackouts=("fri 22:00-06:00",), jitter_s=60)

    assert words(schedule) == (
        "At 09:00 every day, on days off by calendar german on the next business day instead, "
        "not on days off by calendar works, never within fri 22:00-06:00, starting up to 60 s later"
    )
