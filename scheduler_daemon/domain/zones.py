"""Know the offset of a zone at every second, as plain integers.

`zoneinfo` answers one aware datetime at a time; schedules ask thousands of times about the same few years. A Zone
finds the changes of offset once for each stretch of time in use and keeps them. What a schedule does about
a change of clocks is decided in `wall`.
"""

import difflib
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from scheduler_daemon.domain.errors import Invalid

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STRETCH_BITS = 25
_MARGIN = 2 * 86_400  # more than any change of offset
_EARLIEST = (datetime(2, 1, 1, tzinfo=UTC) - EPOCH).days * 86_400
_LATEST = (datetime(9999, 1, 1, tzinfo=UTC) - EPOCH).days * 86_400
_WIDEST = 30 * 3600  # more than any offset from UTC

# No zone has two changes of offset closer than 3.98 days (Africa/Freetown, 1939), so none hides between two probes.
_PROBE_SECONDS = 3 * 86_400
_NOT_ZONES = ("posix/", "right/", "localtime", "posixrules")


class Span(NamedTuple):
    """A time, `start` <= t < `end` in epoch seconds, in which the offset stays the same.

    Either end is a change of offset, or a horizon that no change lies near.
    """

    start: int
    end: int
    offset: int
    before: int
    """The offset just before `start`; the same as `offset` at a horizon."""
    calm: "Calm"
    """The part of it in which no skipped or repeated time is near."""


class Calm(NamedTuple):
    """A time, `start` <= t < `end`, in which every wall-clock time comes just once."""

    start: int
    end: int
    offset: int


class Zone:
    """The offsets of one IANA zone, looked up in stretches of 388 days and remembered."""

    __slots__ = ("_known", "_tz", "key")

    def __init__(self, key: str) -> None:
        self.key = key
        self._tz = ZoneInfo(key)
        self._known: dict[int, tuple[Span, ...]] = {}

    def span(self, t: int) -> Span:
        """Return the span that holds the epoch second `t`."""
        spans = self._known.get(t >> _STRETCH_BITS) or self._learn(t >> _STRETCH_BITS)
        for span in spans:
            if t < span.end:
                return span
        raise AssertionError(t)

    def first_instant(self, local: int) -> int:
        """Return the earliest epoch second at which the wall clock shows `local` or, if it never does, a later time."""
        span = self.span(local - _WIDEST)
        while local - span.offset >= span.end:
            span = self.span(span.end)
        return max(span.start, local - span.offset)

    def last_local(self, t: int) -> int:
        """Return the latest time that the wall clock has shown by the epoch second `t`."""
        span = self.span(t)
        return max(t + span.offset, min(t, span.start - 1) + span.before)

    def _learn(self, stretch: int) -> tuple[Span, ...]:
        first, last = stretch << _STRETCH_BITS, (stretch + 1) << _STRETCH_BITS
        spans = (
            (Span(first, last, 0, 0, Calm(first, last, 0)),) if self.key == "UTC" else tuple(self._spans(first, last))
        )
        self._known[stretch] = spans
        return spans

    def _spans(self, first: int, last: int) -> Iterator[Span]:
        """Yield the spans from `first` to `last`, knowing the changes up to a margin beyond either end."""
        changes = list(self._changes(first - _MARGIN, last + _MARGIN))
        for (start, before, offset), (end, _, after) in pairwise(changes):
            if start < last and end > first:
                begin = first if offset == before else start
                stop = last if after == offset else end
                calm = Calm(begin + abs(offset - before), stop - abs(after - offset), offset)
                yield Span(begin, stop, offset, before, calm)

    def _changes(self, first: int, last: int) -> Iterator[tuple[int, int, int]]:
        """Yield each change as its second and the offsets before and after; `first` and `last` as if they were some."""
        offset = self._offset(first)
        yield first, offset, offset
        for low in range(first, last, _PROBE_SECONDS):
            high = min(low + _PROBE_SECONDS, last)
            after = self._offset(high)
            if after != offset:
                yield self._change(low, high, offset), offset, after
                offset = after
        yield last, offset, offset

    def _change(self, low: int, high: int, offset: int) -> int:
        while high - low > 1:
            middle = (low + high) // 2
            if self._offset(middle) == offset:
                low = middle
            else:
                high = middle
        return high

    def _offset(self, t: int) -> int:
        shift = datetime.fromtimestamp(max(_EARLIEST, min(t, _LATEST)), self._tz).utcoffset()
        assert shift is not None
        return shift.days * 86_400 + shift.seconds


@lru_cache(maxsize=1024)
def zone(key: str) -> Zone:
    """Return the zone of an IANA key. Raises Invalid, naming the nearest key, when there is none."""
    try:
        if key and not key.startswith(_NOT_ZONES):
            return Zone(key)
    except (KeyError, ValueError, OSError):  # what ZoneInfo makes of odd keys
        pass
    raise Invalid(_unknown(key), field="schedule.zone")


def _unknown(key: str) -> str:
    near = nearest_zone(key)
    hint = f"Did you mean {near}?" if near else "Use an IANA key such as Europe/Berlin."
    return f"There is no time zone {key!r}. {hint}"


def nearest_zone(key: str) -> str:
    """Return the existing IANA key that looks most like `key`, or "" when none does."""
    keys = {name.lower(): name for name in available_timezones() if not name.startswith(_NOT_ZONES)}
    wanted = key.lower().replace(" ", "_")
    cities = {name.rpartition("/")[2]: name for name in sorted(keys, reverse=True)}
    if wanted in cities:
        return keys[cities[wanted]]
    near = difflib.get_close_matches(wanted, keys, n=1) or [
        cities[city] for city in difflib.get_close_matches(wanted.rpartition("/")[2], cities, n=1)
    ]
    return keys[near[0]] if near else ""
