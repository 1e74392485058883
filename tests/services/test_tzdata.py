"""A change of the time zone data moves the next fires, and says so."""

from datetime import timedelta

from scheduler_daemon.contract.people import Actor
from scheduler_daemon.services import tzdata
from scheduler_daemon.storage import jobs, people
from scheduler_daemon.storage.session import Database
from tests.support.world import MINUTE, NOON, add_job, rows

OLD = NOON + timedelta(hours=1)


async def test_a_change_of_tzdata_recomputes_next_fires_and_is_audited(database: Database, admin: Actor) -> None:
    moved = await database.write(lambda db: add_job(db, admin, "moved"))
    await database.write(lambda db: add_job(db, admin, "same"))
    await database.write(lambda db: add_job(db, admin, "on call", schedule=None))
    first = await database.write(lambda db: tzdata.take_up(db, "2026a", NOON))
    await database.write(lambda db: jobs.set_state(db, moved.id, next_fire_at=OLD))  # as the old data had it

    counted = await database.write(lambda db: tzdata.take_up(db, "2026b", NOON))
    again = await database.write(lambda db: tzdata.take_up(db, "2026b", NOON))

    assert (first, counted, again) == (0, 1, 0)
    states = {row.job_id: row.next_fire_at for row in await database.read(lambda db: rows(db, "job_states"))}
    assert states[moved.id] == NOON + MINUTE
    (act, *_) = await database.read(lambda db: people.acts(db, moved.id))
    assert (act.verb, act.detail["tzdata"]) == ("job.recompute", ["2026a", "2026b"])
    assert act.detail["was"] == OLD.isoformat()
    (summary,) = await database.read(lambda db: people.acts(db, "tzdata"))
    assert summary.detail["moved"] == 1
    (event,) = [row for row in await database.read(lambda db: rows(db, "events")) if row.doc.get("verb") == "recompute"]
    assert event.subject == moved.id


def test_the_version_of_the_data_is_known() -> None:
    assert tzdata.version_in_use()[:2] == "20"
