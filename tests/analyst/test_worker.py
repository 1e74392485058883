"""The analyst learns from every ended run once, whatever ends it in between, and tells what it finds until heard."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from scheduler_daemon.analyst.worker import Analyst
from scheduler_daemon.contract.insights import (
    AnalystReport,
    Finding,
    InsightDecision,
    InsightState,
    MetricEvidence,
)
from scheduler_daemon.contract.jobs import JobView
from scheduler_daemon.contract.people import Actor, Role
from scheduler_daemon.domain.errors import Unavailable
from scheduler_daemon.services import insights
from scheduler_daemon.storage import people
from scheduler_daemon.storage.learnt import Learnt
from scheduler_daemon.storage.session import Database
from tests.support.world import MINUTE, NOON, add_actor, add_job, end, fire, rows

DAY = timedelta(days=1)


class Hearer:
    """A daemon that notes what it is told, or cannot record it."""

    def __init__(self) -> None:
        self.found: list[Finding] = []
        self.runs = 0
        self.works = True

    async def tell(self, report: AnalystReport) -> bool:
        """Note a report."""
        if self.works:
            self.found += report.findings
            self.runs = report.load.runs
        return self.works


class Desk:
    """An analyst that can be ended and started again on what it has learnt."""

    def __init__(self, database: Database, path: Path, minds: int) -> None:
        self.database = database
        self.path = path
        self.minds = minds
        self.now = NOON
        self.hearer = Hearer()
        self._learnt: Learnt | None = None
        self.start()

    def start(self, keep_every: float = 0.0) -> None:
        """Start it; one that keeps every 0 seconds does so after every step."""
        self.close()
        self._learnt = Learnt(self.path)
        self.analyst = Analyst(
            self.database,
            self._learnt,
            self.hearer,
            lambda: self.now,
            minds=self.minds,
            keep_every=keep_every,
            heed_every=0,
        )

    def close(self) -> None:
        """End it without a word."""
        if self._learnt is not None:
            self._learnt.close()

    async def work(self) -> None:
        """Let it learn from all there is."""
        while await self.analyst.step():
            pass

    async def runs(self, job: JobView, outcomes: str, took: float = 0) -> None:
        """Let a job run once a minute, for so many seconds: `.` succeeds, `x` fails, `c` is cancelled."""
        for outcome in outcomes:
            at: datetime = self.now + MINUTE
            (start,) = (await self.database.write(lambda db, at=at: fire(db, job, at))).starts
            number = start.execution_id
            report = {".": {"exit_code": 0}, "x": {"exit_code": 1}, "c": {"signal": 15, "killed_by": "cancel"}}[outcome]
            started = {"state": "running", "started_at": at}
            await self.database.write(lambda db, number=number, started=started: _begin(db, number, started))
            over = at + timedelta(seconds=took)
            await self.database.write(
                lambda db, number=number, over=over, report=report: end(db, number, at=over, **report)
            )
            self.now = max(at, over)
        self.now += MINUTE


def _begin(db: object, number: int, values: dict[str, object]) -> None:
    from sqlalchemy import update

    from scheduler_daemon.storage.executions import EXECUTIONS

    db.execute(update(EXECUTIONS).where(EXECUTIONS.c.id == number).values(**values))  # type: ignore[attr-defined]


@pytest.fixture(params=[1, 1000], ids=["one mind", "many minds"])
def desk(database: Database, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Desk]:
    """An analyst on each kind of database, with room for few jobs or many."""
    made = Desk(database, tmp_path / "learnt.db", request.param)
    yield made
    made.close()


@pytest.fixture
async def job(database: Database) -> JobView:
    """A job."""
    admin = await database.write(lambda db: add_actor(db, "root", Role.ADMIN))
    return await database.write(lambda db: add_job(db, admin, "backup"))


async def test_a_streak_of_failures_is_told_once_with_its_runs(desk: Desk, job: JobView) -> None:
    await desk.work()
    await desk.runs(job, "......xxc")
    await desk.work()
    before = list(desk.hearer.found)
    await desk.runs(job, "xxx")
    await desk.work()

    assert before == []
    (told,) = desk.hearer.found
    assert (told.kind, told.title) == ("failure_streak", "backup has failed 3 times in a row")
    ids = [row.id for row in await desk.database.read(lambda db: rows(db, "executions")) if row.state == "failed"]
    assert told.evidence[0].run_ids == tuple(ids[:3])  # type: ignore[union-attr]


async def test_what_was_before_it_began_is_learnt_and_only_what_is_new_is_told(desk: Desk, job: JobView) -> None:
    await desk.runs(job, ".....xxx.....")
    desk.now += 2 * DAY
    await desk.work()
    old = list(desk.hearer.found)
    await desk.runs(job, "xxx")
    await desk.work()

    assert old == []
    assert [told.evidence[0].value for told in desk.hearer.found] == [3]  # type: ignore[union-attr]


async def test_ended_between_two_runs_it_goes_on_where_it_was(desk: Desk, job: JobView) -> None:
    for outcome in ".....xxxx":
        await desk.runs(job, outcome)
        await desk.work()
        desk.start()

    assert len(desk.hearer.found) == 1
    assert await desk.analyst.step() is False


async def test_killed_before_it_could_keep_what_it_learnt_it_finds_the_same_again(desk: Desk, job: JobView) -> None:
    await desk.runs(job, ".....")
    await desk.work()
    desk.minds = 1000
    desk.start(keep_every=3600)
    await desk.runs(job, "xxx")
    await desk.work()
    desk.start()
    await desk.work()

    first, second = desk.hearer.found
    assert first == second


async def test_what_could_not_be_recorded_is_told_again(desk: Desk, job: JobView) -> None:
    await desk.work()
    await desk.runs(job, ".....xxx")
    desk.hearer.works = False
    with pytest.raises(Unavailable):
        await desk.work()
    desk.hearer.works = True
    await desk.work()

    assert len(desk.hearer.found) == 1


async def test_an_end_that_is_told_twice_counts_once(desk: Desk, job: JobView) -> None:
    from scheduler_daemon.services import said

    await desk.work()
    await desk.runs(job, ".....xx")
    await desk.work()
    last = max(row.id for row in await desk.database.read(lambda db: rows(db, "executions")))
    for _ in range(3):
        await desk.database.write(lambda db: said.announce(db, [last], desk.now))
    desk.now += MINUTE
    await desk.work()

    assert desk.hearer.found == []


async def test_what_ended_a_moment_ago_is_left_for_the_next_time(desk: Desk, job: JobView) -> None:
    await desk.work()
    await desk.runs(job, ".....xxx")
    later, desk.now = desk.now, desk.now - MINUTE
    await desk.work()
    before = len(desk.hearer.found)
    desk.now = later
    await desk.work()

    assert (before, len(desk.hearer.found)) == (0, 1)


def no_database(path: Path) -> None:
    path.write_bytes(b"no database")


def spoilt_page(path: Path) -> None:
    """Write over what is known of jobs; the head and the facts stay as they are."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'jobs'").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)


