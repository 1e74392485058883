"""What a daemon does on its start with runs that an earlier start of it had claimed."""

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from scheduler_daemon.contract.people import Actor
from scheduler_daemon.domain.masks import Mask
from scheduler_daemon.engine.dispatcher import Dispatcher
from scheduler_daemon.engine.supervisor import Supervisor
from scheduler_daemon.runners.process import Ended, ProcessRunner
from scheduler_daemon.services import runs
from scheduler_daemon.storage.session import Database
from tests.support.world import HOLDER, NO_KEY, NOON, SECOND, add_job, fire

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class Ear:
    """A sink nobody asks for output."""

    def expect(self, execution_id: int, *, limit_bytes: int, mask: Mask | None = None) -> None:
        """Take note."""

    def begin(self, ids: Iterable[int]) -> None:
        """Read nothing."""


def supervisor(database: Database, runner: ProcessRunner, state: Path) -> Supervisor:
    common: dict[str, Any] = {"holder": HOLDER, "recorded": lambda: None, "now": lambda: NOON}
    sink: Any = Ear()
    dispatcher = Dispatcher(database, runner, sink, max_active=10, vault=NO_KEY, **common)
    return Supervisor(database, runner, sink, dispatcher, spool=state / "spool", **common)


async def next_end(runner: ProcessRunner) -> Ended:
    async for event in runner.events():
        if isinstance(event, Ended):
            return event
    raise AssertionError


async def test_a_run_cancelled_before_it_was_handed_over_does_not_run(
    database: Database, admin: Actor, tmp_path: Path
) -> None:
    mark = tmp_path / "it ran"
    job = await database.write(lambda db: add_job(db, admin, command=f"touch '{mark}'; sleep 20", cwd="/"))
    fired = await database.write(lambda db: fire(db, job, NOON + SECOND))
    run = fired.starts[0].execution_id
    await database.write(lambda db: runs.cancel(db, admin, run, "not needed", NOON))

    async with ProcessRunner(tmp_path) as runner:
        await supervisor(database, runner, tmp_path).recover()
        end = await next_end(runner)
        await runner.shut_down_if_idle()

    assert end.killed_by == "cancel"
    assert end.ended_at - (end.started_at or end.ended_at) < timedelta(seconds=15)
