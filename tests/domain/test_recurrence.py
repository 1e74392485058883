"""Recurrence rules: as dateutil has them, with an end to every search, and clear refusals."""

from datetime import timedelta
from itertools import islice

import pytest
from dateutil.rrule import rrulestr
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scheduler_daemon.domain.errors import BadSchedule
from scheduler_daemon.domain.schedule import check_schedule, compile_schedule
from scheduler_daemon.domain.schedule_words import warnings, words
from tests.support.times import cron, utc, wall

DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
SHORT = {"WEEKLY", "DAILY"}


def numbers(low: int, high: int, *, signed: bool = False) -> st.SearchStrategy[str]:
    value = st.integers(low, high)
    both = value | value.map(lambda number: -number) if signed else value
    return st.lists(both, min_size=1, max_size=4, unique=True).map(lambda found: ",".join(map(str, found)))


@st.composite
def rules(draw: st.DrawFn) -> str:
    """A rule that dateutil reads as RFC 5545 has it, and finds quickly."""
    frequency = draw(st.sampled_from(["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY"]))
    parts = [f"FREQ={frequency}"]

    def maybe(name: str, values: st.SearchStrategy[str], *, of: int = 3) -> None:
        if not draw(st.integers(0, of)):
            parts.append(f"{name}={draw(values)}")

    maybe("INTERVAL", st.sampled_from(["2", "3", "5", "7"]), of=1)
    maybe("WKST", st.sampled_from(DAYS))
    maybe("BYMONTH", numbers(1, 12))
    if frequency == "YEARLY":
        maybe("BYWEEKNO", numbers(1, 52))
    by_week = "BYWEEKNO" in parts[-1]
    if frequency != "WEEKLY" and not by_week:
        maybe("BYMONTHDAY", numbers(1, 28, signed=True))
    if frequency == "YEARLY" and not by_week and len(parts) < 3:
        maybe("BYYEARDAY", numbers(1, 366, signed=True))
    plain = st.lists(st.sampled_from(DAYS), min_size=1, max_size=4, unique=True)
    if frequency in {"YEARLY", "MONTHLY"} and not by_week and not draw(st.integers(0, 3)):
        nth = st.tuples(st.sampled_from([1, 2, 4, -1, -2]), st.sampled_from(DAYS)).map(lambda day: f"{day[0]}{day[1]}")
        parts.append("BYDAY=" + ",".join(draw(st.lists(nth, min_size=1, max_size=3, unique=True))))
    else:
        maybe("BYDAY", plain.map(",".join), of=2)
    maybe("BYHOUR", numbers(0, 23))
    maybe("BYMINUTE", numbers(0, 59))
    if frequency in {"YEARLY", "MONTHLY", "DAILY"} and any(part.startswith(("BYD", "BYM", "BYH")) for part in parts):
        maybe("BYSETPOS", numbers(1, 3, signed=True))
    maybe("COUNT", st.integers(1, 30).map(str), of=6)
    return ";".join(parts)


@settings(max_examples=80, deadline=None)
@given(rules(), st.integers(0, 500 * 86_400), st.integers(-1, 600 * 86_400))
def test_it_fires_when_dateutil_says(rule: str, begin: int, later: int) -> None:
    start = utc(2026, 1, 1) + timedelta(seconds=begin)
    ours = compile_schedule(cron(f"@rrule {rule}", anchor=start))
    assume(not ours._rules[0].matcher.never)  # dateutil would look until the year 9999
    after = start + timedelta(seconds=later)

    fires = list(ours.fires(after, limit=6))

    assume(len(fires) == 6 or "COUNT" in rule)
    assert fires == list(islice(rrulestr(rule, dtstart=start).xafter(after), 6))


@pytest.mark.parametrize(
    ("rule", "after", "fires"),
    [  # examples of RFC 5545
        ("DTSTART=19970902T090000;FREQ=MONTHLY;BYDAY=1FR", "1997-09-03", ["1997-09-05 09:00", "1997-10-03 09:00"]),
        ("DTSTART=19970929T090000;FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2", "1997-09-29T10:00",
         ["1997-10-30 09:00", "1997-11-27 09:00"]),
        ("DTSTART=19970512T090000;FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO", "1997-05-01",
         ["1997-05-12 09:00", "1998-05-11 09:00", "1999-05-17 09:00"]),
        ("DTSTART=19961105T090000;FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8", "1996-11-06",
         ["2000-11-07 09:00", "2004-11-02 09:00"]),
        ("DTSTART=19970805T090000;FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO", "1997-08-01",
         ["1997-08-05 09:00", "1997-08-10 09:00", "1997-08-19 09:00", "1997-08-24 09:00"]),
        ("DTSTART=19970805T090000;FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU", "1997-08-01",
         ["1997-08-05 09:00", "1997-08-17 09:00", "1997-08-19 09:00", "1997-08-31 09:00"]),
        ("DTSTART:19970902T090000 RRULE:FREQ=DAILY;UNTIL=19970904", "1997-09-02T10:00",
         ["1997-09-03 09:00", "1997-09-04 09:00"]),
    ],
)  # fmt: skip
def test_it_fires_then(rule: str, after: str, fires: list[str]) -> None:
    found = wall(cron(f"@rrule {rule}"), after, len(fires) + ("COUNT" in rule or "UNTIL" in rule))

    assert found == [f"{fire}+0000" for fire in fires]


