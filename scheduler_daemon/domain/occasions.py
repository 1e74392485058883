"""Decide what becomes of the fires of a schedule that obeys calendars and blackouts.

A schedule gives candidates, within its bounds. On a business day a candidate stays where it is; on another it is
suppressed, or moved to the same time of day on a business day near by, as the first calendar says that leaves the day
out, and where two disagree they skip. What then lies in a blackout is suppressed. Two candidates that come to the same
instant are one fire. Jitter is left to `jitter`: it does not change the instant.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from itertools import count
from typing import Final, NamedTuple

from scheduler_daemon.contract.calendars import CalendarUse, Move
from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.domain.blackouts import Cover, Window, covering, read_window
from scheduler_daemon.domain.calendar_days import Calendar, new_year, year_of
from scheduler_daemon.domain.errors import Invalid
from scheduler_daemon.domain.schedule import CompiledSchedule, compile_schedule
from scheduler_daemon.domain.zones import EPOCH, Zone, zone

MAX_MOVE: Final = 31
"""Days. Where no business day is so near, a fire is suppressed instead of moved."""
HORIZON: Final = 41 * 366 * 86_400
"""Seconds. What does not fire within so long is taken never to fire again."""
MAX_COVERED: Final = 1000
"""So many fires on end that lie in blackouts are taken to show that all do..."""
LONG_COVERED: Final = (100, 5 * 366 * 86_400)
"""...and so many of them in so many seconds, in which weekdays, dates and clocks have met in every way."""
_YEARS: Final = 43

_DAY: Final = 86_400
_SECOND: Final = timedelta(seconds=1)
_STAYS: Final = 0
_NOWHERE: Final = 1 << 62


class Why(StrEnum):
    """What keeps a fire from its instant."""

    CALENDAR = "calendar"
    BLACKOUT = "blackout"


class Occasion(NamedTuple):
    """An instant that has come to something: a fire, or one that is suppressed."""

    at: int
    why: Why | None = None
    """What suppresses it; None for a fire."""
    reason: str = ""
    """Why it is suppressed or was moved, such as `calendar german (Christmas Day)`."""
    moved_from: int | None = None
    """The candidate that a calendar moved here."""

    @property
    def instant(self) -> datetime:
        """Its instant in UTC."""
        return instant(self.at)


class Fate(NamedTuple):
    """What becomes of the candidates of a day."""

    move: int
    """How many days they move; 0 if they stay or are suppressed."""
    suppressed: bool
    reason: str


_STAY: Final = Fate(_STAYS, suppressed=False, reason="")


class Days:
    """What some calendars, each with a policy, make of the days of a zone. Shared by schedules that have the same."""

    __slots__ = ("_calendars", "_fates", "_years", "zone")

    def __init__(self, calendars: tuple[tuple[Calendar, Move], ...], here: Zone) -> None:
        self.zone = here
        self._calendars = calendars
        self._fates: dict[int, Fate] = {}
        self._years: dict[int, int] = {}

    @property
    def calendars(self) -> tuple[Calendar, ...]:
        """The calendars themselves."""
        return tuple(calendar for calendar, _ in self._calendars)

    @property
    def moves(self) -> bool:
        """Whether any fire may be moved."""
        return any(move is not Move.SKIP for _, move in self._calendars)

    def fate(self, day: int) -> Fate:
        """Return what becomes of the candidates of a day since 1970-01-01."""
        found = self._fates.get(day)
        if found is None:
            found = self._fates[day] = self._decide(day)
        return found

    def _decide(self, day: int) -> Fate:
        off = [(calendar, move, why) for calendar, move in self._calendars if (why := calendar.off(day))]
        if not off:
            return _STAY
        calendar, move, why = next((each for each in off if each[1] is Move.SKIP), off[0])
        reason = f"calendar {calendar.name} ({why})"
        if move is Move.SKIP:
            return Fate(_STAYS, suppressed=True, reason=reason)
        step = 1 if move is Move.NEXT else -1
        target = self.business_day(day + 1) if step > 0 else self.business_day_before(day)
        if target is not None and abs(target - day) <= MAX_MOVE:
            return Fate(target - day, suppressed=False, reason=reason)
        near = "after" if step > 0 else "before"
        return Fate(_STAYS, suppressed=True, reason=f"{reason}; no business day within {MAX_MOVE} days {near} it")

    def business_day(self, day: int) -> int | None:
        """Return the first business day from `day` on, None if there is none for a long time."""
        return self._first(day, business=True)

    def other_day(self, day: int) -> int | None:
        """Return the first day from `day` on that a calendar leaves out, None if there is none for a long time."""
        return self._first(day, business=False)

    def _first(self, day: int, *, business: bool) -> int | None:
        year = year_of(day)
        for candidate in range(year, year + _YEARS):
            begin, bits = new_year(candidate), self._business_days(candidate)
            wanted = bits if business else bits ^ (1 << new_year(candidate + 1) - begin) - 1
            left = wanted >> max(0, day - begin)
            if left:
                return max(day, begin) + (left & -left).bit_length() - 1
        return None

    def business_day_before(self, day: int) -> int | None:
        """Return the last business day before `day`, None if there is none in a year."""
        year = year_of(day)
        for candidate in (year, year - 1):
            begin = new_year(candidate)
            left = self._business_days(candidate) & (1 << max(0, day - begin)) - 1
            if left:
                return begin + left.bit_length() - 1
        return None

    def first_mover(self, day: int) -> int:
        """Return a day before which none moves to `day` or a later one."""
        before = self.business_day_before(day)
        return day - MAX_MOVE if before is None else max(day - MAX_MOVE, before + 1)

    def end_of_movers(self, day: int) -> int:
        """Return a day from which on none moves to `day` or an earlier one."""
        following = self.business_day(day + 1)
        return day + MAX_MOVE + 1 if following is None else min(day + MAX_MOVE + 1, following)

    def _business_days(self, year: int) -> int:
        found = self._years.get(year)
        if found is None:
            begin = new_year(year)
            found = (1 << new_year(year + 1) - begin) - 1
            for calendar, _ in self._calendars:
                found &= calendar.business_days(year)
            for day in self._lost_days(begin, new_year(year + 1)):
                found &= ~(1 << day - begin)
            self._years[year] = found
        return found

    def _lost_days(self, begin: int, end: int) -> Iterator[int]:
        """Yield the days from `begin` to before `end` that the zone leaves out as a whole."""
        span = self.zone.span(begin * _DAY)
        while span.start < end * _DAY:
            day = (span.start + span.before) // _DAY
            if span.offset - span.before >= _DAY and begin <= day < end:
                yield day
            span = self.zone.span(span.end)

    def day_of(self, t: int) -> int:
        """Return the local day of an epoch second."""
        return (t + self.zone.span(t).offset) // _DAY

    def rest_of_day(self, t: int) -> int:
        """Return the last second after `t` up to which the local day stays the same."""
        span = self.zone.span(t)
        local = t + span.offset
        return min(span.end, t + _DAY - local % _DAY) - 1

    def instant(self, day: int, time: int) -> int:
        """Return when a time of day comes on a day: first after a gap, in the first pass, and never on another day."""
        offset = self.calm_offset(day)
        if offset is not None:
            return day * _DAY + time - offset
        return min(self.zone.first_instant(day * _DAY + time), self.zone.first_instant((day + 1) * _DAY) - 1)

    def calm_offset(self, day: int) -> int | None:
        """Return the offset of the zone on a day on which, and near which, no clock changes; None for other days."""
        calm = self.zone.span(day * _DAY).calm
        midnight = day * _DAY - calm.offset
        return calm.offset if calm.start <= midnight and midnight + _DAY < calm.end else None


class Timetable:
    """A schedule with its calendars and blackouts, ready to be asked as a CompiledSchedule is."""

    __slots__ = ("_base", "_blackouts", "_days", "is_reboot")

    def __init__(self, base: CompiledSchedule, days: Days, blackouts: tuple[Window, ...]) -> None:
        self._base = base
        self._days = days
        self._blackouts = blackouts
        self.is_reboot = base.is_reboot

    @property
    def calendars(self) -> tuple[Calendar, ...]:
        """What it obeys."""
        return self._days.calendars

    def next_second(self, after: int) -> int | None:
        """Return the first fire later than the epoch second `after`, as an epoch second, or None."""
        found = self._next(after, fires_only=True)
        return None if found is None else found.at

    def next_fire(self, after: datetime) -> datetime | None:
        """Return the first fire strictly later than the aware time `after`, in UTC, or None if there is no more."""
        found = self.next_second(_second(after))
        return None if found is None else instant(found)

    def fires(self, after: datetime, until: datetime | None = None, limit: int | None = None) -> Iterator[datetime]:
        """Yield the fires with `after` < fire <= `until`, in order, at most `limit`."""
        last = _NOWHERE if until is None else _second(until)
        found = self.next_second(_second(after))
        for _ in count() if limit is None else range(limit):
            if found is None or found > last:
                return
            yield instant(found)
            found = self.next_second(found)

    def next_occasion(self, after: datetime) -> Occasion | None:
        """Return the first fire or suppressed instant later than `after`."""
        return self._next(_second(after), fires_only=False)

    def occasions(self, after: datetime, until: datetime) -> Iterator[Occasion]:
        """Yield the fires and the suppressed instants with `after` < instant <= `until`, in order."""
        found = self._next(_second(after), fires_only=False)
        last = _second(until)
        while found is not None and found.at <= last:
            yield found
            found = self._next(found.at, fires_only=False)

    def passed_over(self, after: datetime, until: datetime) -> Iterator[Occasion]:
        """Yield what becomes of the candidates with `after` < candidate <= `until` that do not fire where they are.

        A moved one is a fire with `moved_from`, unless a blackout suppresses it there.
        """
        for candidate in self._base.fires(after, until):
            t = _second(candidate)
            day = self._days.day_of(t)
            fate = self._days.fate(day)
            if fate.suppressed:
                yield Occasion(t, Why.CALENDAR, fate.reason)
                continue
            at = self._moved_to(t, day, fate) if fate.move else t
            cover = self._cover(at)
            if cover:
                yield Occasion(t, Why.BLACKOUT, f"blackout {cover.called}")
            elif fate.move:
                yield Occasion(at, None, fate.reason, t)

    def moved_away(self, at: datetime) -> Occasion | None:
        """Return where a candidate at `at` is moved to and why, as a fire with `moved_from`; None if it is not."""
        t = _second(at)
        if self._base.next_second(t - 1) != t:
            return None
        day = self._days.day_of(t)
        fate = self._days.fate(day)
        return Occasion(self._moved_to(t, day, fate), None, fate.reason, t) if fate.move else None

    def _moved_to(self, t: int, day: int, fate: Fate) -> int:
        return self._days.instant(day + fate.move, (t + self._days.zone.span(t).offset) % _DAY)

    def _next(self, after: int, *, fires_only: bool) -> Occasion | None:
        first = self._base.next_second(after)  # what begins late is looked for from there
        begin = after if first is None else first
        horizon = begin + HORIZON
        in_place = self._in_place(after, horizon, fires_only=fires_only)
        for covered in range(MAX_COVERED):
            if in_place and in_place.at <= after:
                in_place = self._in_place(after, horizon, fires_only=fires_only)
            found = in_place
            if self._days.moves:
                found = self._moved(after, found.at if found else horizon) or found
            if found is None or found.why:
                return found
            cover = self._cover(found.at)
            if cover is None:
                return found
            if not fires_only:
                return found._replace(why=Why.BLACKOUT, reason=f"blackout {cover.called}")
            after = cover.end - 1
            if after >= horizon or (covered >= LONG_COVERED[0] and after - begin >= LONG_COVERED[1]):
                break
        return None

    def _cover(self, t: int) -> Cover | None:
        return covering(self._blackouts, t, self._days.zone) if self._blackouts else None

    def _in_place(self, after: int, horizon: int, *, fires_only: bool) -> Occasion | None:
        """Return the next candidate that stays where it is, or that a calendar suppresses."""
        days, find = self._days, self._base.next_second
        found = find(after)
        while found is not None and found < horizon:
            fate = days.fate(days.day_of(found))
            if fate is _STAY:
                return Occasion(found)
            if fate.suppressed and not fires_only:
                return Occasion(found, Why.CALENDAR, fate.reason)
            found = find(days.rest_of_day(found) if not fires_only else self._before_business(found))
        return None

    def _before_business(self, t: int) -> int:
        """Return the last second before the next business day begins."""
        day = self._days.business_day(self._days.day_of(t) + 1)
        return _NOWHERE if day is None else max(self._days.instant(day, 0) - 1, self._days.rest_of_day(t))

    def _moved(self, after: int, before: int) -> Occasion | None:
        """Return the first moved candidate that comes to an instant later than `after` and earlier than `before`."""
        days = self._days
        today, last = days.day_of(after), days.day_of(before)
        day = days.other_day(days.first_mover(today - 1))
        end = days.end_of_movers(last + 1)
        best: Occasion | None = None
        while day is not None and day < end:
            move = days.fate(day).move
            if move and not today - 1 <= day + move <= last + 1:
                day = days.other_day(day + 1)
                continue
            if not move:
                business = days.business_day(day)
                day = days.other_day(max(day + 1, business - MAX_MOVE)) if business is not None else None
                continue
            found = self._first_moved(day, after)
            if found and found.at < before:
                best, before = found, found.at
                last = days.day_of(before)
                end = days.end_of_movers(last + 1)
            following = self._base.next_second(days.instant(day + 1, 0) - 1)
            if following is None:
                break
            day = days.other_day(max(day + 1, days.day_of(following)))
        return best

    def _first_moved(self, day: int, after: int) -> Occasion | None:
        """Return the candidate of a moved day that comes first to an instant later than `after`."""
        days = self._days
        fate = days.fate(day)
        target = day + fate.move
        if days.instant(target, _DAY - 1) <= after:
            return None
        time = self._time_after(target, after)
        begin = days.zone.first_instant(day * _DAY)
        span = days.zone.span(begin)
        best: tuple[int, int] | None = None
        while span.start < begin + 2 * _DAY:
            midnight = day * _DAY - span.offset
            found = self._base.next_second(max(span.start, midnight + time) - 1)
            if found is not None and found < min(span.end, midnight + _DAY):
                best = min(best or (_DAY, 0), (found - midnight, found))
            span = days.zone.span(span.end)
        return Occasion(days.instant(target, best[0]), None, fate.reason, best[1]) if best else None

    def _time_after(self, day: int, after: int) -> int:
        """Return the first time of day that comes on `day` at an instant later than `after`; there is one."""
        instant_of = self._days.instant
        if instant_of(day, 0) > after:
            return 0
        offset = self._days.calm_offset(day)
        if offset is not None:
            return after + 1 + offset - day * _DAY
        low, high = 0, _DAY - 1  # the instants never fall: the first does not count, the last does
        while high - low > 1:
            middle = (low + high) // 2
            if instant_of(day, middle) > after:
                high = middle
            else:
                low = middle
        return high


Times = CompiledSchedule | Timetable
"""What knows the fires of a schedule."""


def timetable(schedule: Schedule, job_id: str = "", calendars: Mapping[str, Calendar] | None = None) -> Times:
    """Make a schedule ready to be asked, with those of the `calendars` that it names.

    Raises as `compile_schedule` does, and Invalid for a calendar that is not there or a blackout that cannot be read.
    """
    base = compile_schedule(schedule, job_id)
    if not schedule.calendars and not schedule.blackouts:
        return base
    known = calendars or {}
    used = tuple((_named(known, use), use.move) for use in schedule.calendars)
    own = tuple(read_window(blackout) for blackout in schedule.blackouts)
    shared = tuple(
        window._replace(called=f"{window.called} of calendar {calendar.name}")
        for calendar, _ in used
        for window in calendar.blackouts
    )
    return Timetable(base, _days(used, schedule.zone), (*own, *shared))


def _named(calendars: Mapping[str, Calendar], use: CalendarUse) -> Calendar:
    try:
        return calendars[use.calendar]
    except KeyError:
        raise Invalid(
            f"there is no calendar {use.calendar!r}; `chronos calendar list` shows all", field="schedule.calendars"
        ) from None


@lru_cache(maxsize=256)
def _days(used: tuple[tuple[Calendar, Move], ...], zone_key: str) -> Days:
    return Days(used, zone(zone_key))


def instant(second: int) -> datetime:
    """Return an epoch second as an aware time in UTC."""
    return EPOCH + _SECOND * second


def _second(at: datetime) -> int:
    since = at - EPOCH
    return since.days * _DAY + since.seconds
