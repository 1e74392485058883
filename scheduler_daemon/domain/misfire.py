"""Decide what becomes of the fires that came due since someone last looked: run them, or record them as missed."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from scheduler_daemon.contract.schedule import Misfire
from scheduler_daemon.domain.occasions import Occasion, Times, Timetable

ON_TIME: Final = timedelta(seconds=10)
"""A fire no later than this is on time: a busy tick or a quick restart is no misfire."""
COUNTED_AT_MOST: Final = 20_000
"""How far the fires beyond the bound are counted, so that a year of seconds cannot hold up a tick."""


@dataclass(frozen=True, slots=True)
class Owed:
    """Every due fire is in exactly one of `run` and `missed`, or is counted in `dropped`."""

    run: tuple[datetime, ...] = ()
    """To be started now, oldest first."""
    missed: tuple[datetime, ...] = ()
    """To be recorded, not run: too old, superseded by a later one, or unwanted by the policy. Oldest first."""
    dropped: int = 0
    """How many older ones are not named, for there are too many. Counting stops at COUNTED_AT_MOST."""


def owed(
    compiled: Times,
    last_handled: datetime,
    now: datetime,
    *,
    policy: Misfire,
    grace: timedelta,
    bound: int = 1000,
    on_time: timedelta = ON_TIME,
) -> Owed:
    """Sort out the fires with `last_handled` < fire <= `now`, of which at most the latest `bound` are named.

    A fire within `on_time` of `now` always runs. Of the later ones `skip` runs none, `run_once` the latest if nothing
    newer runs, `run_all` each; and none that is more than `grace` late.
    """
    due, dropped = _latest(compiled, last_handled, now, bound)
    punctual = [fire for fire in due if now - fire <= on_time]
    late = due[: len(due) - len(punctual)]
    in_grace = [fire for fire in late if now - fire <= grace]
    if policy is Misfire.RUN_ALL:
        caught_up = in_grace
    elif policy is Misfire.RUN_ONCE and not punctual:
        caught_up = in_grace[-1:]
    else:
        caught_up = []
    chosen = set(caught_up)
    missed = tuple(fire for fire in late if fire not in chosen)
    return Owed(run=(*caught_up, *punctual), missed=missed, dropped=dropped)


def suppressed(times: Times, last_handled: datetime, now: datetime, bound: int = 1000) -> tuple[Occasion, ...]:
    """Return what calendars and blackouts suppress with `last_handled` < instant <= `now`, of a great many the latest.

    At most `bound`, and only those among the latest COUNTED_AT_MOST instants that would have been fires.
    """
    if not isinstance(times, Timetable):
        return ()
    found: deque[Occasion] = deque(maxlen=bound)
    for since in _ever_earlier(last_handled, now):
        all_since = list(islice(times.occasions(since, now), COUNTED_AT_MOST))
        if found and len(all_since) == COUNTED_AT_MOST:
            break
        found = deque((occasion for occasion in all_since if occasion.why), maxlen=bound)
        if len(found) == bound:
            break
    return tuple(found)


def _latest(compiled: Times, after: datetime, now: datetime, bound: int) -> tuple[list[datetime], int]:
    """Return the latest `bound` fires in (after, now] and how many came before them."""
    due = deque[datetime](maxlen=bound)
    seen = 0
    for fire in compiled.fires(after, until=now, limit=COUNTED_AT_MOST + bound):
        due.append(fire)
        seen += 1
    if seen < COUNTED_AT_MOST + bound:
        return list(due), seen - len(due)
    return _backwards(compiled, after, now, bound), COUNTED_AT_MOST


def _backwards(compiled: Times, after: datetime, now: datetime, bound: int) -> list[datetime]:
    """Return the latest `bound` of a great many fires, without walking through all of them."""
    for since in _ever_earlier(after, now):
        due = deque(compiled.fires(since, until=now), maxlen=bound)
        if len(due) == bound or since == after:
            return list(due)
    return []


def _ever_earlier(after: datetime, now: datetime) -> Iterator[datetime]:
    window = timedelta(minutes=1)
    while now - window > after:
        yield now - window
        window *= 2
    yield after
