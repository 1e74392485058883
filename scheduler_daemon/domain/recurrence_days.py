"""Tell which days of a year a recurrence rule names, whichever periods count. Weekdays count from Monday = 0."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from functools import lru_cache
from typing import Final, NamedTuple

from scheduler_daemon.domain.recurrence_text import Frequency, Parts

_MONTHS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class Year(NamedTuple):
    """A kind of year: all that decides which of its days a rule names."""

    first: int
    """The weekday of its first day."""
    length: int
    length_before: int
    """The days of the year before, on which the number of its last week depends."""


class _Day(NamedTuple):
    number: int
    weekday: int
    month: int
    day: int
    month_length: int


def with_days_of(parts: Parts, start: date) -> Parts:
    """Return the rule with what it does not say about days taken from the day it begins on."""
    if parts.names_days or parts.frequency > Frequency.WEEKLY:
        return parts
    if parts.frequency is Frequency.WEEKLY:
        return replace(parts, weekdays=((0, start.weekday()),))
    months = parts.months or ((start.month,) if parts.frequency is Frequency.YEARLY else ())
    return replace(parts, months=months, month_days=(start.day,))


def days_of_year(parts: Parts, year: Year) -> int:
    """Return the days that the rule names as bits, the first of January being bit 0."""
    days: Iterable[_Day] = _days(year.first, year.length)
    if parts.months:
        days = [day for day in days if day.month in parts.months]
    if parts.month_days:
        days = [day for day in days if _either(day.day, day.month_length, parts.month_days)]
    if parts.year_days:
        days = [day for day in days if _either(day.number + 1, year.length, parts.year_days)]
    if parts.weekdays:
        days = [day for day in days if _on_weekday(parts, year, day)]
    if parts.weeks:
        days = [day for day in days if _weeks(year, day.number, parts.week_start) & set(parts.weeks)]
    return sum(1 << day.number for day in days)


@lru_cache(maxsize=14)
def _days(first: int, length: int) -> tuple[_Day, ...]:
    lengths = [usual + length - 365 if month == 2 else usual for month, usual in enumerate(_MONTHS, 1)]
    dates = [(month, day, last) for month, last in enumerate(lengths, 1) for day in range(1, last + 1)]
    return tuple(_Day(number, (first + number) % 7, *on) for number, on in enumerate(dates))


def _either(place: int, length: int, wanted: tuple[int, ...]) -> bool:
    """Whether a place is wanted, counted from 1 or from the end as -1."""
    return place in wanted or place - length - 1 in wanted


def _on_weekday(parts: Parts, year: Year, day: _Day) -> bool:
    wanted = [nth for nth, weekday in parts.weekdays if weekday == day.weekday]
    if not wanted or 0 in wanted:
        return bool(wanted)
    in_month = parts.frequency is Frequency.MONTHLY or bool(parts.months)
    place, length = (day.day - 1, day.month_length) if in_month else (day.number, year.length)
    return place // 7 + 1 in wanted or -((length - 1 - place) // 7) - 1 in wanted


def _weeks(year: Year, number: int, week_start: int) -> set[int]:
    """Return the number of the week that a day lies in, counted from the first and, below 0, from the last."""
    first = _first_week(year.first, week_start)
    total = (year.length + _first_week((year.first + year.length) % 7, week_start) - first) // 7
    week = (number - first) // 7 + 1
    if week < 1:  # it belongs to the last week of the year before
        before = _first_week((year.first - year.length_before) % 7, week_start)
        return {(year.length_before + first - before) // 7, -1}
    return {week, week - total - 1} if week <= total else {1}


def _first_week(first: int, week_start: int) -> int:
    """Return the day on which week 1 begins, the first week with four days in a year that begins on weekday `first`."""
    days_before = (first - week_start) % 7
    return -days_before if days_before <= 3 else 7 - days_before
