"""Move a schedule by minutes without changing what it says: the same hours, the same days, as many fires; or let it
fire more rarely, at some of its times. Pure.

Only a cron expression with one plain minute, or with minutes evenly spaced over the hour, says a minute that may as
well be another: `0 3 * * *` or `*/15 * * * *`. Where hours may move too, it must name one hour; it stays on its day.
Whoever wrote `H` has had the minute chosen already. Whether a job wants any of it is for the caller to know.
"""

import re
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.domain.errors import BadSchedule
from scheduler_daemon.domain.expressions import cron_text

_EVEN: Final = re.compile(r"(?:\*|([0-5]?[0-9])-59)/([0-9]{1,2})")
_PARTS: Final = frozenset({2, 3, 4, 5, 6, 10, 12, 15, 20, 30})
_PLAIN_MINUTE: Final = re.compile(r"[0-5]?[0-9]")
_PLAIN_HOUR: Final = re.compile(r"[01]?[0-9]|2[0-3]")


class Place(NamedTuple):
    """Where in its hour, or day, an expression fires."""

    minute: int
    """Its first minute."""
    every: int
    """Minutes from one to the next: 60 for one an hour, or a part of the hour."""
    hour: int | None
    """The one hour it names, in the zone of the schedule; None where it names others or all."""


def place(expression: str) -> Place | None:
    """Return where an expression fires, None where its minute cannot be another without changing its meaning.

    Raises BadSchedule for an alias that does not exist.
    """
    fields = _fields(expression)
    if fields is None:
        return None
    minute, hour = fields[-5], fields[-4]
    named = int(hour) if _PLAIN_HOUR.fullmatch(hour) else None
    if _PLAIN_MINUTE.fullmatch(minute):
        return Place(int(minute), 60, named)
    even = _EVEN.fullmatch(minute)
    if even is None or int(even[2]) not in _PARTS:
        return None
    if minute.startswith("*") and not hour.startswith("*"):
        return None  # without the `*` it would name times of day, which clock changes treat in another way
    first = int(even[1] or 0)
    return Place(first, int(even[2]), named) if first < int(even[2]) else None


def offsets(expression: str, *, hours: bool = False) -> tuple[int, ...]:
    """Return by how many minutes an expression may be moved, ascending, 0 among them.

    Within its hour; with `hours`, and where it names one hour, within its day.
    """
    found = place(expression)
    if found is None:
        return (0,)
    if hours and found.hour is not None and found.every == 60:
        at = found.hour * 60 + found.minute
        return tuple(range(-at, 1440 - at))
    return tuple(range(-found.minute, found.every - found.minute))


def moved(expression: str, by: int) -> str:
    """Return the expression moved by some minutes. Raises BadSchedule where it cannot be: see `offsets`."""
    found = place(expression)
    if found is None or by not in offsets(expression, hours=True):
        raise BadSchedule(
            f"`{expression.strip()}` cannot be moved by {by} minutes and mean the same.", expression=expression
        )
    fields = _fields(expression)
    assert fields is not None
    minute = found.minute + by
    if found.hour is not None:
        fields[-4] = str(found.hour + minute // 60)
        minute %= 60
    if found.every == 60:
        fields[-5] = str(minute)
    else:
        fields[-5] = f"{minute}-59/{found.every}" if minute else f"*/{found.every}"
    return " ".join(fields)


def rarer(expression: str, every_s: float) -> str | None:
    """Return an expression that fires as rarely as every so many seconds allow, and at times the old one fires too.

    Only for a second, a minute or an hour that is `*`, or every so many; None where that is not so, or would be no
    rarer.
    """
    text = cron_text(expression)
    fields = text.split() if text is not None else []
    seconds = _step(fields[0], 60) if len(fields) == 6 else None
    if seconds is not None:
        wider = _widest(seconds, 60, every_s)
        once_a_minute = " ".join(["0", *fields[1:]])
        if every_s >= 60:
            return rarer(once_a_minute, every_s) or once_a_minute
        return " ".join([f"*/{wider}", *fields[1:]]) if wider > seconds else None
    fields = _fields(expression) or []
    if not fields:
        return None
    minutes, hours = _step(fields[-5], 60), _step(fields[-4], 24)
    if minutes is not None and every_s < 3600:
        wider = _widest(minutes, 60, every_s / 60)
        fields[-5] = f"*/{wider}"
        return " ".join(fields) if wider > minutes else None
    if hours is None or (minutes is None and not _PLAIN_MINUTE.fullmatch(fields[-5])):
        return None
    wider = _widest(hours, 24, every_s / 3600)
    if wider <= hours and minutes is None:
        return None
    fields[-5] = "0" if minutes is not None else fields[-5]
    fields[-4] = f"*/{wider}" if wider > 1 else "*"
    return " ".join(fields)


def _step(field: str, size: int) -> int | None:
    """Return how far apart the values of a field are that holds all of them, or every so many from 0."""
    if field == "*":
        return 1
    step = field.removeprefix("*/")
    return int(step) if step != field and step.isdigit() and step != "0" and size % int(step) == 0 else None


def _widest(step: int, size: int, most: float) -> int:
    """Return the largest multiple of a step that divides `size` and is at most `most`; the step itself if none is."""
    return max((n for n in range(step, size, step) if size % n == 0 and n <= most), default=step)


def means_the_same(before: Collection[datetime], after: Collection[datetime], by: int) -> bool:
    """Tell whether each fire has its counterpart some minutes later, but for a few at changes of clocks.

    A blackout, a bound or a calendar can take a fire away from where it was moved to. `after` are the fires of a period
    that begins and ends so many minutes later than that of `before`.
    """
    apart = timedelta(minutes=by)
    return len({fire + apart for fire in before}.symmetric_difference(after)) <= max(2, len(before) // 100)


def moved_schedule(schedule: Schedule, by: int) -> Schedule:
    """Return a schedule of one expression moved by some minutes. Raises BadSchedule where it cannot be."""
    if len(schedule.expressions) != 1:
        raise BadSchedule("Only a schedule of one expression can be moved.", expression="; ".join(schedule.expressions))
    return schedule.model_copy(update={"expressions": (moved(schedule.expressions[0], by),)})


def _fields(expression: str) -> list[str] | None:
    """Return the fields of a cron expression that fires on one second of its minutes; None for every other one."""
    text = cron_text(expression)
    fields = text.split() if text is not None else []
    if len(fields) not in {5, 6} or (len(fields) == 6 and not fields[0].isdigit()):
        return None
    return fields
