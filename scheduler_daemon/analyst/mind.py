"""What is known of one job: the engines that watch it. Its size is bounded, also as text."""

import json
import struct
import zlib
from typing import Any

from scheduler_daemon.analyst import telling
from scheduler_daemon.analyst.observing import observation
from scheduler_daemon.contract.executions import State
from scheduler_daemon.contract.insights import Finding
from scheduler_daemon.insights.anomaly import JobWatch
from scheduler_daemon.insights.streak import FailureStreak

SEEN = 64
"""Last runs of a job that are known by number: the end of a run may be told twice, the second time soon after."""
_SPOILT = (KeyError, ValueError, TypeError, AttributeError, struct.error, zlib.error)


class JobMind:
    """The engines of one job."""

    __slots__ = ("seen", "streak", "told", "watch")

    def __init__(self, job_id: str) -> None:
        self.seen: dict[int, None] = {}
        self.streak = FailureStreak()
        self.watch = JobWatch(job_id)
        self.told = False
        """Whether it was told that the job fails again and again, since it last succeeded."""

    def take(self, row: Any, *, parent_failed: bool = False) -> list[Finding]:
        """Learn from a run of `storage.ended`, once; return what is found by it."""
        if row.id in self.seen:
            return []
        self.seen[row.id] = None
        if len(self.seen) > SEEN:
            del self.seen[next(iter(self.seen))]
        if row.state == State.MISSED:
            return [telling.anomaly(row, each) for each in self.watch.missed(row.fire_at, row.ended_at)]
        run = observation(row, parent_failed=parent_failed)
        if run is None:
            return []
        found = [telling.anomaly(row, each) for each in self.watch.observe(run)]
        if streak := self.streak.observe(run):
            found.append(telling.streak(row, streak))
        return self._once(found, failed=run.failed)

    def heed(self, kind: str, *, useful: bool, expected: bool) -> None:
        """Take to heart what people said of something that was told."""
        self.watch.heed(kind, useful=useful)
        if expected:
            metric = "failures" if kind == "failure_burst" else kind.rpartition("_")[0]
            self.watch.expected_from_now(metric)

    def _once(self, found: list[Finding], *, failed: bool) -> list[Finding]:
        """Two engines look for failures in a row; who is first tells of them."""
        kept = []
        for finding in found:
            if finding.kind in {"failure_burst", "failure_streak"}:
                if self.told:
                    continue
                self.told = True
            kept.append(finding)
        self.told = self.told and failed
        return kept

    def dump(self) -> str:
        """Return what `load` takes."""
        kept = {"seen": list(self.seen), "streak": self.streak.dump(), "told": self.told, "watch": self.watch.dump()}
        return json.dumps(kept, separators=(",", ":"))

    @classmethod
    def load(cls, job_id: str, text: str | None) -> "JobMind":
        """Return what was dumped; a mind that knows nothing yet where it was none, or of another shape."""
        mind = cls(job_id)
        if text is None:
            return mind
        try:
            kept = json.loads(text)
            mind.seen = dict.fromkeys(kept["seen"])
            mind.streak = FailureStreak.load(kept["streak"])
            mind.told = kept["told"]
            mind.watch = JobWatch.load(kept["watch"])
        except _SPOILT:
            return cls(job_id)
        return mind
