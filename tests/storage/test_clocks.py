"""The clock is told what it needs of each job that may fire, page by page or by id."""

from sqlalchemy import Connection, update

from scheduler_daemon.contract.people import Role
from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.services import jobs
from scheduler_daemon.storage import clocks
from scheduler_daemon.storage.jobs import STATES
from scheduler_daemon.storage.session import Database
from tests.support.world import MINUTE, NOON, add_actor, add_job, job_spec


def five_jobs(db: Connection) -> list[str]:
    """Make five jobs, of which the second is paused and the fourth deleted; return their ids."""
    actor = add_actor(db, "root", Role.ADMIN, uid=0)
    ids = [add_job(db, actor, f"job {n}", paused=n == 1).id for n in range(5)]
    jobs.delete(db, actor, ids[3], NOON)
    return ids


async def test_pages_hold_each_job_that_may_fire_once(database: Database) -> None:
    ids = await database.write(five_jobs)

    first = await database.read(lambda db: clocks.after(db, "", 2))
    second = await database.read(lambda db: clocks.after(db, first[-1].id, 2))
    third = await database.read(lambda db: clocks.after(db, second[-1].id, 2))

    assert [row.id for row in (*first, *second, *third)] == [ids[0], ids[1], ids[2], ids[4]]


async def test_jobs_are_found_by_id_unless_they_may_not_fire(database: Database) -> None:
    ids = await database.write(five_jobs)

    found = await database.read(lambda db: clocks.of(db, [*ids[:4], "nobody"]))

    assert {row.id for row in found} == {ids[0], ids[1], ids[2]}


async def test_what_is_told_is_what_was_saved(database: Database) -> None:
    spec = job_spec("odd", Schedule(expressions=("*/5 * * * *", "@at 2030-01-01T08:00"), zone="Asia/Tokyo"))

    def work(db: Connection) -> None:
        actor = add_actor(db, "root", Role.ADMIN, uid=0)
        add_job(db, actor, "odd", schedule=spec.schedule, concurrency="allow", misfire="run_all", misfire_grace_ms=7)
        db.execute(update(STATES).values(last_handled=NOON + MINUTE))

    await database.write(work)
    (row,) = await database.read(lambda db: clocks.after(db, "", 10))

    assert Schedule.model_validate_json(row.schedule) == spec.schedule
    assert (row.name, row.version, row.last_handled) == ("odd", 1, NOON + MINUTE)
    assert (row.concurrency, row.misfire, row.misfire_grace_ms) == ("allow", "run_all", 7)
