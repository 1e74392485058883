"""Files of runs are kept as long as the run's output is, in a place of their own, and swept away after it."""

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scheduler_daemon.domain.errors import NotFound
from scheduler_daemon.engine.artifacts import FileKeeper
from scheduler_daemon.engine.reaper import Reaper
from scheduler_daemon.services.runs import Start
from scheduler_daemon.storage import artifacts
from scheduler_daemon.storage.executions import EXECUTIONS
from scheduler_daemon.storage.retention import Kept
from scheduler_daemon.storage.session import Database
from tests.support.rows import add_executions
from tests.support.world import job_spec


@pytest.fixture
async def keeper(database: Database, tmp_path: Path) -> AsyncIterator[FileKeeper]:
    (tmp_path / "work").mkdir()
    made = FileKeeper(database, tmp_path, lambda: datetime.now(UTC))
    yield made
    await made.close()


async def collected(keeper: FileKeeper, run: int, folder: Path, *patterns: str, **fields: Any) -> None:
    """Let a run end that has left files, and wait until they are collected."""
    spec = job_spec(artifacts=patterns or ("*",), cwd=str(folder), **fields).model_dump(mode="json")
    keeper.expect([Start(run, "job", spec)])
    keeper.begin({run: datetime.now(UTC) - timedelta(minutes=1)})
    while keeper.is_open(run):
        await asyncio.sleep(0.01)


async def content(keeper: FileKeeper, database: Database, run: int, name: str) -> bytes:
    place = await database.read(lambda db: artifacts.find(db, run, name))
    assert place is not None
    return b"".join([part async for part in await keeper.read(run, place)])


async def test_files_are_kept_apart_from_where_they_were(
    database: Database, keeper: FileKeeper, tmp_path: Path
) -> None:
    (run,) = await database.write(lambda db: add_executions(db, 1))
    (tmp_path / "work" / "a.txt").write_text("one")
    (tmp_path / "work" / "b.txt").write_text("two")

    await collected(keeper, run, tmp_path / "work")
    (tmp_path / "work" / "b.txt").write_text("changed")

    assert await content(keeper, database, run, "b.txt") == b"two"
    found = await database.read(lambda db: artifacts.of_run(db, run))
    assert [(each.name, each.size) for each in found.items] == [("a.txt", 3), ("b.txt", 3)]


async def test_what_cannot_be_collected_is_said(database: Database, keeper: FileKeeper, tmp_path: Path) -> None:
    runs = await database.write(lambda db: add_executions(db, 4))

    await collected(keeper, runs[0], tmp_path / "work", "none")
    await collected(keeper, runs[1], tmp_path / "nowhere")
    await collected(keeper, runs[2], tmp_path / "work", user="nobody-of-that-name")
    await collected(keeper, runs[3], tmp_path / "work", policy="strict")

    async def notes(run: int) -> tuple[str, ...]:
        return (await database.read(lambda db: artifacts.of_run(db, run))).notes

    assert await notes(runs[0]) == ("no file fits the patterns",)
    assert await notes(runs[1]) == ("the folder of the run: No such file or directory",)
    assert await notes(runs[2]) == ("not collected: there is no account nobody-of-that-name",)
    assert await notes(runs[3]) == ("not collected: its folder was in memory and is gone",)
    assert list((tmp_path / "artifacts").iterdir()) == []


async def test_a_run_that_never_began_left_nothing(database: Database, keeper: FileKeeper, tmp_path: Path) -> None:
    (run,) = await database.write(lambda db: add_executions(db, 1))
    keeper.expect([Start(run, "job", job_spec(artifacts=("*",), cwd=str(tmp_path)).model_dump(mode="json"))])

    keeper.begin({run: None})

    assert not keeper.is_open(run)
    assert (await database.read(lambda db: artifacts.of_run(db, run))).collected_at is None


async def test_what_is_more_than_is_kept_goes_from_record_and_disk(
    database: Database, keeper: FileKeeper, tmp_path: Path
) -> None:
    old, failed, new = await database.write(lambda db: add_executions(db, 3))
    (tmp_path / "work" / "a.txt").write_text("one")
    for run in (old, failed, new):
        await collected(keeper, run, tmp_path / "work")
    now = datetime.now(UTC)

    def ended(db: Any) -> None:
        for run, state in ((old, "succeeded"), (failed, "failed"), (new, "succeeded")):
            db.execute(EXECUTIONS.update().where(EXECUTIONS.c.id == run).values(state=state, ended_at=now))

    await database.write(ended)
    (tmp_path / "artifacts" / "999999").write_text("nobody's")
    place = await database.read(lambda db: artifacts.find(db, old, "a.txt"))
    assert place is not None

    await Reaper(database, lambda: now, timedelta(days=1), Kept(runs=1), keeper.sweep).step()

    assert sorted(path.name for path in (tmp_path / "artifacts").iterdir()) == sorted([str(failed), str(new)])
    found = await database.read(lambda db: artifacts.of_run(db, old))
    assert (found.items, found.removed_at) == ((), now)
    with pytest.raises(NotFound, match="not here"):
        await keeper.read(old, place)


STOPPED_FOR_AN_ACCOUNT = """
import json, os, signal, sys
if json.load(sys.stdin)["account"]:
    os.kill(os.getpid(), signal.SIGSTOP)
print('{"files": [], "notes": ["seen"]}')
"""


async def test_an_account_that_stops_its_collectors_holds_up_no_other(
    database: Database, keeper: FileKeeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = await database.write(lambda db: add_executions(db, 4))
    monkeypatch.setattr("scheduler_daemon.engine.artifacts._COLLECTOR", (sys.executable, "-c", STOPPED_FOR_AN_ACCOUNT))
    users = dict(zip(runs, ("nobody", "nobody", "nobody", None), strict=True))
    began = datetime.now(UTC) - timedelta(minutes=1)

    for run, user in users.items():
        spec = job_spec(artifacts=("*",), cwd=str(tmp_path / "work"), user=user).model_dump(mode="json")
        keeper.expect([Start(run, "job", spec)])
        keeper.begin({run: began})
    async with asyncio.timeout(20):
        while keeper.is_open(runs[3]):
            await asyncio.sleep(0.01)

    assert [keeper.is_open(run) for run in runs] == [True, True, True, False]
