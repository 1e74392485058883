"""Runs: each due instant is recorded once, admitted by the rules in force, ended once, and cancelled by who may."""

from datetime import timedelta

import pytest

from scheduler_daemon.contract.executions import State
from scheduler_daemon.contract.jobs import JobPatch
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.domain.errors import Conflict, NotFound
from scheduler_daemon.domain.lifecycle import Report
from scheduler_daemon.services import fires, jobs, runs
from scheduler_daemon.services.runs import Ended
from scheduler_daemon.storage import executions, people
from scheduler_daemon.storage.session import Database
from tests.support.world import HOLDER, MINUTE, NOON, SECOND, add_job, end, fire, recount, rows, states

FIRST = NOON + MINUTE


async def requested(database, actor, ref="job", *, now=NOON + SECOND, free=10):
    return await database.write(lambda db: runs.request(db, actor, ref, "why not", now=now, holder=HOLDER, free=free))


async def test_a_fire_is_recorded_started_and_counted(database: Database, admin: Actor) -> None:
    job = await database.write(lambda db: add_job(db, admin))

    fired = await database.write(lambda db: fire(db, job, FIRST))

    view = await database.read(lambda db: jobs.show(db, admin, "job"))
    (row,) = await database.read(lambda db: rows(db, "executions"))
    assert [(start.job_id, start.spec["command"]) for start in fired.starts] == [(job.id, "true")]
    assert (row.state, row.fire_at, row.job_version, row.trigger, row.fence) == (
        "starting", FIRST, 1, "schedule", "first",
    )  # fmt: skip
    assert (view.active, view.next_fire_at, view.revision > job.revision) == (1, FIRST + MINUTE, True)


async def test_a_fire_is_announced_as_a_whole_document(database: Database, admin: Actor) -> None:
    job = await database.write(lambda db: add_job(db, admin))

    fired = await database.write(lambda db: fire(db, job, FIRST))

    announced = (await database.read(lambda db: rows(db, "events")))[-1]
    shown = await database.read(lambda db: runs.get(db, admin, fired.starts[0].execution_id))
    assert announced.doc == runs.views.execution_document(shown, "job")
    assert announced.version == shown.version == 1


async def test_the_same_fire_told_twice_runs_once(database: Database, admin: Actor) -> None:
    job = await database.write(lambda db: add_job(db, admin, concurrency="allow"))

    first = await database.write(lambda db: fire(db, job, FIRST))
    second = await database.write(lambda db: fire(db, job, FIRST))

    assert (len(first.starts), len(second.starts)) == (1, 0)
    assert await database.read(states) == [("starting", None)]
    assert await database.read(recount) == []


async def test_a_fire_that_another_daemon_recorded_is_left_to_it(database: Database, admin: Actor) -> None:
    job = await database.write(lambda db: add_job(db, admin, concurrency="allow"))
    theirs = fires.new_row(
        fires.Due(job.id, 1, job.spec.concurrency, (), (), runs.Trigger.SCHEDULE, NOON, None), FIRST, NOON, HOLDER
    )
    await database.write(lambda db: executions.insert(db, [theirs | {"host": "there", "state": "starting"}]))

    fired = await database.write(lambda db: fire(db, job, FIRST, FIRST + MINUTE))

    found = await database.read(lambda db: rows(db, "executions"))
    assert [start.execution_id for start in fired.starts] == [found[-1].id]
    assert [(row.host, row.fire_at) for row in found] == [("there", FIRST), ("here", FIRST + MINUTE)]


@pytest.mark.parametrize(("concurrency", "second"), [("forbid", ("skipped", "overlap")), ("allow", ("starting", None))])
async def test_overlap_is_as_the_job_says(database: Database, admin: Actor, concurrency: str, second: tuple) -> None:
    job = await database.write(lambda db: add_job(db, admin, concurrency=concurrency))

    await database.write(lambda db: fire(db, job, FIRST))
    await database.write(lambda db: fire(db, job, FIRST + MINUTE))

    assert await database.read(states) == [("starting", None), second]
    assert await database.read(recount) == []


