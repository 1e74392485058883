"""Whatever happens to jobs and runs, in whatever order: the counters equal a recount, and revisions only rise."""

import asyncio
import contextlib
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from scheduler_daemon.contract.jobs import JobPatch
from scheduler_daemon.contract.people import Role
from scheduler_daemon.domain.errors import ChronosError
from scheduler_daemon.services import jobs, runs
from scheduler_daemon.storage import jobs as job_rows
from scheduler_daemon.storage.session import open_database
from tests.support.databases import Databases
from tests.support.world import HOLDER, NOON, SECOND, add_actor, add_job, end, fire, recount, rows

POLICIES = ["forbid", "allow", "replace", "queue_one", "queue_all"]
RETRIES = [None, {"attempts": 2, "delay_ms": 0}, {"attempts": 3, "delay_ms": 2000, "until_ms": 5000}]


class World(RuleBasedStateMachine):
    """Jobs fire, are run by hand, start, end twice, are tried again, cancelled, edited, paused and deleted."""

    directory: Path
    databases: Databases
    made = Bundle("made")

    @initialize()
    def open(self) -> None:
        self.path = Path(tempfile.mkdtemp(dir=self.directory)) / "chronos.db"
        self.loop = asyncio.new_event_loop()
        self.database = self.loop.run_until_complete(self._opened(self.databases.sqlite(self.path)))
        self.admin = self.write(lambda db: add_actor(db, "root", Role.ADMIN))
        self.now = NOON
        self.names = 0
        self.revisions: dict[str, int] = {}

    async def _opened(self, url: str):
        return open_database(url)

    def write(self, work):
        return self.loop.run_until_complete(self.database.write(work))

    def attempt(self, work) -> None:
        """Do what may be refused; a refusal must leave no trace either."""
        with contextlib.suppress(ChronosError):
            self.write(work)

    def tick(self):
        self.now += SECOND
        return self.now

    @rule(target=made, concurrency=st.sampled_from(POLICIES), retry=st.sampled_from(RETRIES))
    def make(self, concurrency: str, retry: dict[str, object] | None) -> str:
        self.names += 1
        now = self.tick()
        job = self.write(
            lambda db: add_job(
                db, self.admin, f"j{self.names}", now=now, schedule="* * * * * *", concurrency=concurrency, retry=retry
            )
        )
        return job.id

    @rule(job_id=made, free=st.integers(0, 3), count=st.integers(1, 3), missed=st.integers(0, 2))
    def fire(self, job_id: str, free: int, count: int, missed: int) -> None:
        instants = [self.tick() for _ in range(missed + count)]

        def work(db):
            row = job_rows.find(db, job_id)
            if row is not None:
                view = jobs.views.job_view(row)
                fire(db, view, *instants[missed:], missed=instants[:missed], free=free)

        self.attempt(work)

    @rule(job_id=made, free=st.integers(0, 1))
    def run(self, job_id: str, free: int) -> None:
        now = self.tick()
        self.attempt(lambda db: runs.request(db, self.admin, job_id, "", now=now, holder=HOLDER, free=free))

    @rule(free=st.integers(1, 3))
    def start_waiting(self, free: int) -> None:
        self.attempt(lambda db: runs.start_waiting(db, now=self.now, holder=HOLDER, free=free).starts)

    @rule(picks=st.lists(st.integers(1, 30), max_size=5))
    def started(self, picks: list[int]) -> None:
        self.attempt(lambda db: runs.started(db, dict.fromkeys(picks, self.now), self.now))

    @rule(picks=st.lists(st.integers(1, 30), max_size=6), code=st.integers(0, 1))
    def ended(self, picks: list[int], code: int) -> None:
        self.attempt(lambda db: end(db, *picks, at=self.now, exit_code=code))

    @rule(number=st.integers(1, 30))
    def cancel(self, number: int) -> None:
        self.attempt(lambda db: runs.cancel(db, self.admin, number, "", self.now))

    @rule(job_id=made, command=st.sampled_from("xyz"))
    def edit(self, job_id: str, command: str) -> None:
        def work(db):
            row = jobs.get(db, self.admin, job_id)
            jobs.edit(db, self.admin, job_id, JobPatch(version=row.version, changes={"command": command}), self.now)

        self.attempt(work)

    @rule(job_id=made, paused=st.booleans())
    def pause(self, job_id: str, paused: bool) -> None:
        now = self.tick()
        self.attempt(lambda db: jobs.set_paused(db, self.admin, job_id, now, paused=paused))

    @rule(job_id=made)
    def delete(self, job_id: str) -> None:
        self.attempt(lambda db: jobs.delete(db, self.admin, job_id, self.now))

    @invariant()
    def counters_are_right(self) -> None:
        if not hasattr(self, "database"):
            return
        assert self.write(recount) == []
        found = self.write(lambda db: rows(db, "executions"))
        open_runs = [(row.job_id, row.fire_at) for row in found if row.ended_at is None]
        assert len(open_runs) == len(set(open_runs))
        assert all(row.attempt < row.attempts for row in found)
        views, events = self.write(lambda db: ([*map(jobs.views.job_view, job_rows.living(db))], rows(db, "events")))
        for view in views:
            assert view.revision >= self.revisions.get(view.id, 0)
            self.revisions[view.id] = view.revision
            announced = [event.version for event in events if event.subject == view.id]
            assert announced == sorted(set(announced))
            assert announced[-1] <= view.revision

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.loop.run_until_complete(self.database.close())
            self.loop.close()
            shutil.rmtree(self.path.parent, ignore_errors=True)


def test_counters_equal_a_recount_after_any_story(databases: Databases, tmp_path: Path) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    World.databases, World.directory = databases, tmp_path

    run_state_machine_as_test(
        World,
        settings=settings(
            max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
