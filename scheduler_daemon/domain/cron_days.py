"""Which days of a month a day item means. A month is two numbers: the weekday of its first day and its length.

Weekdays count from Sunday = 0. A set of days is an integer whose bit d stands for day d.
"""

from dataclasses import dataclass

_SUNDAY, _SATURDAY = 0, 6
_FIVE_WEEKS = sum(1 << 7 * week for week in range(5))
LENGTHS = {length: (1 << length + 1) - 2 for length in (28, 29, 30, 31)}
"""Every day of a month of that length."""


def weekday(day: int, first: int) -> int:
    """Return the weekday of a day in a month that begins on weekday `first`."""
    return (first + day - 1) % 7


def on_weekdays(weekdays: int, first: int, length: int) -> int:
    """Return the days that fall on any of the weekdays, a set of bits 0-6."""
    week = (weekdays << 7 | weekdays) >> first & 0x7F
    return week * _FIVE_WEEKS << 1 & LENGTHS[length]


def nearest_workday(day: int, first: int, length: int) -> int:
    """Return the day from Monday to Friday nearest to `day`, inside the month."""
    on = weekday(day, first)
    if on == _SATURDAY:
        return day - 1 if day > 1 else day + 2
    if on == _SUNDAY:
        return day + 1 if day < length else day - 2
    return day


@dataclass(frozen=True, slots=True)
class LastDay:
    """`L`, `L-n`, and with `W` the workday nearest to it."""

    back: int
    workday: bool

    def days(self, first: int, length: int) -> int:
        """Return the day as a set, empty where the month is too short."""
        day = length - self.back
        if day < 1:
            return 0
        return 1 << (nearest_workday(day, first, length) if self.workday else day)


@dataclass(frozen=True, slots=True)
class NearestWorkday:
    """`nW`: the workday nearest to day n; none in a month without day n."""

    day: int

    def days(self, first: int, length: int) -> int:
        """Return the day as a set, empty where the month is too short."""
        return 1 << nearest_workday(self.day, first, length) if self.day <= length else 0


@dataclass(frozen=True, slots=True)
class NthWeekday:
    """`n#k`: the k-th such weekday of the month; `nL`, the last, has `nth` None."""

    weekday: int
    nth: int | None

    def days(self, first: int, length: int) -> int:
        """Return the day as a set, empty where there is no k-th."""
        earliest = 1 + (self.weekday - first) % 7
        if self.nth is None:
            return 1 << earliest + (length - earliest) // 7 * 7
        day = earliest + 7 * (self.nth - 1)
        return 1 << day if day <= length else 0


Special = LastDay | NearestWorkday | NthWeekday
