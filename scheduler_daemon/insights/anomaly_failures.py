"""Say when failures in a row are more than a job's usual bad luck."""

import struct
from array import array
from math import log10
from typing import Final

_GUESS: Final = 0.01
"""Share of runs that fail, of a job nobody knows yet."""
_AGAIN: Final = 0.1
"""Share of runs that fail after a failure, of a job nobody knows yet."""
_PARENT: Final = 0.3
"""The same after a failure of a job it depends on."""
_ODD: Final = 4.0
_ODD_COUNTS: Final = 0.3
"""A run of a streak that was called odd counts so much: what was odd shall not soon be usual."""


class Streaks:
    """Counts of failures by what came before them, and the streak that is going on."""

    __slots__ = ("after", "after_failed", "failed", "hours", "n", "parent", "parent_failed", "streak", "surprise")

    def __init__(self) -> None:
        self.n = self.failed = self.after = self.after_failed = self.parent = self.parent_failed = 0.0
        self.hours = array("f", bytes(4 * 48))
        """Runs, then failures, by hour of the day (UTC)."""
        self.streak = 0
        self.surprise = 0.0

    def expected(self, hour: int, *, parent_failed: bool) -> float:
        """Return the share of such runs that fail: of this hour, after what came before."""
        base = (self.failed + 50 * _GUESS) / (self.n + 50)
        share = max(base, (self.hours[24 + hour] + 8 * base) / (self.hours[hour] + 8))
        if self.streak:
            share = max(share, (self.after_failed + 3 * max(base, _AGAIN)) / (self.after + 3))
        if parent_failed:
            share = max(share, (self.parent_failed + 2 * _PARENT) / (self.parent + 2))
        return share

    @property
    def odd(self) -> float:
        """How rare the streak is that the last run belongs to (minus the base-10 logarithm of its share)."""
        return self.surprise if self.streak > 1 else 0.0

    def step(self, hour: int, *, failed: bool, parent_failed: bool) -> None:
        """Learn one run."""
        share = self.expected(hour, parent_failed=parent_failed)
        self._learn(hour, failed=failed, parent_failed=parent_failed)
        if not failed:
            self.streak, self.surprise = 0, 0.0
            return
        self.streak += 1
        self.surprise -= log10(share)

    def forgive(self) -> None:
        """Begin a new streak: the one that is going on is expected."""
        self.surprise = 0.0

    def _learn(self, hour: int, *, failed: bool, parent_failed: bool) -> None:
        counts = _ODD_COUNTS if self.surprise >= _ODD else 1.0
        if self.n > 1000:
            self.n, self.failed = self.n / 2, self.failed / 2
        self.n += 1
        self.failed += counts * failed
        if self.streak and not failed:  # learnt when it ends: while it goes on it shall not explain itself
            if self.after > 200:
                self.after, self.after_failed = self.after / 2, self.after_failed / 2
            self.after += counts * self.streak
            self.after_failed += counts * (self.streak - 1)
        if parent_failed:
            if self.parent > 200:
                self.parent, self.parent_failed = self.parent / 2, self.parent_failed / 2
            self.parent += counts
            self.parent_failed += counts * failed
        if self.hours[hour] > 60:
            self.hours[hour] /= 2
            self.hours[24 + hour] /= 2
        self.hours[hour] += counts
        self.hours[24 + hour] += counts * failed

    def pack(self) -> bytes:
        """Return all of it, `PACKED` bytes."""
        numbers = (self.n, self.failed, self.after, self.after_failed, self.parent, self.parent_failed, self.surprise)
        return _NUMBERS.pack(*numbers, self.streak) + self.hours.tobytes()

    @classmethod
    def unpack(cls, kept: bytes) -> "Streaks":
        """Return what was packed. Raises ValueError or struct.error for anything else."""
        known = cls.__new__(cls)
        (
            known.n, known.failed, known.after, known.after_failed, known.parent, known.parent_failed, known.surprise,
            known.streak,
        ) = _NUMBERS.unpack_from(kept)  # fmt: skip
        known.hours = array("f", kept[_NUMBERS.size :])
        if len(kept) != PACKED:
            raise ValueError(f"{len(kept)} bytes are not what was kept of failures")
        return known


_NUMBERS: Final = struct.Struct("<7di4x")
PACKED: Final = _NUMBERS.size + 4 * 48
