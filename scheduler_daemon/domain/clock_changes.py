"""Tell on which dates a change of clocks will move, drop or double a fire. What is then done is decided in `wall`."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from scheduler_daemon.contract.schedule import ClockEffect, Gap, Overlap, Schedule
from scheduler_daemon.domain.cron import LAST_LOCAL
from scheduler_daemon.domain.rules import Once
from scheduler_daemon.domain.schedule import rule_of
from scheduler_daemon.domain.wall import OnTheWallClock
from scheduler_daemon.domain.zones import EPOCH, Zone, zone

COUNTED_AT_MOST: Final = 100
"""So many fires are looked at for each change; it matters only to the words."""
_KEEPS_PACE: Final = 3600


@dataclass(frozen=True, slots=True)
class ClockChange:
    """A change of clocks that touches a fire."""

    at: datetime
    """When clocks change, in UTC."""
    kind: ClockEffect
    text: str
    """What happens, in local times of the zone that the expression follows."""


@dataclass(frozen=True, slots=True)
class _Change:
    at: int
    before: int
    after: int
    zone: Zone

    @property
    def low(self) -> int:
        """The first local time that is skipped or comes twice."""
        return self.at + min(self.before, self.after)

    @property
    def high(self) -> int:
        """The first local time beyond those."""
        return self.at + max(self.before, self.after)


def clock_changes(schedule: Schedule, after: datetime, days: int = 366, job_id: str = "") -> tuple[ClockChange, ...]:
    """Return the changes of clocks, later than `after` by at most `days`, that move, drop or double a fire, in order.

    What fires at least hourly and evenly, and goes on doing so, has not been touched. Raises as `compile_schedule`.
    """
    begin = int((after - EPOCH) // timedelta(seconds=1))
    first = max(begin, int((schedule.start - EPOCH).total_seconds()) - 1) if schedule.start else begin
    last = begin + days * 86_400
    if schedule.end:
        last = min(last, int((schedule.end - EPOCH).total_seconds()))
    found: dict[ClockChange, None] = {}
    for expression in dict.fromkeys(schedule.expressions):
        rule = rule_of(expression, schedule, job_id)
        if isinstance(rule, OnTheWallClock):
            for change in _changes(rule.zone, first, last):
                found.update((_told(change, *touched), None) for touched in _touched(rule, change))
        elif isinstance(rule, Once) and first < rule.instant <= last:
            found.update((note, None) for note in _once(rule, zone(schedule.zone)))
    return tuple(sorted(found, key=lambda change: change.at))


def _changes(zone: Zone, first: int, last: int) -> Iterator[_Change]:
    span = zone.span(first)
    while span.end <= last:
        following = zone.span(span.end)
        if following.offset != span.offset:
            yield _Change(span.end, span.offset, following.offset, zone)
        span = following


def _touched(rule: OnTheWallClock, change: _Change) -> Iterator[tuple[ClockEffect, list[int], str]]:
    """Yield each effect of a change on a rule, the local times concerned, and what becomes of them."""
    times = list(islice(_matches(rule, change), COUNTED_AT_MOST))
    if not times:
        return
    keeps_pace = (
        rule.rhythm and rule.rhythm.period <= _KEEPS_PACE and not (change.high - change.low) % rule.rhythm.period
    )
    if change.after < change.before:
        once = rule.fixed and rule.overlap is not Overlap.BOTH
        if once and keeps_pace:
            passed_over = "second" if rule.overlap is Overlap.FIRST else "first"
            yield ClockEffect.DROPPED, times, f"not in the {passed_over} pass of the repeated hour"
        elif not once and not keeps_pace:
            yield ClockEffect.DOUBLED, times, "fires in both passes"
        return
    if not rule.fixed or rule.gap is Gap.SKIP:
        if not keeps_pace:
            yield ClockEffect.DROPPED, times, "is skipped and does not fire"
        return
    yield from _out_of_the_gap(rule, change, times)


def _matches(rule: OnTheWallClock, change: _Change) -> Iterator[int]:
    local = rule.matcher.next_local(change.low)
    while local < min(change.high, LAST_LOCAL):
        yield local
        local = rule.matcher.next_local(local + 1)


def _out_of_the_gap(
    rule: OnTheWallClock, change: _Change, times: list[int]
) -> Iterator[tuple[ClockEffect, list[int], str]]:
    """Yield what becomes of skipped times that fire later: on their own, or together with a fire that is there."""
    later = change.high - change.low if rule.gap is Gap.SHIFT else None
    moved: list[int] = []
    merged: list[int] = []
    for time in times:
        instead = change.high if later is None else time + later
        (merged if rule.matcher.next_local(instead) == instead else moved).append(time)
    for kind, group, how in (
        (ClockEffect.MOVED, moved, "fires"),
        (ClockEffect.DROPPED, merged, "falls together with the fire"),
    ):
        if group:
            at = _clock(change.high if later is None else group[0] + later)
            yield kind, group, f"is skipped and {how} at {at}"


def _told(change: _Change, kind: ClockEffect, times: list[int], what: str) -> ClockChange:
    count = "" if len(times) == 1 else f" and {len(times) - 1} more"
    if len(times) == COUNTED_AT_MOST:
        count = " and many more"
    day = EPOCH + timedelta(seconds=times[0])
    text = f"{day:%Y-%m-%d} {_clock(times[0])}{count}: {what}"
    return ClockChange(EPOCH + timedelta(seconds=change.at), kind, text)


def _clock(local: int) -> str:
    at = EPOCH + timedelta(seconds=local)
    return f"{at:%H:%M:%S}" if at.second else f"{at:%H:%M}"


def _once(rule: Once, here: Zone) -> Iterator[ClockChange]:
    span = here.span(rule.instant)
    if rule.local is not None and rule.instant == span.start and rule.local < span.start + span.offset:
        change = _Change(span.start, span.before, span.offset, here)
        what = f"is skipped and fires at {_clock(change.high)}"
        yield _told(change, ClockEffect.MOVED, [rule.local], what)
