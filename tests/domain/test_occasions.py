"""Calendars move and suppress fires, blackouts suppress them; the search agrees with a look at every candidate."""

import datetime as dt
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scheduler_daemon.contract.calendars import CalendarSpec
from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.domain.calendar_days import Calendar
from scheduler_daemon.domain.errors import Invalid
from scheduler_daemon.domain.occasions import MAX_MOVE, Timetable, instant, timetable
from scheduler_daemon.domain.schedule import compile_schedule
from tests.support.times import cron, utc

EPOCH = date(1970, 1, 1)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


def calendars(**rules: Iterable[str]) -> dict[str, Calendar]:
    return {name: Calendar(name, CalendarSpec.model_validate({"rules": list(texts)})) for name, texts in rules.items()}


WORK = calendars(work=["sat,sun", "holidays DE"], always=["mon..sun"], summer=["07-01..08-31"], sundays=["sun"])


def made(schedule: Schedule) -> Timetable:
    found = timetable(schedule, "job", WORK)
    assert isinstance(found, Timetable)
    return found


def local(times: Iterable[datetime], zone: str = "UTC") -> list[str]:
    return [f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}" for at in times]


@pytest.mark.parametrize(
    ("use", "expected"),
    [  # Good Friday, Saturday, Sunday, Easter Monday: 3 to 6 April
        ("work", ["2026-04-02 09:00", "2026-04-07 09:00", "2026-04-08 09:00"]),
        ("work:next", ["2026-04-02 09:00", "2026-04-07 09:00", "2026-04-08 09:00"]),
        ("work:previous", ["2026-04-02 09:00", "2026-04-07 09:00", "2026-04-08 09:00"]),
    ],
)
def test_a_daily_job_fires_once_on_each_business_day(use: str, expected: list[str]) -> None:
    daily = made(cron("0 9 * * *", calendars=(use,)))

    assert local(daily.fires(utc(2026, 4, 2), limit=3)) == expected


@pytest.mark.parametrize(
    ("use", "expected"),
    [("work", "2026-06-05"), ("work:next", "2026-04-07"), ("work:previous", "2026-04-02")],
)
def test_a_fire_on_a_holiday_is_skipped_or_moved_to_a_business_day(use: str, expected: str) -> None:
    rare = made(cron("30 9 3,4,5 4,6 *", calendars=(use,)))

    fires = local(rare.fires(utc(2026, 4, 1), limit=1))

    assert fires == [f"{expected} 09:30" if use != "work" else "2026-06-03 09:30"]


def test_a_skipped_fire_is_an_occasion_with_its_reason() -> None:
    christmas = made(cron("0 9 25,28 12 *", calendars=("work",)))

    found = list(christmas.occasions(utc(2026, 12, 1), utc(2026, 12, 31)))

    assert [(instant(each.at), each.why, each.reason) for each in found] == [
        (utc(2026, 12, 25, 9), "calendar", "calendar work (Christmas Day)"),
        (utc(2026, 12, 28, 9), None, ""),
    ]


def test_a_moved_fire_tells_where_it_came_from_and_the_candidate_where_it_went() -> None:
    christmas = made(cron("0 9 25 12 *", calendars=("work:next",)))

    (found,) = christmas.occasions(utc(2026, 12, 1), utc(2026, 12, 31))
    away = christmas.moved_away(utc(2026, 12, 25, 9))

    assert (instant(found.at), found.why, instant(found.moved_from)) == (
        utc(2026, 12, 28, 9), None, utc(2026, 12, 25, 9),
    )  # fmt: skip
    assert away == found
    assert christmas.moved_away(utc(2026, 12, 25, 10)) is None


def test_where_two_calendars_leave_a_day_out_and_one_skips_it_is_skipped() -> None:
    both = made(cron("0 9 4 7 *", calendars=("work:next", "summer")))

    assert both.next_fire(utc(2026, 1, 1)) is None


def test_a_fire_moves_to_a_day_that_no_calendar_leaves_out() -> None:
    both = made(cron("0 9 31 8 *", calendars=("summer:next", "work:next")))

    assert local(both.fires(utc(2030, 8, 1), limit=1)) == ["2030-09-02 09:00"]  # the 1st is a Sunday


