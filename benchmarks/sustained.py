"""Short jobs without end: 500 due every second, for ten seconds; how many were started in that time.

Ours records each in SQLite, shows it in Redis and keeps its output; APScheduler's thread pool keeps nothing.
"""

import asyncio
import statistics
import subprocess
import sys
import time
from datetime import UTC

from benchmarks import ours
from benchmarks.peers import start
from benchmarks.report import Figure, show
from scheduler_daemon.contract.jobs import Concurrency

JOBS = 500
SECONDS = 10
COMMAND = "echo ran"
_WARM = 3.0


def mine() -> float:
    """Return starts per second of the daemon."""
    requests = [ours.job(f"job {n}", "* * * * * *", COMMAND, Concurrency.ALLOW) for n in range(JOBS)]
    with ours.directory() as state:
        asyncio.run(ours.register(state, requests))
        daemon = ours.Ours(state)
        try:
            begun = time.time() + _WARM
            time.sleep(_WARM + SECONDS + 1)
            return daemon.started_between(begun, begun + SECONDS) / SECONDS
        finally:
            daemon.close()


def apscheduler() -> None:
    """Run APScheduler as it comes, in this process, and print how many jobs it started in the time."""
    import os
    import threading

    from apscheduler.schedulers.background import BackgroundScheduler

    starts: list[int] = []
    lock = threading.Lock()
    scheduler = BackgroundScheduler(timezone=UTC)
    for number in range(JOBS):
        scheduler.add_job(
            lambda: os.waitpid(start(COMMAND, starts, lock), 0),
            "interval",
            seconds=1,
            id=str(number),
            max_instances=SECONDS,
            misfire_grace_time=None,
            coalesce=False,
        )
    scheduler.start()
    time.sleep(_WARM)
    before = len(starts)
    time.sleep(SECONDS)
    print(len(starts) - before, flush=True)
    os._exit(0)  # what waits in its pool is of no interest


def theirs() -> float:
    """Return starts per second of APScheduler, in a process of its own."""
    words = [sys.executable, "-W", "ignore", "-m", "benchmarks.sustained", "apscheduler"]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return int(done.stdout.split()[-1]) / SECONDS


def figures(*, quick: bool = False) -> list[Figure]:
    """Measure both in turn."""
    found = [(mine(), theirs()) for _ in range(1 if quick else 2)]
    ours_, peers_ = (statistics.median(values) for values in zip(*found, strict=True))
    return [
        Figure(f"{JOBS} short jobs a second: starts / APScheduler's", ours_ / peers_, goal=1.0, at_least=True),
        Figure(f"{JOBS} short jobs a second: starts", ours_, "jobs/s"),
    ]


if __name__ == "__main__":
    if "apscheduler" in sys.argv:
        apscheduler()
    show(figures(quick="--quick" in sys.argv))
