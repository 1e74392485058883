"""Conditions and not-before gates on both databases: what is read for them, what their verdicts do to jobs and sets."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from scheduler_daemon.contract.conditions import Metric, MetricCondition, StateCondition
from scheduler_daemon.contract.jobs import JobPatch
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.contract.retry import Retry
from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.domain.errors import Invalid
from scheduler_daemon.engine.waits import Waits
from scheduler_daemon.services import conditions, explain, fires, jobs, retries, runs
from scheduler_daemon.storage import attempts
from scheduler_daemon.storage.session import Database
from tests.support.world import HOLDER, MINUTE, NOON, SECOND, add_job, end, fire, recount, rows, states

HOUR = timedelta(hours=1)
FILE = {"kind": "file", "path": "/nowhere"}
LOAD = StateCondition(job="load")


async def test_a_run_whose_condition_does_not_hold_is_skipped_and_is_no_last_run(
    database: Database, admin: Actor
) -> None:
    def work(db: Connection) -> Any:
        job = add_job(db, admin, conditions=[FILE], retry=Retry(attempts=3))
        fire(db, job, NOON + MINUTE)
        end(db, 1)
        fire(db, job, NOON + 2 * MINUTE)
        end(db, 2, unmet="file /nowhere: there is no such file")
        return jobs.show(db, admin, job.id)

    job = await database.write(work)

    assert await database.read(states) == [("succeeded", "ok"), ("skipped", "condition")]
    assert (job.last.id, job.active) == (1, 0)
    assert await database.read(recount) == []


async def test_a_run_whose_condition_cannot_be_told_has_failed_and_is_not_tried_again(
    database: Database, admin: Actor
) -> None:
    def work(db: Connection) -> Any:
        fire(db, add_job(db, admin, conditions=[FILE], retry=Retry(attempts=3)), NOON + MINUTE)
        end(db, 1, untold="file /nowhere: Permission denied")
        return jobs.show(db, admin, "job")

    job = await database.write(work)
    (run,) = await database.read(lambda db: rows(db, "executions"))

    assert (run.state, run.outcome, job.last.state) == ("failed", "condition", "failed")
    assert run.reason.startswith("condition cannot be told: file /nowhere: Permission denied; not retried")
    assert await database.read(recount) == []


async def test_a_retry_whose_condition_does_not_hold_leaves_the_run_as_failed(database: Database, admin: Actor) -> None:
    def work(db: Connection) -> Any:
        fire(db, add_job(db, admin, conditions=[FILE], retry=Retry(attempts=3, delay_ms=0)), NOON + MINUTE)
        add_job(db, admin, "behind", schedule=None, after=("job",), trigger_rule="all_failed")
        end(db, 1, exit_code=1)
        runs.start_waiting(db, now=NOON + MINUTE, holder=HOLDER, free=10)
        end(db, 2, unmet="file /nowhere: there is no such file")
        return jobs.show(db, admin, "job")

    job = await database.write(work)

    assert await database.read(states) == [("failed", "exit_code"), ("skipped", "condition"), ("queued", None)]
    assert (job.last.id, job.last.state) == (1, "failed")
    assert await database.read(recount) == []


async def test_a_skipped_run_is_settled_for_the_jobs_behind_it(database: Database, admin: Actor) -> None:
    def work(db: Connection) -> None:
        job = add_job(db, admin, conditions=[FILE])
        add_job(db, admin, "asks for success", schedule=None, after=("job",))
        add_job(db, admin, "does not", schedule=None, after=("job",), trigger_rule="none_failed")
        fire(db, job, NOON + MINUTE)
        end(db, 1, unmet="file /nowhere: there is no such file")

    await database.write(work)

    names = {row.id: row.name for row in await database.read(lambda db: rows(db, "jobs"))}
    found = {names[row.job_id]: row.state for row in await database.read(lambda db: rows(db, "executions"))}
    assert found == {"job": "skipped", "asks for success": "skipped", "does not": "queued"}


async def test_a_fire_of_a_job_with_conditions_is_not_prepared_ahead(database: Database, admin: Actor) -> None:
    def work(db: Connection) -> Any:
        job = add_job(db, admin, conditions=[FILE])
        due = fires.Due(
            job.id,
            1,
            job.spec.concurrency,
            (NOON + MINUTE,),
            (),
            runs.Trigger.SCHEDULE,
            NOON + MINUTE,
            None,
            ahead=True,
        )
        return job, runs.fire(db, [due], now=NOON + MINUTE - SECOND / 2, holder=HOLDER, free=10)

    job, fired = await database.write(work)

    assert (fired.starts, fired.undecided) == ([], [job.id])
    assert await database.read(states) == []


async def test_the_figures_of_a_job_are_those_of_its_last_run(database: Database, admin: Actor) -> None:
    def work(db: Connection) -> Any:
        load = add_job(db, admin, "load", concurrency="allow")
        fire(db, load, *(NOON + minute * MINUTE for minute in range(1, 4)))
        for number in (1, 2, 3):
            runs.started(db, {number: NOON + 3 * MINUTE}, NOON + 3 * MINUTE)
        end(db, 1, at=NOON + 4 * MINUTE, exit_code=7)
        end(db, 2, at=NOON + 5 * MINUTE, exit_code=8)
        end(db, 3, at=NOON + 6 * MINUTE)
        wanted = [MetricCondition(job=load.id, metric=Metric.FAILED_24H, op="<", value=1)]
        recent = conditions.facts(db, 3, "", wanted, NOON + 6 * MINUTE).jobs[load.id]
        later = conditions.facts(db, 3, "", wanted, NOON + 24 * HOUR + 4 * MINUTE + SECOND).jobs[load.id]
        return recent, later.figures[Metric.FAILED_24H]

    facts, later = await database.write(work)

    assert facts.state == "succeeded"
    assert facts.figures == {
        "duration_ms": 180_000, "cpu_ms": 5, "max_rss_bytes": 1000, "output_bytes": 10, "exit_code": 0, "failed_24h": 2,
    }  # fmt: skip
    assert later == 1


async def test_nothing_is_recorded_of_a_job_that_was_deleted(database: Database, admin: Actor) -> None:
    def work(db: Connection) -> Any:
        load = add_job(db, admin, "load")
        fire(db, add_job(db, admin), NOON + MINUTE)
        before = conditions.facts(db, 1, "", [StateCondition(job=load.id)], NOON)
        jobs.delete(db, admin, "load", NOON)
        return before, conditions.facts(db, 1, "", [StateCondition(job=load.id)], NOON), load.id

    before, facts, load = await database.write(work)

    assert (before.jobs[load].state, before.stopped) == (None, None)
    assert (facts.jobs, facts.names) == ({}, {load: "load"})


async def test_a_condition_keeps_its_job_by_id_and_is_said_with_its_name(database: Database, admin: Actor) -> None:
    def work(db: Connection) -> Any:
        load = add_job(db, admin, "load")
        job = add_job(db, admin, conditions=[LOAD, FILE])
        jobs.edit(db, admin, "load", JobPatch(version=1, changes={"name": "loaded"}), NOON)
        return load.id, job.spec.conditions, conditions.in_words(db, job.spec.conditions)

    load, kept, words = await database.write(work)

    assert (kept[0].job, words) == (load, ["loaded succeeded", "file /nowhere"])


async def test_a_job_that_is_made_may_name_itself_for_a_figure(database: Database, admin: Actor) -> None:
    own = MetricCondition(job="job", metric=Metric.FAILED_24H, op="<", value=3)

    job = await database.write(lambda db: add_job(db, admin, conditions=[own]))

    assert job.spec.conditions == (own.model_copy(update={"job": None}),)


async def test_a_condition_on_a_job_that_there_is_not_or_that_is_not_seen_is_refused(
    database: Database, admin: Actor, ada: Actor
) -> None:
    await database.write(lambda db: add_job(db, admin, "load"))

    for actor, wanted in ((admin, "lod"), (ada, "load")):
        with pytest.raises(Invalid, match=f"there is no job '{wanted}' for the condition"):
            await database.write(
                lambda db, actor=actor, wanted=wanted: add_job(
                    db, actor, user=actor.name, conditions=[StateCondition(job=wanted)]
                )
            )


async def test_explain_tells_the_conditions_of_a_job(database: Database, admin: Actor) -> None:
    def work(db: Connection) -> Any:
        job = add_job(db, admin, conditions=[FILE])
        told = explain.explain(db, admin, job.id, None, NOON)
        fire(db, job, NOON + MINUTE)
        end(db, 1, unmet="file /nowhere: there is no such file")
        return told, explain.explain(db, admin, job.id, NOON + MINUTE, NOON + HOUR)

    before, after = await database.write(work)

    assert "starts only if: file /nowhere" in before.reasons
    assert before.verdict == "will run at 2026-05-04 12:01:00 UTC, if its conditions hold then"
    assert after.verdict == "skipped: condition does not hold: file /nowhere: there is no such file"


def gated(db: Connection, actor: Actor, not_before: str = "14:30", **fields: Any) -> Any:
    """Make load, which runs after extract and not before 14:30 in Berlin, half past twelve here; let extract run."""
    extract = add_job(db, actor, "extract")
    load = add_job(
        db, actor, "load", schedule=Schedule(zone="Europe/Berlin"), after=("extract",), not_before=not_before, **fields
    )
    fire(db, extract, NOON + MINUTE)
    return load


async def test_a_run_that_comes_up_before_its_time_of_the_day_waits_for_it(database: Database, admin: Actor) -> None:
    def work(db: Connection) -> Any:
        gated(db, admin)
        ended = runs.Ended(1, runs.Report(exit_code=0), None, NOON + 2 * MINUTE, 1, 1, 1)
        instants = runs.ended(db, [ended], NOON + 2 * MINUTE)
        told = explain.explain(db, admin, "load", None, NOON + 3 * MINUTE).verdict
        early = runs.start_waiting(db, now=NOON + 30 * MINUTE - SECOND, holder=HOLDER, free=10).starts
        run = rows(db, "executions")[1]
        upcoming = attempts.next_start(db, NOON + 2 * MINUTE)
        return (
            instants,
            told,
            early,
            run,
            upcoming,
            runs.start_waiting(db, now=NOON + 30 * MINUTE, holder=HOLDER, free=10).starts,
        )

    instants, told, early, run, upcoming, starts = await database.write(work)
    started = (await database.read(lambda db: rows(db, "executions")))[1]

    assert NOON + 30 * MINUTE in instants
    assert upcoming == run.start_after == NOON + 30 * MINUTE
    assert run.reason == "after extract succeeded; waits: not before 14:30 (Europe/Berlin), 2026-05-04 12:30:00 UTC"
    assert f"is not to start yet: {run.reason}" in told
    assert (early, [start.execution_id for start in starts]) == ([], [2])
    assert (started.state, started.reason) == ("starting", "after extract succeeded")
    assert await database.read(recount) == []


async def test_a_run_that_comes_up_after_its_time_of_the_day_waits_for_nothing(
    database: Database, admin: Actor
) -> None:
    def work(db: Connection) -> Any:
        gated(db, admin, "14:01")
        end(db, 1, at=NOON + 2 * MINUTE)
        return runs.start_waiting(db, now=NOON + 2 * MINUTE, holder=HOLDER, free=10).starts

    starts = await database.write(work)

    assert [start.execution_id for start in starts] == [2]


async def test_a_run_that_comes_up_with_a_request_tells_when_it_may_start(database: Database, admin: Actor) -> None:
    def work(db: Connection) -> Any:
        add_job(db, admin, "extract", schedule=None)
        add_job(db, admin, "load", schedule=None, after=("extract",), not_before="12:30", trigger_rule="always")
        return runs.request(db, admin, "extract", "", now=NOON, holder=HOLDER, free=10)[1]

    begun = await database.write(work)

    assert list(begun.later) == [NOON + 30 * MINUTE]


async def test_a_clock_that_is_set_back_leaves_a_time_of_the_day_where_it_is(database: Database, admin: Actor) -> None:
    def work(db: Connection) -> Any:
        gated(db, admin)
        end(db, 1, at=NOON + 2 * MINUTE)
        retries.set_back(db, NOON - HOUR, timedelta(seconds=5))
        return rows(db, "executions")[1]

    run = await database.write(work)

    assert (run.queued_at, run.start_after) == (NOON - HOUR, NOON + 30 * MINUTE)


async def test_a_run_that_waits_for_its_time_is_cancelled_with_its_job(database: Database, admin: Actor) -> None:
    def work(db: Connection) -> None:
        gated(db, admin)
        end(db, 1, at=NOON + 2 * MINUTE)
        jobs.delete(db, admin, "load", NOON + 3 * MINUTE)

    await database.write(work)

    assert await database.read(states) == [("succeeded", "ok"), ("cancelled", "deleted")]
    assert await database.read(recount) == []


async def test_the_dispatcher_is_woken_when_the_time_of_the_day_comes(database: Database, admin: Actor) -> None:
    def work(db: Connection) -> None:
        gated(db, admin)
        end(db, 1, at=NOON + 2 * MINUTE)

    await database.write(work)
    woken: list[str] = []
    moments = [NOON + 29 * MINUTE + 50 * SECOND] * 2 + [NOON + 30 * MINUTE] * 2
    waits = Waits(database, lambda: woken.append("now"), lambda: moments.pop(0))

    wait = await waits.step()
    before = list(woken)
    await waits.step()

    assert (wait, before, woken) == (10.0, [], ["now"])
