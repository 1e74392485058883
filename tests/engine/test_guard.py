"""A run that is to be kept apart is started, refused or held, and a fault on the way loses none."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from scheduler_daemon.contract.people import Actor
from scheduler_daemon.contract.policies import STRICT, PolicyCreate, PolicyPatch
from scheduler_daemon.engine import guard
from scheduler_daemon.services import policies
from scheduler_daemon.storage.session import Database
from tests.support.rig import Rig, eventually
from tests.support.world import MINUTE, NOON, add_job, rows


class Stumbling(dict[str, str]):
    """What is missing, which cannot be read at first."""

    faults = 1

    def get(self, *words: Any) -> Any:
        if self.faults:
            self.faults -= 1
            raise RuntimeError("nobody expected this")
        return super().get(*words)


ALL_IN_FORCE = {one.value: "" for one in STRICT.requires}


async def taken_up(rig: Rig, database: Database, admin: Actor, *names: str, **fields: Any) -> None:
    """Let jobs fire."""
    for name in names or ("backup",):
        await database.write(lambda db, name=name: add_job(db, admin, name, **fields))
    await rig.ticker.load()
    await rig.until(NOON + MINUTE)


async def fired(rig: Rig, database: Database, admin: Actor, **fields: Any) -> None:
    await taken_up(rig, database, admin, **fields)
    await settled(rig)


async def settled(rig: Rig) -> None:
    """Wait until it is decided on all of them."""
    await eventually(lambda: not rig.dispatcher._guard._tasks)


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


async def test_one_run_that_faults_each_time_holds_up_no_other(
    rig: Rig, database: Database, admin: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolved = guard._resolved

    def stumble(start: Any, kept: Any) -> Any:
        if start.spec["name"] == "bad":
            raise RuntimeError("nobody expected this")
        return resolved(start, kept)

    monkeypatch.setattr(guard, "RETRY", 0.01)
    monkeypatch.setattr(guard, "_resolved", stumble)
    rig.launches.lacking = ALL_IN_FORCE

    await taken_up(rig, database, admin, "bad", "good", "fine", policy="standard")
    await eventually(lambda: len(rig.launches.started) == 2)
    await rig.dispatcher.close()

    runs = await database.read(lambda db: rows(db, "executions"))
    (bad,) = {run.id for run in runs} - set(rig.launches.started)
    assert [run.policy["in_force"] for run in runs if run.id == bad] == [[]]


async def test_a_run_that_is_held_is_cancelled(rig: Rig, database: Database, admin: Actor) -> None:
    rig.launches.lacking = ALL_IN_FORCE
    rig.launches.answers.clear()
    await taken_up(rig, database, admin, policy="standard")

    await rig.dispatcher.cancel(1, "not now", MINUTE)
    told = list(rig.launches.withdrawn)
    rig.launches.answers.set()
    await settled(rig)

    assert [(end.execution_id, end.killed_by, end.reason) for end in told] == [(1, "cancel", "not now")]
    assert (rig.launches.started, rig.launches.withdrawn) == ([], told)


@pytest.mark.parametrize("fields", [{"policy": "standard"}, {}])
async def test_conditions_are_looked_at_when_nothing_else_is_waited_for(
    rig: Rig, database: Database, admin: Actor, tmp_path: Path, fields: dict[str, Any]
) -> None:
    wanted = tmp_path / "wanted"
    wanted.touch()
    rig.launches.lacking = ALL_IN_FORCE
    rig.launches.answers.clear()
    await taken_up(rig, database, admin, conditions=({"kind": "file", "path": str(wanted)},), **fields)
    await asyncio.sleep(0.2)

    wanted.unlink()
    rig.launches.answers.set()
    await eventually(lambda: rig.launches.withdrawn or rig.launches.started)

    assert rig.launches.started == []
    assert [(end.execution_id, (end.unmet or "").endswith("no such file")) for end in rig.launches.withdrawn] == [
        (1, True)
    ]


async def test_a_policy_of_ones_own_holds_as_it_is_when_the_run_starts(
    rig: Rig, database: Database, admin: Actor
) -> None:
    rig.launches.lacking = ALL_IN_FORCE
    request = PolicyCreate(name="quiet", changes={"network": {"mode": "none"}})
    await database.write(lambda db: policies.create(db, admin, request, NOON))
    await database.write(lambda db: add_job(db, admin, "backup", policy="quiet"))
    patch = PolicyPatch(version=1, changes={"timeout_ms": 5000, "environment": {"TEAM": "a"}})
    await database.write(lambda db: policies.edit(db, admin, "quiet", patch, NOON))

    await rig.ticker.load()
    await rig.until(NOON + MINUTE)
    await settled(rig)

    (run,) = await database.read(lambda db: rows(db, "executions"))
    (launched,) = rig.launches.requests
    assert (run.policy["requested"], run.policy["version"]) == ("quiet", 2)
    assert "network" in run.policy["in_force"]
    assert launched.timeout is not None
    assert (launched.timeout.total_seconds(), launched.env["TEAM"]) == (5.0, "a")


async def test_a_run_that_its_policy_no_longer_fits_is_refused_with_the_reason(
    rig: Rig, database: Database, admin: Actor
) -> None:
    rig.launches.lacking = ALL_IN_FORCE
    await database.write(lambda db: policies.create(db, admin, PolicyCreate(name="quiet"), NOON))
    await database.write(lambda db: add_job(db, admin, "backup", policy="quiet", limits={"processes": 100}))
    patch = PolicyPatch(version=1, changes={"limits": {"processes": 64}})
    await database.write(lambda db: policies.edit(db, admin, "quiet", patch, NOON))

    await rig.ticker.load()
    await rig.until(NOON + MINUTE)
    await settled(rig)

    (end,) = rig.launches.withdrawn
    assert rig.launches.started == []
    assert "grants at most 64" in (end.blocked or "")