async def test_two_late_fires_of_one_job_do_not_overlap_each_other(database: Database, admin: Actor) -> None:
    job = await database.write(lambda db: add_job(db, admin))

    await database.write(lambda db: fire(db, job, FIRST, FIRST + MINUTE))

    assert await database.read(states) == [("starting", None), ("skipped", "overlap")]


async def test_missed_fires_are_recorded_and_never_started(database: Database, admin: Actor) -> None:
    job = await database.write(lambda db: add_job(db, admin))

    fired = await database.write(lambda db: fire(db, job, FIRST + MINUTE, missed=[FIRST]))

    assert len(fired.starts) == 1
    assert await database.read(states) == [("missed", "misfire"), ("starting", None)]
    assert await database.read(recount) == []


async def test_fires_wait_while_everything_is_taken_and_start_oldest_first(database: Database, admin: Actor) -> None:
    made = [await database.write(lambda db, name=name: add_job(db, admin, name)) for name in ("a", "b", "c")]
    for number, job in enumerate(made):
        await database.write(lambda db, job=job, number=number: fire(db, job, FIRST + number * SECOND, free=0))
    waiting = await database.read(states)

    two = await database.write(lambda db: runs.start_waiting(db, now=FIRST, holder=HOLDER, free=2).starts)
    rest = await database.write(lambda db: runs.start_waiting(db, now=FIRST, holder=HOLDER, free=2).starts)

    assert waiting == [("queued", None)] * 3
    assert [[start.job_id for start in group] for group in (two, rest)] == [
        [made[0].id, made[1].id], [made[2].id],
    ]  # fmt: skip
    assert await database.read(states) == [("starting", None)] * 3
    last = (await database.read(lambda db: rows(db, "events")))[-1]
    assert (last.doc["state"], last.doc["version"], last.version) == ("starting", 2, 2)


async def test_a_waiting_run_starts_with_the_version_it_was_made_for(database: Database, admin: Actor) -> None:
    job = await database.write(lambda db: add_job(db, admin, command="old"))
    await database.write(lambda db: fire(db, job, FIRST, free=0))
    change = JobPatch(version=1, changes={"command": "new"})
    await database.write(lambda db: jobs.edit(db, admin, "job", change, FIRST))

    (start,) = await database.write(lambda db: runs.start_waiting(db, now=FIRST, holder=HOLDER, free=1).starts)

    assert start.spec["command"] == "old"


@pytest.mark.parametrize("meanwhile", ["deleted", "paused", "resumed", "edited"])
async def test_what_happens_to_a_job_before_its_fire_is_recorded_wins(
    database: Database, admin: Actor, meanwhile: str
) -> None:
    job = await database.write(lambda db: add_job(db, admin))
    moment = FIRST + timedelta(milliseconds=1)

    def act(db):
        if meanwhile == "deleted":
            jobs.delete(db, admin, "job", moment)
        elif meanwhile == "edited":
            jobs.edit(db, admin, "job", JobPatch(version=1, changes={"schedule": {"expressions": ["@hourly"]}}), moment)
        else:
            jobs.set_paused(db, admin, "job", moment, paused=True)
        if meanwhile == "resumed":
            jobs.set_paused(db, admin, "job", moment, paused=False)

    await database.write(act)
    fired = await database.write(lambda db: fire(db, job, FIRST))

    assert fired.starts == []
    recorded = {"deleted": [], "edited": [("missed", "misfire")]}.get(meanwhile, [("skipped", "paused")])
    assert await database.read(states) == recorded
    assert fired.stale == ([job.id] if meanwhile in {"deleted", "edited"} else [])


