"""How many jobs are registered per second: through the service, by importing a crontab over HTTP, and by APScheduler.

Ours are durable when the time is taken (SQLite, with versions, audit rows and events); APScheduler's stay in memory.
"""

import asyncio
import statistics
import sys
import time
from datetime import UTC

from benchmarks import ours
from benchmarks.report import Figure, show
from chronos_tui.client import calls

JOBS = 10_000


def service(jobs: int) -> float:
    """Return jobs per second through the service, in one transaction."""
    requests = [ours.job(f"job {n}", f"{n % 60} {n // 60 % 24} * * *", f"echo {n}") for n in range(jobs)]
    with ours.directory() as state:
        return jobs / asyncio.run(ours.register(state, requests))


def imported(jobs: int) -> float:
    """Return jobs per second through POST /v1/imports/crontab of a running daemon."""
    text = "".join(f"{n % 60} {n // 60 % 24} * * * echo {n}\n" for n in range(jobs)).encode()
    with ours.directory() as state:
        daemon = ours.Ours(state)
        try:
            begun = time.perf_counter()
            report = daemon.client.json(calls.import_crontab(text, source="bench"))
            took = time.perf_counter() - begun
        finally:
            daemon.close()
    if report["created"] != jobs:
        raise RuntimeError(f"only {report['created']} of {jobs} jobs were created")
    return jobs / took


def apscheduler(jobs: int) -> float:
    """Return jobs per second of APScheduler's memory store."""
    from apscheduler.schedulers.background import BackgroundScheduler
    from apscheduler.triggers.cron import CronTrigger

    scheduler = BackgroundScheduler(timezone=UTC)
    scheduler.start(paused=True)
    begun = time.perf_counter()
    for n in range(jobs):
        trigger = CronTrigger.from_crontab(f"{n % 60} {n // 60 % 24} * * *", timezone=UTC)
        scheduler.add_job(print, trigger, id=str(n))
    took = time.perf_counter() - begun
    scheduler.shutdown(wait=False)
    return jobs / took


def figures(*, quick: bool = False) -> list[Figure]:
    """Measure all, in turn."""
    rounds = 1 if quick else 3
    found = [(service(JOBS), imported(JOBS), apscheduler(JOBS // 10)) for _ in range(rounds)]
    mine, taken_over, theirs = (statistics.median(values) for values in zip(*found, strict=True))
    return [
        Figure("registration through the service", mine, "jobs/s", 10_000, at_least=True),
        Figure("registration by importing a crontab over HTTP", taken_over, "jobs/s"),
        Figure("registration through the service / APScheduler in memory", mine / theirs),
    ]


if __name__ == "__main__":
    show(figures(quick="--quick" in sys.argv))
