"""The three ways to say when: on the wall clock, every so often, once. Each finds its next instant in epoch seconds."""

import re
from datetime import datetime
from typing import Final

from scheduler_daemon.contract.schedule import Gap, Overlap
from scheduler_daemon.domain.cron import LAST_LOCAL, Cron
from scheduler_daemon.domain.errors import BadSchedule
from scheduler_daemon.domain.zones import EPOCH, Calm, Span, Zone

NEVER: Final = 1 << 62
"""Later than any instant: the answer of a rule that has no more."""

_NOWHERE: Final = Calm(0, 0, 0)
_TWO_DAYS: Final = 2 * 86_400
_MAX_EVERY: Final = 3660 * 86_400
_UNITS: Final = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}
_DURATION: Final = re.compile(r"(?:[0-9]{1,9}[wdhms] *)+", re.ASCII)
_PART: Final = re.compile(r"([0-9]+)([wdhms])")
_AT: Final = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?) ?(Z|[+-]\d\d:?\d\d)?", re.ASCII | re.IGNORECASE)


class OnTheWallClock:
    """A cron expression in a zone. What happens when clocks change is decided here.

    Expressions that recur with the clock (`*` in seconds, minutes or hours) follow it: nothing for skipped times, both
    passes of repeated ones. Expressions that name times of day obey `gap` and `overlap`.
    """

    __slots__ = ("_calm", "_cron", "_fixed", "_gap", "_overlap", "_zone")

    def __init__(self, cron: Cron, zone: Zone, gap: Gap, overlap: Overlap) -> None:
        self._cron = cron
        self._zone = zone
        self._gap = gap
        self._overlap = overlap
        self._fixed = not cron.wildcard
        self._calm = _NOWHERE  # where the last answer was found; the next is probably there too

    def after(self, t: int) -> int:
        """Return the first instant later than `t`, or NEVER."""
        start, end, offset = self._calm
        if not start <= t < end:
            span = self._zone.span(t)  # the span of `t` itself: the gap after it may be due at t + 1
            start, end, offset = self._calm = span.calm
            if not start <= t < end:
                return self._near_changes(t, span)
        local = self._cron.next_local(t + 1 + offset)
        if local - offset < end:
            return local - offset
        if local >= LAST_LOCAL:
            return NEVER
        start, end, later_offset = self._zone.span(local - offset).calm
        if start <= local - later_offset < end:
            return local - later_offset
        return self._near_changes(t, self._zone.span(t))

    def _near_changes(self, t: int, span: Span) -> int:
        cron = self._cron
        t = self._beyond_second_pass(t + 1, span)
        lower = t + span.offset
        local = cron.next_local(lower)
        while local < LAST_LOCAL:
            instant = self._with_shifted(local - span.offset, t, span)
            if instant < span.end and not self._in_first_pass(instant, span):
                return instant
            following = self._zone.span(span.end)
            if self._fixed and self._gap is Gap.RUN_AFTER and local < span.end + following.offset:
                return span.end
            t, span = span.end, following
            if lower <= t + span.offset and local - span.offset > span.end:  # nothing matches in all this span
                t = max(t, local - _TWO_DAYS)
                span = self._zone.span(t)
            t = self._beyond_second_pass(t, span)
            lower = t + span.offset
            local = cron.next_local(lower)
        return NEVER

    def _beyond_second_pass(self, t: int, span: Span) -> int:
        """Move over the repeated times that begin `span`, when only their first pass counts."""
        if self._fixed and self._overlap is Overlap.FIRST and span.before > span.offset:
            return max(t, span.start + span.before - span.offset)
        return t

    def _in_first_pass(self, instant: int, span: Span) -> bool:
        """Whether the wall clock will show this time again, when only the last pass counts."""
        if not self._fixed or self._overlap is not Overlap.LAST:
            return False
        return instant - span.end >= self._zone.span(span.end).offset - span.offset

    def _with_shifted(self, instant: int, t: int, span: Span) -> int:
        """Return the earlier of `instant` and a skipped time moved by the length of the gap that begins `span`."""
        gap = span.offset - span.before
        if gap <= 0 or t >= span.start + gap or not self._fixed or self._gap is not Gap.SHIFT:
            return instant
        skipped = self._cron.next_local(t + span.before)
        return min(instant, skipped - span.before) if skipped < span.start + span.offset else instant


class EverySoOften:
    """Every so many seconds from an anchor, itself the first instant. Zones and clock changes do not matter."""

    __slots__ = ("_anchor", "_seconds")

    def __init__(self, seconds: int, anchor: int) -> None:
        self._seconds = seconds
        self._anchor = anchor

    def after(self, t: int) -> int:
        """Return the first instant later than `t`."""
        return self._anchor + max(0, (t - self._anchor) // self._seconds + 1) * self._seconds


class Once:
    """A single instant."""

    __slots__ = ("_instant",)

    def __init__(self, instant: int) -> None:
        self._instant = instant

    def after(self, t: int) -> int:
        """Return the instant if it is later than `t`, or NEVER."""
        return self._instant if self._instant > t else NEVER


Rule = OnTheWallClock | EverySoOften | Once


def read_duration(expression: str, text: str) -> int:
    """Read the seconds of `1h30m`, the part of an `@every` after the word. Raises BadSchedule."""
    if not _DURATION.fullmatch(text):
        raise BadSchedule(
            f"`@every` takes whole weeks, days, hours, minutes or seconds, such as 90s or 1h30m, not {text!r}.",
            expression=expression,
            position=len(expression) - len(text) if text else None,
        )
    seconds = sum(int(count) * _UNITS[unit] for count, unit in _PART.findall(text))
    if not 1 <= seconds <= _MAX_EVERY:
        raise BadSchedule(
            "`@every` must be from 1s to 3660d.", expression=expression, position=len(expression) - len(text)
        )
    return seconds


def read_instant(expression: str, text: str, zone: Zone) -> int:
    """Read the date and time of an `@at`, in `zone` unless it names an offset. Raises BadSchedule.

    A time that clocks skip means the end of the gap; one that they repeat means the first pass.
    """
    match = _AT.fullmatch(text)
    if not match:
        raise _bad_instant(expression, text, "write it as 2026-12-01T08:00, with an offset such as +01:00 if you like")
    try:
        wall = datetime.fromisoformat(f"{match[1]}T{match[2]}{(match[3] or 'Z').upper()}")
    except ValueError as error:
        raise _bad_instant(expression, text, str(error)) from None
    if not 1900 <= wall.year <= 9000:
        raise _bad_instant(expression, text, "the year must lie between 1900 and 9000")
    seconds = int((wall - EPOCH).total_seconds())
    return seconds if match[3] else zone.first_instant(seconds)


def _bad_instant(expression: str, text: str, why: str) -> BadSchedule:
    return BadSchedule(f"{text!r} is no date and time: {why}.", expression=expression)
