"""What holds for every schedule: agreement with a plain minute-by-minute reading, with cronsim, and with itself."""

import re
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from cronsim import CronSim
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scheduler_daemon.contract.schedule import Gap, Overlap
from scheduler_daemon.domain.cron_fields import Fields, read
from scheduler_daemon.domain.schedule import compile_schedule
from tests.support.times import cron, utc

CHANGES = [  # a zone, and a day or two before its clocks change
    ("Europe/Berlin", utc(2026, 3, 28)),
    ("Europe/Berlin", utc(2026, 10, 24)),
    ("Australia/Lord_Howe", utc(2026, 4, 4)),
    ("Australia/Lord_Howe", utc(2026, 10, 3)),
    ("Antarctica/Troll", utc(2026, 3, 28)),
    ("Antarctica/Troll", utc(2026, 10, 24)),
    ("America/Havana", utc(2026, 3, 7)),
    ("America/Havana", utc(2026, 10, 31)),
    ("Pacific/Apia", utc(2011, 12, 29)),
    ("America/St_Johns", utc(2010, 11, 6)),  # changed at one minute past midnight
    ("Asia/Kathmandu", utc(2026, 5, 1)),
    ("UTC", utc(2026, 2, 27)),
]
MINUTE = timedelta(minutes=1)


def items(low: int, high: int) -> st.SearchStrategy[str]:
    value = st.integers(low, high)
    pair = st.tuples(value, value).map(sorted)
    return st.one_of(
        value.map(str),
        pair.map(lambda ends: f"{ends[0]}-{ends[1]}"),
        st.tuples(pair, st.integers(1, 9)).map(lambda parts: f"{parts[0][0]}-{parts[0][1]}/{parts[1]}"),
    )


def field(low: int, high: int, *special: str) -> st.SearchStrategy[str]:
    listed = st.lists(
        items(low, high) | st.sampled_from(special) if special else items(low, high), min_size=1, max_size=3
    )
    return st.one_of(st.just("*"), st.integers(2, 9).map(lambda step: f"*/{step}"), listed.map(",".join))