@pytest.mark.parametrize("spoil", [no_database, spoilt_page])
async def test_a_spoilt_file_is_begun_anew_from_the_runs(
    desk: Desk, job: JobView, spoil: Callable[[Path], None]
) -> None:
    await desk.runs(job, ".....xx")
    await desk.work()
    desk.close()
    spoil(desk.path)
    desk._learnt = None
    desk.start()
    await desk.runs(job, "x")
    await desk.work()

    assert len(desk.hearer.found) == 1


async def test_an_odd_run_is_told_beside_what_is_usual_and_is_usual_once_somebody_says_so(
    desk: Desk, job: JobView, database: Database
) -> None:
    await desk.work()
    for number in range(40):
        await desk.runs(job, ".", took=20 + number % 5)
    await desk.runs(job, ".", took=900)
    await desk.work()

    (told,) = desk.hearer.found
    (measure,) = (each for each in told.evidence if isinstance(each, MetricEvidence))
    assert (told.kind, told.severity, measure.metric, measure.value) == ("duration_high", "warning", "duration", 900)
    assert told.title == "backup took 15 min, far longer than usual"
    assert measure.low is not None
    assert measure.high is not None
    assert 15 < measure.low < 22 < measure.high < 60

    await database.write(lambda db: insights.keep(db, [told], desk.now))
    (root,) = await database.read(people.all_users)
    actor = Actor(id=root.id, name=root.name, role=Role.ADMIN)
    (kept,) = (await database.read(lambda db: insights.page(db, actor))).items
    expected = InsightDecision(expected=True)
    await database.write(
        lambda db: insights.judge(db, actor, kept.id, InsightState.DISMISSED, expected, desk.now + MINUTE)
    )
    for number in range(12):
        await desk.runs(job, ".", took=880 + number % 5)
    await desk.work()

    assert desk.hearer.found == [told]


async def test_runs_that_were_missed_are_one_event(desk: Desk, job: JobView) -> None:
    await desk.work()
    await desk.runs(job, "...")
    missed = [desk.now + number * MINUTE for number in (1, 2, 3)]
    await desk.database.write(lambda db: fire(db, job, missed=missed))
    desk.now += 10 * MINUTE
    await desk.work()

    assert {told.kind for told in desk.hearer.found} == {"missed_run"}
    assert len({told.key for told in desk.hearer.found}) == 1


async def test_that_the_next_run_may_fail_is_told_once_a_day_with_the_probability(desk: Desk, job: JobView) -> None:
    await desk.work()
    for _ in range(12):
        await desk.runs(job, "......")
        desk.now += DAY - 7 * MINUTE  # always in the same hour
    await desk.work()
    before = list(desk.hearer.found)
    await desk.runs(job, "xx.x")
    await desk.work()

    told = [each for each in desk.hearer.found if each.kind == "failure_risk"]
    assert [each for each in before if each.kind == "failure_risk"] == []
    assert len({each.key for each in told}) == 1
    assert told[0].prediction is not None
    assert told[0].prediction.expected >= 0.2
