"""Look every few seconds at what each running job uses, for the live picture and for peaks nobody else counts.

The process table is read once for all runs, in a thread. Peaks are those of our looks: what happens between two of
them, and before a start of the daemon, is not in them, and they are told apart from what the kernel counted.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from redis.asyncio import Redis

from scheduler_daemon.domain.errors import Unavailable
from scheduler_daemon.engine import process_table
from scheduler_daemon.engine.process_table import Use
from scheduler_daemon.engine.relay import FAILURES
from scheduler_daemon.engine.starts import Starts
from scheduler_daemon.live import usage
from scheduler_daemon.runners.process import Ended, Started

log = logging.getLogger(__name__)

PERIOD = 2.0
"""Seconds between two looks."""
RUNS_A_SECOND = 100
"""Looks at runs in a second at most: with more runs each is looked at less often."""
MOST_SHARE = 0.02
"""Of a processor that reading the process table may take."""


class Runner(Protocol):
    """What knows the processes of runs."""

    async def running(self) -> list[Started]:
        """Return the runs that live now."""


class Picture(Protocol):
    """Where looks are shown."""

    @property
    def client(self) -> Redis:
        """The connection. Raises Unavailable while there is none."""


@dataclass(slots=True)
class Peak:
    """The most that was seen of one run: bytes and threads."""

    rss: int = 0
    processes: int = 0


class Sampler:
    """Looks at runs, and remembers the most it saw of each until that is taken."""

    def __init__(self, runner: Runner, picture: Picture, starts: Starts, now: Callable[[], datetime]) -> None:
        self._runner = runner
        self._picture = picture
        self._starts = starts
        self._now = now
        self._before: dict[int, tuple[float, float]] = {}
        """When each run was last looked at (monotonic seconds), and the processor time it had used then."""
        self._peaks: dict[int, Peak] = {}

    def peak(self, execution_id: int) -> Peak | None:
        """Return the most that was seen of a run; None if it was never looked at."""
        return self._peaks.get(execution_id)

    def forget(self, ids: Iterable[int]) -> None:
        """These have ended, and that is recorded."""
        for execution_id in ids:
            self._peaks.pop(execution_id, None)

    async def step(self) -> float:
        """Look once at all runs; return the seconds until the next look."""
        running = {each.execution_id: each for each in await self._runner.running()}
        mains = {run: each.pid for run, each in running.items()}
        if not mains:
            return PERIOD
        begun = time.thread_time()
        uses, cost = await asyncio.to_thread(_look, mains)
        self._remember(uses)
        looks = self._looks(uses, running)
        if looks:
            await self._show(looks)
        spent = cost + time.thread_time() - begun
        return max(PERIOD, len(mains) / RUNS_A_SECOND, spent / MOST_SHARE)

    def _remember(self, uses: Mapping[int, Use]) -> None:
        for run, use in uses.items():
            peak = self._peaks.setdefault(run, Peak())
            peak.rss, peak.processes = max(peak.rss, use.rss), max(peak.processes, use.processes)

    def _looks(self, uses: Mapping[int, Use], running: Mapping[int, Started]) -> dict[int, dict[str, float]]:
        """Return what is shown of each run: its share of a processor since the last look or its start, and the rest."""
        moment, now = time.monotonic(), self._now()
        looks = {}
        for run, use in uses.items():
            lived = (now - running[run].started_at).total_seconds()
            at, cpu_s = self._before.get(run, (moment - lived, 0.0))
            share = max(0.0, use.cpu_s - cpu_s) / (moment - at) * 100 if moment > at else 0.0
            looks[run] = {"cpu": round(share, 1), "memory": float(use.rss), "processes": float(use.processes)}
        self._before = {run: (moment, use.cpu_s) for run, use in uses.items()}
        return looks

    async def _show(self, looks: Mapping[int, Mapping[str, float]]) -> None:
        try:
            await usage.add(self._picture.client, int(self._now().timestamp() * 1000), looks)
        except (Unavailable, *FAILURES) as error:
            log.debug("what %d runs use is not shown: %s", len(looks), error)

    async def run(self) -> None:
        """Look for ever."""
        while True:
            pause = await self.step()
            await asyncio.sleep(pause)
            await self._starts.calm()


def figures(end: Ended, peak: Peak | None) -> tuple[int | None, dict[str, Any] | None]:
    """Return the most memory of a run that has ended, and what else it used, of what was counted and what was seen.

    What was seen counts where nobody counted. None for a run of which nothing is known.
    """
    memory, processes = end.max_rss_bytes, end.processes
    sampled = []
    if memory is None and peak is not None and peak.rss:
        memory = peak.rss
        sampled.append("max_rss_bytes")
    if processes is None and peak is not None and peak.processes:
        processes = peak.processes
        sampled.append("processes")
    if end.usage_source is None and end.limit_hit is None and not sampled:
        return memory, None
    return memory, {
        "read_bytes": end.read_bytes,
        "write_bytes": end.write_bytes,
        "processes": processes,
        "source": _SOURCES.get(end.usage_source or ""),
        "sampled": sampled,
        "limit_hit": end.limit_hit,
    }


_SOURCES = {"cgroup": "cgroup", "wait4": "rusage"}


def _look(mains: Mapping[int, int]) -> tuple[dict[int, Use], float]:
    """Return what runs use, and the processor time that finding it out took, in seconds."""
    begun = time.thread_time()
    found = process_table.uses(process_table.read(), mains)
    return found, time.thread_time() - begun