async def test_an_edit_of_the_command_alone_loses_no_fire(database: Database, admin: Actor) -> None:
    job = await database.write(lambda db: add_job(db, admin))
    change = JobPatch(version=1, changes={"command": "new"})
    edited = await database.write(lambda db: jobs.edit(db, admin, "job", change, FIRST + SECOND))
    too_old = await database.write(lambda db: fire(db, job, FIRST))

    fired = await database.write(lambda db: fire(db, edited, FIRST))

    assert (too_old.starts, too_old.stale) == ([], [job.id])
    assert [start.spec["command"] for start in fired.starts] == ["new"]


async def test_a_run_that_someone_asks_for_is_theirs_and_never_at_a_whole_second(
    database: Database, admin: Actor
) -> None:
    job = await database.write(lambda db: add_job(db, admin))

    view, begun = await requested(database, admin)

    assert [start.execution_id for start in begun.starts] == [view.id]
    assert (view.trigger, view.actor, view.reason, view.state) == ("manual", "root", "why not", "starting")
    assert view.fire_at.microsecond
    shown, acts = await database.read(lambda db: (jobs.show(db, admin, "job"), people.acts(db, job.id)))
    assert (shown.active, shown.next_fire_at, acts[0].verb) == (1, job.next_fire_at, "job.run")


async def test_a_second_run_by_hand_is_refused_where_overlap_is_forbidden(database: Database, admin: Actor) -> None:
    await database.write(lambda db: add_job(db, admin))
    await requested(database, admin)

    with pytest.raises(Conflict, match="forbids overlap"):
        await requested(database, admin)


async def test_two_requests_of_one_microsecond_are_two_runs(database: Database, admin: Actor) -> None:
    await database.write(lambda db: add_job(db, admin, concurrency="allow"))

    first, _ = await requested(database, admin)
    second, begun = await requested(database, admin, free=0)

    assert (first.fire_at < second.fire_at, second.state, begun.starts) == (True, "queued", [])
    assert await database.read(recount) == []


async def test_a_run_goes_from_start_to_end_and_shows_in_its_job(database: Database, admin: Actor) -> None:
    await database.write(lambda db: add_job(db, admin))
    view, _ = await requested(database, admin)
    await database.write(lambda db: runs.started(db, {view.id: FIRST}, FIRST))
    running = await database.read(lambda db: runs.get(db, admin, view.id))

    await database.write(lambda db: end(db, view.id, at=FIRST + SECOND, exit_code=3))

    row, job = await database.read(lambda db: (runs.get(db, admin, view.id), jobs.show(db, admin, "job")))
    assert (running.state, running.started_at, running.version) == ("running", FIRST, 2)
    assert (row.state, row.outcome, row.exit_code, row.started_at, row.cpu_ms, row.version) == (
        "failed", "exit_code", 3, FIRST, 5, 3,
    )  # fmt: skip
    assert job.last is not None
    assert (job.active, job.last.id, job.last.state, job.last.duration_ms) == (0, view.id, "failed", 1000)
    events = await database.read(lambda db: [e for e in rows(db, "events") if e.kind == "execution"])
    assert [(event.doc["state"], event.version) for event in events] == [("starting", 1), ("running", 2), ("failed", 3)]
    assert events[-1].doc == runs.views.execution_document(row, "job")


async def test_starts_and_ends_told_again_change_nothing(database: Database, admin: Actor) -> None:
    await database.write(lambda db: add_job(db, admin))
    view, _ = await requested(database, admin)
    ended = Ended(view.id, Report(exit_code=0), FIRST, FIRST + SECOND, 1, 1, 1)
    await database.write(lambda db: runs.ended(db, [ended, ended], FIRST))
    before = await database.read(lambda db: [rows(db, name) for name in ("executions", "job_states", "events")])

    await database.write(lambda db: runs.started(db, {view.id: FIRST}, FIRST))
    await database.write(lambda db: end(db, view.id, signal=9))
    await database.write(lambda db: end(db, 999_999))

    after = await database.read(lambda db: [rows(db, name) for name in ("executions", "job_states", "events")])
    assert after == before
    assert await database.read(recount) == []


