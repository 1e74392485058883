"""Jobs are made, changed, paused and deleted by their owners; every save is a version, and names are taken once."""

from datetime import datetime

import pytest
from pydantic import ValidationError

from scheduler_daemon.contract.jobs import JobCreate, JobPatch, Snooze
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.domain.errors import BadSchedule, Conflict, Invalid, NotFound
from scheduler_daemon.services import jobs
from scheduler_daemon.storage import people
from scheduler_daemon.storage.session import Database
from tests.support.world import MINUTE, NOON, SECOND, add_job, fire, job_spec, new_id, rows

LATER = NOON + 10 * SECOND


def patch(version: int, **changes: object) -> JobPatch:
    return JobPatch(version=version, changes=changes)


async def test_a_new_job_is_kept_with_its_version_next_fire_and_record(database: Database, admin: Actor) -> None:
    made = await database.write(lambda db: add_job(db, admin, "backup", command="pg_dump"))

    shown = await database.read(lambda db: jobs.show(db, admin, "backup"))
    history = await database.read(lambda db: jobs.history(db, admin, made.id))
    acts = await database.read(lambda db: people.acts(db, made.id))
    events = await database.read(lambda db: rows(db, "events"))

    assert shown == made
    assert (made.version, made.owner, made.next_fire_at, made.active, made.last) == (1, "root", NOON + MINUTE, 0, None)
    assert [(saved.version, saved.spec.command, saved.author) for saved in history] == [(1, "pg_dump", "root")]
    assert [act.verb for act in acts] == ["job.create"]
    assert [(event.kind, event.subject, event.version) for event in events] == [("job", made.id, made.revision)]


async def test_an_edit_saves_a_version_and_moves_the_next_fire(database: Database, admin: Actor) -> None:
    made = await database.write(lambda db: add_job(db, admin))
    schedule = {"expressions": ["0 * * * *"]}

    edited = await database.write(
        lambda db: jobs.edit(db, admin, "job", patch(1, schedule=schedule, command="false"), LATER)
    )

    history = await database.read(lambda db: jobs.history(db, admin, "job"))
    events = await database.read(lambda db: rows(db, "events"))
    assert (edited.version, edited.next_fire_at) == (2, NOON + 60 * MINUTE)
    assert [(saved.version, saved.spec.command) for saved in history] == [(2, "false"), (1, "true")]
    assert edited.revision > made.revision
    assert [event.version for event in events] == [made.revision, edited.revision]


async def test_an_edit_that_changes_nothing_saves_nothing(database: Database, admin: Actor) -> None:
    made = await database.write(lambda db: add_job(db, admin))

    same = await database.write(lambda db: jobs.edit(db, admin, "job", patch(1, command="true"), LATER))

    assert same == made


async def test_an_edit_of_an_older_version_is_a_conflict(database: Database, admin: Actor) -> None:
    await database.write(lambda db: add_job(db, admin))
    await database.write(lambda db: jobs.edit(db, admin, "job", patch(1, command="one"), LATER))

    with pytest.raises(Conflict, match="version 2"):
        await database.write(lambda db: jobs.edit(db, admin, "job", patch(1, command="two"), LATER))


async def test_a_job_without_a_coming_fire_may_still_be_described(database: Database, admin: Actor) -> None:
    once = "@at 2026-05-04T12:00:30Z"
    made = await database.write(lambda db: add_job(db, admin, schedule=once))
    await database.write(lambda db: fire(db, made, NOON + 30 * SECOND))

    edited = await database.write(
        lambda db: jobs.edit(db, admin, "job", patch(1, description="done"), NOON + 5 * MINUTE)
    )

    assert edited.spec.description == "done"


@pytest.mark.parametrize("expression", ["0 0 30 2 *", "@at 2020-01-01T00:00Z"])
async def test_a_schedule_that_never_fires_is_refused_unless_paused(
    database: Database, admin: Actor, expression: str
) -> None:
    with pytest.raises(BadSchedule, match="never fires"):
        await database.write(lambda db: add_job(db, admin, schedule=expression))

    paused = await database.write(lambda db: add_job(db, admin, schedule=expression, paused=True))

    assert paused.next_fire_at is None
    with pytest.raises(BadSchedule, match="never fires"):
        await database.write(lambda db: jobs.set_paused(db, admin, "job", LATER, paused=False))


