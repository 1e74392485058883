"""Policies of one's own: kept with each version, held against jobs, refused to those who may not, and never lost."""

from typing import Any

import pytest

from scheduler_daemon.contract.jobs import JobPatch
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.contract.policies import STANDARD, PolicyCreate, PolicyPatch
from scheduler_daemon.domain.errors import Conflict, Invalid, NotAllowed, NotFound
from scheduler_daemon.services import jobs, policies
from scheduler_daemon.services.policies import Shown
from scheduler_daemon.storage.session import Database
from tests.support.world import MINUTE, NOON, add_job, rows


async def create(
    database: Database, actor: Actor, name: str = "quiet", based_on: str = "standard", **changes: Any
) -> Shown:
    request = PolicyCreate(name=name, based_on=based_on, changes=changes)
    return await database.write(lambda db: policies.create(db, actor, request, NOON))


async def edit(database: Database, actor: Actor, version: int, **changes: Any) -> Shown:
    patch = PolicyPatch(version=version, changes=changes, message="why not")
    return await database.write(lambda db: policies.edit(db, actor, "quiet", patch, NOON + MINUTE))


async def test_a_policy_is_kept_with_each_of_its_versions_and_both_acts_are_audited(
    database: Database, ada: Actor
) -> None:
    made = await create(database, ada, network={"mode": "none"})
    saved = await edit(database, ada, 1, timeout_ms=60_000)
    same = await edit(database, ada, 2, timeout_ms=60_000)

    versions = await database.read(lambda db: policies.history(db, "quiet"))
    audit = await database.read(lambda db: [row for row in rows(db, "audit") if row.subject == "quiet"])
    assert made.custom is not None
    assert saved.custom is not None
    assert same.custom is not None
    assert (made.custom.version, made.custom.based_on, made.policy.limits.processes) == (1, "standard", 128)
    assert (saved.custom.version, same.custom.version, saved.policy.timeout_ms) == (2, 2, 60_000)
    assert [(one.version, one.message, one.policy.timeout_ms) for one in versions] == [
        (2, "why not", 60_000),
        (1, "made from standard", None),
    ]
    assert [(row.verb, row.actor) for row in audit] == [("policy.create", "ada"), ("policy.edit", "ada")]
    assert audit[1].detail["changed"] == ["timeout_ms"]


async def test_what_grants_more_than_its_base_is_an_admins_to_save(
    database: Database, ada: Actor, admin: Actor
) -> None:
    with pytest.raises(NotAllowed, match=r"more than 'strict' \(network, requires\)"):
        await create(database, ada, based_on="strict", network={"mode": "host"})
    with pytest.raises(NotAllowed, match=r"\(files, root\)"):
        await create(database, ada, based_on="trusted", root=True)
    await create(database, ada)
    with pytest.raises(NotAllowed, match="seccomp"):
        await edit(database, ada, 1, seccomp=False)

    loose = await create(database, admin, "loose", "strict", network={"mode": "host"})

    assert loose.policy.admins_only  # for it was not said who may use it
    edited = await edit(database, admin, 1, seccomp=False)
    assert (edited.policy.seccomp, edited.policy.admins_only) == (False, True)
    assert not (await edit(database, admin, 2, root=False, admins_only=False)).policy.admins_only
    assert not (await edit(database, admin, 3, limits={"processes": 4000})).policy.admins_only


async def test_its_owner_may_tighten_what_an_admin_has_loosened(database: Database, ada: Actor, admin: Actor) -> None:
    await create(database, ada)
    await edit(database, admin, 1, seccomp=False)

    saved = await edit(database, ada, 2, network={"mode": "none"})

    assert (saved.policy.seccomp, saved.policy.network.mode) == (False, "none")


async def test_what_keeps_other_peoples_jobs_apart_is_an_admins_to_loosen(
    database: Database, ada: Actor, admin: Actor
) -> None:
    await create(database, ada, network={"mode": "none"})
    await edit(database, ada, 1, network={"mode": "host"})  # nobody else counts on it, and standard grants as much
    await edit(database, ada, 2, network={"mode": "none"})
    await database.write(lambda db: add_job(db, admin, policy="quiet"))

    with pytest.raises(NotAllowed, match=r"more than it did \(network, requires\) to jobs that are not yours"):
        await edit(database, ada, 3, network={"mode": "host"})

    assert (await edit(database, ada, 3, timeout_ms=1000)).policy.timeout_ms == 1000


