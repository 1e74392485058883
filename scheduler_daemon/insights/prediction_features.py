"""What of a job's past tells whether its next run fails: a dozen numbers, and what they mean in words."""

import struct
from datetime import datetime
from math import exp, log
from typing import Final

from scheduler_daemon.insights.anomaly_failures import Streaks
from scheduler_daemon.insights.observation import Observation

NAMES: Final = (
    "always",
    "share of its runs that fail by themselves",
    "this hour of the day",
    "a job it depends on failed",
    "what followed such failures before",
    "its last run failed",
    "failures in a row",
    "a failure within the last hours",
    "a failure within the last days",
    "other jobs fail now",
    "it takes ever more memory",
    "its memory is far above what is usual",
    "it takes ever longer",
    "it takes both longer and more memory",
    "few runs are known of it",
)
COUNT: Final = len(NAMES)
_REMEMBERED: Final = 2000
_SLOW, _FAST = 0.02, 0.5
_LARGEST: Final = 1e15


class FailureHistory:
    """What is remembered of one job, some hundred bytes."""

    __slots__ = (
        "alone", "alone_failed", "failed_at", "fast_memory", "fast_time", "n", "noise_memory", "noise_time",
        "slow_memory", "slow_time",
        "streaks",
    )  # fmt: skip

    def __init__(self, streaks: Streaks | None = None) -> None:
        """`streaks` may be those of whoever watches the job, to count together; they are stepped here."""
        self.n = 0
        self.alone = self.alone_failed = 0.0
        """Runs that came after no failure, of the job or of one it depends on, and those of them that failed."""
        self.streaks = streaks or Streaks()
        self.slow_memory = self.fast_memory = self.slow_time = self.fast_time = 0.0
        self.noise_memory = self.noise_time = 0.1
        self.failed_at = -1e12
        """Epoch seconds."""

    def base(self) -> float:
        """Return the share of this job's runs that fail, of a young job that of most jobs."""
        return (self.streaks.failed + 0.6) / (self.streaks.n + 30)

    def features(self, at: datetime, *, parent_failed: bool, others: float) -> list[float]:
        """Describe a run that starts at `at` (UTC); `others` is the share of all runs that fail just now."""
        streaks, base = self.streaks, self.base()
        again = (streaks.after_failed + 3 * max(base, 0.1)) / (streaks.after + 3)
        inherited = (streaks.parent_failed + 2 * 0.3) / (streaks.parent + 2)
        ago = max(0.0, at.timestamp() - self.failed_at) / 3600
        memory = min(1.5, max(0.0, self.fast_memory - self.slow_memory - self.noise_memory))
        time = min(1.5, max(0.0, self.fast_time - self.slow_time - self.noise_time))
        return [
            1.0,
            log((self.alone_failed + 0.5) / (self.alone + 25)) + 3.9,
            log(self._hour(at.hour, base) / base),
            1.0 if parent_failed else 0.0,
            log(inherited / base) if parent_failed else 0.0,
            log(again / base) if streaks.streak else 0.0,
            min(5, streaks.streak) / 5 if streaks.streak > 1 else 0.0,
            exp(-ago / 2),
            exp(-ago / 48),
            min(1.0, others * 4),
            memory,
            max(0.0, memory - 0.25) * 3,
            time,
            min(memory, time) * 3,
            5 / (self.n + 5),
        ]

    def _hour(self, hour: int, base: float) -> float:
        """Return the share of runs that fail around this hour."""
        counts = self.streaks.hours
        before, after = (hour - 1) % 24, (hour + 1) % 24
        runs = counts[hour] + 0.5 * (counts[before] + counts[after])
        failed = counts[24 + hour] + 0.5 * (counts[24 + before] + counts[24 + after])
        return (failed + 15 * base) / (runs + 15)

    def learn(self, run: Observation) -> None:
        """Take a run that has ended."""
        self.n += 1
        if not (run.parent_failed or self.streaks.streak):
            if self.alone > _REMEMBERED:
                self.alone, self.alone_failed = self.alone / 2, self.alone_failed / 2
            self.alone += 1
            self.alone_failed += run.failed
        self.streaks.step(run.at.hour, failed=run.failed, parent_failed=run.parent_failed)
        if run.failed:
            self.failed_at = run.at.timestamp()
            return
        self.slow_time, self.fast_time, self.noise_time = _follow(
            run.duration_s, 0.3, self.slow_time, self.fast_time, self.noise_time
        )
        self.slow_memory, self.fast_memory, self.noise_memory = _follow(
            run.memory_bytes, 1e6, self.slow_memory, self.fast_memory, self.noise_memory
        )

    def pack(self) -> bytes:
        """Return all of it but its streaks, `PACKED` bytes."""
        return _PACKED.pack(
            self.n, self.alone, self.alone_failed,
            self.slow_memory, self.fast_memory, self.slow_time, self.fast_time, self.noise_time,
            self.noise_memory, self.failed_at,
        )  # fmt: skip

    @classmethod
    def unpack(cls, kept: bytes, streaks: Streaks) -> "FailureHistory":
        """Return what was packed. Raises struct.error for anything else."""
        history = cls.__new__(cls)
        (
            history.n, history.alone, history.alone_failed,
            history.slow_memory, history.fast_memory, history.slow_time, history.fast_time,
            history.noise_time, history.noise_memory, history.failed_at,
        ) = _PACKED.unpack(kept)  # fmt: skip
        history.streaks = streaks
        return history


_PACKED: Final = struct.Struct("<q9d")
PACKED: Final = _PACKED.size


def _follow(value: float | None, shift: float, slow: float, fast: float, noise: float) -> tuple[float, float, float]:
    """Return the slow and the fast level of a logarithm, and its noise, after a value more."""
    if value is None or not 0 <= value < float("inf"):
        return slow, fast, noise
    x = log(min(value, _LARGEST) + shift)
    if slow == 0.0:
        return x, x, noise
    off = x - slow
    noise += 0.03 * (min(abs(off), 4 * noise) - noise)
    return slow + _SLOW * min(3 * noise, max(-3 * noise, off)), fast + _FAST * (x - fast), max(0.02, noise)
