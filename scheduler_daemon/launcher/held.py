"""Starts that were handed over ahead of their instant, so that at the instant nothing is left to do but to start them.

The instant is one of the wall clock: if that is set back the start waits on, if it is set forward it is released.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterator
from itertools import count

from scheduler_daemon.launcher.jobs import Job, State

_CLOSE_NS = 1_500_000
"""Nanoseconds before an instant from which we sleep exactly: the selector counts in whole milliseconds."""
_LOOK_AGAIN = 0.5
"""Seconds after which the wall clock is looked at again, which may have been set."""


class Held:
    """The held starts, soonest first."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Job]] = []
        self._order = count()

    def add(self, job: Job, not_before_ns: int) -> None:
        """Hold a job until an instant, in nanoseconds since 1970."""
        job.state = State.HELD
        heapq.heappush(self._heap, (not_before_ns, next(self._order), job))

    def waits(self) -> Iterator[float]:
        """Yield the seconds until `due` has something to do."""
        if self._heap:
            yield min(_LOOK_AGAIN, (self._heap[0][0] - _CLOSE_NS - time.time_ns()) / 1e9)

    def due(self) -> Iterator[Job]:
        """Yield the jobs whose instant has come; wait for it if it comes now. Who was cancelled is passed over."""
        while self._heap and (early := self._heap[0][0] - time.time_ns()) <= _CLOSE_NS:
            if early > 0:
                time.sleep(early / 1e9)
                continue
            job = heapq.heappop(self._heap)[2]
            if job.state is State.HELD:
                yield job