def test_without_a_business_day_near_by_a_fire_is_suppressed_instead_of_moved() -> None:
    july = made(cron("0 9 15 7 *", calendars=("summer:next",)))

    (found,) = july.occasions(utc(2026, 1, 1), utc(2026, 12, 31))

    assert (instant(found.at), found.why) == (utc(2026, 7, 15, 9), "calendar")
    assert found.reason.endswith(f"no business day within {MAX_MOVE} days after it")


def test_the_day_is_that_of_the_zone_of_the_schedule() -> None:
    early = made(cron("30 0 * * 6", zone="Asia/Tokyo", calendars=("work",)))
    late = made(cron("30 0 * * 1", zone="Asia/Tokyo", calendars=("work",)))

    assert early.next_fire(utc(2026, 5, 1)) is None  # Saturday there, Friday in UTC
    assert late.next_fire(utc(2026, 5, 1)) == utc(2026, 5, 3, 15, 30)


def test_a_moved_time_that_clocks_skip_comes_after_the_gap() -> None:
    saturdays = calendars(saturdays=["sat"])

    moved = timetable(cron("30 2 28 3 *", zone="Europe/Berlin", calendars=("saturdays:next",)), "", saturdays)

    assert moved.next_fire(utc(2026, 1, 1)) == utc(2026, 3, 29, 1)


@pytest.mark.parametrize(
    ("blackout", "expected"),
    [
        ("10:00-12:00", ["09:00", "12:00", "13:00"]),
        ("mon 10:00-12:00", ["09:00", "12:00", "13:00"]),
        ("tue 10:00-12:00", ["09:00", "10:00", "11:00"]),
        ("sun 22:00-11:00", ["11:00", "12:00", "13:00"]),
        ("2026-05-04T09:00/2026-05-04T10:00", ["10:00", "11:00", "12:00"]),
        ("2026-05-04T09:00+02:00/2026-05-04T12:30+02:00", ["11:00", "12:00", "13:00"]),
        ("2026-05-04T09:00/2026-05-04T10:00 Asia/Tokyo", ["09:00", "10:00", "11:00"]),
        ("10:00-12:00 Europe/Berlin", ["10:00", "11:00", "12:00"]),
        ("mon..fri", []),
    ],
)
def test_nothing_fires_in_a_blackout_but_at_its_end(blackout: str, expected: list[str]) -> None:
    hourly = made(cron("0 * * * *", blackouts=(blackout,)))

    fires = local(hourly.fires(utc(2026, 5, 4, 8), until=utc(2026, 5, 4, 14), limit=3))

    assert fires == [f"2026-05-04 {clock}" for clock in expected]


def test_a_blackout_names_itself_and_beats_a_moved_fire() -> None:
    shared = {"work": Calendar("work", CalendarSpec.model_validate(
        {"rules": ["sat,sun"], "blackouts": [{"when": "mon 08:00-10:00", "name": "backup"}]}
    ))}  # fmt: skip
    weekly = timetable(cron("0 9 * * 6", calendars=("work:next",)), "", shared)
    assert isinstance(weekly, Timetable)

    (found,) = weekly.occasions(utc(2026, 5, 9), utc(2026, 5, 12))

    assert (instant(found.at), found.why, found.reason, instant(found.moved_from or 0)) == (
        utc(2026, 5, 11, 9), "blackout", "blackout backup of calendar work", utc(2026, 5, 9, 9),
    )  # fmt: skip
    assert weekly.next_fire(utc(2026, 5, 9)) is None


def test_bounds_hold_for_candidates() -> None:
    bounded = made(cron("0 9 * * *", calendars=("work:next",), start=utc(2026, 4, 3), end=utc(2026, 4, 4, 9)))

    assert list(bounded.fires(utc(2026, 1, 1))) == [utc(2026, 4, 7, 9)]


def test_what_begins_in_a_hundred_years_is_found() -> None:
    later = made(cron("0 9 * * *", calendars=("sundays",), start=utc(2126, 1, 6)))

    assert later.next_fire(utc(2026, 1, 1)) == utc(2126, 1, 7, 9)


