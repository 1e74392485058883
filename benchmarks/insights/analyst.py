"""What the process that finds insights takes: processor time for each run, and memory with 50,000 jobs.

usage: python -m benchmarks.insights.analyst. Runs are written into a SQLite file as the daemon
leaves them, with their events, and the analyst reads them from there, as it does beside a daemon.
"""

import asyncio
import random
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.insights.given import by_itself
from benchmarks.report import Figure
from scheduler_daemon.analyst.process import collect_seldom
from scheduler_daemon.analyst.worker import Analyst
from scheduler_daemon.contract.jobs import JobSpec
from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.services import record
from scheduler_daemon.storage import executions, people
from scheduler_daemon.storage.jobs import JOBS, STATES
from scheduler_daemon.storage.learnt import Learnt
from scheduler_daemon.storage.migrations import migrate
from scheduler_daemon.storage.session import open_database

START = datetime(2026, 5, 4, 12, tzinfo=UTC)
GOAL_US = 200


class Daemon:
    """Takes what is told, as one without work would."""

    def __init__(self):
        self.found = 0
        self.load = None

    async def tell(self, report):
        self.found += len(report.findings)
        self.load = report.load
        return True


def make_jobs(db, count):
    owner = people.add_user(db, name="root", role="admin", uid=0, now=START)
    spec = JobSpec(name="job", command="true", schedule=Schedule(expressions=("* * * * *",))).model_dump(mode="json")
    saved = {"version": 1, "revision": 1, "spec": spec, "paused": False, "owner_id": owner}
    at = {"created_at": START, "updated_at": START}
    ids = [f"{n:036d}" for n in range(count)]
    db.execute(JOBS.insert(), [{"id": i, "name": f"job {i}", **saved, **at} for i in ids])
    db.execute(STATES.insert(), [{"job_id": i, "last_handled": START, "revision": 0, "active": 0} for i in ids])
    return ids, owner


def make_runs(db, ids, owner, fire_at, rng):
    """One run of each job, ended, and the events of its start and its end."""
    rows = []
    for job_id in ids:
        failed = rng.random() < 0.01
        began = fire_at + timedelta(seconds=rng.random())
        rows.append({
            "job_id": job_id, "job_version": 1, "version": 3, "fire_at": fire_at, "attempt": 0, "attempts": 1,
            "trigger": "schedule", "state": "failed" if failed else "succeeded",
            "outcome": "exit_code" if failed else "ok", "reason": "", "actor": "clock", "host": "here", "fence": "",
            "queued_at": fire_at, "started_at": began,
            "ended_at": began + timedelta(seconds=rng.lognormvariate(0, 0.2)), "exit_code": int(failed),
            "cpu_ms": rng.randrange(50, 60), "max_rss_bytes": rng.randrange(10 << 20, 11 << 20),
            "output_bytes": rng.randrange(900, 1100), "policy": {"requested": "trusted"},
        })  # fmt: skip
    found = executions.EXECUTIONS
    db.execute(found.insert(), rows)
    view = executions.VIEW.where(found.c.fire_at == fire_at)
    kept = list(db.execute(view))
    names = {row.job_id: (row.job, owner) for row in kept}
    for state in ("queued", "running"):
        begun = [_As(row, {"state": state, "outcome": None, "ended_at": None}) for row in kept]
        record.executions_changed(db, begun, names, fire_at)
    record.executions_changed(db, kept, names, fire_at)


class _As:
    """A run as it was before it ended."""

    def __init__(self, row, values):
        self._row, self._values = row, values

    def __getattr__(self, name):
        return self._values[name] if name in self._values else getattr(self._row, name)


async def measure(jobs, rounds):
    rng = random.Random(5)
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/chronos.db"
        await asyncio.to_thread(migrate, url)
        database = open_database(url)
        learnt = Learnt(Path(folder) / "learnt.db")
        hearer = Daemon()
        now = START
        analyst = Analyst(database, learnt, hearer, lambda: now, heed_every=0)
        ids, owner = await database.write(lambda db: make_jobs(db, jobs))
        while await analyst.step():
            pass
        spent = 0.0
        for number in range(rounds):
            fire_at = START + number * timedelta(minutes=1)
            await database.write(lambda db, at=fire_at: make_runs(db, ids, owner, at, rng))
            now = fire_at + timedelta(minutes=1)
            began = time.process_time()
            while await analyst.step():
                pass
            analyst.keep() if number % 5 == 4 else None
            spent += time.process_time() - began
        learnt.close()
        await database.close()
    return hearer.load, spent, hearer.found


def figures(given):
    """Measure with a thousand jobs and with very many."""
    collect_seldom()
    found = []
    for jobs, rounds in ((1000, 40), (given.jobs, 3)):
        load, spent, told = asyncio.run(measure(jobs, rounds))
        note = f"{load.runs:,} runs, {load.jobs:,} jobs in memory, {told} findings"
        found.append(Figure(f"processor time a run, {jobs:,} jobs", spent / load.runs * 1e6, "us", GOAL_US, note=note))
        found.append(Figure(f"memory of the whole benchmark, {jobs:,} jobs", load.memory_bytes / 2**20, "MiB"))
    return found


if __name__ == "__main__":
    by_itself(figures, __doc__)
