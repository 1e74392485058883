"""Read the rules of a calendar, and tell of each day whether it is left out and why. No zone and no clock is known.

A day is its number since 1970-01-01. Whether a fire is on such a day, and what then becomes of it, is for `occasions`.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import date
from functools import lru_cache
from typing import Final, NamedTuple

from scheduler_daemon.contract.calendars import CalendarSpec, Effect, Rule
from scheduler_daemon.domain.blackouts import Window, read_window
from scheduler_daemon.domain.errors import BadSchedule, Invalid
from scheduler_daemon.domain.holiday_days import check_region, holidays_of
from scheduler_daemon.domain.recurrence import Recurrence
from scheduler_daemon.domain.recurrence_text import Frequency, read_parts
from scheduler_daemon.domain.weekdays import read_weekdays, weekday_of

_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
_LONGEST: Final = 366
"""Days that one range may hold, so that a year is soon looked through."""
_DATES: Final = re.compile(r"(\d{4}-\d\d-\d\d)(?:\.\.(\d{4}-\d\d-\d\d))?", re.ASCII)
_YEARLY: Final = re.compile(r"(\d\d)-(\d\d)(?:\.\.(\d\d)-(\d\d))?", re.ASCII)
_HOLIDAYS: Final = re.compile(r"holidays\s+([A-Za-z]{2,3})(?:-([^,]+))?", re.IGNORECASE)

Day = tuple[int, str]
"""A day and what it is called, "" for nothing of its own."""


class Dates(NamedTuple):
    """The days from one to another, both included."""

    first: int
    last: int

    def days(self, year: int) -> Iterator[Day]:
        """Yield those of a year."""
        low, high = max(self.first, new_year(year)), min(self.last, new_year(year + 1) - 1)
        return ((day, "") for day in range(low, high + 1))


class Yearly(NamedTuple):
    """The same days each year, as (month, day); a range that ends before it begins goes on into the next year."""

    first: tuple[int, int]
    last: tuple[int, int]

    def days(self, year: int) -> Iterator[Day]:
        """Yield those of a year; 29 February only where there is one."""
        ranges = [(self.first, self.last)]
        if self.last < self.first:
            ranges = [((1, 1), self.last), (self.first, (12, 31))]
        for low, high in ranges:
            yield from ((day, "") for day in range(_on_or_after(year, *low), _on_or_after(year, high[0], high[1] + 1)))


class Weekly(NamedTuple):
    """Days of the week, as bits from Monday = 1."""

    mask: int

    def days(self, year: int) -> Iterator[Day]:
        """Yield those of a year, by the names of their weekdays."""
        for day in range(new_year(year), new_year(year + 1)):
            if self.mask >> (day + 3) % 7 & 1:
                yield day, weekday_of(day)


class Holidays(NamedTuple):
    """The holidays of a country or of a part of it."""

    country: str
    subdivision: str

    def days(self, year: int) -> Iterable[Day]:
        """Return those of a year, by their names."""
        return holidays_of(self.country, self.subdivision, year).items()


class Recurring(NamedTuple):
    """Days that come again by a recurrence rule."""

    rule: Recurrence
    length: int
    without: frozenset[int]

    def days(self, year: int) -> Iterator[Day]:
        """Yield those of a year; some may come twice."""
        begin, end = new_year(year), new_year(year + 1)
        first = self.rule.next_local((begin - self.length + 1) * 86_400) // 86_400
        while first < end:
            if first not in self.without:
                yield from ((day, "") for day in range(max(first, begin), min(first + self.length, end)))
            first = self.rule.next_local((first + 1) * 86_400) // 86_400


Part = Dates | Yearly | Weekly | Holidays | Recurring


class Calendar:
    """A calendar ready to be asked. Years are worked out when first asked for, and kept."""

    __slots__ = ("_business", "_off", "_rules", "blackouts", "name", "spec")

    def __init__(self, name: str, spec: CalendarSpec) -> None:
        """Read the rules. Raises Invalid."""
        self.name = name
        self.spec = spec
        self.blackouts: tuple[Window, ...] = tuple(read_window(window) for window in spec.blackouts)
        self._rules = tuple((rule, read_rule(rule)) for rule in spec.rules)
        self._off: dict[int, str] = {}
        self._business: dict[int, int] = {}

    def off(self, day: int) -> str:
        """Return why a day is left out, "" if it is a business day."""
        found = self._off.get(day)
        if found is None:
            self._work_out(year_of(day))
            found = self._off[day]
        return found

    def business_days(self, year: int) -> int:
        """Return the business days of a year as bits, from 1 January = 1."""
        if year not in self._business:
            self._work_out(year)
        return self._business[year]

    def excluded(self, year: int) -> list[Day]:
        """Return the days of a year that are left out, in order, and why."""
        return [(day, why) for day in range(new_year(year), new_year(year + 1)) if (why := self.off(day))]

    def _work_out(self, year: int) -> None:
        found: dict[Effect, dict[int, str]] = {effect: {} for effect in Effect}
        for rule, parts in self._rules:
            named = found[rule.effect]
            for part in parts:
                for day, own_name in part.days(year):
                    named.setdefault(day, rule.name or own_name or rule.days)
        some_only = any(rule.effect is Effect.INCLUDE for rule, _ in self._rules)
        excluded, included, back = found[Effect.EXCLUDE], found[Effect.INCLUDE], found[Effect.EXCEPT]
        business, first = 0, new_year(year)
        for day in range(new_year(year), new_year(year + 1)):
            why = excluded.get(day, "")
            if not why and some_only and day not in included:
                why = "not one of its days"
            self._off[day] = why = "" if day in back else why
            business |= (not why) << day - first
        self._business[year] = business


def read_rule(rule: Rule) -> tuple[Part, ...]:
    """Read the days of a rule. Raises Invalid."""
    parts = tuple(_part(text.strip()) for text in rule.days.split(","))
    if not rule.recurs:
        if rule.without:
            raise _bad(rule.days, "days are taken out of a recurring rule only")
        weekly = [part for part in parts if isinstance(part, Weekly)]
        others = tuple(part for part in parts if not isinstance(part, Weekly))
        mask = 0
        for part in weekly:
            mask |= part.mask
        return (*others, Weekly(mask)) if mask else others
    if len(parts) != 1 or not isinstance(parts[0], Dates):
        raise _bad(rule.days, "only a date, or a range of dates, can recur")
    return (_recurring(rule, parts[0]),)


def _recurring(rule: Rule, dates: Dates) -> Recurring:
    try:
        parts = read_parts(rule.recurs)
        if parts.frequency > Frequency.DAILY or parts.hours or parts.minutes or parts.seconds:
            raise _bad(rule.recurs, "a day cannot recur within a day; use FREQ=DAILY or longer")
        until = parts.until.seconds if parts.until else None
        found = Recurrence(parts, dates.first * 86_400, until)
    except BadSchedule as error:
        raise Invalid(error.message, field="spec.rules") from None
    without = frozenset(day.toordinal() - _EPOCH_ORDINAL for day in rule.without)
    return Recurring(found, dates.last - dates.first + 1, without)


def _part(text: str) -> Part:
    if match := _DATES.fullmatch(text):
        first = _day(text, match[1])
        last = _day(text, match[2]) if match[2] else first
        if not first <= last < first + _LONGEST:
            raise _bad(text, f"a range ends after it begins, by at most {_LONGEST} days")
        return Dates(first, last)
    if match := _YEARLY.fullmatch(text):
        first_day = _day_of_year(text, match[1], match[2])
        return Yearly(first_day, _day_of_year(text, match[3], match[4]) if match[3] else first_day)
    if match := _HOLIDAYS.fullmatch(text):
        country, subdivision = match[1].upper(), (match[2] or "").strip()
        check_region(country, subdivision)
        return Holidays(country, subdivision)
    if mask := read_weekdays(text):
        return Weekly(mask)
    raise _bad(text, "write 2026-12-24, 2026-12-24..2027-01-02, 12-24, sat,sun, mon..fri or holidays DE-BE")


def _day(text: str, iso: str) -> int:
    try:
        found = date.fromisoformat(iso)
    except ValueError:
        raise _bad(text, f"there is no date {iso}") from None
    if not 1970 <= found.year <= 9000:
        raise _bad(text, "the year must lie between 1970 and 9000")
    return found.toordinal() - _EPOCH_ORDINAL


def _day_of_year(text: str, month: str, day: str) -> tuple[int, int]:
    try:
        date(2000, int(month), int(day))
    except ValueError:
        raise _bad(text, f"there is no day {month}-{day}") from None
    return int(month), int(day)


def _bad(text: str, why: str) -> Invalid:
    return Invalid(f"days {text!r}: {why}", field="spec.rules")


def _on_or_after(year: int, month: int, day: int) -> int:
    """Return a day of a year, or where its month is too short for it the first of the next month."""
    begin = date(year, month, 1).toordinal()
    end = date(year + month // 12, month % 12 + 1, 1).toordinal()
    return min(begin + day - 1, end) - _EPOCH_ORDINAL


@lru_cache(maxsize=256)
def new_year(year: int) -> int:
    """Return the day of 1 January."""
    return date(year, 1, 1).toordinal() - _EPOCH_ORDINAL


def year_of(day: int) -> int:
    """Return the year that a day lies in."""
    return date.fromordinal(day + _EPOCH_ORDINAL).year
