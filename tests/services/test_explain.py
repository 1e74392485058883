"""Each instant of a job has a verdict, and the verdict is true."""

from datetime import timedelta

import pytest

from scheduler_daemon.contract.jobs import JobPatch
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.contract.policies import PolicyCreate, PolicyPatch, Protection
from scheduler_daemon.services import jobs, policies
from scheduler_daemon.services.explain import explain
from scheduler_daemon.storage.session import Database
from tests.support.world import MINUTE, NOON, SECOND, add_job, end, fire

FIRST = NOON + MINUTE
NOW = NOON + 10 * MINUTE


async def verdict(database, actor, at, now=NOW):
    found = await database.read(lambda db: explain(db, actor, "job", at, now))
    return found.verdict


async def test_a_run_is_explained_by_its_record(database: Database, admin: Actor) -> None:
    job = await database.write(lambda db: add_job(db, admin))
    fired = await database.write(lambda db: fire(db, job, FIRST, FIRST + MINUTE, missed=[FIRST + 2 * MINUTE]))
    starting = await verdict(database, admin, FIRST)
    await database.write(lambda db: end(db, fired.starts[0].execution_id, at=FIRST + SECOND))

    found = await database.read(lambda db: explain(db, admin, "job", FIRST, NOW))

    assert starting == "is being started"
    assert (found.verdict, found.execution.id) == ("ran and succeeded", fired.starts[0].execution_id)
    assert "forbids overlap" in await verdict(database, admin, FIRST + MINUTE)
    assert "misfire policy" in await verdict(database, admin, FIRST + 2 * MINUTE)


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (NOON + 30 * SECOND, "does not fire at this instant"),
        (NOON - MINUTE, "did not exist yet"),
        (FIRST, "has not been decided yet"),
        (NOW + MINUTE, "will run at 2026-05-04 12:11:00 UTC"),
    ],
)
async def test_an_instant_without_a_record_is_explained_by_the_rules(
    database: Database, admin: Actor, at, expected: str
) -> None:
    await database.write(lambda db: add_job(db, admin))

    assert expected in await verdict(database, admin, at)


async def test_a_pause_then_and_a_pause_now_are_told_apart(database: Database, admin: Actor) -> None:
    await database.write(lambda db: add_job(db, admin))
    for moment, paused in ((NOON + 2 * MINUTE, True), (NOON + 5 * MINUTE, False), (NOON + 8 * MINUTE, True)):
        await database.write(
            lambda db, moment=moment, paused=paused: jobs.set_paused(db, admin, "job", moment, paused=paused)
        )

    told = [await verdict(database, admin, NOON + minute * MINUTE) for minute in (3, 9, 11)]

    assert "the job was paused" in told[0]
    assert "the job was paused" in told[1]
    assert told[2] == "will not run while the job is paused"
    assert "will not run: the job is paused" in await verdict(database, admin, None)


async def test_the_version_then_in_force_is_the_one_explained(database: Database, admin: Actor) -> None:
    await database.write(lambda db: add_job(db, admin, schedule="* * * * *"))
    change = JobPatch(version=1, changes={"schedule": {"expressions": ["0 0 * * *"]}})
    await database.write(lambda db: jobs.edit(db, admin, "job", change, NOON + 5 * MINUTE))

    before, after = [await verdict(database, admin, NOON + minute * MINUTE) for minute in (3, 7)]

    assert "does not fire" not in before
    assert "does not fire" in after


async def test_the_neighbours_of_a_rare_fire_are_named(database: Database, admin: Actor) -> None:
    await database.write(lambda db: add_job(db, admin, schedule="0 12 1 * *"))

    found = await database.read(lambda db: explain(db, admin, "job", NOON + timedelta(days=20), NOW))

    assert any("the fire before it: 2026-05-01 12:00:00 UTC" in reason for reason in found.reasons)
    assert any("the fire after it: 2026-06-01 12:00:00 UTC" in reason for reason in found.reasons)


async def test_without_an_instant_the_next_fire_is_explained_in_both_clocks(database: Database, admin: Actor) -> None:
    from scheduler_daemon.contract.schedule import Schedule

    schedule = Schedule(expressions=("0 9 * * *",), zone="Europe/Berlin")
    await database.write(lambda db: add_job(db, admin, schedule=schedule))

    assert await verdict(database, admin, None) == "will run at 2026-05-05 07:00:00 UTC (2026-05-05 09:00:00 CEST)"


@pytest.mark.parametrize(("schedule", "expected"), [(None, "only when someone asks"), ("@reboot", "no coming fire")])
async def test_a_job_without_a_coming_fire_says_so(
    database: Database, admin: Actor, schedule: str | None, expected: str
) -> None:
    await database.write(lambda db: add_job(db, admin, schedule=schedule))

    assert expected in await verdict(database, admin, None)


async def test_how_runs_are_kept_apart_is_told_and_what_would_block_the_next(database: Database, admin: Actor) -> None:
    changes = {"network": {"mode": "none"}, "limits": {"processes": 8}}
    request = PolicyCreate(name="quiet", changes=changes)
    await database.write(lambda db: policies.create(db, admin, request, NOON))
    await database.write(lambda db: add_job(db, admin, policy="quiet", read=["/srv"]))
    in_force = dict.fromkeys(Protection, "")

    fine = await database.read(lambda db: explain(db, admin, "job", None, NOON, in_force))
    lacking = in_force | {"seccomp": "the kernel has none"}
    blocked = await database.read(lambda db: explain(db, admin, "job", None, NOON, lacking))
    later = await database.read(lambda db: explain(db, admin, "job", NOON + 2 * MINUTE, NOON, lacking))

    words = "policy quiet, version 1: a box of its own, network none, reads /srv, at most 8 processes"
    assert words in fine.reasons
    assert fine.verdict.startswith("will run at")
    assert blocked.verdict.startswith("will be blocked at")
    assert later.verdict.startswith("will be blocked at 2026-05-04 12:02:00 UTC")
    assert "seccomp: the kernel has none" in blocked.verdict


async def test_a_job_that_asks_for_more_than_its_policy_now_grants_will_be_blocked(
    database: Database, admin: Actor
) -> None:
    await database.write(lambda db: policies.create(db, admin, PolicyCreate(name="quiet"), NOON))
    await database.write(lambda db: add_job(db, admin, policy="quiet", limits={"processes": 100}))
    patch = PolicyPatch(version=1, changes={"limits": {"processes": 64}})
    await database.write(lambda db: policies.edit(db, admin, "quiet", patch, NOON))

    found = await database.read(lambda db: explain(db, admin, "job", None, NOON))

    assert found.verdict.startswith("will be blocked at")
    assert "grants at most 64" in found.verdict
