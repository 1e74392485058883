"""Watch the processor time of runs that may use only so much of it, by the counters of their control groups."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from scheduler_daemon.launcher import controllers
from scheduler_daemon.launcher.jobs import Job, State

_OFTEN, _SELDOM = 0.02, 1.0
"""Seconds between two looks at one run, at least and at most."""


class CpuTimes:
    """The runs being watched, each with the time of its next look."""

    def __init__(self) -> None:
        self._watched: dict[Job, float] = {}
        self._processors = os.cpu_count() or 1

    def watch(self, job: Job) -> None:
        """Watch this run if it has such a limit and a group that counts."""
        start = job.start
        if start is not None and start.get("cpu_limit_ms") is not None and start.get("groups"):
            self._watched[job] = time.monotonic()

    def next_look(self) -> Iterator[float]:
        """Yield when `spent` has something to do."""
        if self._watched:
            yield min(self._watched.values())

    def spent(self, now: float) -> list[Job]:
        """Return the runs that have used all they may; they are watched no longer."""
        over = []
        for job in [one for one, at in self._watched.items() if at <= now]:
            left = self._left(job)
            if left is None or left <= 0:
                del self._watched[job]
                over += [job] if left is not None else []
            else:
                self._watched[job] = now + min(_SELDOM, max(_OFTEN, left / 1000 / self._processors))
        return over

    def _left(self, job: Job) -> float | None:
        """Return the ms a run may still use, None once it is over or nobody counts."""
        if job.state is State.ENDED or job.start is None:
            return None
        used = controllers.cpu_ms(job.start["groups"])
        return None if used is None else float(job.start["cpu_limit_ms"]) - used
