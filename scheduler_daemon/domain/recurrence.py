"""Find the next wall-clock time that a recurrence rule matches. Bits and integers only; no zone is known here.

Whether a day matches depends on little more than which weekday its year begins on and whether the year is a leap year.
So each kind of year has its days as bits, made once; INTERVAL takes from them the days of periods that do not count.
"""

from collections.abc import Iterator
from datetime import date
from math import prod
from typing import Final

from scheduler_daemon.domain import cron_fields as known
from scheduler_daemon.domain.calendar_event import CalendarFields
from scheduler_daemon.domain.cron import LAST_LOCAL, Cron, Rhythm
from scheduler_daemon.domain.cron_fields import Field, Kind
from scheduler_daemon.domain.errors import BadSchedule
from scheduler_daemon.domain.recurrence_days import Year, days_of_year, with_days_of
from scheduler_daemon.domain.recurrence_text import Frequency, Parts

HORIZON_YEARS: Final = 100
"""What does not match within so many years is taken never to match again."""
MAX_STEPS: Final = 4000
"""How much work one match may take, and all those together that COUNT counts: 4 us for each year looked into."""

_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
_EPOCH_WEEKDAY: Final = 3  # a Thursday, from Monday = 0
_UNITS: Final = {Frequency.HOURLY: 3600, Frequency.MINUTELY: 60, Frequency.SECONDLY: 1}
_NO_DAY: Final = LAST_LOCAL // 86_400


