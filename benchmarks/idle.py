"""What 100,000 jobs cost while none is due: memory of each in the daemon, and CPU."""

import asyncio
import sys
import time
from pathlib import Path

from benchmarks import ours
from benchmarks.report import Figure, show

JOBS = 100_000
CALM_MS = 150
"""CPU in three seconds below which nothing is being taken up any more."""


def rss_kib(pid: int) -> int:
    """Return the resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def measure(jobs: int, seconds: float) -> tuple[int, float]:
    """Return the daemon's memory in KiB and the CPU seconds a minute of its processes, its jobs a year away."""
    requests = [ours.job(f"job {n}", f"{n % 60} {n // 60 % 24} 29 2 *", "true") for n in range(jobs)]
    with ours.directory() as state:
        asyncio.run(ours.register(state, requests))
        del requests
        daemon = ours.Ours(state)
        try:
            assert daemon.handle.process is not None
            daemon.settled(0, 0, seconds=300)
            _until_calm(daemon)
            before = daemon.cpu_ms()
            time.sleep(seconds)
            spent = daemon.cpu_ms() - before
            return rss_kib(daemon.handle.process.pid), spent / 1000 * 60 / seconds
        finally:
            daemon.close()


def _until_calm(daemon: ours.Ours, seconds: float = 120) -> None:
    """Wait until taking up the jobs is over, Redis' own tidying up after it too, but not for ever."""
    deadline = time.monotonic() + seconds
    spent = CALM_MS
    while spent >= CALM_MS and time.monotonic() < deadline:
        before = daemon.cpu_ms()
        time.sleep(3)
        spent = daemon.cpu_ms() - before


def figures(*, quick: bool = False) -> list[Figure]:
    """Measure beside a daemon without jobs, which shows what the rest costs."""
    jobs, seconds = (20_000, 15.0) if quick else (JOBS, 30.0)
    empty_kib, empty_cpu = measure(0, seconds)
    full_kib, full_cpu = measure(jobs, seconds)
    return [
        Figure(f"{jobs:,} idle jobs: memory of each", (full_kib - empty_kib) / jobs, "KiB", 1.0),
        Figure(f"{jobs:,} idle jobs: CPU for the jobs", full_cpu - empty_cpu, "s/min", 0.1),
        Figure("the daemon, Redis and launcher without jobs: CPU", empty_cpu, "s/min"),
    ]


if __name__ == "__main__":
    show(figures(quick="--quick" in sys.argv))
