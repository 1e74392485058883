"""Two daemons that share a Postgres race for the same fires, and each fire is started once, by one of them."""

import asyncio
import random
from collections import Counter
from datetime import timedelta

import pytest

from scheduler_daemon.contract.people import Actor
from scheduler_daemon.services.fires import Holder
from scheduler_daemon.storage.session import Database, open_database
from tests.support.rig import Rig
from tests.support.world import NOON, SECOND, add_job, recount, rows

JOBS, SECONDS = 200, 10


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
@pytest.mark.parametrize("behind", [0, 2])
async def test_of_two_thousand_fires_each_is_started_once(
    database: Database, database_url: str, admin: Actor, behind: int
) -> None:
    for number in range(JOBS):
        await database.write(
            lambda db, name=f"job {number}": add_job(db, admin, name, schedule="* * * * * *", concurrency="allow")
        )
    another = open_database(database_url)
    try:
        rigs = [
            Rig(one, max_active=10**9, holder=Holder(host="here", fence=f"{name}.1"))
            for name, one in (("first", database), ("second", another))
        ]
        for rig in rigs:
            await rig.ticker.load()
        moments = random.Random(behind)

        for second in range(1, SECONDS + behind + 1):
            for rig, late in zip(rigs, (0, behind), strict=True):
                reached = min(max(second - late, 0), SECONDS)
                rig.clock.now = NOON + reached * SECOND + timedelta(milliseconds=moments.randrange(200))
            await asyncio.gather(*(rig.until(rig.clock.now) for rig in rigs))

        runs = await database.read(lambda db: rows(db, "executions"))
        started = Counter(number for rig in rigs for number in rig.launches.started)
        fires = Counter((row.job_id, row.fire_at) for row in runs)
        assert len(fires) == JOBS * SECONDS == len(runs)
        assert {at for _, at in fires} == {NOON + n * SECOND for n in range(1, SECONDS + 1)}
        assert started == Counter(row.id for row in runs)
        assert {row.state for row in runs} == {"starting"}
        assert await database.read(recount) == []
        for rig in rigs:
            ours = {row.id for row in runs if row.fence == rig.holder.fence}
            assert set(rig.launches.started) == ours
    finally:
        await another.close()
