"""A run that is to be kept apart is started, refused or held, and a fault on the way loses none."""

from typing import Any

import pytest

from scheduler_daemon.contract.people import Actor
from scheduler_daemon.engine import guard
from scheduler_daemon.storage.session import Database
from tests.support.rig import Rig
from tests.support.world import MINUTE, NOON, add_job, rows


class Stumbling(dict[str, str]):
    """What is missing, which cannot be read at first."""

    faults = 1

    def get(self, *words: Any) -> Any:
        if self.faults:
            self.faults -= 1
            raise RuntimeError("nobody expected this")
        return super().get(*words)


ALL_IN_FORCE = {one.value: "" for one in guard.policy_named("strict").requires}


async def fired(rig: Rig, database: Database, admin: Actor, **fields: Any) -> None:
    await database.write(lambda db: add_job(db, admin, **fields))
    await rig.ticker.load()
    await rig.until(NOON + MINUTE)
    while rig.dispatcher._guard._tasks:
        await next(iter(rig.dispatcher._guard._tasks))


async def test_what_is_in_force_is_recorded_and_the_run_started(rig: Rig, database: Database, admin: Actor) -> None:
    rig.launches.lacking = ALL_IN_FORCE

    await fired(rig, database, admin, policy="strict")

    (run,) = await database.read(lambda db: rows(db, "executions"))
    assert rig.launches.started == [run.id]
    assert (run.policy["requested"], run.policy["missing"]) == ("strict", [])
    assert set(run.policy["in_force"]) == set(ALL_IN_FORCE)


async def test_one_whose_policy_requires_what_is_missing_is_refused_after_another_look(
    rig: Rig, database: Database, admin: Actor
) -> None:
    rig.launches.lacking = ALL_IN_FORCE | {"seccomp": "the kernel has none"}

    await fired(rig, database, admin, policy="standard")

    (run,) = await database.read(lambda db: rows(db, "executions"))
    assert (rig.launches.started, rig.launches.tried_anew) == ([], 1)
    (end,) = rig.launches.withdrawn
    assert end.execution_id == run.id
    assert "seccomp: the kernel has none" in (end.blocked or "")
    assert run.policy["missing"] == ["seccomp"]


async def test_a_fault_that_nobody_expected_leaves_no_run_behind(
    rig: Rig, database: Database, admin: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "RETRY", 0.0)
    rig.launches.lacking = Stumbling(ALL_IN_FORCE)

    await fired(rig, database, admin, policy="standard")

    assert len(rig.launches.started) == 1


async def test_a_trusted_job_waits_for_nobody(rig: Rig, database: Database, admin: Actor) -> None:
    await fired(rig, database, admin)

    assert (len(rig.launches.started), rig.launches.tried_anew) == (1, 0)
