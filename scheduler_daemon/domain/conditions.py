"""Decide whether a condition for a start holds, from what was seen of the world; and when a not-before gate opens.

What cannot be told counts as neither: it fails the run, and is never taken as true. Pure: who looks is the engine.
"""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from scheduler_daemon.contract.conditions import (
    FileCondition,
    Metric,
    MetricCondition,
    StateCondition,
    WindowCondition,
)
from scheduler_daemon.domain.blackouts import Weekly
from scheduler_daemon.domain.lifecycle import signal_name
from scheduler_daemon.domain.weekdays import read_weekdays
from scheduler_daemon.domain.zones import EPOCH, zone

_DAY: Final = 86_400
_EVERY_DAY: Final = 0b1111111
_CANNOT_RUN: Final = {126: "may not be run", 127: "was not found"}
"""Exit codes by which a shell says that it could not run a command."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether a condition holds, None where it could not be told, and what was found, in a few words."""

    holds: bool | None
    found: str


@dataclass(frozen=True, slots=True)
class Look:
    """What there is at a path; `fault` says why it could not be seen."""

    there: bool
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Tried:
    """How a command ended: its code, negative for a signal, or None and why there is none."""

    code: int | None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class JobFacts:
    """What is recorded of a living job: how its last run ended, None if it never ran, and its figures."""

    state: str | None
    figures: Mapping[Metric, int | None]


def file_finding(condition: FileCondition, look: Look) -> Finding:
    """Judge what there is at a path."""
    if look.fault:
        return Finding(None, f"it cannot be seen: {look.fault}")
    return Finding(look.there is not condition.absent, "it is there" if look.there else "there is no such file")


def command_finding(tried: Tried) -> Finding:
    """Judge how a command ended. One that was killed or that the shell could not run has not answered."""
    if tried.code is None:
        return Finding(None, tried.fault)
    if tried.code < 0:
        return Finding(None, f"it was killed by {signal_name(-tried.code)}")
    if tried.code in _CANNOT_RUN:
        return Finding(None, f"exit code {tried.code}: a command or directory of it {_CANNOT_RUN[tried.code]}")
    return Finding(tried.code == 0, f"exit code {tried.code}")


def window_finding(condition: WindowCondition, key: str, now: datetime) -> Finding:
    """Judge the wall clock of a zone. A repeated hour is in a window twice, and a skipped one not at all."""
    begin, end = _seconds(condition.begin), _seconds(condition.end)
    mask = read_weekdays(",".join(condition.days)) if condition.days else _EVERY_DAY
    t = int((now - EPOCH).total_seconds())
    holds = Weekly(mask, begin, (end - begin) % _DAY, None).end_of(t, zone(key)) > t
    return Finding(holds, f"it is {now.astimezone(ZoneInfo(key)):%a %H:%M:%S %Z}")


def state_finding(condition: StateCondition, job: JobFacts | None) -> Finding:
    """Judge how the last run of a job ended; None for a job that there is not."""
    if job is None:
        return Finding(None, _GONE)
    if job.state is None:
        return Finding(False, "it has not run yet")
    return Finding(job.state in condition.states, f"its last run {job.state}")


def metric_finding(condition: MetricCondition, job: JobFacts | None) -> Finding:
    """Judge a figure of a job; None for a job that there is not."""
    if job is None:
        return Finding(None, _GONE)
    value = job.figures.get(condition.metric)
    if value is None:
        return Finding(False, "there is no such figure of its last run" if job.state else "it has not run yet")
    return Finding(_COMPARES[condition.op](value, condition.value), f"it is {value}")


_GONE: Final = "that job has been deleted"
_COMPARES: Final[Mapping[str, Callable[[int, int], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


def gate(not_before: str, key: str, fire_at: datetime) -> datetime:
    """Return when a wall time of the day of an instant comes in a zone.

    One that is skipped comes with the first instant after the gap, one that is repeated the first time.
    """
    clock = zone(key)
    t = int((fire_at - EPOCH).total_seconds())
    midnight = (t + clock.span(t).offset) // _DAY * _DAY
    return EPOCH + timedelta(seconds=clock.first_instant(midnight + _seconds(not_before)))


def _seconds(clock: str) -> int:
    hours, minutes, seconds = (*map(int, clock.split(":")), 0)[:3]
    return hours * 3600 + minutes * 60 + seconds