async def test_only_its_owner_and_admins_change_it_and_a_viewer_makes_none(
    database: Database, ada: Actor, admin: Actor, vic: Actor
) -> None:
    await create(database, admin)

    with pytest.raises(NotAllowed):
        await edit(database, ada, 1, timeout_ms=1000)
    with pytest.raises(NotAllowed):
        await create(database, vic, "mine")
    assert (await database.read(lambda db: policies.show(db, vic, "quiet"))).policy.name == "quiet"


async def test_a_change_to_a_version_that_is_not_the_last_is_refused(database: Database, ada: Actor) -> None:
    await create(database, ada)
    await edit(database, ada, 1, timeout_ms=1000)

    with pytest.raises(Conflict, match="at version 2 and your change was made to version 1"):
        await edit(database, ada, 1, timeout_ms=2000)


async def test_a_policy_that_jobs_have_is_not_deleted_and_its_versions_outlive_it(
    database: Database, ada: Actor, admin: Actor
) -> None:
    await create(database, ada)
    await database.write(lambda db: add_job(db, ada, "mine", policy="quiet", user="ada"))
    await database.write(lambda db: add_job(db, admin, "theirs", policy="quiet"))
    with pytest.raises(Conflict, match="used by 'mine', 1 more; give these jobs another policy first"):
        await database.write(lambda db: policies.delete(db, ada, "quiet", NOON))

    for job in ("mine", "theirs"):
        await database.write(lambda db, job=job: jobs.delete(db, admin, job, NOON))
    await database.write(lambda db: policies.delete(db, ada, "quiet", NOON))
    again = await create(database, ada)

    assert again.custom is not None
    assert again.custom.version == 2  # a run that names version 1 means what was deleted
    assert len(await database.read(lambda db: policies.history(db, "quiet"))) == 2


async def test_a_job_is_held_against_its_policy_when_it_is_saved(database: Database, ada: Actor, admin: Actor) -> None:
    await create(database, admin, network={"mode": "none"}, environment={"TEAM": "a"}, admins_only=False)
    await create(database, admin, "ours", admins_only=True)

    with pytest.raises(Invalid, match=r"there is no policy 'gone'; .* `chronos policy create gone`"):
        await database.write(lambda db: add_job(db, admin, policy="gone"))
    with pytest.raises(Invalid, match="policy 'quiet' grants none"):
        await database.write(lambda db: add_job(db, admin, policy="quiet", network={"mode": "host"}))
    with pytest.raises(Invalid, match="sets the variable TEAM"):
        await database.write(lambda db: add_job(db, admin, policy="quiet", env={"TEAM": "b"}))
    with pytest.raises(NotAllowed, match="only an admin may save a job of policy 'ours'"):
        await database.write(lambda db: add_job(db, ada, policy="ours", user="ada"))
    job = await database.write(lambda db: add_job(db, ada, policy="quiet", user="ada"))
    patch = JobPatch(version=job.version, changes={"policy": "ours"})
    with pytest.raises(NotAllowed):
        await database.write(lambda db: jobs.edit(db, ada, job.id, patch, NOON))


async def test_a_change_names_the_jobs_that_no_longer_fit(database: Database, ada: Actor, admin: Actor) -> None:
    await create(database, ada)
    await database.write(lambda db: add_job(db, ada, "big", policy="quiet", user="ada", limits={"processes": 100}))
    await database.write(lambda db: add_job(db, ada, "small", policy="quiet", user="ada", limits={"processes": 4}))

    saved = await edit(database, ada, 1, limits=STANDARD.limits.model_dump() | {"processes": 64})

    assert saved.custom is not None
    assert list(saved.custom.unfit) == ["big"]
    assert "at most 64" in saved.custom.unfit["big"]
    assert saved.custom.used_by == ("big", "small")


async def test_a_built_in_policy_is_neither_made_nor_changed_nor_deleted(database: Database, admin: Actor) -> None:
    patch = PolicyPatch(version=1, changes={"root": True})
    for work in (
        lambda db: policies.edit(db, admin, "strict", patch, NOON),
        lambda db: policies.delete(db, admin, "strict", NOON),
        lambda db: policies.create(db, admin, PolicyCreate(name="strict"), NOON),
    ):
        with pytest.raises(Conflict, match=r"built in|exists already"):
            await database.write(work)
    with pytest.raises(NotFound):
        await database.read(lambda db: policies.history(db, "none"))
