"""The reviewer looks at all jobs, tells what it finds, measures what was applied, and passes on what retries taught."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, insert, select, update

from scheduler_daemon.analyst.review import Reviewer
from scheduler_daemon.contract.insights import AnalystReport, InsightDecision, InsightState
from scheduler_daemon.contract.jobs import JobView
from scheduler_daemon.contract.people import Actor, Role
from scheduler_daemon.domain.errors import Unavailable
from scheduler_daemon.services import insights, jobs, retry_advice
from scheduler_daemon.storage import insights as stored
from scheduler_daemon.storage import retry_advice as advice
from scheduler_daemon.storage.executions import EXECUTIONS
from scheduler_daemon.storage.jobs import JOBS, STATES
from scheduler_daemon.storage.learnt import Learnt
from scheduler_daemon.storage.session import Database
from tests.analyst.records import MIB
from tests.support.world import NOON, add_actor, add_job

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


class Office:
    """A daemon's side of it, and a clock."""

    def __init__(self, database: Database, path: Path, admin: Actor) -> None:
        self.database = database
        self.admin = admin
        self.now = NOON
        self.works = True
        self.reports: list[AnalystReport] = []
        self.learnt = Learnt(path)
        self.reviewer = Reviewer(database, self.learnt, self, lambda: self.now, DAY)

    async def tell(self, report: AnalystReport) -> bool:
        """Record a report as the daemon does."""
        if not self.works:
            return False
        self.reports.append(report)
        await self.database.write(lambda db: insights.keep(db, report.findings, self.now) if report.findings else 0)
        learnt = report.retries
        if learnt is not None:
            await self.database.write(lambda db: retry_advice.keep(db, learnt, self.now))
        await self.database.write(lambda db: insights.measure(db, report.measured, self.now))
        return True

    async def work(self, hours: float = 1) -> None:
        """Let time pass, and the reviewer do what there is to do."""
        self.now += timedelta(hours=hours)
        for _ in range(200):
            if not await self.reviewer.step():
                return
        raise AssertionError("it never comes to an end")

    async def found(self) -> list[Any]:
        """Return all insights, oldest first."""
        return [insights.view(row) for row in reversed(await self.database.read(lambda db: stored.page(db, limit=500)))]

    async def runs(
        self, job: JobView, count: int, each: Callable[[int], dict[str, Any]], *, every: timedelta = HOUR,
        until: datetime | None = None,
    ) -> None:  # fmt: skip
        """Write down runs of a job as it is now, the last of them an hour before now."""
        version = (await self.database.read(lambda db: jobs.show(db, self.admin, job.id))).version
        end = until or self.now

        def work(db: Connection) -> None:
            for number in range(count):
                started = end - every * (count - number)
                db.execute(insert(EXECUTIONS), {**_run(job.id, version, started), **each(number)})
            last = select(func.max(EXECUTIONS.c.id)).where(EXECUTIONS.c.job_id == job.id).scalar_subquery()
            ended = {"last_state": "succeeded", "last_fire_at": end, "last_ended_at": end}
            db.execute(update(STATES).where(STATES.c.job_id == job.id).values(last_id=last, **ended))

        await self.database.write(work)


def _run(job_id: str, version: int, started: datetime) -> dict[str, Any]:
    return {
        "job_id": job_id, "job_version": version, "version": 3, "fire_at": started, "attempt": 0, "attempts": 1,
        "trigger": "schedule", "state": "succeeded", "outcome": "exit_code", "reason": "", "actor": "root",
        "host": "here", "fence": "", "queued_at": started, "started_at": started,
        "ended_at": started + timedelta(minutes=5), "exit_code": 0, "cpu_ms": 100, "max_rss_bytes": 90 * MIB,
        "output_bytes": 10, "policy": {},
    }  # fmt: skip


@pytest.fixture
async def office(database: Database, tmp_path: Path) -> AsyncIterator[Office]:
    """An office with one account."""
    admin = await database.write(lambda db: add_actor(db, "root", Role.ADMIN, uid=0))
    office = Office(database, tmp_path / "learnt.db", admin)
    yield office
    office.learnt.close()


async def a_job(office: Office, name: str = "job", **fields: Any) -> JobView:
    return await office.database.write(
        lambda db: add_job(db, office.admin, name, **{"schedule": "0 * * * *", **fields})
    )


def varied(number: int) -> dict[str, Any]:
    return {"output_bytes": number}


async def act(office: Office, verb: str, insight: Any) -> Any:
    decide = getattr(insights, verb)
    return await office.database.write(lambda db: decide(db, office.admin, insight.id, InsightDecision(), office.now))


async def limited(office: Office) -> tuple[JobView, Any]:
    """Return a job with a limit far too high, and what was found of it, applied."""
    job = await a_job(office, limits={"memory_bytes": 4096 * MIB})
    await office.runs(job, 60, varied)
    await office.work()
    (found,) = await office.found()
    return job, await act(office, "apply", found)


async def test_a_young_job_is_reviewed_as_soon_as_it_has_run_often_enough(office: Office) -> None:
    job = await a_job(office, limits={"memory_bytes": 4096 * MIB})
    await office.runs(job, 10, varied)
    await office.work()

    await office.runs(job, 20, varied, until=office.now + DAY)
    await office.work(24.5)

    assert [each.kind for each in await office.found()] == ["memory_limit"]


