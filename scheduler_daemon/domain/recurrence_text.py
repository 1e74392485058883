"""Read a recurrence rule of RFC 5545, the RRULE of calendars, into its parts. When they match is left to `recurrence`.

`DTSTART=20260105T090000;` may stand before the rule, for those who have no other place to say where it begins.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from enum import IntEnum
from functools import lru_cache
from typing import Final

from scheduler_daemon.domain.cron_fields import refuse_strange_characters
from scheduler_daemon.domain.errors import BadSchedule

MAX_COUNT: Final = 1000
MAX_INTERVAL: Final = 10_000

_WEEKDAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_NUMBERS: Final = {  # the values a part may have, and whether they may count from the end
    "BYSECOND": (0, 59, False),
    "BYMINUTE": (0, 59, False),
    "BYHOUR": (0, 23, False),
    "BYMONTHDAY": (1, 31, True),
    "BYYEARDAY": (1, 366, True),
    "BYWEEKNO": (1, 53, True),
    "BYMONTH": (1, 12, False),
    "BYSETPOS": (1, 366, True),
}
_KNOWN: Final = ("FREQ", "DTSTART", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY", *_NUMBERS)
_START: Final = re.compile(r"DTSTART[:=]([^\s;]+)[\s;]+", re.IGNORECASE)
_MOMENT: Final = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T([01]\d|2[0-3])([0-5]\d)([0-5]\d)(Z?))?", re.ASCII)
_DAY: Final = re.compile(r"([+-]?\d{1,2})?([A-Z]{2})", re.ASCII)
_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()

Bad = Callable[[str], BadSchedule]


class Frequency(IntEnum):
    """What a rule counts in, from the longest."""

    YEARLY = 0
    MONTHLY = 1
    WEEKLY = 2
    DAILY = 3
    HOURLY = 4
    MINUTELY = 5
    SECONDLY = 6


@dataclass(frozen=True, slots=True)
class Moment:
    """A date and time as a rule writes it."""

    seconds: int
    """Since 1970-01-01T00:00, of the wall clock or, when `is_utc`, of UTC."""
    is_utc: bool = False


@dataclass(frozen=True, slots=True)
class Parts:
    """A rule as read; a part that was not named is empty. Weekdays count from Monday = 0."""

    frequency: Frequency
    interval: int = 1
    count: int | None = None
    until: Moment | None = None
    start: Moment | None = None
    week_start: int = 0
    weekdays: tuple[tuple[int, int], ...] = ()
    """Pairs of n and weekday: the n-th such day of the month or year, from its end if below 0; n = 0 is every one."""
    months: tuple[int, ...] = ()
    weeks: tuple[int, ...] = ()
    year_days: tuple[int, ...] = ()
    month_days: tuple[int, ...] = ()
    hours: tuple[int, ...] = ()
    minutes: tuple[int, ...] = ()
    seconds: tuple[int, ...] = ()
    positions: tuple[int, ...] = ()

    @property
    def names_days(self) -> bool:
        """Whether it says which days it means, so that they need not be taken from where it begins."""
        return bool(self.weekdays or self.weeks or self.year_days or self.month_days)


@lru_cache(maxsize=4096)
def read_parts(text: str) -> Parts:
    """Read a rule such as `FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=9`. Raises BadSchedule."""
    refuse_strange_characters(text)

    def bad(why: str) -> BadSchedule:
        return BadSchedule(f"Recurrence rule `{text}`: {why}.", expression=text)

    begun = _START.match(text)
    rule = text[begun.end() :] if begun else text
    found = _named_values(re.sub(r"^RRULE:", "", rule, flags=re.IGNORECASE), bad)
    if begun:
        found["DTSTART"] = begun[1].upper()
    try:
        frequency = Frequency[found.get("FREQ", "")]
    except KeyError:
        raise bad(f"it needs a FREQ, one of {', '.join(Frequency.__members__)}") from None
    numbers = {name: _numbers(name, found[name], bad) for name in _NUMBERS if name in found}
    parts = Parts(
        frequency,
        interval=_number("INTERVAL", found.get("INTERVAL", "1"), MAX_INTERVAL, bad),
        count=_number("COUNT", found["COUNT"], MAX_COUNT, bad) if "COUNT" in found else None,
        until=_moment("UNTIL", found["UNTIL"], bad, end_of_day=True) if "UNTIL" in found else None,
        start=_moment("DTSTART", found["DTSTART"], bad) if "DTSTART" in found else None,
        week_start=_weekday(found.get("WKST", "MO"), bad)[1],
        weekdays=tuple(sorted({_weekday(day, bad) for day in found["BYDAY"].split(",")})) if "BYDAY" in found else (),
        months=numbers.get("BYMONTH", ()),
        weeks=numbers.get("BYWEEKNO", ()),
        year_days=numbers.get("BYYEARDAY", ()),
        month_days=numbers.get("BYMONTHDAY", ()),
        hours=numbers.get("BYHOUR", ()),
        minutes=numbers.get("BYMINUTE", ()),
        seconds=numbers.get("BYSECOND", ()),
        positions=numbers.get("BYSETPOS", ()),
    )
    _refuse_what_does_not_go_together(parts, bad)
    return parts


def _named_values(rule: str, bad: Bad) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in rule.strip(" ;").split(";"):
        name, equals, value = (part.strip().upper() for part in item.partition("="))
        if not equals or not value:
            raise bad(f"`{item}` is not written NAME=VALUE")
        if name not in _KNOWN:
            raise bad(f"it knows no part `{name}`; there are {', '.join(_KNOWN)}")
        if name in found:
            raise bad(f"{name} is there twice")
        found[name] = value
    return found


def _refuse_what_does_not_go_together(parts: Parts, bad: Bad) -> None:
    frequency = parts.frequency
    if parts.count and parts.until:
        raise bad("COUNT and UNTIL exclude each other")
    if parts.weeks and frequency is not Frequency.YEARLY:
        raise bad("BYWEEKNO goes with FREQ=YEARLY only")
    if parts.year_days and frequency in {Frequency.MONTHLY, Frequency.WEEKLY, Frequency.DAILY}:
        raise bad(f"BYYEARDAY does not go with FREQ={frequency.name}")
    if parts.month_days and frequency is Frequency.WEEKLY:
        raise bad("BYMONTHDAY does not go with FREQ=WEEKLY")
    if any(nth for nth, _ in parts.weekdays) and (frequency > Frequency.MONTHLY or parts.weeks):
        raise bad("a numbered weekday such as 1MO goes with FREQ=MONTHLY, or YEARLY without BYWEEKNO")
    if parts.positions and frequency > Frequency.DAILY:
        raise bad("BYSETPOS goes with FREQ=DAILY and longer only")
    if parts.positions and not (parts.names_days or parts.months or parts.hours or parts.minutes or parts.seconds):
        raise bad("BYSETPOS chooses from what another BY part allows; there is none")


def _number(name: str, text: str, high: int, bad: Bad) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= high:
        raise bad(f"{name} must be a number from 1 to {high:,}, not {text!r}")
    return int(text)


def _numbers(name: str, text: str, bad: Bad) -> tuple[int, ...]:
    low, high, signed = _NUMBERS[name]
    found = set()
    for item in text.split(","):
        match = re.fullmatch(r"([+-]?)([0-9]{1,3})", item)
        if not match or not low <= int(match[2]) <= high or (match[1] and not signed):
            ends = f"{low} to {high}" + (f" or -{low} to -{high}" if signed else "")
            raise bad(f"{name} takes numbers from {ends}, not {item!r}")
        found.add(int(item))
    return tuple(sorted(found))


def _weekday(text: str, bad: Bad) -> tuple[int, int]:
    match = _DAY.fullmatch(text)
    if not match or match[2] not in _WEEKDAYS:
        raise bad(f"{text!r} is no weekday; there are {', '.join(_WEEKDAYS)}, with a number before if need be")
    nth = int(match[1] or 0)
    if match[1] and not 1 <= abs(nth) <= 53:
        raise bad(f"{text!r}: a year has no more than 53 of a weekday")
    return nth, _WEEKDAYS.index(match[2])


def _moment(name: str, text: str, bad: Bad, *, end_of_day: bool = False) -> Moment:
    match = _MOMENT.fullmatch(text)
    wrong = bad(f"{name} must be written as 20261224T090000 or 20261224, not {text!r}")
    if not match or not 1900 <= int(match[1]) <= 9000:
        raise wrong
    try:
        day = date(int(match[1]), int(match[2]), int(match[3])).toordinal() - _EPOCH_ORDINAL
    except ValueError:
        raise wrong from None
    if match[4] is None:
        return Moment(day * 86_400 + (86_399 if end_of_day else 0))
    return Moment(day * 86_400 + int(match[4]) * 3600 + int(match[5]) * 60 + int(match[6]), is_utc=bool(match[7]))
