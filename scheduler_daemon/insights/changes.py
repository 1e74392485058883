"""Find where a job's figures changed for good, which way they go, and what began there. Pure.

Figures are told apart as logarithms, for a job grows by a share and not by seconds. A change is one in the level that
holds for a while; a single odd run is none. Whether a version of the job began there is asked after, not before.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

SHORTEST: Final = 8
"""Runs that a level must hold."""
_LONGEST: Final = 2000
"""Runs looked at, the latest."""
_PENALTY: Final = 6.0
"""For another change, in variances times the logarithm of the number of runs."""
_LEAST: Final = 0.15
"""A change by a lesser share is not told."""
_MOST: Final = 0.75
_NEAR: Final = 3
"""Runs to either side within which a version counts as what began a change."""
_NINE_OF_TEN: Final = 1.645


class Change(NamedTuple):
    """The level of a figure changed."""

    at: int
    """Index of the first run at the new level."""
    before: float
    after: float
    version: int | None
    """The version of the job that began there; None if none did."""


class Trend(NamedTuple):
    """A figure that goes one way."""

    now: float
    """Its level."""
    per_day: float
    """By what share of it, lately, a day."""
    low: float
    high: float
    """Nine times in ten that share lies between."""

    def reaches(self, limit: float) -> tuple[float, float] | None:
        """Return in how many days it reaches a limit, as likely, and at the earliest; None if it does not."""
        if self.now <= 0 or self.per_day <= 0 or limit <= self.now:
            return None
        needed = float(np.log(limit / self.now))
        return needed / float(np.log1p(self.per_day)), needed / float(np.log1p(self.high))


def changes(values: ArrayLike, versions: Sequence[int] = ()) -> list[Change]:
    """Return the changes in the level of a figure, a value a run, oldest first. `versions` are those of the runs."""
    given = np.asarray(values, np.float64)
    skipped = max(0, len(given) - _LONGEST)
    series = np.log(np.maximum(given[skipped:], 1e-9))
    bounds = [0, *_segments(_tame(series)), len(series)]
    parts = [series[a:b] for a, b in pairwise(bounds)]
    found, at = [], skipped
    for old, new in pairwise(parts):
        at += len(old)
        before, after = float(np.exp(np.median(old))), float(np.exp(np.median(new)))
        if abs(after / before - 1) >= _LEAST and _holds(old, new):
            found.append(Change(at, before, after, _version_at(at, versions)))
    return found


def _holds(old: Floats, new: Floats) -> bool:
    """Tell whether most runs of either part lie on its own side of the middle between both."""
    middle = (np.median(old) + np.median(new)) / 2
    rises = np.median(new) > np.median(old)
    return bool(np.mean((old > middle) != rises) >= _MOST and np.mean((new > middle) == rises) >= _MOST)


def _tame(series: Floats) -> Floats:
    """Return a series in units of its noise, its odd values drawn in, so that one of them makes no change."""
    if len(series) < 2:
        return series
    steps = np.diff(series)
    noise = float(np.median(np.abs(steps - np.median(steps)))) / 0.6745 / np.sqrt(2)
    noise = max(noise, 0.02)
    padded = np.pad(series, 2, mode="edge")
    around = np.median(np.lib.stride_tricks.sliding_window_view(padded, 5), axis=1)
    return np.asarray(np.clip(series, around - 2 * noise, around + 2 * noise) / noise, np.float64)


def _segments(series: Floats) -> list[int]:
    """Return where the mean changes, so that squared errors and a penalty a change are least (PELT)."""
    count = len(series)
    if count < 2 * SHORTEST:
        return []
    penalty = _PENALTY * float(np.log(count))
    sums, squares = (np.concatenate(([0.0], np.cumsum(power))) for power in (series, series * series))
    best = np.full(count + 1, np.inf)
    best[0] = -penalty
    last = np.zeros(count + 1, np.int64)
    starts = np.array([0])
    for end in range(SHORTEST, count + 1):
        total = sums[end] - sums[starts]
        costs = best[starts] + (squares[end] - squares[starts] - total * total / (end - starts))
        chosen = int(costs.argmin())
        best[end], last[end] = costs[chosen] + penalty, starts[chosen]
        starts = np.append(starts[costs <= best[end]], end - SHORTEST + 1)
        starts = starts[np.isfinite(best[starts])]
    found, end = [], count
    while (end := int(last[end])) > 0:
        found.append(end)
    return found[::-1]


def _version_at(at: int, versions: Sequence[int]) -> int | None:
    """Return the version whose first run lies nearest to a run, if it is near."""
    began = [n for n in range(max(1, at - _NEAR), min(len(versions), at + _NEAR + 1)) if versions[n] != versions[n - 1]]
    return versions[min(began, key=lambda n: abs(n - at))] if began else None


def trend(days: ArrayLike, values: ArrayLike) -> Trend | None:
    """Return which way a figure goes, None where it may as well stay: the slope between all pairs of days (Theil, Sen).

    `days` are instants in days, at least ten of them apart from one another by half a day, `values` above 0.
    """
    at, logs = _daily(np.asarray(days, np.float64), np.log(np.maximum(np.asarray(values, np.float64), 1e-9)))
    if len(at) < 10:
        return None
    first, second = np.triu_indices(len(at), 1)
    slopes = np.sort((logs[second] - logs[first]) / (at[second] - at[first]))
    count = len(at)
    half = _NINE_OF_TEN * np.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    low = slopes[max(0, int((len(slopes) - half) / 2))]
    high = slopes[min(len(slopes) - 1, int((len(slopes) + half) / 2) + 1)]
    slope = float(np.median(slopes))
    if low <= 0 <= high:
        return None
    level = float(np.median(logs - slope * (at - at[-1])))
    return Trend(float(np.exp(level)), float(np.expm1(slope)), float(np.expm1(low)), float(np.expm1(high)))


def _daily(at: Floats, logs: Floats) -> tuple[Floats, Floats]:
    """Return the medians of the last 90 days that have any."""
    day = np.floor(at - at.max(initial=0) + 1e-9).astype(np.int64)
    found = [each for each in np.unique(day) if each > -90]
    return np.array(found, np.float64), np.array([np.median(logs[day == each]) for each in found])
