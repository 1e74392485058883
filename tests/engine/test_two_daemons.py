"""Two daemons of one host that share a Postgres, each on a state directory of its own, keep to their own runs."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from scheduler_daemon.contract.people import Actor
from scheduler_daemon.engine.dispatcher import Dispatcher
from scheduler_daemon.engine.supervisor import Supervisor
from scheduler_daemon.services import runs
from scheduler_daemon.services.fires import Holder
from scheduler_daemon.storage import executions
from scheduler_daemon.storage.session import Database
from tests.support.rig import Launches
from tests.support.world import HOLDER, NO_KEY, NOON, SECOND, add_job, fire, states


class Launcher(Launches):
    """A launcher that has just started and knows of no run."""

    def known(self) -> frozenset[int]:
        return frozenset()

    def begin(self, ids: Iterable[int]) -> None:
        """Nobody reads output here."""

    def limit_of(self, execution_id: int) -> int | None:
        """No limit is known."""


def supervisor(database: Database, holder: Holder, launcher: Any, spool: Path) -> Supervisor:
    common: dict[str, Any] = {"holder": holder, "recorded": lambda: None, "now": lambda: NOON}
    dispatcher = Dispatcher(database, launcher, launcher, max_active=10, vault=NO_KEY, **common)
    return Supervisor(database, launcher, launcher, dispatcher, spool=spool, **common)


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_a_daemon_that_starts_leaves_the_runs_of_its_neighbour_alone(
    database: Database, admin: Actor, tmp_path: Path
) -> None:
    job = await database.write(lambda db: add_job(db, admin, concurrency="allow"))
    fired = await database.write(lambda db: fire(db, job, NOON + SECOND, NOON + 2 * SECOND))
    running = fired.starts[0].execution_id
    await database.write(lambda db: runs.started(db, {running: NOON}, NOON))
    before = await database.read(states)
    neighbour = Launcher()

    taker = supervisor(database, Holder(host=HOLDER.host, fence="other.1"), neighbour, tmp_path)
    await taker.recover()
    await taker.step()

    assert neighbour.started == []
    assert await database.read(states) == before == [("running", None), ("starting", None)]


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_a_daemon_takes_up_its_own_runs_though_its_host_was_renamed(
    database: Database, admin: Actor, tmp_path: Path
) -> None:
    job = await database.write(lambda db: add_job(db, admin, concurrency="allow"))
    fired = await database.write(lambda db: fire(db, job, NOON + SECOND, NOON + 2 * SECOND))
    running, claimed = (start.execution_id for start in fired.starts)
    await database.write(lambda db: runs.started(db, {running: NOON}, NOON))
    launcher = Launcher()

    taker = supervisor(database, Holder(host="renamed", fence=f"{HOLDER.node}.2"), launcher, tmp_path)
    await taker.recover()
    await taker.step()

    assert launcher.started == [claimed]
    assert await database.read(states) == [("unknown", "lost"), ("starting", None)]
    assert [row.id for row in await database.read(lambda db: executions.active(db, HOLDER.node))] == [claimed]
