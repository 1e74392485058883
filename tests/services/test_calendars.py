"""Calendars: kept with every version, obeyed by the jobs that name them, refused to be lost while they are."""

from datetime import timedelta

import pytest

from scheduler_daemon.contract.calendars import CalendarPut, CalendarSpec, Rule
from scheduler_daemon.contract.jobs import JobPatch, SchedulePreviewRequest
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.domain.errors import BadSchedule, Conflict, Invalid, NotAllowed, NotFound
from scheduler_daemon.services import calendars, jobs
from scheduler_daemon.services.explain import explain
from scheduler_daemon.services.schedules import preview
from scheduler_daemon.storage.session import Database
from tests.support.times import utc
from tests.support.world import MINUTE, NOON, add_job, rows

ICS = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//test//EN
BEGIN:VEVENT
UID:1
DTSTART;VALUE=DATE:20260513
DTEND;VALUE=DATE:20260516
SUMMARY:Works out\\, all of us
END:VEVENT
BEGIN:VEVENT
UID:2
DTSTART;VALUE=DATE:20260101
RRULE:FREQ=MONTHLY;BYDAY=-1MO
EXDATE;VALUE=DATE:20260629
SUMMARY:Stocktaking
END:VEVENT
BEGIN:VEVENT
UID:3
DTSTART:20260520T090000Z
DTEND:20260520T100000Z
SUMMARY:Meeting
END:VEVENT
END:VCALENDAR
""".replace("\n", "\r\n").encode()


async def put(database: Database, actor: Actor, name: str = "german", *rules, version=None, now=NOON, blackouts=()):
    spec = CalendarSpec.model_validate({"rules": rules or ("sat,sun", "holidays DE"), "blackouts": blackouts})
    request = CalendarPut(spec=spec, version=version)
    return await database.write(lambda db: calendars.put(db, actor, name, request, now))


def daily(*uses: str, at: str = "0 9 * * *", **more) -> Schedule:
    return Schedule(expressions=(at,), calendars=uses, **more)


async def test_a_calendar_is_kept_with_each_of_its_versions(database: Database, ada: Actor) -> None:
    first, _ = await put(database, ada)
    second, _ = await put(database, ada, "german", "sat,sun", version=1, now=NOON + MINUTE)
    again, ids = await put(database, ada, "german", "sat,sun", now=NOON + 2 * MINUTE)

    kept = await database.read(lambda db: rows(db, "calendar_versions"))
    acts = await database.read(lambda db: [row.verb for row in rows(db, "audit")])
    assert (first.version, second.version, again, ids) == (1, 2, second, ())
    assert [(row.version, row.author, len(row.spec["rules"])) for row in kept] == [(1, "ada", 2), (2, "ada", 1)]
    assert acts == ["calendar.put"] * 2


async def test_a_change_to_an_older_version_and_one_by_another_are_refused(
    database: Database, ada: Actor, vic: Actor
) -> None:
    await put(database, ada)

    with pytest.raises(Conflict, match="at version 1 and your change was made to version 0"):
        await put(database, ada, version=0)
    with pytest.raises(NotAllowed):
        await put(database, vic, "german", "fri")
    with pytest.raises(Invalid, match="no country 'XX'"):
        await put(database, ada, "german", "holidays XX")


async def test_a_job_that_names_an_unknown_calendar_is_refused(database: Database, admin: Actor) -> None:
    with pytest.raises(Invalid, match="there is no calendar 'german'") as refused:
        await database.write(lambda db: add_job(db, admin, schedule=daily("german")))

    assert refused.value.field == "schedule.calendars"


async def test_a_job_obeys_its_calendar_from_the_first_fire(database: Database, admin: Actor) -> None:
    await put(database, admin, "german", "2026-05-05..2026-05-07")

    job = await database.write(lambda db: add_job(db, admin, schedule=daily("german:next")))

    assert job.next_fire_at == utc(2026, 5, 8, 9)
    assert job.words.endswith("on days off by calendar german on the next business day instead")


async def test_a_job_that_its_calendars_never_let_fire_is_refused(database: Database, admin: Actor) -> None:
    await put(database, admin, "german", "mon..sun")

    with pytest.raises(BadSchedule, match=r"never fires after .* with its calendars and blackouts"):
        await database.write(lambda db: add_job(db, admin, schedule=daily("german")))


async def test_a_changed_calendar_moves_the_next_fires_of_those_that_obey_it_alone(
    database: Database, admin: Actor
) -> None:
    await put(database, admin, "german", "sat")
    await put(database, admin, "germ_n", "sat")
    obeying = await database.write(lambda db: add_job(db, admin, "obeying", schedule=daily("german")))
    await database.write(lambda db: add_job(db, admin, "other", schedule=daily("germ_n")))
    await database.write(lambda db: add_job(db, admin, "free", schedule="0 9 * * *"))

    view, ids = await put(database, admin, "german", "2026-05-05", now=NOON + MINUTE)

    shown = await database.read(lambda db: jobs.show(db, admin, "obeying"))
    assert (ids, view.used_by) == ((obeying.id,), ("obeying",))
    assert (obeying.next_fire_at, shown.next_fire_at) == (utc(2026, 5, 5, 9), utc(2026, 5, 6, 9))
    assert shown.revision > obeying.revision
    told = (await database.read(lambda db: rows(db, "events")))[-1]
    assert (told.subject, told.version, told.doc["verb"]) == (obeying.id, shown.revision, "calendar")


async def test_a_calendar_in_use_is_not_deleted_and_names_its_users(database: Database, admin: Actor) -> None:
    await put(database, admin)
    await database.write(lambda db: add_job(db, admin, schedule=daily("german")))

    with pytest.raises(Conflict, match="is obeyed by 'job'"):
        await database.write(lambda db: calendars.delete(db, admin, "german", NOON))
    freed = JobPatch(version=1, changes={"schedule": {"expressions": ["0 9 * * *"]}})
    await database.write(lambda db: jobs.edit(db, admin, "job", freed, NOON))
    await database.write(lambda db: calendars.delete(db, admin, "german", NOON))

    with pytest.raises(NotFound, match="no calendar 'german'"):
        await database.read(lambda db: calendars.show(db, admin, "german"))
    view, _ = await put(database, admin)
    assert view.version == 2


async def test_everyone_sees_a_calendar_but_only_their_own_jobs_in_it(
    database: Database, admin: Actor, ada: Actor
) -> None:
    await put(database, ada)
    await database.write(lambda db: add_job(db, admin, schedule=daily("german")))

    seen = await database.read(lambda db: [calendars.page(db, actor)[0].used_by for actor in (admin, ada)])

    assert seen == [("job",), ()]
    with pytest.raises(Conflict, match="is obeyed by 1 more"):
        await database.write(lambda db: calendars.delete(db, ada, "german", NOON))


async def test_an_edit_that_leaves_the_schedule_alone_does_not_reschedule(database: Database, admin: Actor) -> None:
    job = await database.write(lambda db: add_job(db, admin))

    def age(db):
        from sqlalchemy import update

        from scheduler_daemon.storage.jobs import JOBS

        spec = job.spec.model_dump(mode="json")
        for key in ("calendars", "blackouts", "jitter_s"):
            del spec["schedule"][key]
        db.execute(update(JOBS).values(spec=spec))

    await database.write(age)
    change = JobPatch(version=1, changes={"command": "false"})
    await database.write(lambda db: jobs.edit(db, admin, "job", change, NOON + 5 * MINUTE))

    (state,) = await database.read(lambda db: rows(db, "job_states"))
    assert state.last_handled == NOON


async def test_an_ics_file_becomes_rules_and_a_second_import_replaces_them(database: Database, admin: Actor) -> None:
    await put(database, admin, "works", "sat,sun")

    def load(content: bytes, **more):
        return database.write(lambda db: calendars.import_ics(db, admin, "works", content, NOON + MINUTE, **more))

    tried, _ = await load(ICS, dry_run=True)
    report, _ = await load(ICS)
    again, _ = await load(ICS)
    timed, _ = await load(ICS, timed=True)

    days = await database.read(lambda db: calendars.days(db, "works", 2026))
    named = {str(note.day): note.reason for note in days.excluded}
    assert (tried.calendar, tried.taken, report.taken) == (None, 2, 2)
    assert report.left_out == ("Meeting: it has a time of day; only events over whole days are taken",)
    assert (report.calendar.version, again.calendar.version, timed.calendar.version) == (2, 2, 3)
    assert {day: named[day] for day in ("2026-05-13", "2026-05-15", "2026-05-25", "2026-05-20", "2026-05-16")} == {
        "2026-05-13": "Works out, all of us", "2026-05-15": "Works out, all of us", "2026-05-25": "Stocktaking",
        "2026-05-20": "Meeting", "2026-05-16": "Saturday",
    }  # fmt: skip
    assert "2026-06-29" not in named
    assert "2026-07-27" in named


@pytest.mark.parametrize("content", [b"", b"hello", b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n", b"\xff\xfe\x00"])
async def test_what_is_no_ics_file_is_refused(database: Database, admin: Actor, content: bytes) -> None:
    with pytest.raises(Invalid, match="this is no ICS file"):
        await database.write(lambda db: calendars.import_ics(db, admin, "x", content, NOON))


async def test_a_preview_tells_what_is_passed_over(database: Database, admin: Actor) -> None:
    await put(database, admin, "german", "2026-05-05", Rule(days="2026-05-06", name="bridge"))
    request = SchedulePreviewRequest(
        schedule=daily("german:next", at="0 9 5,6,7,8 5 *", blackouts=["2026-05-08T08:00/2026-05-08T10:00"]), count=2
    )

    shown = await database.read(lambda db: preview(db, request, NOON))

    assert shown.fires == (utc(2026, 5, 7, 9), utc(2027, 5, 5, 9))
    assert [(note.at, note.reason, note.moved_to) for note in shown.passed_over] == [
        (utc(2026, 5, 5, 9), "moved by calendar german (2026-05-05)", utc(2026, 5, 7, 9)),
        (utc(2026, 5, 6, 9), "moved by calendar german (bridge)", utc(2026, 5, 7, 9)),
        (utc(2026, 5, 8, 9), "suppressed by blackout 2026-05-08T08:00/2026-05-08T10:00", None),
    ]


async def test_explain_says_what_a_calendar_a_blackout_and_jitter_do(database: Database, admin: Actor) -> None:
    await put(database, admin, "german", Rule(days="2026-05-06", name="bridge"))
    moving = daily("german:next", at="0 9 5,6,8,9 5 *", blackouts=[{"when": "fri", "name": "freeze"}], jitter_s=60)
    await database.write(lambda db: add_job(db, admin, schedule=moving))

    def told(*at: int):
        return database.read(lambda db: explain(db, admin, "job", utc(*at), NOON))

    plain, away, here, black = (
        await told(2026, 5, 5, 9), await told(2026, 5, 6, 9), await told(2026, 5, 7, 9), await told(2026, 5, 8, 9),
    )  # fmt: skip
    upcoming = await database.read(lambda db: explain(db, admin, "job", None, NOON))

    assert plain.verdict == "will run at 2026-05-05 09:00:00 UTC"
    assert any(reason.startswith("jitter +") for reason in plain.reasons)
    assert any(reason.startswith("jitter +") for reason in upcoming.reasons)
    assert away.verdict == (
        "does not fire at this instant: moved to 2026-05-07 09:00:00 UTC by calendar german (bridge)"
    )
    assert here.verdict == "will run at 2026-05-07 09:00:00 UTC"
    assert "moved here from 2026-05-06 09:00:00 UTC by a calendar" in here.reasons
    assert black.verdict == "will not run: suppressed by blackout freeze"


async def test_the_past_is_explained_by_the_calendar_of_then(database: Database, admin: Actor) -> None:
    await put(database, admin, "german", "2026-05-05")
    await database.write(lambda db: add_job(db, admin, schedule=daily("german")))
    later = NOON + timedelta(days=10)
    await put(database, admin, "german", "2026-05-06", now=later)

    def told(*at: int):
        return database.read(lambda db: explain(db, admin, "job", utc(*at), later))

    off, on = await told(2026, 5, 5, 9), await told(2026, 5, 6, 9)

    assert off.verdict == "did not run: suppressed by calendar german (2026-05-05)"
    assert "suppressed" not in on.verdict