@pytest.mark.parametrize(
    "schedule",
    [
        cron("* * * * * *", calendars=("always",)),
        cron("* * * * * *", calendars=("always:next",)),
        cron("0 9 * * *", calendars=("always:previous",)),
        cron("* * * * * *", blackouts=("mon..sun",)),
        cron("* * * * * *", zone="Europe/Berlin", blackouts=("00:00-12:00", "11:00-00:00 Asia/Tokyo", "12:00-24:00")),
        cron("0 0 29 2 *", calendars=("always:next",)),
        cron("0 9 * * 6", calendars=("work",)),
        cron("0 12 * * 0", zone="Europe/Berlin", calendars=("work:next",), blackouts=("12:00-13:00",)),
    ],
)
def test_what_can_never_fire_is_said_to_have_no_fire(schedule: Schedule) -> None:
    assert made(schedule).next_fire(utc(2026, 1, 1)) is None


def test_a_calendar_that_is_not_there_is_refused() -> None:
    with pytest.raises(Invalid, match="no calendar 'wrok'"):
        timetable(cron("0 9 * * *", calendars=("wrok",)), "", WORK)


@pytest.mark.parametrize(
    ("blackout", "said"),
    [
        ("25:00-26:00", "there is no time 25:00"),
        ("9-17", "there is no time zone|write fri"),
        ("someday 09:00-10:00", "'someday' is no day of the week"),
        ("09:00-10:00 Europe/Berlim", "Did you mean Europe/Berlin"),
        ("24:00-01:00", "an end, not a beginning"),
        ("2026-05-04T10:00/2026-05-04T09:00", "must end after it begins"),
        ("2026-05-04T10:00Z/2026-05-04T11:00", "both ends an offset, or neither"),
        ("2026-05-34T10:00/2026-05-04T11:00", "no date and time"),
    ],
)
def test_a_blackout_that_cannot_be_read_is_refused_with_the_reason(blackout: str, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        timetable(cron("0 9 * * *", blackouts=(blackout,)))


# The oracle looks at each candidate by itself, with aware datetimes instead of our zones and bits.

ZONES = ["UTC", "Europe/Berlin", "America/Nuuk", "Australia/Lord_Howe", "Asia/Beirut", "America/Havana", "Pacific/Apia"]
EXPRESSIONS = [
    "30 2 * * *",
    "*/20 * * * *",
    "0 0 * * *",
    "45 23 * * 6",
    "0 9 1,15 * *",
    "15 0,1,22 * * 5-7",
    "@every 7h",
]
OFF = {
    "weekend": ["sat,sun"], "sunday": ["sun"], "most": ["mon..thu", "sat"], "spring": ["03-20..03-30"],
    "long": ["03-01..03-31", "10-05..12-10"], "mixed": ["sun", "2026-03-27..2026-03-29", "10-25", "2011-12-31"],
}  # fmt: skip
DAYS = calendars(**OFF)
WINDOWS = ["sat 01:00-03:00", "22:30-02:15", "sun", "09:00-09:01 Asia/Tokyo"]
STARTS = [utc(2026, 3, 26), utc(2026, 10, 22), utc(2011, 12, 27), utc(2026, 3, 5), utc(2026, 4, 2)]


def first_shown(zone: ZoneInfo, naive: datetime) -> datetime:
    """The first minute at which the wall clock shows this time or a later one of the same day; else its last second."""
    direct = naive.replace(tzinfo=zone).astimezone(UTC)
    if direct.astimezone(zone).replace(tzinfo=None) == naive:
        return direct
    at = (naive - timedelta(hours=30)).replace(tzinfo=UTC)
    previous = None
    while True:
        shown = at.astimezone(zone).replace(tzinfo=None)
        if shown.date() > naive.date():
            assert previous is not None
            return at - SECOND
        if shown >= naive:
            return at
        previous, at = at, at + timedelta(minutes=1)


def is_day(zone: ZoneInfo, day: date) -> bool:
    noon = datetime.combine(day, dt.time(12))
    return noon.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).date() == day


