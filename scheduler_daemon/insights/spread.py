"""Find starts to move so that fewer runs fall together. Pure; when a job may start, and what that means, is given.

One pass: each job in turn, the longest first, is put where it adds least to the load, its own place included. What is
then offered, a move at a time, is the one that frees most, counted where the fleet is now and not where it might be
after all the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_POWER: Final = 8
"""The load is summed in this power: high enough for the peak to decide, low enough for valleys to fill evenly."""
_WORTH_IT: Final = 0.02
"""Of what a job adds where it is; less is no reason to move it."""


@dataclass(frozen=True, slots=True)
class Starter:
    """A job in a span of time that is taken to recur, in whole minutes."""

    key: str
    fires: Ints
    """Minutes from the beginning of the span."""
    takes: int
    """Minutes that a run lasts, at least 1."""
    offsets: Ints
    """By how many minutes all its fires may move; 0 is always among them."""
    weight: float = 1.0


class Move(NamedTuple):
    """A job that is better started at another minute."""

    key: str
    by: int
    """Minutes; negative is earlier."""
    beside_now: float
    """Other runs at the same time as its own, in the mean, as the fleet is."""
    beside_then: float
    """The same, were it alone to move."""


class Spread(NamedTuple):
    """What one pass finds."""

    moves: list[Move]
    """The one that frees most first."""
    peak_now: float
    """Most runs at once, in any minute."""
    peak_then: float
    """The same after all moves."""


def spread(jobs: Sequence[Starter], minutes: int, background: Floats | None = None) -> Spread:
    """Look for better places within a span of `minutes`; `background` is the load of what cannot be moved, a minute."""
    load = np.zeros(minutes) if background is None else background.copy()
    for job in jobs:
        _add(load, job, 0, job.weight)
    before = load.copy()
    found = []
    for job in sorted(jobs, key=lambda job: (-job.takes * job.weight, job.key)):
        if len(job.offsets) < 2:
            continue
        _add(load, job, 0, -job.weight)
        by = _best(load, job)
        _add(load, job, by, job.weight)
        if by:
            found.append(_move(before, job, by))
    found.sort(key=lambda move: (move.beside_then - move.beside_now, move.key))
    useful = [move for move in found if move.beside_then < move.beside_now]
    return Spread(useful, float(before.max(initial=0)), float(load.max(initial=0)))


def _add(load: Floats, job: Starter, by: int, weight: float) -> None:
    places = (job.fires[:, None] + by + np.arange(min(job.takes, len(load)))[None, :]) % len(load)
    np.add.at(load, places.ravel(), weight)


def _best(load: Floats, job: Starter) -> int:
    """Return the offset at which a job that is not in the load adds least to its power sum, 0 unless it is worth it."""
    scale = max(float(load.max()), job.weight)
    added = ((load + job.weight) / scale) ** _POWER - (load / scale) ** _POWER
    costs = _window_sums(added, job).sum(axis=1)
    cost, stays = costs.min(), costs[job.offsets == 0].min()
    if cost >= stays * (1 - _WORTH_IT):
        return 0
    near = np.flatnonzero(costs <= cost * (1 + 1e-9))
    return int(min(job.offsets[near], key=lambda by: (abs(by), by)))


def _move(load: Floats, job: Starter, by: int) -> Move:
    others = load.copy()
    _add(others, job, 0, -job.weight)
    sums = _window_sums(others, job)
    beside = sums.mean(axis=1) / min(job.takes, len(load))
    now, then = (float(beside[np.flatnonzero(job.offsets == offset)[0]]) for offset in (0, by))
    return Move(job.key, by, now, then)


def _window_sums(values: Floats, job: Starter) -> Floats:
    """Return the sum of values under each run for each offset, shape (offsets, fires); the span recurs."""
    takes = min(job.takes, len(values))
    sums = np.concatenate(([0.0], np.cumsum(np.concatenate((values, values[:takes])))))
    first = (job.fires[None, :] + job.offsets[:, None]) % len(values)
    found: Floats = sums[first + takes] - sums[first]
    return found
