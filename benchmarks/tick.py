"""10,000 jobs due at one instant: how fast the fires are written down, and whether the API answers meanwhile.

The clock and all below it but the launcher run in this process, on SQLite, for the first figure; a whole daemon that
starts four runs at once for the second. APScheduler only submits a call that does nothing, and keeps no history; with
its SQLite store it at least keeps the jobs.
"""

import asyncio
import gc
import statistics
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks import ours
from benchmarks.report import Figure, percentile, show
from chronos_tui.client import calls
from scheduler_daemon.engine.dispatcher import Dispatcher
from scheduler_daemon.engine.ticker import Ticker
from scheduler_daemon.storage.session import open_database
from tests.support.rig import Clock, Launches
from tests.support.world import HOLDER, NO_KEY

JOBS = 10_000
STORED = 500
"""Jobs for APScheduler's SQLite store, which takes some 20 ms for each."""
_NEW_YEAR = "0 0 1 1 *"


def written(jobs: int) -> float:
    """Return fires per second that the ticker records, all of them due; no process is started."""
    with ours.directory() as state:
        return asyncio.run(_written(state, jobs))


async def _written(state: Path, jobs: int) -> float:
    await ours.register(state, [ours.job(f"job {n}", _NEW_YEAR, "true") for n in range(jobs)])
    database = open_database(f"sqlite:///{state / 'chronos.db'}")
    clock, launches = Clock(), Launches()
    clock.now = datetime.now(UTC)
    dispatcher = Dispatcher(
        database, launches, launches, vault=NO_KEY, holder=HOLDER, max_active=1000, recorded=lambda: None, now=clock
    )
    ticker = Ticker(database, dispatcher, clock, timedelta(seconds=5), timedelta())
    await ticker.load()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)  # as the daemon sets it
    clock.now = datetime(clock.now.year + 1, 1, 1, tzinfo=UTC)
    begun = time.perf_counter()
    while (upcoming := await ticker.step()) is not None and upcoming <= clock.now:
        pass
    took = time.perf_counter() - begun
    recorded = await database.read(lambda db: db.exec_driver_sql("SELECT count(*) FROM executions").scalar_one())
    await database.close()
    if recorded != jobs:
        raise RuntimeError(f"only {recorded} of {jobs} fires were recorded")
    return jobs / took


def answers(jobs: int) -> tuple[list[float], list[float]]:
    """Return how long (ms) the first page of the job list takes before the instant, and while its fires are written."""
    with ours.directory() as state:
        due = time.time() // 1 + 20
        when = f"@at {datetime.fromtimestamp(due, UTC):%Y-%m-%dT%H:%M:%S}"
        asyncio.run(ours.register(state, [ours.job(f"job {n}", when, "true") for n in range(jobs)]))
        daemon = ours.Ours(state, CHRONOS_MAX_ACTIVE="4")
        try:
            time.sleep(max(0.0, due - 3 - time.time()))
            calm, busy = [], []
            while time.time() < due - 1:
                calm.append(_asked(daemon))
            while daemon.recorded(due) < jobs:
                busy.append(_asked(daemon))
                if time.time() > due + 60:
                    raise RuntimeError(f"only {daemon.recorded(due)} of {jobs} fires were recorded in a minute")
            return calm, busy
        finally:
            daemon.close()


def _asked(daemon: ours.Ours) -> float:
    begun = time.perf_counter()
    daemon.client.json(calls.jobs(limit=50))
    return (time.perf_counter() - begun) * 1000


def apscheduler(jobs: int, url: str | None) -> float:
    """Return jobs per second that APScheduler submits, all of them due; without a URL it keeps them in memory."""
    from apscheduler.jobstores.memory import MemoryJobStore
    from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
    from apscheduler.schedulers.background import BackgroundScheduler

    store: Any = SQLAlchemyJobStore(url) if url else MemoryJobStore()
    scheduler = BackgroundScheduler(timezone=UTC, jobstores={"default": store})
    scheduler.start(paused=True)
    for number in range(jobs):
        scheduler.add_job(_nothing, "date", run_date=datetime.now(UTC), id=str(number), misfire_grace_time=None)
    _DONE.clear()
    _LEFT[0] = jobs
    begun = time.perf_counter()
    scheduler.resume()
    _DONE.wait(300)
    took = time.perf_counter() - begun
    scheduler.shutdown()
    return jobs / took


_DONE = threading.Event()
_LEFT = [0]
_LOCK = threading.Lock()


def _nothing() -> None:
    with _LOCK:
        _LEFT[0] -= 1
        if not _LEFT[0]:
            _DONE.set()


def figures(*, quick: bool = False) -> list[Figure]:
    """Measure all in turn."""
    rounds = 1 if quick else 3
    with tempfile.TemporaryDirectory() as folder:
        found = [
            (written(JOBS), apscheduler(JOBS, None), apscheduler(STORED, f"sqlite:///{folder}/{n}.db"))
            for n in range(rounds)
        ]
    mine, memory, stored = (statistics.median(values) for values in zip(*found, strict=True))
    calm, busy = answers(JOBS)
    return [
        Figure(f"{JOBS:,} due at once: fires recorded", mine, "per s", 10_000, at_least=True),
        Figure(f"{JOBS:,} due at once: recorded / APScheduler in memory", mine / memory),
        Figure("the same / APScheduler with its SQLite store", mine / stored),
        Figure("meanwhile the API answers: p99 / that at rest", percentile(busy, 99) / percentile(calm, 99)),
        Figure("meanwhile the API answers: slowest", max(busy), "ms"),
    ]


if __name__ == "__main__":
    show(figures(quick="--quick" in sys.argv))