expressions = st.tuples(field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(1, 6)).map(" ".join)
near_expressions = st.tuples(
    field(0, 59), field(0, 4), field(1, 31, "L", "LW", "8W", "L-3"), st.just("*"), field(0, 7, "0L", "6#1")
).map(" ".join)
instants = st.datetimes(datetime(1980, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - as hypothesis wants
zones = st.sampled_from(
    sorted({zone for zone, _ in CHANGES} | {"America/New_York", "Asia/Tehran", "Africa/Casablanca"})
)


def day_matches(fields: Fields, wall: datetime) -> bool:
    """Tell whether a date matches, by counting days one at a time."""
    month = [wall.replace(day=1) + timedelta(days=n) for n in range(31)]
    month = [day for day in month if day.month == wall.month]
    length, first = len(month), month[0].isoweekday() % 7
    by_day = wall.day in fields.day.values or any(s.days(first, length) >> wall.day & 1 for s in fields.day.specials)
    by_weekday = wall.isoweekday() % 7 in fields.weekday.values or any(
        s.days(first, length) >> wall.day & 1 for s in fields.weekday.specials
    )
    return (by_day and by_weekday) if fields.days_must_agree else (by_day or by_weekday)


@cache
def minutes_of(zone: str, start: datetime, days: int) -> list[tuple[datetime, datetime]]:
    """Each minute from a day before `start` to a day beyond, with what the wall clock shows."""
    instants = [start + MINUTE * n for n in range(-1440, (days + 1) * 1440)]
    return [(instant, instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None)) for instant in instants]


def plain_reading(expression: str, zone: str, start: datetime, days: int, gap: Gap, overlap: Overlap) -> list[datetime]:
    """Walk the minutes of a zone and note the fires, in the words of cron(8) and nothing cleverer."""
    fields = read(expression)
    minutes, hours = set(fields.minute.values), set(fields.hour.values)

    @cache
    def on_day(day: datetime) -> bool:
        return day.month in fields.month.values and day_matches(fields, day)

    def matches(local: datetime) -> bool:
        return local.minute in minutes and local.hour in hours and on_day(local.replace(hour=0, minute=0))

    walls = minutes_of(zone, start, days)
    passes: dict[datetime, list[datetime]] = {}
    for instant, local in walls:
        if matches(local):
            passes.setdefault(local, []).append(instant)
    chosen = {Overlap.FIRST: slice(1), Overlap.LAST: slice(-1, None), Overlap.BOTH: slice(None)}
    which = chosen[Overlap.BOTH if fields.wildcard else overlap]
    fires = {instant for seen in passes.values() for instant in seen[which]}
    for (_, before), (instant, after) in pairwise(walls):
        if fields.wildcard or gap is Gap.SKIP or after - before <= MINUTE:
            continue
        for n in range(int((after - before) / MINUTE) - 1):
            if matches(before + MINUTE * (n + 1)):
                fires.add(instant + MINUTE * n if gap is Gap.SHIFT else instant)
    return sorted(fire for fire in fires if start < fire <= start + timedelta(days=days))


@settings(max_examples=150, deadline=None)
@given(near_expressions, st.sampled_from(CHANGES), st.sampled_from(list(Gap)), st.sampled_from(list(Overlap)))
def test_it_agrees_with_a_plain_reading_where_clocks_change(
    expression: str, change: tuple[str, datetime], gap: Gap, overlap: Overlap
) -> None:
    zone, start = change
    ours = compile_schedule(cron(expression, zone=zone, gap=gap, overlap=overlap))

    fires = list(ours.fires(start, until=start + timedelta(days=3)))

    assert fires == plain_reading(expression, zone, start, 3, gap, overlap)


@settings(max_examples=150, deadline=None)
@given(near_expressions, st.sampled_from(CHANGES), st.integers(0, 3 * 86_400), st.sampled_from(list(Gap)))
def test_wherever_one_asks_the_answer_is_the_same(
    expression: str, change: tuple[str, datetime], offset: int, gap: Gap
) -> None:
    zone, start = change
    ours = compile_schedule(cron(expression, zone=zone, gap=gap))
    asked = start + timedelta(seconds=offset, microseconds=1)

    walked = [fire for fire in ours.fires(start, until=start + timedelta(days=4)) if fire > asked]

    assume(walked)
    assert ours.next_fire(asked) == walked[0]


@settings(max_examples=150, deadline=None)
@given(expressions, zones, instants)
def test_it_agrees_with_cronsim_away_from_clock_changes(expression: str, zone: str, start: datetime) -> None:
    assume(not re.search(r"\b(\d+)-\1/", expression))  # it reads 5-5/3 as 5/3
    ours = compile_schedule(cron(expression, zone=zone))
    here = ZoneInfo(zone)

    mine = ours.next_fire(start)

    theirs = next(CronSim(expression, start.astimezone(here)), None)
    if theirs is None:
        assert mine is None or mine > start + timedelta(days=365 * 40)  # it gives up sooner
        return
    assert mine is not None
    offsets = {(at + timedelta(hours=h)).astimezone(here).utcoffset() for at in (mine, theirs) for h in (-26, 0, 26)}
    assume(len(offsets) == 1 or mine == theirs.astimezone(UTC))  # the plain reading judges the changes
    assert mine == theirs.astimezone(UTC)


@settings(max_examples=100, deadline=None)
@given(st.lists(expressions, min_size=1, max_size=3), zones, instants)
def test_fires_rise_strictly_and_begin_after_the_question(texts: list[str], zone: str, start: datetime) -> None:
    schedule = cron(*texts, zone=zone)

    fires = list(compile_schedule(schedule).fires(start, limit=30))

    assert all(a < b for a, b in zip([start, *fires], fires, strict=False))
    assert fires == list(compile_schedule(schedule).fires(start, limit=30))
    assert all(fire.microsecond == 0 and fire.tzinfo is UTC for fire in fires)


@settings(max_examples=40, deadline=None)
@given(field(0, 59), field(0, 59), field(0, 23), instants)
def test_seconds_agree_with_a_second_by_second_reading(second: str, minute: str, hour: str, start: datetime) -> None:
    fields = read(f"{second} {minute} {hour} * * *")
    begin = start.replace(microsecond=0)

    fires = list(
        compile_schedule(cron(f"{second} {minute} {hour} * * *")).fires(begin, until=begin + timedelta(hours=2))
    )

    hours, minutes, seconds = (set(field.values) for field in (fields.hour, fields.minute, fields.second))
    each = [begin + timedelta(seconds=n) for n in range(1, 7201)]
    assert fires == [at for at in each if at.hour in hours and at.minute in minutes and at.second in seconds]
