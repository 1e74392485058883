"""Read blackouts, and tell whether an instant lies in one and when that ends.

A weekly window is a matter of the wall clock alone: an instant is in it if the clock of its zone shows a time within,
so a repeated hour is within it twice and a skipped one not at all.
"""

import re
from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple

from scheduler_daemon.contract.calendars import Blackout
from scheduler_daemon.domain.errors import Invalid
from scheduler_daemon.domain.weekdays import read_weekdays
from scheduler_daemon.domain.zones import EPOCH, Zone, zone

_DAY: Final = 86_400
_WEEK: Final = 7 * _DAY
_EVERY_DAY: Final = 0b1111111
_WEEKLY: Final = re.compile(
    r"(?:(?P<days>[a-z]+(?:\s*(?:,|\.\.)\s*[a-z]+)*)(?:\s+|$))?"
    r"(?:(?P<begin>\d\d:\d\d(?::\d\d)?)\s*-\s*(?P<end>\d\d:\d\d(?::\d\d)?)(?:\s+|$))?(?P<zone>\S+)?",
    re.IGNORECASE | re.ASCII,
)
_ONCE: Final = re.compile(r"(\d{4}-\d\d-\d\d[T ]\S+)\s*/\s*(\d{4}-\d\d-\d\d[T ]\S+)(?:\s+(\S+))?", re.ASCII)


class Weekly(NamedTuple):
    """The same time each week on the wall clock of a zone, None for that of the schedule."""

    mask: int
    begin: int
    """Seconds since midnight."""
    length: int
    zone: str | None

    def end_of(self, t: int, here: Zone) -> int:
        """Return a later second up to which all is in the window, or `t` itself if it is not."""
        clock = zone(self.zone) if self.zone else here
        span = clock.span(t)
        local = t + span.offset
        day, time = divmod(local, _DAY)
        for back in range((self.begin + self.length - 1) // _DAY + 1):  # it may have begun on an earlier day
            since = time + back * _DAY - self.begin
            if self.mask >> (day - back + 3) % 7 & 1 and 0 <= since < self.length:
                return min(t + self.length - since, span.end)
        return t


class Once(NamedTuple):
    """A single time. Where no offset was written it is one of the zone, None for that of the schedule."""

    begin: datetime
    end: datetime
    zone: str | None

    def end_of(self, t: int, here: Zone) -> int:
        """Return the end if `t` is in the window, or `t` itself if it is not."""
        clock = zone(self.zone) if self.zone else here
        begin, end = (_second(moment, clock) for moment in (self.begin, self.end))
        return end if begin <= t < end else t


class Window(NamedTuple):
    """A blackout as read."""

    when: Weekly | Once
    called: str
    """Its name, or else its text."""


class Cover(NamedTuple):
    """A blackout that holds an instant, and a second up to which it surely does."""

    called: str
    end: int


def read_window(blackout: Blackout) -> Window:
    """Read a blackout. Raises Invalid."""
    return Window(_read(blackout.when.strip()), blackout.name or blackout.when.strip())


def covering(windows: tuple[Window, ...], t: int, here: Zone) -> Cover | None:
    """Return the first of the windows that holds the epoch second `t`; `here` is the zone of the schedule."""
    for window in windows:
        end = window.when.end_of(t, here)
        if end > t:
            return Cover(window.called, end)
    return None


@lru_cache(maxsize=4096)
def _read(text: str) -> Weekly | Once:
    if match := _ONCE.fullmatch(text):
        return _once(text, match)
    match = _WEEKLY.fullmatch(text)
    if not match or not (match["days"] or match["begin"]):
        raise _bad(
            text, "write fri 22:00-06:00 Europe/Berlin, 22:00-06:00, sat,sun or 2026-12-24T18:00/2026-12-27T08:00"
        )
    mask = read_weekdays(match["days"]) if match["days"] else _EVERY_DAY
    if not mask:
        raise _bad(text, f"{match['days']!r} is no day of the week; write mon, tue, wed, thu, fri, sat or sun")
    begin = _time(text, match["begin"]) if match["begin"] else 0
    end = _time(text, match["end"]) if match["end"] else _DAY
    if begin == _DAY:
        raise _bad(text, "24:00 is an end, not a beginning")
    if match["zone"]:
        _check_zone(text, match["zone"])
    return Weekly(mask, begin, end - begin if end > begin else end - begin + _DAY, match["zone"])


def _once(text: str, match: re.Match[str]) -> Once:
    if match[3]:
        _check_zone(text, match[3])
    try:
        begin, end = datetime.fromisoformat(match[1]), datetime.fromisoformat(match[2])
    except ValueError as error:
        raise _bad(text, f"that is no date and time: {error}") from None
    if (begin.tzinfo is None) is not (end.tzinfo is None):
        raise _bad(text, "give both ends an offset, or neither")
    if not 1970 <= begin.year <= end.year <= 9000 or end <= begin:
        raise _bad(text, "it must end after it begins, between the years 1970 and 9000")
    return Once(begin, end, match[3])


def _time(text: str, clock: str) -> int:
    hours, minutes, seconds = (*map(int, clock.split(":")), 0)[:3]
    if minutes > 59 or seconds > 59 or hours * 3600 + minutes * 60 + seconds > _DAY:
        raise _bad(text, f"there is no time {clock}")
    return hours * 3600 + minutes * 60 + seconds


def _second(moment: datetime, clock: Zone) -> int:
    if moment.tzinfo is not None:
        return int((moment - EPOCH).total_seconds())
    return clock.first_instant(int((moment - EPOCH.replace(tzinfo=None)).total_seconds()))


def _check_zone(text: str, key: str) -> None:
    try:
        zone(key)
    except Invalid as error:
        raise _bad(text, error.message) from None


def _bad(text: str, why: str) -> Invalid:
    return Invalid(f"blackout {text!r}: {why}", field="blackouts")
