"""Match a wall clock against a zone. What happens when clocks change is decided here.

What to match is left to `cron`, `calendar` and `recurrence`; the offsets of a zone are known to `zones`.
"""

from typing import Final, Protocol

from scheduler_daemon.contract.schedule import Gap, Overlap
from scheduler_daemon.domain.cron import LAST_LOCAL, Rhythm
from scheduler_daemon.domain.zones import Calm, Span, Zone

NEVER: Final = 1 << 62
"""Later than any instant: the answer of a rule that has no more."""

_NOWHERE: Final = Calm(0, 0, 0)
_TWO_DAYS: Final = 2 * 86_400


class WallClock(Protocol):
    """What matches on a wall clock, in seconds since 1970-01-01T00:00 there; no zone is known to it."""

    @property
    def never(self) -> bool:
        """Whether no date of the calendar matches, such as 31 February."""

    @property
    def wildcard(self) -> bool:
        """Whether it recurs with the clock rather than naming times of day."""

    @property
    def rhythm(self) -> Rhythm | None:
        """The even spacing of all its matches, if they are evenly spaced without end."""

    def next_local(self, local: int) -> int:
        """Return the first match at or after `local`, or LAST_LOCAL when there is none before it."""


class OnTheWallClock:
    """A matcher in a zone.

    Those that recur with the clock (`*` in seconds, minutes or hours) follow it: nothing for skipped times, both
    passes of repeated ones. Those that name times of day obey `gap` and `overlap`.
    """

    __slots__ = ("_calm", "fixed", "gap", "matcher", "overlap", "rhythm", "zone")

    def __init__(self, matcher: WallClock, zone: Zone, gap: Gap, overlap: Overlap) -> None:
        self.matcher = matcher
        self.zone = zone
        self.gap = gap
        self.overlap = overlap
        self.fixed = not matcher.wildcard
        self.rhythm = matcher.rhythm
        self._calm = _NOWHERE  # where the last answer was found; the next is probably there too

    def after(self, t: int) -> int:
        """Return the first instant later than `t`, or NEVER."""
        start, end, offset = self._calm
        if not start <= t < end:
            span = self.zone.span(t)  # the span of `t` itself: the gap after it may be due at t + 1
            start, end, offset = self._calm = span.calm
            if not start <= t < end:
                return self._near_changes(t, span)
        if self.rhythm:
            period, phase = self.rhythm
            instant = t + period - (t + offset - phase) % period
            if instant < end:
                return instant
        local = self.matcher.next_local(t + 1 + offset)
        if local - offset < end:
            return local - offset
        if local >= LAST_LOCAL:
            return NEVER
        start, end, later_offset = self.zone.span(local - offset).calm
        if start <= local - later_offset < end:
            return local - later_offset
        return self._near_changes(t, self.zone.span(t))

    def _near_changes(self, t: int, span: Span) -> int:
        matcher = self.matcher
        t = self._beyond_second_pass(t + 1, span)
        lower = t + span.offset
        local = matcher.next_local(lower)
        while local < LAST_LOCAL:
            instant = self._with_shifted(local - span.offset, t, span)
            if instant < span.end and not self._in_first_pass(instant, span):
                return instant
            following = self.zone.span(span.end)
            if self.fixed and self.gap is Gap.RUN_AFTER and local < span.end + following.offset:
                return span.end
            t, span = span.end, following
            if lower <= t + span.offset and local - span.offset > span.end:  # nothing matches in all this span
                t = max(t, local - _TWO_DAYS)
                span = self.zone.span(t)
            t = self._beyond_second_pass(t, span)
            lower = t + span.offset
            local = matcher.next_local(lower)
        return NEVER

    def _beyond_second_pass(self, t: int, span: Span) -> int:
        """Move over the repeated times that begin `span`, when only their first pass counts."""
        if self.fixed and self.overlap is Overlap.FIRST and span.before > span.offset:
            return max(t, span.start + span.before - span.offset)
        return t

    def _in_first_pass(self, instant: int, span: Span) -> bool:
        """Whether the wall clock will show this time again, when only the last pass counts."""
        if not self.fixed or self.overlap is not Overlap.LAST:
            return False
        return instant - span.end >= self.zone.span(span.end).offset - span.offset

    def _with_shifted(self, instant: int, t: int, span: Span) -> int:
        """Return the earlier of `instant` and a skipped time moved by the length of the gap that begins `span`."""
        gap = span.offset - span.before
        if gap <= 0 or t >= span.start + gap or not self.fixed or self.gap is not Gap.SHIFT:
            return instant
        skipped = self.matcher.next_local(t + span.before)
        return min(instant, skipped - span.before) if skipped < span.start + span.offset else instant
