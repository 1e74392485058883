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
from scheduler_daemon.insights.prediction import FailureModel
from scheduler_daemon.insights.prediction_features import FailureHistory
from scheduler_daemon.insights.streak import FailureStreak

KNOWN = 50
"""Runs of a job from which on it is told that its next one may fail."""
RISKY = 0.2
"""From this probability on."""
SEEN = 64
"""Last runs of a job that are known by number: the end of a run may be told twice, the second time soon after."""
_SPOILT = (KeyError, ValueError, TypeError, AttributeError, struct.error, zlib.error)


class JobMind:
    """The engines of one job."""

    __slots__ = ("history", "seen", "streak", "told", "watch")

    def __init__(self, job_id: str) -> None:
        self.seen: dict[int, None] = {}
        self.streak = FailureStreak()
        self.watch = JobWatch(job_id)
        self.history = FailureHistory()
        self.told = False
        """Whether it was told that the job fails again and again, since it last succeeded."""

    def take(self, row: Any, model: FailureModel, *, parent_failed: bool = False) -> list[Finding]:
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
        kept = self._once(found, failed=run.failed)
        model.learn(self.history, run)
        return [*kept, *self._foreseen(row, model)]

    def _foreseen(self, row: Any, model: FailureModel) -> list[Finding]:
        """Tell once a day that the next run may well fail, where it is not failing already."""
        if row.next_fire_at is None or self.told or self.history.streaks.n < KNOWN:
            return []
        forecast = model.predict(self.history, row.next_fire_at)
        return [telling.risk(row, forecast)] if forecast.shown and forecast.probability >= RISKY else []

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
        kept["history"] = self.history.dump()
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
            mind.history = FailureHistory.load(kept["history"])
        except _SPOILT:
            return cls(job_id)
        return mind