def in_window(text: str, zone: ZoneInfo, at: datetime) -> bool:
    parts = text.split()
    if parts[-1].count("/"):
        zone = ZoneInfo(parts.pop())
    shown = at.astimezone(zone).replace(tzinfo=None)
    weekday = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"].index(parts.pop(0)) if parts[0].isalpha() else None
    begin, end = parts[0].split("-") if parts else ("00:00", "24:00")
    for back in (0, 1):
        day = shown.date() - timedelta(days=back)
        midnight = datetime.combine(day, dt.time())
        since, until = (midnight + timedelta(hours=int(t[:2]), minutes=int(t[3:])) for t in (begin, end))
        if until <= since:
            until += timedelta(days=1)
        if weekday in {None, day.weekday()} and since <= shown < until:
            return True
    return False


def oracle(schedule: Schedule, begin: datetime, end: datetime) -> list[tuple[datetime, bool]]:
    """What each candidate comes to, by looking at it alone: (instant, whether it fires), in order."""
    zone = ZoneInfo(schedule.zone)
    uses = [(DAYS[use.calendar], use.move) for use in schedule.calendars]
    found: dict[datetime, bool] = {}
    reach = timedelta(days=MAX_MOVE + 3)
    for candidate in compile_schedule(schedule, "job").fires(begin - reach, until=end + reach):
        shown = candidate.astimezone(zone).replace(tzinfo=None)
        left_out = [move for calendar, move in uses if calendar.off((shown.date() - EPOCH).days)]
        at, fires = candidate, not left_out
        if left_out and "skip" not in left_out:
            step = timedelta(days=1 if left_out[0] == "next" else -1)
            for days in range(1, MAX_MOVE + 1):
                day = shown.date() + days * step
                if is_day(zone, day) and not any(calendar.off((day - EPOCH).days) for calendar, _ in uses):
                    at, fires = first_shown(zone, datetime.combine(day, shown.time())), True
                    break
        if fires and any(in_window(window.when, zone, at) for window in schedule.blackouts):
            fires = False
        if begin < at <= end:
            assert found.get(at, fires) == fires
            found[at] = fires
    return sorted(found.items())


@given(
    expressions=st.lists(st.sampled_from(EXPRESSIONS), min_size=1, max_size=2),
    zone=st.sampled_from(ZONES),
    uses=st.lists(st.tuples(st.sampled_from(sorted(OFF)), st.sampled_from(["skip", "next", "previous"])), max_size=2),
    windows=st.lists(st.sampled_from(WINDOWS), max_size=2),
    start=st.sampled_from(STARTS),
)
@example(["45 23 * * 6"], "America/Nuuk", [("sunday", "previous")], [], utc(2026, 3, 26))
@example(["15 0,1,22 * * 5-7"], "America/Nuuk", [("sunday", "previous")], ["22:30-02:15"], utc(2026, 3, 26))
@example(["30 2 * * *"], "Europe/Berlin", [("mixed", "next")], [], utc(2026, 10, 22))
@example(["*/20 * * * *"], "Pacific/Apia", [("mixed", "previous")], [], utc(2011, 12, 27))
@example(["*/20 * * * *"], "Asia/Beirut", [("spring", "next")], [], utc(2026, 3, 26))
@settings(max_examples=120, deadline=None)
def test_fires_and_suppressed_instants_are_those_of_a_look_at_each_candidate(
    expressions: list[str], zone: str, uses: list[tuple[str, str]], windows: list[str], start: datetime
) -> None:
    schedule = cron(
        *expressions, zone=zone, calendars=tuple(f"{name}:{move}" for name, move in uses), blackouts=tuple(windows)
    )
    end = start + timedelta(days=6)
    expected = oracle(schedule, start, end)
    times = timetable(schedule, "job", DAYS)

    fires = list(times.fires(start, until=end))

    assert fires == [at for at, fires in expected if fires]
    assert times.next_fire(start) == (fires[0] if fires else times.next_fire(end))
    if isinstance(times, Timetable):
        found = [(instant(each.at), each.why is None) for each in times.occasions(start, end)]
        assert found == expected
