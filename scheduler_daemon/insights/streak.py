"""Find a job that fails again and again after it used to succeed. Pure; the simplest of the engines.

A streak is told once: when it is `ALARM` failures long, and the job had succeeded `USED_TO` times in a row before.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from scheduler_daemon.insights.observation import Observation

ALARM = 3
USED_TO = 5
_RUNS = 10
"""Failed runs that are named at most."""


@dataclass(frozen=True, slots=True)
class Streak:
    """`failures` in a row after `successes` in a row."""

    successes: int
    failures: int
    since: datetime
    """When the first failed one started, UTC."""
    runs: tuple[str, ...]


class FailureStreak:
    """What is known of one job's last runs."""

    def __init__(self) -> None:
        self._successes = 0
        self._failures = 0
        self._since: datetime | None = None
        self._runs: list[str] = []

    def observe(self, run: Observation) -> Streak | None:
        """Take the next run; return a streak that is to be told now."""
        if not run.failed:
            self._successes = self._successes + 1 if self._failures == 0 else 1
            self._failures, self._since, self._runs = 0, None, []
            return None
        self._failures += 1
        self._since = self._since or run.at
        if len(self._runs) < _RUNS:
            self._runs.append(run.run_id)
        if self._failures != ALARM or self._successes < USED_TO:
            return None
        return Streak(self._successes, self._failures, self._since, tuple(self._runs))

    def dump(self) -> dict[str, Any]:
        """Return what `load` takes, as JSON has it."""
        since = self._since.isoformat() if self._since else None
        return {"ok": self._successes, "bad": self._failures, "since": since, "runs": self._runs}

    @classmethod
    def load(cls, kept: dict[str, Any]) -> "FailureStreak":
        """Return what was dumped."""
        streak = cls()
        streak._successes, streak._failures, streak._runs = kept["ok"], kept["bad"], list(kept["runs"])
        streak._since = datetime.fromisoformat(kept["since"]) if kept["since"] else None
        return streak