class Recurrence:
    """One rule that begins at a local time; `until`, if given, is the last local time that may match."""

    __slots__ = (
        *("_clock", "_days", "_origin", "_parts", "_pattern", "_start", "_steps", "_times", "_until", "_year"),
        "never",
    )

    rhythm: Rhythm | None = None
    wildcard = False  # clocks that change are met in the same way by every rule

    def __init__(self, parts: Parts, start: int, until: int | None = None) -> None:
        self._parts = with_days_of(parts, date.fromordinal(start // 86_400 + _EPOCH_ORDINAL))
        self._start = start
        self._until = LAST_LOCAL - 1 if until is None else until
        fields = _clock_fields(parts, start % 86_400)
        self._clock = Cron(CalendarFields(*fields, *_EVERY_DAY))
        self._times = tuple(field.values for field in fields)
        self._days: dict[Year, int] = {}
        self._year = (0, 0, 0)
        self._origin = self._period_of(start // 86_400)
        self._pattern = self._repeating() if parts.frequency in {Frequency.WEEKLY, Frequency.DAILY} else 0
        self._steps = 0
        if parts.count:
            self._until = self._last_of(parts.count)
        self.never = self.next_local(start) >= LAST_LOCAL

    def next_local(self, local: int) -> int:
        """Return the first match at or after `local`, or LAST_LOCAL when there is none within the horizon."""
        local = max(local, self._start)
        if local > self._until:
            return LAST_LOCAL
        if self._parts.frequency in _UNITS:
            found = self._by_unit(local)
        elif self._parts.positions:
            found = self._by_position(local)
        else:
            found = self._by_day(local)
        return found if found <= self._until else LAST_LOCAL

    def _last_of(self, count: int) -> int:
        self._steps = 0
        found = self._start - 1
        for _ in range(count):
            following = self.next_local(found + 1)
            if following >= LAST_LOCAL:
                break
            if self._steps > MAX_STEPS:
                raise BadSchedule("COUNT takes too long to count out in a rule so rare; use UNTIL.", expression="")
            found = following
        return found

    def _by_day(self, local: int) -> int:
        day = local // 86_400
        found = self._next_day(day)
        if found == day:
            time = self._clock.next_local(local)
            if time < (day + 1) * 86_400:
                return time
            found = self._next_day(day + 1)
        return self._clock.next_local(found * 86_400) if found < _NO_DAY else LAST_LOCAL

    def _by_unit(self, local: int) -> int:
        """Find hours, minutes or seconds at the right distance from the first."""
        unit, interval = _UNITS[self._parts.frequency], self._parts.interval
        origin = self._start // unit
        enough = self._steps + MAX_STEPS
        while self._steps < enough:
            local = self._clock.next_local(local)
            day = self._next_day(local // 86_400)
            if day >= _NO_DAY:
                break
            if day > local // 86_400:
                local = day * 86_400
                continue
            behind = (local // unit - origin) % interval
            if not behind:
                return local
            local = (local // unit + interval - behind) * unit
        return LAST_LOCAL

    def _by_position(self, local: int) -> int:
        """Find the first of the chosen positions in its period, or in a later one."""
        day = self._next_day(self._bounds(local // 86_400)[0])
        enough = self._steps + MAX_STEPS
        while day < _NO_DAY and self._steps < enough:
            begin, end = self._bounds(day)
            later = [time for time in self._chosen(begin, end) if time >= local]
            if later:
                return min(later)
            day = self._next_day(end)
        return LAST_LOCAL

    def _chosen(self, begin: int, end: int) -> Iterator[int]:
        days = list(self._days_between(begin, end))
        self._steps += 4 + len(days) // 8
        times = prod(len(values) for values in self._times)
        size = len(days) * times
        for position in self._parts.positions:
            place = position - 1 if position > 0 else size + position
            if 0 <= place < size:
                yield days[place // times] * 86_400 + self._time_at(place % times)

    def _time_at(self, place: int) -> int:
        """Return the time of day at a place among all that match, counted from 0."""
        seconds, minutes, hours = self._times
        place, second = divmod(place, len(seconds))
        hour, minute = divmod(place, len(minutes))
        return hours[hour] * 3600 + minutes[minute] * 60 + seconds[second]

    def _days_between(self, begin: int, end: int) -> Iterator[int]:
        for year in range(*(date.fromordinal(day + _EPOCH_ORDINAL).year + n for n, day in ((0, begin), (1, end - 1)))):
            new_year, days = self._days_in(year)
            low, high = max(begin - new_year, 0), end - new_year
            days = days >> low << low & (1 << high) - 1
            while days:
                yield new_year + (days & -days).bit_length() - 1
                days &= days - 1

    def _next_day(self, day: int) -> int:
        """Return the first day from `day` on that matches, in a period that counts, or _NO_DAY."""
        if day >= _NO_DAY:
            return _NO_DAY
        year, new_year, days = self._year
        if not new_year <= day < new_year + 365 or not year:
            year = date.fromordinal(day + _EPOCH_ORDINAL).year
        for candidate in range(year, min(year + HORIZON_YEARS, 9998)):
            self._steps += 1
            new_year, days = self._days_in(candidate)
            left = days >> max(0, day - new_year)
            if left:
                return max(day, new_year) + (left & -left).bit_length() - 1
        return _NO_DAY

    def _days_in(self, year: int) -> tuple[int, int]:
        """Return the first day of a year, and as bits which of its days match in a period that counts."""
        if self._year[0] != year:
            last_year, new_year, next_year = (_day_number(year + n, 1) for n in (-1, 0, 1))
            kind = Year((new_year + _EPOCH_WEEKDAY) % 7, next_year - new_year, new_year - last_year)
            if kind not in self._days:
                self._days[kind] = days_of_year(self._parts, kind)
            self._year = (year, new_year, self._days[kind] & self._counting(year, new_year))
        return self._year[1], self._year[2]

    def _counting(self, year: int, new_year: int) -> int:
        """Return as bits the days of a year that lie in periods that count."""
        interval, frequency = self._parts.interval, self._parts.frequency
        if interval == 1 or frequency in _UNITS:
            return -1
        if frequency is Frequency.YEARLY:
            return 0 if (year - self._origin) % interval else -1
        if frequency is Frequency.MONTHLY:
            months = ((month, *self._bounds_of_month(month)) for month in range(year * 12, year * 12 + 12))
            counting = [(begin, end) for month, begin, end in months if (month - self._origin) % interval == 0]
            return sum((1 << end - begin) - 1 << begin - new_year for begin, end in counting)
        begin, end = self._bounds(self._start // 86_400)
        return self._pattern >> (new_year - begin) % (interval * (end - begin))

    def _repeating(self) -> int:
        """Return as bits the days that count from the first period on, for periods of a week or a day."""
        begin, end = self._bounds(self._start // 86_400)
        cycle = self._parts.interval * (end - begin)
        return sum((1 << end - begin) - 1 << first for first in range(0, cycle + 366, cycle))

    def _period_of(self, day: int) -> int:
        """Return the number of the year, month, week or day that `day` lies in."""
        frequency = self._parts.frequency
        if frequency is Frequency.WEEKLY:
            return (day + _EPOCH_WEEKDAY - self._parts.week_start) // 7
        if frequency > Frequency.WEEKLY:
            return day
        on = date.fromordinal(day + _EPOCH_ORDINAL)
        return on.year if frequency is Frequency.YEARLY else on.year * 12 + on.month - 1

    def _bounds(self, day: int) -> tuple[int, int]:
        """Return the first day of the period that `day` lies in, and the first beyond it."""
        period, frequency = self._period_of(day), self._parts.frequency
        if frequency > Frequency.WEEKLY:
            return day, day + 1
        if frequency is Frequency.WEEKLY:
            begin = period * 7 - _EPOCH_WEEKDAY + self._parts.week_start
            return begin, begin + 7
        if frequency is Frequency.MONTHLY:
            return self._bounds_of_month(period)
        return _day_number(period, 1), _day_number(period + 1, 1)

    @staticmethod
    def _bounds_of_month(month: int) -> tuple[int, int]:
        return _day_number(month // 12, month % 12 + 1), _day_number((month + 1) // 12, (month + 1) % 12 + 1)


def _day_number(year: int, month: int) -> int:
    return date(year, month, 1).toordinal() - _EPOCH_ORDINAL


def _clock_fields(parts: Parts, start: int) -> tuple[Field, Field, Field]:
    """Return second, minute and hour; those shorter than what it counts in are the ones it begins with."""
    frequency = parts.frequency
    return (
        _field(known.SECOND, parts.seconds, start % 60, every=frequency >= Frequency.SECONDLY),
        _field(known.MINUTE, parts.minutes, start // 60 % 60, every=frequency >= Frequency.MINUTELY),
        _field(known.HOUR, parts.hours, start // 3600, every=frequency >= Frequency.HOURLY),
    )


def _field(kind: Kind, values: tuple[int, ...], usual: int, *, every: bool) -> Field:
    chosen = values or (tuple(range(kind.high + 1)) if every else (usual,))
    text = "*" if len(chosen) > kind.high else ",".join(map(str, chosen))
    return Field(kind, text, sum(1 << value for value in chosen))


_EVERY_DAY: Final = tuple(
    _field(kind, tuple(range(kind.low, kind.high + 1)), 0, every=True) for kind in known.KINDS[3:]
)