def test_it_begins_where_the_schedule_does() -> None:
    rule = "@rrule FREQ=WEEKLY;INTERVAL=2"
    here = {"zone": "Europe/Berlin", "start": utc(2026, 1, 7, 8)}

    assert wall(cron(rule, **here), "2026-01-01", 2) == ["2026-01-07 09:00+0100", "2026-01-21 09:00+0100"]
    assert wall(cron(rule, **here, anchor=utc(2026, 1, 14, 9)), "2026-01-01", 1) == ["2026-01-14 10:00+0100"]


def test_its_end_may_be_an_instant_or_a_local_time() -> None:
    local = cron("@rrule DTSTART=20260101T090000;FREQ=DAILY;UNTIL=20260102T090000", zone="Asia/Tokyo")
    instant = cron("@rrule DTSTART=20260101T090000;FREQ=DAILY;UNTIL=20260102T000000Z", zone="Asia/Tokyo")

    assert wall(local, "2025-12-31", 9) == wall(instant, "2025-12-31", 9)
    assert wall(local, "2026-01-01T10:00", 9) == ["2026-01-02 09:00+0900"]


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;INTERVAL=3;BYMONTH=2;BYMONTHDAY=2,12;BYHOUR=1,11;BYSETPOS=4",
        "FREQ=DAILY;INTERVAL=7;BYDAY=MO",  # it begins on a Thursday
        "FREQ=WEEKLY;BYDAY=MO;BYSETPOS=3",
        "FREQ=SECONDLY;INTERVAL=7200;BYMINUTE=7",
        "FREQ=MINUTELY;INTERVAL=9999;BYMONTH=2;BYMONTHDAY=29;BYHOUR=3;BYMINUTE=7",
        "FREQ=MONTHLY;BYSETPOS=200;BYDAY=MO",
    ],
)
def test_one_that_never_fires_is_refused(rule: str) -> None:
    with pytest.raises(BadSchedule, match="never fires"):
        check_schedule(cron(f"@rrule {rule}"))


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("", "NAME=VALUE"),
        ("BYDAY=MO", "needs a FREQ"),
        ("FREQ=FORTNIGHTLY", "needs a FREQ"),
        ("FREQ=DAILY;BYEASTER=1", "no part `BYEASTER`"),
        ("FREQ=DAILY;FREQ=DAILY", "twice"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL must be"),
        ("FREQ=DAILY;COUNT=2;UNTIL=20260101", "exclude each other"),
        ("FREQ=DAILY;COUNT=1000000000", "COUNT must be"),
        ("FREQ=DAILY;UNTIL=20260230", "UNTIL must be"),
        ("FREQ=DAILY;BYHOUR=24", "BYHOUR takes"),
        ("FREQ=DAILY;BYDAY=1MO", "numbered weekday"),
        ("FREQ=DAILY;BYDAY=XX", "no weekday"),
        ("FREQ=MONTHLY;BYWEEKNO=3", "YEARLY only"),
        ("FREQ=HOURLY;BYMINUTE=1,2;BYSETPOS=1", "BYSETPOS"),
        ("FREQ=DAILY;BYHOUR=" + "1," * 400, "BYHOUR takes"),
    ],
)
def test_it_refuses(rule: str, reason: str) -> None:
    with pytest.raises(BadSchedule, match=reason):
        compile_schedule(cron(f"@rrule {rule}"))


def test_it_reads_in_words() -> None:
    def said(rule: str) -> str:
        return words(cron(f"@rrule {rule}"))

    assert said("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TU,WE;BYHOUR=9;BYMINUTE=0") == (
        "Every 2 weeks on Monday to Wednesday, at 09:00"
    )
    assert said("FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=9") == "Every month on the last Friday of the month, at hour 9"
    assert said("FREQ=MONTHLY;BYDAY=MO,FR;BYSETPOS=-2;COUNT=3") == (
        "Every month on Monday and Friday, only the 2nd from the last of each month, 3 times"
    )
    assert warnings(cron("@rrule FREQ=DAILY")) == [
        "`@rrule FREQ=DAILY` counts from 1970-01-01T00:00; give a start to count from."
    ]
    assert warnings(cron("@rrule FREQ=DAILY", start=utc(2026, 1, 1))) == []
