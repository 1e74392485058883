"""Learn what is usual for one figure of a job, a value at a time, and say how rare the next one is.

Four predictors run side by side: the level, the latest values, the hour of the day and week, and the size of the input.
The one with the smallest error so far is believed. How rare a distance from it is, is read off its own past, and off a
heavy tail where the past is short; so a job of two modes, or of wild runs, is not called odd for what it always does. A
cumulated sum sees what drifts too slowly to be seen in one value. Plain floats: a value takes microseconds, and the
state is 25 numbers and 304 small ones.
"""

import struct
from array import array
from datetime import datetime
from math import exp, log, log10
from typing import Final, NamedTuple

LEVEL, LATEST, SEASON, SIZE = range(4)
PREDICTORS: Final = ("its usual level", "its latest runs", "this hour of the day and week", "the size of its input")
ALARM: Final = 4.8
"""What is expected once in some ten thousand values (minus the base-10 logarithm of that) is worth an alarm. Measured:
with less there are more false alarms and hardly more true ones."""
_DAYS: Final = (1, 0, 0, 0, 2, 3, 4)
"""Kinds of day from Monday on. Where it is Saturday it may be Friday in UTC still, or Monday where it is Sunday."""
_LIKE: Final = ((1, 2), (0, 2), (0, 1), (4,), (3,))
"""Of each kind of day those whose hours are like its own, until its own are known."""
CELLS: Final = 24 * len(_LIKE)
"""Hours of the day, by kind of day."""
BINS: Final = 28

_SLOW: Final = 0.03
_FAST: Final = 0.3
_CELL: Final = 0.12
_ERROR: Final = 0.02
_COST: Final = 0.0033
_YOUNG: Final = 8
"""A series of fewer values alarms nobody."""
_GROWN: Final = 15
_SEASONED: Final = 60
"""From so many values on the hour of the day is believed where it errs less, and from _GROWN the size of the input."""
_BETTER: Final = 0.9
_MUCH_BETTER: Final = 0.8
_PER_OCTAVE: Final = 4.0 / log(2)
_PRIOR: Final = 40.0
"""So many values of its own must a series have for its own tail to count as much as the general one."""
_NEAR: Final = 0.8
"""Past values count as having been as far out as a new one from this part of its distance on."""
_FADE: Final = 1.0003
_RAREST: Final = 1e-12
_SLACK: Final = 0.75
_LIMIT: Final = 9.0
_MARGIN: Final = 1.6
_WANDERS: Final = 0.4
"""A cumulated sum of a series that follows its latest values counts so much: it wanders by nature."""
_SETTLED: Final = 12
"""After so many values in a row far away on one side, that is the level."""
_RETURN: Final = 90
"""For so many values after a new level, the way back to the old one is no news."""
_FAR: Final = 3.0
_CAP: Final = 3.0
_TOP: Final = 8.0
_CLIP: Final = 4.0
_WORTH: Final = 2.0
"""A sum that did not go as far as this need not be remembered."""


class Judged(NamedTuple):
    """How one value stands against what was expected of it."""

    rarity: float
    """Minus the base-10 logarithm of the share of values expected as far out; ALARM and more is worth an alarm."""
    creep: float
    """The same for the sum of many small distances on one side."""
    z: float
    """Distance of the value from the expected one in usual errors, signed."""
    expected: float
    error: float
    """The usual error, never 0."""
    predictor: int
    """Index in PREDICTORS."""


