"""Earlier failures like one are found by what they said: in the index where Redis answers, which mends itself."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from scheduler_daemon.contract.claude import FailureExplanation
from scheduler_daemon.contract.insights import RunsSaid
from scheduler_daemon.contract.people import Actor, Role
from scheduler_daemon.engine.picture import LivePicture
from scheduler_daemon.engine.relay import Relay
from scheduler_daemon.insights.failures import Line
from scheduler_daemon.live import alike
from scheduler_daemon.live.client import command
from scheduler_daemon.live.embedded import RedisServer
from scheduler_daemon.live.indexes import ensure_index
from scheduler_daemon.services import failures, jobs
from scheduler_daemon.storage.session import Database, open_database
from tests.support.databases import Databases
from tests.support.world import MINUTE, NOON, add_actor, add_job, end, fire

SAID = (
    "psql: error: connection to server at db1 failed: Connection refused",
    "rsync: write failed on /backup: No space left on device",
    "the certificate of shop.example has expired",
    "pg_dump: error: connection to server at db2 failed: Connection refused",
)


class World:
    """Root's jobs a to c and ada's d, each of which failed once, saying one thing after the other."""

    def __init__(self, database: Database, picture: LivePicture) -> None:
        self.database, self.picture = database, picture
        self.root = self.ada = Actor(id=0, name="", role=Role.VIEWER)
        self.runs: list[int] = []

    async def fail(self) -> None:
        def work(db: Any) -> None:
            self.root, self.ada = add_actor(db, "root", Role.ADMIN), add_actor(db, "ada", Role.USER)
            for number, name in enumerate("abcd", start=1):
                owner = self.root if name < "c" else self.ada
                job = add_job(db, owner, name, user=None if owner is self.root else "ada")
                (start,) = fire(db, job, NOON + number * MINUTE).starts
                end(db, start.execution_id, at=NOON + (number + 0.5) * MINUTE, exit_code=1)
                self.runs.append(start.execution_id)

        await self.database.write(work)
        for run in self.runs:
            digest = await self.digest(run)
            assert digest.said is not None
            said = RunsSaid(failures=(digest.said,))
            await self.database.write(lambda db, said=said: failures.record(db, said))  # type: ignore[misc]

    async def digest(self, run: int) -> failures.Digest:
        row = await self.database.read(lambda db: failures.failed_run(db, self.root, run))
        return failures.digest(row, [Line(1, "stderr", SAID[self.runs.index(run)])])

    async def similar(self, actor: Actor) -> list[tuple[int, float]]:
        """Return what is like the last failure, as the index knows it."""
        digest = await self.digest(self.runs[-1])
        assert digest.said is not None
        return await self.picture.alike(actor, digest.said, 5)

    async def explained(self, actor: Actor, near: list[tuple[int, float]] | None) -> FailureExplanation:
        digest = await self.digest(self.runs[-1])
        return await self.database.write(lambda db: failures.explain(db, actor, digest, near))


@pytest.fixture
async def world(
    databases: Databases, tmp_path: Path, redis_server: RedisServer, redis_state: Path
) -> AsyncIterator[World]:
    database = open_database(databases.sqlite(tmp_path / "chronos.db"))
    relay = Relay(database, redis_state, None, keep=10, now=lambda: datetime.now(UTC))
    await relay.open()
    await ensure_index(redis_server.client)
    made = World(database, LivePicture(relay, database))
    await made.fail()
    yield made
    await relay.close(stop_server=False)
    await database.close()


async def test_the_nearest_failure_is_found_by_the_index_as_by_sql(world: World) -> None:
    near = await world.similar(world.root)
    by_index, by_sql = await world.explained(world.root, near), await world.explained(world.root, None)

    assert near[0][0] == world.runs[0]
    assert near[0][1] > failures.ENOUGH_ALIKE > near[1][1]
    assert [(each.run, each.text) for each in by_index.similar] == [(world.runs[0], SAID[0])]
    assert by_index.similar == by_sql.similar


async def test_the_index_is_filled_again_after_it_was_lost_and_forgets_what_is_no_more(
    world: World, redis_server: RedisServer
) -> None:
    before = await world.similar(world.root)
    await command(redis_server.client, "FLUSHALL")
    await ensure_index(redis_server.client)

    again = await world.similar(world.root)
    await world.database.write(lambda db: jobs.delete(db, world.root, "a", NOON + 10 * MINUTE))
    later = await world.similar(world.root)

    assert again == before
    assert world.runs[0] not in dict(later)
    assert await alike.kept(redis_server.client) == set(world.runs[1:])


async def test_nobody_is_told_of_failures_they_may_not_see(world: World) -> None:
    near = await world.similar(world.ada)
    given = await world.explained(world.ada, [(world.runs[0], 0.9)])

    assert [run for run, _ in near] == [world.runs[2]]
    assert given.similar == ()
