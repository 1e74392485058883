"""Secrets, on both databases: who may set and use them, what a run gets, and for how long a former value is known."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from scheduler_daemon.contract.jobs import JobPatch
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.contract.secrets import SecretPut
from scheduler_daemon.domain.errors import Conflict, Invalid, NotAllowed, NotFound
from scheduler_daemon.services import jobs, secrets
from scheduler_daemon.services.secrets import Given
from scheduler_daemon.storage.session import Database
from scheduler_daemon.storage.vault import Vault
from tests.support.world import MINUTE, NOON, add_job, end, fire, new_id, rows


class Safe:
    """Secrets of a database, with a key of their own."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database, self.vault, self.now = database, Vault(folder / "key", {}), NOON

    async def set(self, actor: Actor, name: str, value: str):
        request = SecretPut(value=SecretStr(value))
        return await self.database.write(
            lambda db: secrets.put(db, actor, name, request, vault=self.vault, now=self.now, new_id=new_id)
        )

    async def delete(self, actor: Actor, name: str, *, force: bool = False) -> None:
        await self.database.write(lambda db: secrets.delete(db, actor, name, self.now, force=force))

    async def given(self, job) -> Given | str:
        return await self.database.read(lambda db: secrets.given(db, self.vault, job.id, job.spec.secrets))

    async def known(self, run: int) -> frozenset[bytes]:
        return await self.database.read(lambda db: secrets.known_to(db, self.vault, run))

    async def job(self, actor: Actor, name: str = "job", **named: str):
        return await self.database.write(lambda db: add_job(db, actor, name, secrets=named, user=actor.name))

    async def run(self, job) -> int:
        fired = await self.database.write(lambda db: fire(db, job, NOON + MINUTE))
        return fired.starts[0].execution_id


@pytest.fixture
def safe(database: Database, tmp_path: Path) -> Safe:
    return Safe(database, tmp_path)


async def test_a_run_gets_the_value_that_was_set_last(safe: Safe, admin: Actor) -> None:
    await safe.set(admin, "token", "first value")
    job = await safe.job(admin, TOKEN="token", AGAIN="token")

    view = await safe.set(admin, "token", "second value")

    given = await safe.given(job)
    assert isinstance(given, Given)
    assert given.env == {"TOKEN": "second value", "AGAIN": "second value"}
    assert (view.version, view.used_by) == (2, ("job",))
    assert "second value" not in repr((view, given))


async def test_nothing_in_the_database_holds_it(safe: Safe, admin: Actor, database: Database) -> None:
    await safe.set(admin, "token", "some value")
    await safe.job(admin, TOKEN="token")

    for table in ("secrets", "jobs", "job_versions", "audit", "events"):
        assert "some value" not in repr(await database.read(lambda db, table=table: rows(db, table)))


async def test_a_former_value_is_known_while_a_run_may_print_it(safe: Safe, admin: Actor, database: Database) -> None:
    await safe.set(admin, "token", "first value")
    run = await safe.run(await safe.job(admin, TOKEN="token"))
    safe.now += 2 * MINUTE

    await safe.set(admin, "token", "second value")
    await safe.delete(admin, "token", force=True)

    assert await safe.known(run) == {b"first value", b"second value"}
    await database.write(lambda db: end(db, run))
    await safe.set(admin, "early", "its output may still be to be stored")
    still = await database.read(lambda db: rows(db, "secrets"))
    await safe.delete(admin, "early", force=True)
    safe.now += 25 * 60 * MINUTE
    await safe.set(admin, "other", "other value")
    assert [row.name for row in still] == ["token", "token", "early"]
    assert [row.name for row in await database.read(lambda db: rows(db, "secrets"))] == ["other"]


async def test_a_job_cannot_name_a_secret_that_is_not_there(safe: Safe, admin: Actor, database: Database) -> None:
    with pytest.raises(Invalid, match="there is no secret 'token' that this job may use; make it with `chronos secret"):
        await safe.job(admin, TOKEN="token")

    job = await safe.job(admin)
    patch = JobPatch(version=1, changes={"secrets": {"TOKEN": "token"}})
    with pytest.raises(Invalid, match="there is no secret 'token'"):
        await database.write(lambda db: jobs.edit(db, admin, job.id, patch, NOON))


async def test_the_run_of_a_job_whose_secret_was_taken_away_is_refused(safe: Safe, admin: Actor) -> None:
    await safe.set(admin, "token", "some value")
    job = await safe.job(admin, TOKEN="token")

    with pytest.raises(Conflict, match="secret 'token' is used by 'job'; take it out of these jobs first, or"):
        await safe.delete(admin, "token")
    await safe.delete(admin, "token", force=True)

    assert await safe.given(job) == ("secret 'token' is not there for this job; set it with `chronos secret set token`")


async def test_a_job_uses_the_secrets_of_its_owner_alone(safe: Safe, admin: Actor, ada: Actor) -> None:
    await safe.set(admin, "token", "the admin's")
    await safe.set(ada, "hers", "ada's value")

    with pytest.raises(Invalid, match="there is no secret 'token' that this job may use"):
        await safe.job(ada, "ada's", TOKEN="token")
    job = await safe.job(ada, "ada's", TOKEN="hers")
    await safe.delete(ada, "hers", force=True)
    await safe.set(admin, "hers", "now the admin's")

    assert isinstance(await safe.given(job), str)  # whoever takes the name next does not hand over his value


async def test_one_sees_and_changes_ones_own(safe: Safe, admin: Actor, ada: Actor, vic: Actor) -> None:
    await safe.set(admin, "token", "the admin's")
    await safe.set(ada, "hers", "ada's value")

    seen = [[view.name for view in await safe.database.read(lambda db, who=who: secrets.page(db, who))]
            for who in (admin, ada, vic)]  # fmt: skip
    with pytest.raises(NotAllowed):
        await safe.set(ada, "token", "taken over")
    with pytest.raises(NotFound):
        await safe.delete(ada, "token", force=True)
    with pytest.raises(NotAllowed):
        await safe.set(vic, "new", "a viewer's")

    assert seen == [["hers", "token"], ["hers"], []]


async def test_a_new_key_above_the_old_takes_the_secrets_over(safe: Safe, admin: Actor) -> None:
    await safe.set(admin, "token", "some value")
    job = await safe.job(admin, TOKEN="token")
    newer = Vault(safe.vault.place.with_name("other"), {})
    newer.seal("any", b"any")
    safe.vault.place.write_text(newer.place.read_text() + safe.vault.place.read_text())

    count = await safe.database.write(lambda db: secrets.seal_anew(db, safe.vault))
    safe.vault = newer

    given = await safe.given(job)
    assert isinstance(given, Given)
    assert (count, given.env) == (1, {"TOKEN": "some value"})


@pytest.mark.parametrize(
    ("value", "why"),
    [("abc", "fewer than 4 characters"), ("  a\n ", "fewer than 4 characters"), ("a\0bcdef", "NUL"),
     ("x" * 16_385, "16,385 bytes long")],
)  # fmt: skip
def test_a_value_that_cannot_be_masked_or_given_is_refused_without_telling_it(value: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as told:
        SecretPut(value=SecretStr(value))
    assert value not in str(told.value)


async def test_a_value_whose_lines_lie_in_one_another_is_refused(safe: Safe, admin: Actor) -> None:
    with pytest.raises(Invalid, match="holds more than 8 others"):
        await safe.set(admin, "token", "\n".join("a" * length for length in range(4, 40)))
    with pytest.raises(Invalid, match="at most 512 different lines"):
        await safe.set(admin, "token", "\n".join(f"line {number}" for number in range(600)))
