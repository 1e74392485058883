"""Find the next wall-clock time that a cron expression matches. Bits and integers only; no zone is known here.

Local time is counted in seconds since 1970-01-01T00:00 on the wall clock, days of 86,400 seconds, no clock changes.
"""

from datetime import date
from functools import lru_cache
from typing import Final, NamedTuple

from scheduler_daemon.domain.cron_days import LENGTHS, Special, on_weekdays
from scheduler_daemon.domain.cron_fields import Fields, read

_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
_EPOCH_WEEKDAY: Final = 4  # a Thursday
LAST_LOCAL: Final = (date(9998, 1, 1).toordinal() - _EPOCH_ORDINAL) * 86_400
"""No match is looked for from here on."""
FIRST_LOCAL: Final = (date(4, 1, 1).toordinal() - _EPOCH_ORDINAL) * 86_400

_EVERY_DAY: Final = 0x7F
_ALL_MONTHS: Final = (1 << 13) - 2
_LENGTHS: Final = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class Rhythm(NamedTuple):
    """Matches wherever local time modulo `period` is `phase`, on every day of every year."""

    period: int
    phase: int


MonthTable = tuple[int, ...]
"""The matching days for every kind of month: at 4 * weekday of the first + length - 28."""


class Cron:
    """One expression, compiled. Equal expressions share one object, and equal day rules one table."""

    __slots__ = (
        "_days",
        "_first",
        "_hours",
        "_minutes",
        "_months",
        "_seconds",
        "_weekdays",
        "never",
        "rhythm",
        "wildcard",
    )

    def __init__(self, fields: Fields) -> None:
        self._seconds = fields.second.bits
        self._minutes = fields.minute.bits
        self._hours = fields.hour.bits
        self._months = fields.month.bits
        self._days = _month_table(
            fields.day.bits,
            fields.day.specials,
            fields.weekday.bits,
            fields.weekday.specials,
            both=fields.days_must_agree,
        )
        self._weekdays = _weekdays_alone(fields)
        self._first = self._earliest()
        self.rhythm = self._even() if self._weekdays == _EVERY_DAY else None
        """The even spacing of all its matches, such as that of `*/5 * * * *`; None where they are not evenly spaced."""
        self.wildcard = fields.wildcard
        """Whether it recurs with the clock; see `Fields.wildcard`."""
        self.never = not any(
            self._days[4 * first + length - 28]
            for month, usual in enumerate(_LENGTHS)
            if self._months >> month & 1
            for length in ((28, 29) if month == 2 else (usual,))
            for first in range(7)  # every month of every length begins on every weekday within 400 years
        )
        """Whether no date of the calendar matches, such as 31 February."""

    def next_local(self, local: int) -> int:
        """Return the first match at or after `local`, or LAST_LOCAL when there is none before it."""
        if not FIRST_LOCAL <= local < LAST_LOCAL:
            return LAST_LOCAL if local >= LAST_LOCAL else self.next_local(FIRST_LOCAL)
        if not self._weekdays:
            return self._by_date(local // 86_400, local % 86_400)
        second = local % 86_400
        midnight = local - second
        if self._weekdays == _EVERY_DAY:
            time = self._time(second)
            return midnight + time if time >= 0 else midnight + 86_400 + self._first
        today = (local // 86_400 + _EPOCH_WEEKDAY) % 7
        if self._weekdays >> today & 1:
            time = self._time(second)
            if time >= 0:
                return midnight + time
        later = (self._weekdays | self._weekdays << 7) >> today + 1
        return midnight + (later & -later).bit_length() * 86_400 + self._first

    def _by_date(self, day: int, second: int) -> int:
        if self.never:
            return LAST_LOCAL
        today = date.fromordinal(day + _EPOCH_ORDINAL)
        month = today.month
        if self._months >> month & 1:
            eve = day - today.day  # the day before the first of the month
            length = _LENGTHS[month] if month != 2 else _february(today.year)
            days = self._days[(eve + 1 + _EPOCH_WEEKDAY) % 7 * 4 + length - 28] >> today.day
            if days & 1:
                time = self._time(second)
                if time >= 0:
                    return day * 86_400 + time
            days &= -2
            if days:
                return (day + (days & -days).bit_length() - 1) * 86_400 + self._first
        return self._in_later_month(today.year, month)

    def _in_later_month(self, year: int, month: int) -> int:
        months, table = self._months, self._days
        while True:
            later = months >> month + 1
            if later:
                month += (later & -later).bit_length()
            else:
                year += 1
                month = (months & -months).bit_length() - 1
                if year > 9997:
                    return LAST_LOCAL
            length = _LENGTHS[month] if month != 2 else _february(year)
            first = date(year, month, 1).toordinal() - _EPOCH_ORDINAL
            days = table[(first + _EPOCH_WEEKDAY) % 7 * 4 + length - 28]
            if days:
                return (first + (days & -days).bit_length() - 2) * 86_400 + self._first

    def _time(self, second: int) -> int:
        """Return the first matching second of the day at or after `second`, or -1."""
        hour = second // 3600
        if self._hours >> hour & 1:
            minute = second // 60 % 60
            minutes = self._minutes >> minute
            if minutes & 1:
                seconds = self._seconds >> second % 60
                if seconds:
                    return second + (seconds & -seconds).bit_length() - 1
                minutes &= -2
            if minutes:
                return hour * 3600 + (minute + (minutes & -minutes).bit_length() - 1) * 60 + self._first % 60
        hours = self._hours >> hour + 1
        if hours:
            return (hour + (hours & -hours).bit_length()) * 3600 + self._first % 3600
        return -1

    def _earliest(self) -> int:
        hour, minute, second = ((bits & -bits).bit_length() - 1 for bits in (self._hours, self._minutes, self._seconds))
        return hour * 3600 + minute * 60 + second

    def _even(self) -> Rhythm | None:
        """Return the spacing of the matches of a day if it is even, also over midnight."""
        hour, minute, second = _spacing(self._hours, 24), _spacing(self._minutes, 60), _spacing(self._seconds, 60)
        if minute == hour == 1 and second:
            return Rhythm(second, self._first % second)
        if second == 60 and hour == 1 and minute:
            return Rhythm(minute * 60, self._first % (minute * 60))
        if second == minute == 60 and hour:
            return Rhythm(hour * 3600, self._first)
        return None


def _spacing(bits: int, size: int) -> int:
    """Return the distance between values that are evenly spaced round the clock, or 0 when they are not."""
    count = bits.bit_count()
    step = size // count
    first = (bits & -bits).bit_length() - 1
    even = sum(1 << first + n * step for n in range(count))
    return step if size % count == 0 and bits == even else 0


def _weekdays_alone(fields: Fields) -> int:
    """Return the weekdays if they alone decide about a day, else 0."""
    any_date = fields.month.bits == _ALL_MONTHS and fields.day.bits == LENGTHS[31]
    return fields.weekday.bits if any_date and fields.days_must_agree and not fields.weekday.specials else 0


def _february(year: int) -> int:
    return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28


@lru_cache(maxsize=4096)
def _month_table(
    days: int, day_specials: tuple[Special, ...], weekdays: int, weekday_specials: tuple[Special, ...], *, both: bool
) -> MonthTable:
    def matching(first: int, length: int) -> int:
        by_day = days & LENGTHS[length]
        by_weekday = on_weekdays(weekdays, first, length)
        for special in day_specials:
            by_day |= special.days(first, length)
        for special in weekday_specials:
            by_weekday |= special.days(first, length)
        return by_day & by_weekday if both else by_day | by_weekday

    return tuple(matching(first, length) for first in range(7) for length in (28, 29, 30, 31))


def cron(expression: str, job_id: str = "") -> Cron:
    """Compile an expression of five or six fields. Raises BadSchedule when it cannot be read."""
    return _shared(expression, job_id if "H" in expression else "")


@lru_cache(maxsize=8192)
def _shared(expression: str, job_id: str) -> Cron:
    return Cron(read(expression, job_id))