class Series:
    """The memory of one figure. Values are finite, below 1e15, and on a scale where equal errors are equally bad."""

    __slots__ = (
        "away", "away_mean", "back_for", "back_to", "base", "cells", "costs", "counted", "down", "down_peak",
        "down_top", "errors", "fast", "floor", "last", "last_cell", "level", "mx", "my", "n", "n_size", "relative",
        "sxx", "sxy", "tails", "up", "up_peak", "up_top", "visits", "weight",
    )  # fmt: skip

    def __init__(self, floor: float, relative: float = 0.0) -> None:
        """The least usual error is `floor` and the part `relative` of the level: a few of it are never odd."""
        self.floor = floor
        self.relative = relative
        self.n = self.n_size = 0
        self.level = self.fast = self.base = self.last = 0.0
        self.cells = array("f", bytes(4 * CELLS))
        self.visits = array("B", bytes(CELLS))
        self.last_cell = 0
        self.errors = array("f", (0, 0, 0, 0))
        self.costs = array("f", (0, 0, 0, 0))
        self.mx = self.my = self.sxx = self.sxy = 0.0
        self.tails = (array("f", bytes(4 * BINS)), array("f", bytes(4 * BINS)))
        self.weight = 1.0
        self.counted = 0.0
        self.up = self.down = self.up_peak = self.down_peak = self.up_top = self.down_top = 0.0
        self.away = 0
        self.away_mean = self.back_to = 0.0
        self.back_for = 0

    def step(self, x: float, cell: int, size: float | None = None) -> Judged:
        """Judge a value, then learn from it. `cell` is from `cell_of`, `size` a logarithm."""
        n = self.n
        self.last = x
        if n == 0:
            self.level = self.fast = self.base = x
            self.my, self.mx = x, size or 0.0
        if not self.visits[cell]:
            self.cells[cell] = self._first(cell)
        self.last_cell = cell
        season = self.base + self.cells[cell]
        sized = self._sized(size)
        slow, steady = self._believed(season, sized)
        best, expected = slow, steady
        if self.costs[LATEST] < _MUCH_BETTER * self.costs[slow]:
            best, expected = LATEST, self.fast
        floor = self.floor + self.relative * abs(self.level)
        early = 1.25 * (1.0 + 4.0 / (n + 1))
        error, steady_error = early * max(floor, self.errors[best]), early * max(floor, self.errors[slow])
        z, z_steady = (x - expected) / error, (x - steady) / steady_error
        rarity = creep = 0.0
        if n > _YOUNG:
            rarity = self._rarity(z)
            creep = self._creep(z_steady) if n > _GROWN else 0.0
            if best == LATEST:
                creep *= _WANDERS
        plain = x - self.cells[cell] if slow == SEASON else x
        if self.back_for and self._returned(plain, z_steady, steady_error, slow):
            return Judged(0.0, 0.0, z, expected, error, best)
        self._count(z)
        self._learn(x, cell, season, size, sized, error)
        self._settle(z_steady, steady_error, slow)
        return Judged(rarity, creep, z, expected, error, best)

    def usual(self, share: float, last: float) -> tuple[float, float]:
        """Return between which distances, in usual errors, all but `share` of the values on either side have been.

        `last` is the distance that was judged last: it is compared with these, and is none of them.
        """
        low, high = (self._reach(side, share, _bin(abs(last)) if (last > 0) == side else -1) for side in (0, 1))
        return -low, high

    def rebase(self) -> None:
        """Take the last value for the level from now on, and forget what has been cumulated."""
        self._move(self.last - self.level)
        self.back_for = 0
        self.n = min(self.n, _GROWN)  # learns faster again

    def _first(self, cell: int) -> float:
        """Return what is expected of an hour that is new: as on days like this, or as the last hour of such a day."""
        kind = cell % len(_LIKE)
        for like in _LIKE[kind]:
            if self.visits[cell - kind + like]:
                return self.cells[cell - kind + like]
        last = self.last_cell % len(_LIKE)
        return self.cells[self.last_cell] if last == kind or last in _LIKE[kind] else 0.0

    def _sized(self, size: float | None) -> float | None:
        if size is None or self.n_size <= 10 or self.sxx < 1e-9:
            return None
        return self.my + self.sxy / self.sxx * (size - self.mx)

    def _believed(self, season: float, sized: float | None) -> tuple[int, float]:
        """Return which of the steady predictors erred least, and what it expects."""
        costs, slow, steady = self.costs, LEVEL, self.level
        if self.n > _SEASONED and costs[SEASON] < _BETTER * costs[slow]:
            slow, steady = SEASON, season
        if sized is not None and self.n > _GROWN and costs[SIZE] < _BETTER * costs[slow]:
            slow, steady = SIZE, sized
        return slow, steady

    def _rarity(self, z: float) -> float:
        far = abs(z)
        if far < 1.5:
            return 0.0
        seen = sum(self.tails[z > 0][_bin(far * _NEAR) :]) / self.weight
        general = 3 * 10 ** (-1.05 * far) if far < 12 else _RAREST
        share = (seen + _PRIOR * general) / (self.counted / self.weight + _PRIOR)
        return -log10(max(share, _RAREST))

    def _reach(self, side: int, share: float, last: int) -> float:
        left = max(share * (self.counted - self.weight), 1e-9)
        for place in range(BINS - 1, 0, -1):
            left -= self.tails[side][place] - (self.weight if place == last else 0.0)
            if left < 0:
                return max(_FAR, exp(place / _PER_OCTAVE))
        return _FAR

    def _count(self, z: float) -> None:
        """Add a distance to the own tail; older ones fade, as newer ones weigh more."""
        self.weight *= _FADE
        self.counted += self.weight
        self.tails[z > 0][_bin(abs(z))] += self.weight
        if self.weight > 1e4:
            for tail in self.tails:
                for place in range(BINS):
                    tail[place] /= self.weight
            self.counted /= self.weight
            self.weight = 1.0

    def _creep(self, z: float) -> float:
        z = min(_CLIP, max(-_CLIP, z))
        self.up += z - _SLACK
        self.down -= z + _SLACK
        if self.up <= 0:
            if self.up_top > _WORTH:
                self._remember()
            self.up_peak *= 0.998
            self.up = 0.0
        elif self.up > self.up_top:
            self.up_top = self.up
        if self.down <= 0:
            if self.down_top > _WORTH:
                self._remember()
            self.down_peak *= 0.998
            self.down = 0.0
        elif self.down > self.down_top:
            self.down_top = self.down
        return ALARM * max(self.up / _limit(self.up_peak), self.down / _limit(self.down_peak))

    def _remember(self) -> None:
        """Keep how far the sums went that end now: what happens again and again is to be more than that."""
        self.up_peak = max(self.up_peak, min(self.up_top, 1.5 * _limit(self.up_peak)))
        self.down_peak = max(self.down_peak, min(self.down_top, 1.5 * _limit(self.down_peak)))
        self.up_top = self.down_top = 0.0

    def _learn(self, x: float, cell: int, season: float, size: float | None, sized: float | None, error: float) -> None:
        n = self.n = self.n + 1
        rate, long, slow = max(1.0 / n, _ERROR), max(1.0 / n, _COST), max(1.0 / n, _SLOW)
        cap, top = _CAP * error, _TOP * error
        off = self._err(LEVEL, x - self.level, rate, long, cap, top)
        self.level += slow * off
        self.fast += _FAST * self._err(LATEST, x - self.fast, rate, long, cap, top)
        off = x - season
        self.base += slow * self._err(SEASON, off, rate, long, cap, top)
        visits = self.visits[cell]
        if visits < 7:
            self.visits[cell] = visits + 1
        self.cells[cell] += (1.0 / (visits + 2) if visits < 7 else _CELL) * min(top, max(-top, off))
        if size is None:
            return
        if sized is not None:
            x = sized + self._err(SIZE, x - sized, rate, long, cap, top)
        n = self.n_size = self.n_size + 1
        rate = max(1.0 / n, 0.01)
        dx, dy = size - self.mx, x - self.my
        self.mx += rate * dx
        self.my += rate * dy
        self.sxx += rate * (dx * dx * (1 - rate) - self.sxx)
        self.sxy += rate * (dx * dy * (1 - rate) - self.sxy)

    def _err(self, which: int, off: float, rate: float, long: float, cap: float, top: float) -> float:
        """Add to what a predictor errs and what it costs to believe it; return the error, not larger than `cap`."""
        far = abs(off)
        errors, costs = self.errors, self.costs
        errors[which] += rate * (min(far, cap) - errors[which])
        costs[which] += long * (min(far, top) - costs[which])
        return off if far < cap else cap if off > 0 else -cap

    def _returned(self, x: float, z: float, error: float, slow: int) -> bool:
        """Whether the value left the new level for the one before; then that is the level again."""
        self.back_for -= 1
        if abs(z) <= _FAR or abs(x - self.back_to) >= _FAR * error:
            return False
        self._move(self.back_to - (self.base if slow == SEASON else self.level))
        self.back_for = 0
        return True

    def _settle(self, z: float, error: float, slow: int) -> None:
        """Take what stays far away on one side for the new level."""
        side = 1 if z > _FAR else -1 if z < -_FAR else 0
        if side == 0 or side * self.away < 0:
            self.away, self.away_mean = 0, 0.0
        if side == 0:
            return
        self.away += side
        self.away_mean += (z * error - self.away_mean) / abs(self.away)
        if abs(self.away) >= _SETTLED:
            before = self.base if slow == SEASON else self.level
            self._move(self.away_mean)
            self.back_to, self.back_for = before, _RETURN

    def _move(self, by: float) -> None:
        self.level += by
        self.base += by
        self.fast += by
        self.my += by
        self._remember()
        self.up = self.down = 0.0
        self.away, self.away_mean = 0, 0.0

    def pack(self) -> bytes:
        """Return all of it, about a KiB."""
        below, above = self.tails
        return _PACKED.pack(
            self.n, self.n_size, self.last_cell, self.away, self.back_for, self.floor, self.relative, self.level,
            self.fast, self.base, self.last, self.mx, self.my, self.sxx, self.sxy, self.weight, self.counted, self.up,
            self.down, self.up_peak, self.down_peak, self.up_top, self.down_top, self.away_mean, self.back_to,
            self.visits.tobytes(), self.cells.tobytes(), self.errors.tobytes(), self.costs.tobytes(), below.tobytes(),
            above.tobytes(),
        )  # fmt: skip

    @classmethod
    def unpack(cls, kept: bytes, begin: int = 0) -> "Series":
        """Return what was packed, from a place on. Raises struct.error for anything else."""
        series = cls.__new__(cls)
        (
            series.n, series.n_size, series.last_cell, series.away, series.back_for, series.floor, series.relative,
            series.level, series.fast, series.base, series.last, series.mx, series.my, series.sxx, series.sxy,
            series.weight, series.counted, series.up, series.down, series.up_peak, series.down_peak, series.up_top,
            series.down_top, series.away_mean, series.back_to, visits, cells, errors, costs, below, above,
        ) = _PACKED.unpack_from(kept, begin)  # fmt: skip
        series.visits, series.cells = array("B", visits), array("f", cells)
        series.errors, series.costs = array("f", errors), array("f", costs)
        series.tails = array("f", below), array("f", above)
        return series


_PACKED: Final = struct.Struct(f"<5i20d{CELLS}s{4 * CELLS}s16s16s{4 * BINS}s{4 * BINS}s")
PACKED: Final = _PACKED.size


def cell_of(at: datetime) -> int:
    """Return which of the `CELLS` an instant, in UTC, lies in."""
    return at.hour * len(_LIKE) + _DAYS[at.weekday()]


def _limit(peak: float) -> float:
    """Return how far a sum may go, of a series whose sums went to `peak` of late."""
    return max(_LIMIT, _MARGIN * peak)


def _bin(far: float) -> int:
    """Return the place of a distance: four to the octave from one usual error on."""
    return 0 if far < 1.0 else min(BINS - 1, int(_PER_OCTAVE * log(far)) + 1)
