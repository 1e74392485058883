"""A round removes what is more than is kept, and runs and their facts stay."""

from datetime import timedelta

from sqlalchemy import func, select

from scheduler_daemon.engine import reaper
from scheduler_daemon.engine.reaper import Reaper
from scheduler_daemon.storage import claude
from scheduler_daemon.storage.retention import Kept
from scheduler_daemon.storage.session import Database
from tests.storage.test_retention import CHUNKS, DAY, with_output
from tests.support.rows import EXECUTIONS, NOON


async def test_a_round_removes_output_in_parts_and_no_run(database: Database, monkeypatch) -> None:
    monkeypatch.setattr(reaper, "AT_ONCE", 2)
    ids = await database.write(lambda db: with_output(db, 7, failed=0))

    await Reaper(database, lambda: NOON + 10 * DAY, timedelta(hours=48), Kept(runs=2)).step()

    left = await database.read(lambda db: db.execute(select(CHUNKS.c.execution_id)).scalars().all())
    runs = await database.read(lambda db: db.execute(select(func.count()).select_from(EXECUTIONS)).scalar_one())
    assert sorted(left) == [ids[0], *ids[-2:]]
    assert runs == 7


async def test_a_round_removes_old_questions_that_are_over(database: Database) -> None:
    asked = {"user_id": 1, "actor": "root", "purpose": "fleet", "subject": "", "digest": "d", "model": "m"}
    for at, state in ((NOON, "done"), (NOON, "queued"), (NOON + 10 * DAY, "done")):
        await database.write(lambda db, at=at, state=state: claude.add(db, {**asked, "at": at, "state": state}))  # type: ignore[misc]  # mypy cannot type the default

    await Reaper(database, lambda: NOON + 91 * DAY, timedelta(hours=48), Kept()).step()

    left = await database.read(lambda db: claude.page(db, user_id=None, before=None, limit=10))
    assert [(row.at, row.state) for row in left] == [(NOON + 10 * DAY, "done"), (NOON, "queued")]
