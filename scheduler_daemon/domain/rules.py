"""The three ways to say when: on the wall clock, every so often, once. Each finds its next instant in epoch seconds."""

import re
from datetime import datetime
from typing import Final

from scheduler_daemon.domain.errors import BadSchedule
from scheduler_daemon.domain.wall import NEVER, OnTheWallClock
from scheduler_daemon.domain.zones import EPOCH, Zone

_MAX_EVERY: Final = 3660 * 86_400
_UNITS: Final = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}
_DURATION: Final = re.compile(r"(?:[0-9]{1,9}[wdhms] *)+", re.ASCII)
_PART: Final = re.compile(r"([0-9]+)([wdhms])")
_AT: Final = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?) ?(Z|[+-]\d\d:?\d\d)?", re.ASCII | re.IGNORECASE)


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

    __slots__ = ("instant", "local")

    def __init__(self, instant: int, local: int | None = None) -> None:
        self.instant = instant
        self.local = local
        """The local time that was asked for, if it was a local time."""

    def after(self, t: int) -> int:
        """Return the instant if it is later than `t`, or NEVER."""
        return self.instant if self.instant > t else NEVER


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


def read_instant(expression: str, text: str, zone: Zone) -> Once:
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
    return Once(seconds) if match[3] else Once(zone.first_instant(seconds), seconds)


def _bad_instant(expression: str, text: str, why: str) -> BadSchedule:
    return BadSchedule(f"{text!r} is no date and time: {why}.", expression=expression)
