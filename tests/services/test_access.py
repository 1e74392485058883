"""Who may do what to whose: every role on every verb, own and others', and what one may not see does not exist."""

import pytest

from scheduler_daemon.contract.jobs import JobPatch
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.domain import access
from scheduler_daemon.domain.access import Verb
from scheduler_daemon.domain.errors import NotAllowed, NotFound
from scheduler_daemon.domain.filters import parse_filter
from scheduler_daemon.services import jobs, listing, people, runs, transfer
from scheduler_daemon.storage import executions
from scheduler_daemon.storage import people as accounts
from scheduler_daemon.storage.session import Database
from scheduler_daemon.storage.tables import metadata
from tests.support.world import HOLDER, MINUTE, NOON, add_job, fire, new_id

LATER = NOON + MINUTE

ACTS = {
    "show": lambda db, actor, job: jobs.show(db, actor, job.name),
    "history": lambda db, actor, job: jobs.history(db, actor, job.id),
    "edit": lambda db, actor, job: jobs.edit(
        db, actor, job.name, JobPatch(version=1, changes={"description": "x"}), LATER
    ),
    "pause": lambda db, actor, job: jobs.set_paused(db, actor, job.name, LATER, paused=True),
    "delete": lambda db, actor, job: jobs.delete(db, actor, job.name, LATER),
    "run": lambda db, actor, job: runs.request(db, actor, job.name, "", now=LATER, holder=HOLDER, free=1),
    "show run": lambda db, actor, job: runs.get(db, actor, executions.page(db, job_id=job.id)[0].id),
    "cancel": lambda db, actor, job: runs.cancel(db, actor, executions.page(db, job_id=job.id)[0].id, "", LATER),
}
LOOKING = {"show", "history", "show run"}


def told(database_work):
    try:
        database_work()
    except (NotAllowed, NotFound) as refused:
        return type(refused).__name__
    return "done"


@pytest.mark.parametrize("act", ACTS)
async def test_each_role_may_do_what_the_matrix_says(
    database: Database, admin: Actor, ada: Actor, vic: Actor, act: str
) -> None:
    def prepare(db):
        mine = add_job(db, ada, "adas", user="ada", concurrency="allow")
        root = add_job(db, admin, "roots", concurrency="allow")
        given = add_job(db, admin, "given", concurrency="allow")
        db.execute(
            metadata.tables["jobs"].update().values(owner_id=vic.id).where(metadata.tables["jobs"].c.id == given.id)
        )
        for job in (mine, root, given):
            fire(db, job, LATER)
        return mine, root, given

    made = await database.write(prepare)

    async def outcome(actor, job):
        found = []

        def attempt(db):
            found.append(told(lambda: ACTS[act](db, actor, job)))
            raise ZeroDivisionError  # undo it, for the next cell begins from the same

        with pytest.raises(ZeroDivisionError):
            await database.write(attempt)
        return found[0]

    matrix = {(actor.name, job.name): await outcome(actor, job) for actor in (admin, ada, vic) for job in made}
    own_of_viewer = "done" if act in LOOKING else "NotAllowed"
    assert matrix == {
        ("root", "adas"): "done",
        ("root", "roots"): "done",
        ("root", "given"): "done",
        ("ada", "adas"): "done",
        ("ada", "roots"): "NotFound",
        ("ada", "given"): "NotFound",
        ("vic", "adas"): "NotFound",
        ("vic", "roots"): "NotFound",
        ("vic", "given"): own_of_viewer,
    }


async def test_only_admins_administer(admin: Actor, ada: Actor, vic: Actor) -> None:
    assert [access.can(actor, Verb.ADMINISTER) for actor in (admin, ada, vic)] == [True, False, False]


async def test_a_viewer_makes_no_jobs(database: Database, vic: Actor) -> None:
    with pytest.raises(NotAllowed):
        await database.write(lambda db: add_job(db, vic, user="vic"))


@pytest.mark.parametrize("account", [None, "root"])
async def test_a_user_may_not_have_jobs_run_as_someone_else(
    database: Database, ada: Actor, account: str | None
) -> None:
    with pytest.raises(NotAllowed, match="set the job's user to 'ada'"):
        await database.write(lambda db: add_job(db, ada, user=account))
    await database.write(lambda db: add_job(db, ada, user="ada"))

    change = JobPatch(version=1, changes={"user": account})
    with pytest.raises(NotAllowed):
        await database.write(lambda db: jobs.edit(db, ada, "job", change, LATER))


async def test_lists_counts_events_and_exports_hold_what_one_may_see(
    database: Database, admin: Actor, ada: Actor
) -> None:
    def prepare(db):
        fire(db, add_job(db, ada, "adas", user="ada"), LATER)
        fire(db, add_job(db, admin, "roots"), LATER)

    await database.write(prepare)

    def seen(db, actor):
        listed = listing.jobs_by_filter(db, actor, parse_filter(""), LATER, sort="name", limit=10, offset=0)
        counts, fires = listing.overview(db, actor, LATER)
        return {
            "list": [job.name for job in listed.items],
            "total": listed.total,
            "runs": [row.job for row in executions.page(db, owner_id=listing.owner_seen(actor))],
            "counts": (counts.jobs, counts.running),
            "fires": [fire.job for fire in fires],
            "events": len(listing.events_page(db, actor, after=0, since=None, limit=100)),
            "export": [name for name in ("adas", "roots") if name in transfer.export(db, actor, "yaml")],
        }

    whole, part = await database.read(lambda db: (seen(db, admin), seen(db, ada)))
    assert whole == {
        "list": ["adas", "roots"], "total": 2, "runs": ["roots", "adas"], "counts": (2, 2), "fires": ["adas", "roots"],
        "events": 4, "export": ["adas", "roots"],
    }  # fmt: skip
    assert part == {
        "list": ["adas"], "total": 1, "runs": ["adas"], "counts": (1, 1), "fires": ["adas"], "events": 2,
        "export": ["adas"],
    }  # fmt: skip


async def test_one_may_not_import_over_anothers_crontab(database: Database, admin: Actor, ada: Actor) -> None:
    options = transfer.Options(source="web")
    await database.write(
        lambda db: transfer.import_crontab(db, admin, b"0 1 * * * x\n", options, now=NOON, new_id=new_id)
    )

    with pytest.raises(NotAllowed, match="another source name"):
        await database.write(
            lambda db: transfer.import_crontab(db, ada, b"0 2 * * * y\n", options, now=NOON, new_id=new_id)
        )


async def test_the_first_admin_is_made_once_and_stays_disabled_if_so_set(database: Database) -> None:
    made = await database.write(lambda db: people.ensure_admin(db, 0, NOON))
    again = await database.write(lambda db: people.ensure_admin(db, 0, NOON))
    users = metadata.tables["users"]
    await database.write(lambda db: db.execute(users.update().values(disabled=True)))

    await database.write(lambda db: people.ensure_admin(db, 0, NOON))

    assert made == again
    assert len(await database.read(accounts.all_users)) == 1
    with pytest.raises(NotAllowed):
        await database.read(lambda db: people.sign_in(db, 0))


async def test_an_unknown_unix_account_is_refused_by_name(database: Database, admin: Actor) -> None:
    with pytest.raises(NotAllowed, match="uid 65534"):
        await database.read(lambda db: people.sign_in(db, 65534))

    assert await database.read(lambda db: people.sign_in(db, None)) == admin
