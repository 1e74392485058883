"""What is known of one job: the engines that watch it. Its size is bounded, also as text."""

import json
import struct
from array import array
from typing import Any

from scheduler_daemon.analyst import telling
from scheduler_daemon.analyst.observing import observation
from scheduler_daemon.contract.executions import State
from scheduler_daemon.contract.insights import Finding
from scheduler_daemon.insights.anomaly import JobWatch
from scheduler_daemon.insights.prediction import FailureModel
from scheduler_daemon.insights.prediction_features import PACKED as HISTORY
from scheduler_daemon.insights.prediction_features import FailureHistory
from scheduler_daemon.insights.streak import FailureStreak

KNOWN = 50
"""Runs of a job from which on it is told that its next one may fail."""
RISKY = 0.2
"""From this probability on."""
SEEN = 64
"""Last runs of a job that are known by number: the end of a run may be told twice, the second time soon after."""
_SPOILT = (KeyError, ValueError, TypeError, AttributeError, struct.error)


class JobMind:
    """The engines of one job."""

    __slots__ = ("history", "newest", "seen", "streak", "told", "watch")

    def __init__(self, job_id: str) -> None:
        self.seen = array("q")
        self.newest = 0
        """The largest of these."""
        self.streak = FailureStreak()
        self.watch = JobWatch(job_id)
        self.history = FailureHistory(self.watch.streaks)
        self.told = False
        """Whether it was told that the job fails again and again, since it last succeeded."""

    def knows(self, run: int) -> bool:
        """Tell whether this is one of the last runs that were learnt from."""
        return run <= self.newest and run in self.seen

    def take(self, row: Any, model: FailureModel, *, parent_failed: bool = False) -> list[Finding]:
        """Learn from a run of `storage.ended`, once; return what is found by it."""
        if self.knows(row.id):
            return []
        self.newest = max(self.newest, row.id)
        self.seen.append(row.id)
        if len(self.seen) > SEEN:
            del self.seen[0]
        if row.state == State.MISSED:
            return [telling.anomaly(row, each) for each in self.watch.missed(row.fire_at, row.ended_at)]
        run = observation(row, parent_failed=parent_failed)
        if run is None:
            return []
        model.learn(self.history, run)
        found = [telling.anomaly(row, each) for each in self.watch.observe(run, counted=True)]
        if streak := self.streak.observe(run):
            found.append(telling.streak(row, streak))
        kept = self._once(found, failed=run.failed)
        return [*kept, *self._foreseen(row, model)]

    def _foreseen(self, row: Any, model: FailureModel) -> list[Finding]:
        """Tell once a day that the next run may well fail, where it is not failing already."""
        if row.next_fire_at is None or self.told or self.history.streaks.n < KNOWN:
            return []
        forecast = model.predict(self.history, row.next_fire_at, worth=RISKY / 4)
        return [telling.risk(row, forecast, model.by)] if forecast.shown and forecast.probability >= RISKY else []

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

    def pack(self) -> bytes:
        """Return what `unpack` takes."""
        words = json.dumps([self.streak.dump(), self.told]).encode()
        numbers = _HEAD.pack(len(words), len(self.seen))
        return b"".join((numbers, words, self.seen.tobytes(), self.history.pack(), self.watch.pack()))

    @classmethod
    def unpack(cls, job_id: str, kept: bytes | None) -> "JobMind":
        """Return what was packed; a mind that knows nothing yet where it was none, or of another shape."""
        mind = cls(job_id)
        if kept is None:
            return mind
        try:
            long, seen = _HEAD.unpack_from(kept)
            first = _HEAD.size + long
            past = first + 8 * seen
            watch = past + HISTORY
            streak, mind.told = json.loads(kept[_HEAD.size : first])
            mind.streak = FailureStreak.load(streak)
            mind.seen = array("q", kept[first:past])
            mind.newest = max(mind.seen, default=0)
            mind.watch = JobWatch.unpack(job_id, kept[watch:])
            mind.history = FailureHistory.unpack(kept[past:watch], mind.watch.streaks)
        except _SPOILT:
            return cls(job_id)
        return mind


_HEAD = struct.Struct("<ii")
