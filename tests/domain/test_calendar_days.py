"""A calendar leaves out the days its rules name, and says why."""

import subprocess
import sys
from datetime import date, datetime, time

import pytest
from dateutil.rrule import rrulestr

from scheduler_daemon.contract.calendars import CalendarSpec, Rule
from scheduler_daemon.domain.calendar_days import Calendar
from scheduler_daemon.domain.errors import Invalid

EPOCH = date(1970, 1, 1)


def calendar(*rules: str | Rule) -> Calendar:
    return Calendar("test", CalendarSpec.model_validate({"rules": rules}))


def off(made: Calendar, day: str) -> str:
    return made.off((date.fromisoformat(day) - EPOCH).days)


def at(year: int, month: int, day: int) -> datetime:
    return datetime.combine(date(year, month, day), time())


def days(made: Calendar, year: int) -> list[str]:
    return [date.fromordinal(day + EPOCH.toordinal()).isoformat() for day, _ in made.excluded(year)]


@pytest.mark.parametrize(
    ("text", "year", "expected"),
    [
        ("2026-12-24", 2026, ["2026-12-24"]),
        ("2026-12-24", 2027, []),
        ("2026-12-30..2027-01-02", 2026, ["2026-12-30", "2026-12-31"]),
        ("2026-12-30..2027-01-02", 2027, ["2027-01-01", "2027-01-02"]),
        ("12-24", 2031, ["2031-12-24"]),
        ("12-31..01-02", 2030, ["2030-01-01", "2030-01-02", "2030-12-31"]),
        ("02-29", 2027, []),
        ("02-27..02-29", 2027, ["2027-02-27", "2027-02-28"]),
        ("01-31", 2027, ["2027-01-31"]),
        ("12-31", 2027, ["2027-12-31"]),
        ("04-29..05-01", 2027, ["2027-04-29", "2027-04-30", "2027-05-01"]),
        ("02-29", 2028, ["2028-02-29"]),
        ("2026-05-01, 2026-05-04", 2026, ["2026-05-01", "2026-05-04"]),
        ("holidays DE-BE", 2026, [
            "2026-01-01", "2026-03-08", "2026-04-03", "2026-04-06", "2026-05-01", "2026-05-14", "2026-05-25",
            "2026-10-03", "2026-12-25", "2026-12-26",
        ]),
        ("holidays us", 2026, [
            "2026-01-01", "2026-01-19", "2026-02-16", "2026-05-25", "2026-06-19", "2026-07-03", "2026-07-04",
            "2026-09-07", "2026-10-12", "2026-11-11", "2026-11-26", "2026-12-25",
        ]),
    ],
)  # fmt: skip
def test_days_are_named_in_these_ways(text: str, year: int, expected: list[str]) -> None:
    assert days(calendar(text), year) == expected


@pytest.mark.parametrize(
    ("text", "names"),
    [("sat,sun", {5, 6}), ("Mon..fri", {0, 1, 2, 3, 4}), ("saturday..monday", {5, 6, 0}), ("WED", {2})],
)
def test_weekdays_come_alone_and_in_ranges(text: str, names: set[int]) -> None:
    made = calendar(text)

    found = {date.fromisoformat(day).weekday() for day in days(made, 2026)}

    assert found == names
    assert len(days(made, 2026)) in range(52 * len(names), 53 * len(names) + 1)


def test_a_day_that_is_excepted_is_a_business_day_whatever_else_is_said() -> None:
    worked = calendar("sat,sun", "holidays DE", Rule(days="2026-05-02, 2026-12-25", effect="except"))

    assert off(worked, "2026-05-02") == ""
    assert off(worked, "2026-12-25") == ""
    assert off(worked, "2026-05-03") == "Sunday"
    assert off(worked, "2026-12-26") in {"Saturday", "Second Day of Christmas"}


def test_with_included_days_all_others_are_left_out() -> None:
    trading = calendar(Rule(days="mon..fri", effect="include"), "holidays US")

    assert off(trading, "2026-11-25") == ""
    assert off(trading, "2026-11-26") == "Thanksgiving Day"
    assert off(trading, "2026-11-28") == "not one of its days"


def test_a_rule_may_have_a_name_of_its_own() -> None:
    assert off(calendar(Rule(days="08-03..08-21", name="works holidays")), "2027-08-05") == "works holidays"


@pytest.mark.parametrize(
    "rule",
    ["FREQ=YEARLY", "FREQ=YEARLY;COUNT=3", "FREQ=MONTHLY;BYDAY=-1FR", "FREQ=WEEKLY;INTERVAL=3;BYDAY=MO,WE",
     "FREQ=DAILY;INTERVAL=10;UNTIL=20280301", "FREQ=YEARLY;BYMONTH=11;BYDAY=4TH"],
)  # fmt: skip
def test_recurring_days_are_those_of_dateutil(rule: str) -> None:
    start = date(2024, 2, 29)
    made = calendar(Rule(days=start.isoformat(), recurs=rule))
    oracle = rrulestr(rule, dtstart=at(2024, 2, 29))
    expected = {found.date().isoformat() for found in oracle.between(at(2024, 1, 1), at(2031, 12, 31), inc=True)}

    found = {day for year in range(2024, 2032) for day in days(made, year)}

    assert found == expected


def test_a_recurring_range_keeps_its_length_over_the_new_year_and_leaves_days_out() -> None:
    leave = calendar(Rule(days="2025-12-30..2026-01-02", recurs="FREQ=YEARLY", without=[date(2026, 12, 30)]))

    assert days(leave, 2026) == ["2026-01-01", "2026-01-02"]
    assert days(leave, 2027) == ["2027-12-30", "2027-12-31"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2026-02-30", "there is no date 2026-02-30"),
        ("2026-05-02..2026-05-01", "ends after it begins"),
        ("2026-05-02..2029-05-01", "at most 366 days"),
        ("13-01", "there is no day 13-01"),
        ("holidays XX", "no country 'XX'"),
        ("holidays DE-BX", "no subdivision 'BX'"),
        ("someday", "write 2026-12-24"),
        ("sat,,sun", "write 2026-12-24"),
        ("9999-01-01", "between 1970 and 9000"),
    ],
)
def test_what_names_no_day_is_refused_with_the_reason(text: str, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        calendar(text)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"days": "sat", "recurs": "FREQ=WEEKLY"}, "only a date"),
        ({"days": "2026-01-01", "recurs": "FREQ=HOURLY"}, "cannot recur within a day"),
        ({"days": "2026-01-01", "recurs": "FREQ=SOMETIMES"}, "it needs a FREQ"),
        ({"days": "2026-01-01", "without": [date(2026, 1, 1)]}, "recurring rule only"),
    ],
)
def test_what_cannot_recur_is_refused(fields: dict, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        calendar(Rule(**fields))


def test_the_packages_for_holidays_and_ics_are_loaded_by_nothing_but_their_use() -> None:
    code = "import scheduler_daemon.wiring, sys; print(*{'holidays', 'icalendar', 'dateutil'} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []
