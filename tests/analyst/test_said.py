"""What failed runs said is remembered over all jobs: how often, where, how telling it is, and what ended it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler_daemon.contract.insights import AnalystReport
from scheduler_daemon.contract.jobs import JobPatch, JobView
from scheduler_daemon.contract.people import Actor, Role
from scheduler_daemon.domain.errors import NotFound
from scheduler_daemon.services import failures, jobs
from scheduler_daemon.storage import logs
from scheduler_daemon.storage.session import Database
from tests.analyst.test_worker import Desk, Hearer, _begin
from tests.support.world import MINUTE, add_actor, add_job, end, fire, rows


class Recorder(Hearer):
    """A daemon that records what runs said."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self.database = database

    async def tell(self, report: AnalystReport) -> bool:
        """Note a report."""
        await self.database.write(lambda db: failures.record(db, report.said))
        return await super().tell(report)


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Iterator[Desk]:
    """An analyst on each kind of database."""
    made = Desk(database, tmp_path / "learnt.db", 100)
    made.hearer = Recorder(database)
    made.start()
    yield made
    made.close()


@pytest.fixture
async def admin(database: Database) -> Actor:
    """The first account."""
    return await database.write(lambda db: add_actor(db, "root", Role.ADMIN))


async def run(desk: Desk, job: JobView, output: str, code: int) -> int:
    """Let a job run a minute later and say something."""
    desk.now = at = desk.now + MINUTE
    (start,) = (await desk.database.write(lambda db: fire(db, job, at))).starts
    number, data = start.execution_id, output.encode()
    lines = data.count(b"\n")
    chunk = {
        "execution_id": number, "seq": 0, "stream": "stdout", "start": 0, "size": len(data), "first_line": 1,
        "lines": lines, "continues": False, "at": at, "data": logs.pack(data),
    }  # fmt: skip
    state = {"execution_id": number, "lines": lines, "dropped_bytes": 0, "complete": True}
    await desk.database.write(lambda db: _begin(db, number, {"state": "running", "started_at": at}))
    await desk.database.write(lambda db: logs.append(db, [chunk], [state]))
    await desk.database.write(lambda db: end(db, number, at=at, exit_code=code))
    desk.now += MINUTE
    await desk.work()
    return number


def refused(host: str) -> str:
    return f"working\nconnect to {host} port 5432 failed: Connection refused\nexit status 1\n"


async def test_an_error_is_one_pattern_over_jobs_and_values(desk: Desk, admin: Actor) -> None:
    backup, report = [await desk.database.write(lambda db, n=n: add_job(db, admin, n)) for n in ("backup", "report")]
    await desk.work()

    await run(desk, backup, refused("10.0.0.1"), 1)
    last = await run(desk, report, refused("10.0.0.9"), 1)
    await run(desk, report, "no space left on device\n", 1)
    found = await desk.database.read(lambda db: failures.patterns(db, admin))

    assert [(one.text, one.count, one.jobs) for one in found] == [
        ("no space left on device", 1, ("report",)),
        ("connect to <ip> port <num> failed: Connection refused", 2, ("backup", "report")),
    ]
    assert (found[1].last_run, found[1].hosts) == (last, ("here",))
    assert found[1].lift is None


async def test_what_stands_in_successes_too_has_little_lift(desk: Desk, admin: Actor) -> None:
    job = await desk.database.write(lambda db: add_job(db, admin, "backup"))
    await desk.work()
    await run(desk, job, "warning: cache is missing\n", 1)
    await run(desk, job, refused("10.0.0.1"), 1)
    for _ in range(4):
        desk.now += 90 * MINUTE
        await run(desk, job, "warning: cache is missing\nall is well\n", 0)

    found = await desk.database.read(lambda db: failures.patterns(db, admin))

    assert {one.text: one.lift for one in found} == {
        "connect to <ip> port <num> failed: Connection refused": 5.0,
        "warning: cache is missing": 0.56,
    }


async def test_what_ended_an_error_is_told(desk: Desk, admin: Actor) -> None:
    fixed, passed, still = [
        await desk.database.write(lambda db, n=n: add_job(db, admin, n)) for n in ("fixed", "passed", "still")
    ]
    await desk.work()
    for job in (fixed, passed, still):
        await run(desk, job, refused("10.0.0.1"), 1)
    patch = JobPatch(version=1, changes={"command": "/bin/true --new"}, message="another host")
    fixed = await desk.database.write(lambda db: jobs.edit(db, admin, fixed.id, patch, desk.now))
    for _ in range(failures.ENDED_AFTER):
        for job in (fixed, passed):
            await run(desk, job, "fine\n", 0)

    (pattern,) = await desk.database.read(lambda db: failures.patterns(db, admin))
    found = await desk.database.read(lambda db: failures.detail(db, admin, pattern.id[:6]))

    assert found.going_on == ("still",)
    assert [(end.job, end.version, end.change, end.successes) for end in found.ended] == [
        ("fixed", 2, "another host (root)", 3),
        ("passed", None, "", 3),
    ]


async def test_one_error_in_several_jobs_is_found_once_with_the_lines_that_show_it(desk: Desk, admin: Actor) -> None:
    made = [await desk.database.write(lambda db, n=n: add_job(db, admin, f"job-{n}")) for n in range(4)]
    await desk.work()

    for job in made:
        await run(desk, job, refused("10.0.0.1"), 1)

    told = [one for one in desk.hearer.found if one.kind == "shared_error"]
    assert len({one.key for one in told}) == 1
    shown = told[0].evidence[0]
    assert (shown.first_line, shown.text) == (2, "connect to 10.0.0.1 port 5432 failed: Connection refused")  # type: ignore[union-attr]
    assert len(told[0].evidence) == 3


async def test_templates_last_when_the_process_is_started_anew(desk: Desk, admin: Actor) -> None:
    job = await desk.database.write(lambda db: add_job(db, admin, "backup"))
    await desk.work()
    await run(desk, job, "could not copy orders to the archive\n", 1)
    await run(desk, job, "could not copy invoices to the archive\n", 1)
    desk.start()

    await run(desk, job, "could not copy payments to the archive\n", 1)

    found = await desk.database.read(lambda db: rows(db, "failures"))
    assert len({row.pattern_id for row in found}) == 1


async def test_nobody_sees_errors_of_jobs_of_others(desk: Desk, admin: Actor) -> None:
    job = await desk.database.write(lambda db: add_job(db, admin, "backup"))
    ada = await desk.database.write(lambda db: add_actor(db, "ada", Role.USER, uid=1001))
    await desk.work()
    await run(desk, job, refused("10.0.0.1"), 1)
    (pattern,) = await desk.database.read(lambda db: failures.patterns(db, admin))

    assert await desk.database.read(lambda db: failures.patterns(db, ada)) == []
    with pytest.raises(NotFound):
        await desk.database.read(lambda db: failures.detail(db, ada, pattern.id))
