"""A crontab is taken over line by line, a second time changes nothing, and what is written out can be taken again."""

import json

import pytest
import yaml

from scheduler_daemon.contract.imports import Action
from scheduler_daemon.contract.jobs import JobPatch, JobSpec
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.domain.errors import Invalid
from scheduler_daemon.services import jobs, transfer
from scheduler_daemon.services.transfer import Options
from scheduler_daemon.storage.session import Database
from tests.support.world import MINUTE, NOON, SECOND, add_job, new_id, rows

CRONTAB = b"""# nightly things
MAILTO=ops@example.org
PATH=/opt/bin:/usr/bin

15 3 * * *  backup --all % line one%line two
*/10 * * * * poll
0 0 31 2 * never
61 * * * * broken
@reboot warm-up
"""


async def take(database, actor, content=CRONTAB, *, now=NOON, **options):
    return await database.write(
        lambda db: transfer.import_crontab(
            db, actor, content, Options(**{"source": "web"} | options), now=now, new_id=new_id
        )
    )


def counts(report):
    return report.created, report.updated, report.unchanged, report.refused


async def test_each_line_is_reported_and_each_entry_becomes_a_job(database: Database, admin: Actor) -> None:
    taken = await take(database, admin)

    listed = await database.read(lambda db: {row.name: row for row in rows(db, "jobs")})
    report = taken.report
    assert [line.number for line in report.lines] == list(range(1, 10))
    assert counts(report) == (4, 0, 0, 1)
    assert [line.reason != "" for line in report.lines if line.action is Action.REFUSED] == [True]
    assert sorted(taken.changed) == sorted(row.id for row in listed.values())
    backup = next(row for row in listed.values() if row.spec["command"].startswith("backup"))
    assert backup.spec["stdin"] == " line one\nline two\n"
    assert (backup.spec["env"]["PATH"], backup.spec["concurrency"]) == ("/opt/bin:/usr/bin", "allow")
    assert [row.paused for row in listed.values() if row.spec["command"] == "never"] == [True]


async def test_a_second_import_changes_nothing(database: Database, admin: Actor) -> None:
    await take(database, admin)
    before = await database.read(lambda db: [rows(db, name) for name in ("jobs", "job_versions", "events", "audit")])

    again = await take(database, admin, now=NOON + MINUTE)

    after = await database.read(lambda db: [rows(db, name) for name in ("jobs", "job_versions", "events", "audit")])
    assert (counts(again.report), again.changed, after) == ((0, 0, 4, 1), (), before)


async def test_a_dry_run_says_the_same_and_writes_nothing(database: Database, admin: Actor) -> None:
    dry = await take(database, admin, dry_run=True)
    nothing = await database.read(lambda db: rows(db, "jobs") + rows(db, "events") + rows(db, "audit"))

    wet = await take(database, admin)

    assert (dry.changed, nothing) == ((), [])
    assert dry.report.lines == wet.report.lines


async def test_a_changed_line_is_a_new_version_and_a_line_that_is_gone_is_named(
    database: Database, admin: Actor
) -> None:
    await take(database, admin)
    changed = CRONTAB.replace(b"*/10 * * * * poll", b"*/20 * * * * poll").replace(b"@reboot warm-up\n", b"")

    taken = await take(database, admin, changed, now=NOON + MINUTE)

    poll = await database.read(lambda db: next(row for row in rows(db, "jobs") if row.spec["command"] == "poll"))
    assert counts(taken.report) == (0, 1, 2, 1)
    assert len(taken.report.gone) == 1
    assert (poll.version, poll.spec["schedule"]["expressions"]) == (2, ["*/20 * * * *"])
    assert len(await database.read(lambda db: rows(db, "jobs"))) == 4