async def test_every_job_is_looked_at_in_its_turn(office: Office) -> None:
    for number in range(45):
        job = await a_job(office, f"job {number}", limits={"memory_bytes": 4096 * MIB}, schedule=f"{number} 3 * * *")
        await office.runs(job, 32, varied)

    await office.work()

    assert {one.job for one in await office.found()} == {f"job {number}" for number in range(45)}


async def test_a_job_whose_saved_spec_cannot_be_read_keeps_no_other_from_its_turn(office: Office) -> None:
    ill = await a_job(office, "ill", limits={"memory_bytes": 4096 * MIB})
    well = await a_job(office, "well", limits={"memory_bytes": 4096 * MIB}, schedule="30 3 * * *")
    for job in (ill, well):
        await office.runs(job, 60, varied)
    kept = ill.spec.model_dump(mode="json") | {"priority": 99}
    await office.database.write(lambda db: db.execute(JOBS.update().where(JOBS.c.id == ill.id).values(spec=kept)))

    await office.work()

    assert {one.job for one in await office.found()} == {"well"}


async def test_a_change_that_proves_itself_is_kept_and_says_so(office: Office) -> None:
    job, applied = await limited(office)
    assert applied.state == InsightState.APPLIED

    await office.work(17)
    await office.runs(job, 16, varied)
    await office.work()

    (found,) = await office.found()
    assert found.state == InsightState.APPLIED
    assert found.measured is not None
    assert (found.measured.verdict, found.measured.came) == ("keep", True)
    assert found.measured.gain > 0.9


async def test_a_change_that_does_harm_is_taken_back_by_itself(office: Office) -> None:
    job, _ = await limited(office)

    await office.work(4)
    await office.runs(job, 3, lambda n: {**varied(n), "state": "failed", "outcome": "oom_killed", "exit_code": None})
    await office.work()

    (found,) = await office.found()
    shown = await office.database.read(lambda db: jobs.show(db, office.admin, job.id))
    assert (found.state, found.decided_by) == (InsightState.REVERTED, "canary")
    assert found.reason.startswith("not better: ")
    assert shown.spec.limits.memory_bytes == 4096 * MIB
    assert shown.version == 3


async def test_a_change_to_a_job_that_was_edited_since_stays_and_says_so(office: Office) -> None:
    from scheduler_daemon.contract.jobs import JobPatch

    job, _ = await limited(office)
    patch = JobPatch(version=2, changes={"limits": {"memory_bytes": 300 * MIB}})
    await office.database.write(lambda db: jobs.edit(db, office.admin, job.id, patch, office.now))

    await office.work(4)
    await office.runs(job, 3, lambda n: {**varied(n), "state": "failed", "outcome": "oom_killed", "exit_code": None})
    await office.work()

    (found,) = await office.found()
    assert found.state == InsightState.APPLIED
    assert "could not be taken back" in found.reason


async def test_starts_that_fall_together_are_moved_one_at_a_time(office: Office) -> None:
    made = [await a_job(office, f"nightly {n}", schedule="0 3 * * *") for n in range(6)]
    for job in made:
        await office.runs(job, 40, varied, every=DAY, until=NOON.replace(hour=3) + DAY)

    await office.work()
    (first,) = await office.found()
    await act(office, "apply", first)
    await office.work(25)
    during = await office.found()

    assert first.kind == "collision"
    assert first.prediction.expected == 0
    assert first.action.value["expressions"][0].endswith(" 3 * * *")
    assert len(during) == 1


async def test_a_peak_like_none_before_is_foretold_and_held_to_what_came(office: Office) -> None:
    nightly = [await a_job(office, f"nightly {n}", schedule="0 3 * * *", move="never") for n in range(3)]
    three = NOON.replace(hour=3) + DAY
    for job in nightly:
        await office.runs(job, 28, varied, every=DAY, until=three)
    late = [await a_job(office, f"monthly {n}", schedule="0 3 5 * *", move="never") for n in range(3)]
    for job in late:
        await office.runs(job, 1, varied, every=30 * DAY, until=three)

    await office.work()
    (told,) = await office.found()
    for job in (*nightly, *late):
        await office.runs(job, 1, varied, every=DAY, until=three + DAY)
    await office.work(17)

    (after,) = await office.found()
    assert (told.kind, told.job, told.measured) == ("peak_ahead", "", None)
    assert told.prediction.expected == pytest.approx(6)
    assert after.measured.came is True
    assert after.measured.after == pytest.approx(6)


async def test_what_retries_taught_is_passed_on_and_survives(office: Office, tmp_path: Path) -> None:
    job = await a_job(office)
    await office.runs(job, 60, lambda n: {"state": "failed", "exit_code": 77} if n % 3 else {})

    await office.work()

    known = await office.database.read(lambda db: advice.of_jobs(db, [job.id]))
    assert known[job.id, "exit 77", "", False].waits_ms == []
    assert known["", "exit 77", "", False].seen >= 10
    office.learnt.close()
    office.learnt = Learnt(tmp_path / "learnt.db")
    office.reviewer = Reviewer(office.database, office.learnt, office, lambda: office.now, DAY)
    office.reports.clear()
    await office.work()
    assert [report.retries for report in office.reports if report.retries] != []


async def test_what_could_not_be_recorded_is_told_again(office: Office) -> None:
    job = await a_job(office, limits={"memory_bytes": 4096 * MIB})
    await office.runs(job, 60, varied)
    office.works = False
    with pytest.raises(Unavailable):
        await office.work()
    office.works = True

    await office.work(25)

    assert len(await office.found()) == 1
