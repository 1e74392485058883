"""Find what a job is given and does not need: memory, processor time, runs that do nothing. Pure.

Each finding says what to give instead and what that is expected to change, so that it can be measured afterwards.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

ENOUGH: Final = 30
"""Runs that must be known."""
_ROOM: Final = 1.5
"""A limit leaves so much room above what is expected at the most."""
_TOO_MUCH: Final = 3.0
"""A limit so many times what is expected at the most is worth lowering."""
_TIGHT: Final = 0.9
_MIB: Final = 1 << 20
_IDLE: Final = 0.95
"""Runs of which so large a share finds nothing to do come too often."""
_LATER: Final = 0.5
"""The new distance is at most so much of the usual one between runs that had something to do."""
_SMALL: Final = 4096
"""Bytes of output that a run with nothing to do may write."""
_MOST_TIMES: Final = 12
"""Nobody is advised to run a job rarer than one run in so many."""


class Limit(NamedTuple):
    """A limit that fits what was used."""

    used: float
    """The most that any run used."""
    expected: float
    """What a coming one is expected to use at the most."""
    proposed: int
    tight: bool
    """The present limit is nearly reached; otherwise it is far above."""


class Idle(NamedTuple):
    """A job that mostly finds nothing to do."""

    runs: int
    idle: int
    usual_s: float
    """From one run to the next."""
    work_s: float
    """From one run that had something to do to the next; the whole time looked at where none had."""
    every_s: float
    """How far apart runs may be."""


def limit(used: ArrayLike, present: float, step: int = 16 * _MIB) -> Limit | None:
    """Return a better limit than the present one, in whole steps; None where it fits or too little is known."""
    peaks = np.asarray(used, np.float64)
    peaks = peaks[np.isfinite(peaks)]
    if len(peaks) < ENOUGH or present <= 0:
        return None
    expected = _most(peaks)
    proposed = int(np.ceil(expected * _ROOM / step) * step)
    if peaks.max() > _TIGHT * present:
        return Limit(float(peaks.max()), expected, max(proposed, int(present) + step), tight=True)
    if present > _TOO_MUCH * expected and proposed < present:
        return Limit(float(peaks.max()), expected, proposed, tight=False)
    return None


def _most(peaks: Floats) -> float:
    """Return what few runs to come will go beyond: the most seen, and as much above it as the upper ones lie apart."""
    upper = np.quantile(peaks, 0.9)
    return float(peaks.max() + (peaks.max() - upper))


def idle(started: ArrayLike, output: ArrayLike, results: Sequence[str], failed: ArrayLike) -> Idle | None:
    """Return how often a job would have to run, None where it runs for good reason or too little is known.

    `started` are epoch seconds, ascending; `results` is what each run reported of what it did, "" for nothing. A run
    had nothing to do if it succeeded, and wrote and reported the same as most runs do.
    """
    at, size = np.asarray(started, np.float64), np.asarray(output, np.float64)
    if len(at) < ENOUGH or np.any(np.asarray(failed, bool)):
        return None
    sizes, counts = np.unique(size, return_counts=True)
    usual = sizes[counts.argmax()]
    reported, how_often = np.unique(np.asarray(results), return_counts=True)
    said = reported[how_often.argmax()]
    same = (size == usual) & (np.asarray(results) == said)
    if same.mean() < _IDLE or usual > _SMALL or (same.all() and not said):  # a job that is always silent may work
        return None
    between = float(np.median(np.diff(at)))
    working = at[~same]
    work = float(np.median(np.diff(working))) if len(working) > 2 else float(at[-1] - at[0])
    every = work * _LATER
    if every < 2 * between:
        return None
    return Idle(len(at), int(same.sum()), between, work, min(every, _MOST_TIMES * between))