async def test_what_cron_does_not_know_stays_as_the_user_set_it(database: Database, admin: Actor) -> None:
    content = b"*/10 * * * * poll\n"
    first = await take(database, admin, content)
    change = JobPatch(version=1, changes={"tags": ["mine"], "concurrency": "forbid", "name": "my poll"})
    await database.write(lambda db: jobs.edit(db, admin, first.changed[0], change, NOON + SECOND))

    again = await take(database, admin, content)
    changed = await take(database, admin, b"*/20 * * * * poll\n")

    shown = await database.read(lambda db: jobs.show(db, admin, "my poll"))
    assert (counts(again.report), counts(changed.report)) == ((0, 0, 1, 0), (0, 1, 0, 0))
    assert (shown.spec.tags, shown.spec.concurrency, shown.version) == (("mine",), "forbid", 3)


async def test_a_line_that_will_never_fire_any_more_does_not_stop_the_import(database: Database, admin: Actor) -> None:
    await take(database, admin, b"0 5 1 2 * yearly\n0 6 * * * other\n")

    taken = await take(database, admin, b"0 5 31 2 * yearly\n0 7 * * * other\n", now=NOON + MINUTE)

    assert counts(taken.report)[3] == 0
    assert taken.report.updated + taken.report.created == 2


async def test_names_that_are_taken_get_a_number(database: Database, admin: Actor) -> None:
    await take(database, admin, b"0 1 * * * backup\n")

    taken = await take(database, admin, b"0 1 * * * backup\n0 2 * * * backup\n", source="other")

    names = await database.read(lambda db: [row.name for row in rows(db, "jobs")])
    assert (len(names), len(set(names))) == (3, 3)
    assert counts(taken.report) == (2, 0, 0, 0)


async def test_an_unknown_zone_is_refused(database: Database, admin: Actor) -> None:
    with pytest.raises(Invalid, match="Mars"):
        await take(database, admin, zone="Mars/Olympus")


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe\x00", b"%" * 5000, b"* * * * *\n"])
async def test_rubbish_makes_no_job_and_no_fault(database: Database, admin: Actor, content: bytes) -> None:
    taken = await take(database, admin, content)

    assert (taken.report.created, taken.changed) == (0, ())


async def test_a_crontab_says_what_of_a_job_it_cannot_hold(database: Database, admin: Actor) -> None:
    schedule = Schedule(expressions=("0 9 * * *",), blackouts=("sat",), jitter_s=5)
    await database.write(lambda db: add_job(db, admin, schedule=schedule, retry={"attempts": 3}))

    written = await database.read(lambda db: transfer.export(db, admin, "crontab"))

    assert "# job fires in cron without its blackouts and jitter and retries.\n" in written


async def test_a_crontab_survives_export_and_import(database: Database, admin: Actor) -> None:
    await take(database, admin)
    written = await database.read(lambda db: transfer.export(db, admin, "crontab"))
    kept = await database.read(lambda db: [row.spec for row in rows(db, "jobs") if not row.paused])
    for row in await database.read(lambda db: rows(db, "jobs")):
        await database.write(lambda db, row=row: jobs.delete(db, admin, row.id, NOON))

    await take(database, admin, written.encode(), source="written")

    made = await database.read(lambda db: [row.spec for row in rows(db, "jobs") if row.deleted_at is None])
    meaning = [
        sorted(
            (spec["schedule"]["expressions"], spec["command"], spec["stdin"], spec["env"], spec["shell"])
            for spec in specs
        )
        for specs in (kept, made)
    ]
    assert meaning[0] == meaning[1]


@pytest.mark.parametrize(("form", "read"), [("yaml", yaml.safe_load), ("json", json.loads)])
async def test_documents_hold_every_job_as_it_is(database: Database, admin: Actor, form: str, read) -> None:
    await database.write(lambda db: add_job(db, admin, "größe", command="echo '⏸ %'", tags=["a"], stdin="x\n"))
    await database.write(lambda db: add_job(db, admin, "second", paused=True))

    written = await database.read(lambda db: transfer.export(db, admin, form))

    documents = read(written)["jobs"]
    specs = [
        JobSpec.model_validate({key: value for key, value in document.items() if key not in {"id", "paused"}})
        for document in documents
    ]
    shown = await database.read(lambda db: [jobs.show(db, admin, name).spec for name in ("größe", "second")])
    assert specs == shown
    assert [document["paused"] for document in documents] == [False, True]
