"""What is known of one job: the engines that watch it. Its size is bounded, also as text."""

import json
from typing import Any

from scheduler_daemon.analyst import telling
from scheduler_daemon.analyst.observing import observation
from scheduler_daemon.contract.insights import Finding
from scheduler_daemon.insights.streak import FailureStreak

SEEN = 64
"""Last runs of a job that are known by number: the end of a run may be told twice, the second time soon after."""


class JobMind:
    """The engines of one job."""

    __slots__ = ("seen", "streak")

    def __init__(self) -> None:
        self.seen: dict[int, None] = {}
        self.streak = FailureStreak()

    def take(self, row: Any) -> list[Finding]:
        """Learn from a run of `storage.ended`, once; return what is found by it."""
        if row.id in self.seen:
            return []
        self.seen[row.id] = None
        if len(self.seen) > SEEN:
            del self.seen[next(iter(self.seen))]
        run = observation(row)
        if run is None:
            return []
        found = self.streak.observe(run)
        return [telling.streak(row, found)] if found else []

    def dump(self) -> str:
        """Return what `load` takes."""
        return json.dumps({"seen": list(self.seen), "streak": self.streak.dump()}, separators=(",", ":"))

    @classmethod
    def load(cls, text: str) -> "JobMind":
        """Return what was dumped."""
        kept = json.loads(text)
        mind = cls()
        mind.seen = dict.fromkeys(kept["seen"])
        mind.streak = FailureStreak.load(kept["streak"])
        return mind