async def test_a_waiting_run_is_cancelled_at_once(database: Database, admin: Actor) -> None:
    job = await database.write(lambda db: add_job(db, admin))
    view, _ = await requested(database, admin, free=0)

    cancelled = await database.write(lambda db: runs.cancel(db, admin, view.id, "no need", FIRST))

    left = await database.write(lambda db: runs.start_waiting(db, now=FIRST, holder=HOLDER, free=5).starts)
    acts = await database.read(lambda db: people.acts(db, str(view.id)))
    assert (cancelled.state, cancelled.reason) == (State.CANCELLED, "cancelled by root: no need")
    assert left == []
    assert [act.verb for act in acts] == ["run.cancel"]
    assert await database.read(recount) == []
    assert (await database.read(lambda db: jobs.show(db, admin, job.id))).active == 0


async def test_the_first_who_cancels_a_running_run_is_named_at_its_end(
    database: Database, admin: Actor, ada: Actor
) -> None:
    await database.write(lambda db: add_job(db, ada, user="ada"))
    view, _ = await requested(database, ada)
    await database.write(lambda db: runs.started(db, {view.id: FIRST}, FIRST))

    asked = await database.write(lambda db: runs.cancel(db, ada, view.id, "mine", FIRST))
    await database.write(lambda db: runs.cancel(db, admin, view.id, "too", FIRST))
    await database.write(lambda db: end(db, view.id, signal=15, killed_by="cancel"))

    row = await database.read(lambda db: runs.get(db, ada, view.id))
    assert asked.state == State.RUNNING
    assert (row.state, row.outcome, row.signal, row.reason) == (
        "cancelled", "cancelled", 15, "cancelled by ada: mine",
    )  # fmt: skip


async def test_a_run_that_ends_by_itself_before_its_cancel_arrives_keeps_its_own_end(
    database: Database, admin: Actor
) -> None:
    await database.write(lambda db: add_job(db, admin))
    view, _ = await requested(database, admin)
    await database.write(lambda db: runs.cancel(db, admin, view.id, "", FIRST))

    await database.write(lambda db: end(db, view.id, exit_code=0))

    assert await database.read(states) == [("succeeded", "ok")]
    with pytest.raises(Conflict, match="ended already"):
        await database.write(lambda db: runs.cancel(db, admin, view.id, "", FIRST))


async def test_a_run_that_is_not_there_cannot_be_cancelled(database: Database, admin: Actor) -> None:
    with pytest.raises(NotFound, match="no run 7"):
        await database.write(lambda db: runs.cancel(db, admin, 7, "", FIRST))


async def test_a_fire_that_fails_half_way_leaves_nothing(database: Database, admin: Actor) -> None:
    job = await database.write(lambda db: add_job(db, admin))
    before = await database.read(lambda db: [rows(db, name) for name in ("executions", "job_states", "events")])

    def half_done(db):
        fire(db, job, FIRST)
        raise RuntimeError("the machine stumbled")

    with pytest.raises(RuntimeError):
        await database.write(half_done)

    after = await database.read(lambda db: [rows(db, name) for name in ("executions", "job_states", "events")])
    assert after == before


async def test_claimed_runs_can_be_taken_over_with_the_spec_they_are_pinned_to(
    database: Database, admin: Actor
) -> None:
    job = await database.write(lambda db: add_job(db, admin, command="pinned"))
    fired = await database.write(lambda db: fire(db, job, FIRST))
    ids = [start.execution_id for start in fired.starts]

    ours = await database.read(lambda db: runs.take_over(db, ids, node="first"))
    theirs = await database.read(lambda db: runs.take_over(db, ids, node="other"))
    anyones = await database.read(lambda db: runs.take_over(db, ids, node=None))

    assert [start.spec["command"] for start in ours] == ["pinned"]
    assert (theirs, anyones) == ([], ours)