@pytest.mark.parametrize(
    ("changes", "culprit"),
    [({"colour": "red"}, "colour"), ({"timeout_ms": 0}, "timeout_ms"), ({"name": "a\nb"}, "name")],
)
async def test_a_change_that_makes_no_sense_names_its_field(
    database: Database, admin: Actor, changes: dict[str, object], culprit: str
) -> None:
    await database.write(lambda db: add_job(db, admin))

    with pytest.raises(Invalid) as refused:
        await database.write(lambda db: jobs.edit(db, admin, "job", patch(1, **changes), LATER))

    assert culprit in refused.value.field
    assert culprit in refused.value.message


async def test_a_name_belongs_to_one_living_job(database: Database, admin: Actor) -> None:
    await database.write(lambda db: add_job(db, admin, "one"))
    await database.write(lambda db: add_job(db, admin, "two"))

    with pytest.raises(Conflict, match="'one' exists"):
        await database.write(lambda db: add_job(db, admin, "one"))
    with pytest.raises(Conflict, match="'one' exists"):
        await database.write(lambda db: jobs.edit(db, admin, "two", patch(1, name="one"), LATER))
    await database.write(lambda db: jobs.delete(db, admin, "one", LATER))
    again = await database.write(lambda db: jobs.edit(db, admin, "two", patch(1, name="one"), LATER))

    assert again.name == "one"


async def test_many_jobs_are_made_all_or_none(database: Database, admin: Actor) -> None:
    requests = [JobCreate(spec=job_spec(name)) for name in ("a", "b", "a")]

    with pytest.raises(Conflict, match="'a' exists"):
        await database.write(lambda db: jobs.create_many(db, admin, requests, now=NOON, new_id=new_id))

    assert await database.read(lambda db: rows(db, "jobs") + rows(db, "events") + rows(db, "audit")) == []


async def test_a_thousand_jobs_find_the_one_name_that_is_taken(database: Database, admin: Actor) -> None:
    await database.write(lambda db: add_job(db, admin, "j700"))
    requests = [JobCreate(spec=job_spec(f"j{number}")) for number in range(1000)]

    with pytest.raises(Conflict, match="'j700' exists"):
        await database.write(lambda db: jobs.create_many(db, admin, requests, now=NOON, new_id=new_id))


async def test_a_pause_hides_the_next_fire_and_a_resume_goes_on_from_now(database: Database, admin: Actor) -> None:
    await database.write(lambda db: add_job(db, admin))

    paused = await database.write(lambda db: jobs.set_paused(db, admin, "job", LATER, paused=True))
    resumed = await database.write(lambda db: jobs.set_paused(db, admin, "job", NOON + 5 * MINUTE, paused=False))

    (state,) = await database.read(lambda db: rows(db, "job_states"))
    assert (paused.paused, paused.next_fire_at) == (True, None)
    assert (resumed.paused, resumed.next_fire_at) == (False, NOON + 6 * MINUTE)
    assert state.last_handled == NOON
    assert resumed.revision > paused.revision


@pytest.mark.parametrize(
    ("request_", "until"),
    [
        (Snooze(until=NOON + 3 * MINUTE), NOON + 3 * MINUTE),
        (Snooze(for_s=90), NOON + 90 * SECOND),
        (Snooze(fires=2), NOON + 2 * MINUTE + SECOND),
    ],
)
async def test_a_snooze_lasts_until_an_instant_for_some_time_or_over_some_fires(
    database: Database, admin: Actor, request_: Snooze, until: datetime
) -> None:
    made = await database.write(lambda db: add_job(db, admin))

    snoozed = await database.write(lambda db: jobs.snooze(db, admin, "job", request_, NOON))
    woken = await database.write(lambda db: jobs.set_paused(db, admin, "job", NOON, paused=False))

    assert (snoozed.snoozed_until, snoozed.paused) == (until, False)
    assert (woken.snoozed_until, woken.paused) == (NOON, False)
    assert snoozed.revision > made.revision
    assert [act.verb for act in await database.read(lambda db: people.acts(db, made.id))][:2] == [
        "job.resume",
        "job.snooze",
    ]


