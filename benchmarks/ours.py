"""Our side of the end-to-end benchmarks: the real daemon on a directory of its own, and what its processes cost."""

import asyncio
import contextlib
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from benchmarks.peers import Burst
from chronos_tui.client import Client, calls
from chronos_tui.settings import Address
from scheduler_daemon.contract.jobs import Concurrency, JobCreate, JobSpec
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.contract.places import places
from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.services import jobs as job_services
from scheduler_daemon.services import people
from scheduler_daemon.storage.migrations import migrate
from scheduler_daemon.storage.session import open_database
from tests.support.daemon import DaemonHandle, processes_of, wait_until

_TICK = os.sysconf("SC_CLK_TCK")


def job(name: str, expression: str, command: str, concurrency: Concurrency = Concurrency.FORBID) -> JobCreate:
    """Return a job as it is asked for."""
    schedule = Schedule(expressions=(expression,))
    return JobCreate(spec=JobSpec(name=name, command=command, schedule=schedule, concurrency=concurrency))


async def register(state: Path, jobs: Sequence[JobCreate]) -> float:
    """Make jobs in a directory no daemon uses now, through the service; return the seconds it took."""
    url = f"sqlite:///{state / 'chronos.db'}"
    await asyncio.to_thread(migrate, url)
    database = open_database(url)
    numbers = count(1)
    stamp = f"{time.time_ns():032x}"
    try:
        now = datetime.now(UTC)
        actor: Actor = await database.write(lambda db: people.ensure_admin(db, os.getuid(), now))
        begun = time.perf_counter()
        await database.write(
            lambda db: job_services.create_many(
                db, actor, jobs, now=now, new_id=lambda: f"{stamp[:20]}-{next(numbers):015}"
            )
        )
        return time.perf_counter() - begun
    finally:
        await database.close()


@contextlib.contextmanager
def directory() -> Iterator[Path]:
    """Give a state directory that goes afterwards."""
    state = Path(tempfile.mkdtemp(prefix="chronos-bench-"))
    try:
        yield state
    finally:
        shutil.rmtree(state, ignore_errors=True)


class Ours:
    """A running daemon. Reads its database beside it, to see what became of its runs."""

    def __init__(self, state: Path, **environ: str) -> None:
        self.handle = DaemonHandle(state, environ)
        self.handle.start()
        self.client = Client(Address(path=places(str(state), os.getuid()).api_socket))
        wait_until(lambda: self.client.json(calls.health())["status"] == "ready", seconds=60)
        self._db = sqlite3.connect(f"file:{state / 'chronos.db'}?mode=ro", uri=True)
        self._pids = processes_of(state)

    def close(self) -> None:
        """End everything of it."""
        self._db.close()
        self.client.close()
        self.handle.stop()

    def cpu_ms(self) -> float:
        """Return the CPU the daemon, its Redis, its launcher and all jobs they have waited for have used so far."""
        total = 0
        for pid in {*self._pids, *_children(self._pids)}:
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                total += sum(map(int, words[11:15]))
        return total * 1000 / _TICK

    def settled(self, due: float, jobs: int, seconds: float = 60) -> None:
        """Wait until every run of an instant has ended, is recorded, shown and its output kept."""
        deadline = time.monotonic() + seconds
        ended = "SELECT count(*) FROM executions WHERE fire_at = ? AND ended_at IS NOT NULL"
        while self._number(ended, _us(due)) < jobs or self._number("SELECT count(*) FROM events WHERE pending"):
            if time.monotonic() > deadline:
                raise RuntimeError(f"not all of {jobs} runs ended within {seconds} s:\n{self.handle.log_tail()}")
            time.sleep(0.1)
        spool = self.handle.state / "spool"
        while any(name.name.isdigit() for name in spool.iterdir()):
            time.sleep(0.05)

    def burst(self, due: float, jobs: int) -> Burst:
        """Watch the jobs due at an instant to come; call a little before it."""
        time.sleep(max(0.0, due - time.time() - 0.3))
        before = self.cpu_ms()
        time.sleep(max(0.0, due - time.time() + 0.3))
        self.settled(due, jobs)
        spent = self.cpu_ms() - before
        return Burst(self.late(due), spent / jobs, self._number(_LAST, _us(due)) / 1000 - due * 1000)

    def late(self, due: float) -> list[float]:
        """Return how late (ms) each run of an instant began."""
        rows = self._db.execute("SELECT started_at - fire_at FROM executions WHERE fire_at = ?", (_us(due),))
        return [row[0] / 1000 for row in rows]

    def recorded(self, due: float) -> int:
        """Return how many runs of an instant are written down."""
        return self._number("SELECT count(*) FROM executions WHERE fire_at = ?", _us(due))

    def started_between(self, begin: float, end: float) -> int:
        """Return how many runs began in a time."""
        return self._number(
            "SELECT count(*) FROM executions WHERE started_at >= ? AND started_at < ?", _us(begin), _us(end)
        )

    def _number(self, query: str, *values: object) -> int:
        return int(self._db.execute(query, values).fetchone()[0])


_LAST = "SELECT max(ended_at) FROM executions WHERE fire_at = ?"


def _us(moment: float) -> int:
    return round(moment * 1_000_000)


def _children(pids: Sequence[int]) -> list[int]:
    """Return the processes below these, which need not name the directory: spawners."""
    found: list[int] = []
    for pid in pids:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                below = [int(word) for word in (task / "children").read_text().split()]
                found += below + _children(below)
    return found