async def test_a_snooze_that_is_over_or_has_nothing_to_skip_is_refused(database: Database, admin: Actor) -> None:
    await database.write(lambda db: add_job(db, admin, schedule=None))

    with pytest.raises(Invalid, match="is over"):
        await database.write(lambda db: jobs.snooze(db, admin, "job", Snooze(until=NOON), NOON))
    with pytest.raises(Invalid, match="no coming fire"):
        await database.write(lambda db: jobs.snooze(db, admin, "job", Snooze(fires=1), NOON))


@pytest.mark.parametrize("given", [{}, {"for_s": 60, "fires": 1}, {"for_s": 0}, {"until": "2026-05-04T12:00:00"}])
def test_a_snooze_says_one_thing_that_can_be(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Snooze.model_validate(given)


async def test_pausing_twice_is_no_second_act(database: Database, admin: Actor) -> None:
    made = await database.write(lambda db: add_job(db, admin))
    first = await database.write(lambda db: jobs.set_paused(db, admin, "job", LATER, paused=True))

    second = await database.write(lambda db: jobs.set_paused(db, admin, "job", LATER + SECOND, paused=True))

    assert second == first
    verbs = [act.verb for act in await database.read(lambda db: people.acts(db, made.id))]
    assert verbs == ["job.pause", "job.create"]


async def test_resuming_what_rests_no_more_is_no_act(database: Database, admin: Actor) -> None:
    made = await database.write(lambda db: add_job(db, admin))
    await database.write(lambda db: jobs.snooze(db, admin, "job", Snooze(for_s=60), NOON))
    first = await database.write(lambda db: jobs.set_paused(db, admin, "job", NOON + SECOND, paused=False))

    second = await database.write(lambda db: jobs.set_paused(db, admin, "job", NOON + 2 * SECOND, paused=False))

    assert second == first
    verbs = [act.verb for act in await database.read(lambda db: people.acts(db, made.id))]
    assert verbs == ["job.resume", "job.snooze", "job.create"]


async def test_a_deleted_job_is_gone_and_its_history_stays(database: Database, admin: Actor) -> None:
    made = await database.write(lambda db: add_job(db, admin))
    await database.write(lambda db: fire(db, made, NOON + MINUTE))

    deleted = await database.write(lambda db: jobs.delete(db, admin, "job", LATER))

    assert deleted == made.id
    with pytest.raises(NotFound):
        await database.read(lambda db: jobs.show(db, admin, "job"))
    kept, runs, events = await database.read(lambda db: (rows(db, "jobs"), rows(db, "executions"), rows(db, "events")))
    assert [row.deleted_at for row in kept] == [LATER]
    assert len(runs) == 1
    assert (events[-1].kind, events[-1].version > events[0].version) == ("job_deleted", True)


async def test_an_interval_counts_from_its_making_through_every_edit(database: Database, admin: Actor) -> None:
    made = await database.write(lambda db: add_job(db, admin, schedule="@every 7m"))

    edited = await database.write(lambda db: jobs.edit(db, admin, "job", patch(1, command="x"), NOON + 3 * MINUTE))

    assert made.spec.schedule.anchor == NOON
    assert edited.next_fire_at == NOON + 7 * MINUTE


async def test_an_interval_may_count_from_where_its_author_says(database: Database, admin: Actor) -> None:
    schedule = Schedule(expressions=("@every 1h",), anchor=NOON - 50 * MINUTE)

    made = await database.write(lambda db: add_job(db, admin, schedule=schedule))

    assert made.next_fire_at == NOON + 10 * MINUTE


async def test_a_job_is_found_by_id_before_name(database: Database, admin: Actor) -> None:
    first = await database.write(lambda db: add_job(db, admin, "first"))
    await database.write(lambda db: add_job(db, admin, first.id))

    found = await database.read(lambda db: jobs.show(db, admin, first.id))

    assert found.name == "first"


async def test_what_fails_leaves_no_trace(database: Database, admin: Actor) -> None:
    def half_done(db):
        add_job(db, admin)
        raise RuntimeError("the machine stumbled")

    with pytest.raises(RuntimeError):
        await database.write(half_done)

    left = await database.read(lambda db: [rows(db, name) for name in ("jobs", "job_versions", "events", "audit")])
    assert left == [[], [], [], []]
