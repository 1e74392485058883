"""Attempts of a run: the next is written down with the end of the one before, and the run is active until the last."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from scheduler_daemon.contract.jobs import JobPatch, JobView
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.contract.pools import PoolPut
from scheduler_daemon.domain.errors import Conflict
from scheduler_daemon.domain.lifecycle import Report
from scheduler_daemon.services import explain, jobs, pools, retries, runs, views
from scheduler_daemon.services.runs import Ended
from scheduler_daemon.storage import attempts, executions, failures, retry_advice
from scheduler_daemon.storage import jobs as job_rows
from scheduler_daemon.storage.session import Database
from tests.support.world import HOLDER, MINUTE, NOON, SECOND, add_job, fire, recount, rows

FIRST = NOON + MINUTE
FAILED_AT = FIRST + SECOND
RETRY = {"attempts": 2, "delay_ms": 10_000}


async def failed_run(database: Database, admin: Actor, **spec: Any) -> tuple[JobView, int]:
    """Return a job that fires hourly and whose first attempt has failed, a second after it was due."""
    fields = {"schedule": "1 * * * *", "retry": RETRY, **spec}
    job = await database.write(lambda db: add_job(db, admin, **fields))
    first = await begun(database, job, FIRST)
    await fail(database, first, FAILED_AT)
    return job, first


async def begun(database: Database, job: JobView, instant: datetime) -> int:
    fired = await database.write(lambda db: fire(db, job, instant))
    await database.write(lambda db: job_rows.set_state(db, job.id, next_fire_at=instant + timedelta(hours=1)))
    return fired.starts[0].execution_id


async def fail(database: Database, run: int, at: datetime, **report: Any) -> list[datetime]:
    known = Report(**(report or {"exit_code": 1}))
    ended = Ended(run, known, at - SECOND, at, 5, 1000, 10)
    return await database.write(lambda db: runs.ended(db, [ended], at))


async def claim(database: Database, now: datetime, free: int = 10) -> list[runs.Start]:
    return await database.write(lambda db: runs.start_waiting(db, now=now, holder=HOLDER, free=free).starts)


async def table(database: Database) -> list[Any]:
    return await database.read(lambda db: rows(db, "executions"))


async def test_a_failure_is_followed_by_an_attempt_that_waits(database: Database, admin: Actor) -> None:
    _, first = await failed_run(database, admin)

    tried, waiting = await table(database)

    assert (tried.id, tried.state, tried.attempt, tried.attempts, tried.first_id) == (first, "failed", 0, 3, None)
    assert tried.reason == "exit code 1; attempt 2 of 3 begins at 2026-05-04 12:01:11 UTC"
    assert (waiting.state, waiting.attempt, waiting.attempts, waiting.first_id) == ("queued", 1, 3, first)
    assert (waiting.fire_at, waiting.job_version, waiting.trigger, waiting.actor) == (
        tried.fire_at, tried.job_version, tried.trigger, tried.actor,
    )  # fmt: skip
    assert (waiting.start_after, waiting.queued_at) == (FAILED_AT + 10 * SECOND, FAILED_AT)
    assert await database.read(recount) == []


async def test_a_run_that_is_tried_again_is_active_and_is_not_the_last_run_yet(
    database: Database, admin: Actor
) -> None:
    _, _first = await failed_run(database, admin)

    shown = await database.read(lambda db: jobs.show(db, admin, "job"))

    assert (shown.active, shown.last) == (1, None)


async def test_an_attempt_starts_when_its_time_has_come_and_not_before(database: Database, admin: Actor) -> None:
    await failed_run(database, admin)

    early = await claim(database, FAILED_AT + 9.999 * SECOND)
    in_time = await claim(database, FAILED_AT + 10 * SECOND)
    again = await claim(database, FAILED_AT + 10 * SECOND)

    assert (early, again) == ([], [])
    assert [start.execution_id for start in in_time] == [(await table(database))[1].id]


async def test_attempts_go_on_until_they_are_used_up_and_the_last_one_is_shown(
    database: Database, admin: Actor
) -> None:
    _, first = await failed_run(database, admin)
    planned = []
    at = FAILED_AT
    for wait in (10, 20):
        at += wait * SECOND
        (start,) = await claim(database, at)
        at += SECOND
        planned += await fail(database, start.execution_id, at, exit_code=7)

    tried = await table(database)
    shown = await database.read(lambda db: jobs.show(db, admin, "job"))

    assert planned == [FAILED_AT + 31 * SECOND]
    assert [(row.attempt, row.state, row.exit_code, row.first_id) for row in tried] == [
        (0, "failed", 1, None), (1, "failed", 7, first), (2, "failed", 7, first),
    ]  # fmt: skip
    assert tried[2].reason == "exit code 7; not retried: all 2 retries are used up"
    assert shown.active == 0
    assert shown.last is not None
    assert (shown.last.id, shown.last.state) == (tried[2].id, "failed")
    assert await database.read(recount) == []


async def test_a_success_ends_the_trying(database: Database, admin: Actor) -> None:
    await failed_run(database, admin)
    (start,) = await claim(database, FAILED_AT + 10 * SECOND)

    await fail(database, start.execution_id, FAILED_AT + MINUTE, exit_code=0)

    shown = await database.read(lambda db: jobs.show(db, admin, "job"))
    assert [row.state for row in await table(database)] == ["failed", "succeeded"]
    assert shown.last is not None
    assert (shown.active, shown.last.state) == (0, "succeeded")
    assert await database.read(recount) == []


async def test_an_end_told_twice_is_followed_once(database: Database, admin: Actor) -> None:
    _, first = await failed_run(database, admin)

    assert await fail(database, first, FAILED_AT + SECOND) == []

    assert len(await table(database)) == 2


async def test_every_attempt_is_announced_as_a_whole_document(database: Database, admin: Actor) -> None:
    _, first = await failed_run(database, admin)

    told = {
        event.subject: event.doc
        for event in await database.read(lambda db: rows(db, "events"))
        if event.kind == "execution"
    }

    waiting = await database.read(lambda db: runs.get(db, admin, first + 1))
    assert told[str(first)]["reason"].startswith("exit code 1; attempt 2 of 3")
    assert told[str(first + 1)] == views.execution_document(waiting, "job")
    assert (told[str(first)]["first_id"], told[str(first + 1)]["first_id"]) == (first, first)
    assert told[str(first + 1)]["start_after"] == "2026-05-04T12:01:11Z"


@pytest.mark.parametrize("which", ["the first attempt", "the one that waits"])
async def test_a_waiting_attempt_is_cancelled_by_any_name_of_its_run(
    database: Database, admin: Actor, which: str
) -> None:
    _, first = await failed_run(database, admin)
    named = first if which == "the first attempt" else first + 1

    view = await database.write(lambda db: runs.cancel(db, admin, named, "enough", FAILED_AT + SECOND))

    assert (view.id, view.state, view.reason) == (first + 1, "cancelled", "cancelled by root: enough")
    assert await claim(database, FAILED_AT + MINUTE) == []
    assert await database.read(recount) == []
    with pytest.raises(Conflict, match="has ended already"):
        await database.write(lambda db: runs.cancel(db, admin, named, "", FAILED_AT + MINUTE))


async def test_a_run_that_failed_while_it_was_to_be_cancelled_is_not_retried(database: Database, admin: Actor) -> None:
    job = await database.write(lambda db: add_job(db, admin, retry=RETRY))
    first = await begun(database, job, FIRST)
    await database.write(lambda db: runs.cancel(db, admin, first, "", FIRST))

    planned = await fail(database, first, FAILED_AT)

    (row,) = await table(database)
    assert (planned, row.state, row.reason) == ([], "failed", "exit code 1; not retried: it was cancelled")


@pytest.mark.parametrize("concurrency", ["forbid", "allow"])
async def test_an_attempt_never_waits_beyond_the_next_fire_unless_runs_may_overlap(
    database: Database, admin: Actor, concurrency: str
) -> None:
    wait = {"attempts": 1, "delay_ms": 3_599_000}

    await failed_run(database, admin, retry=wait, concurrency=concurrency)

    tried, *waiting = await table(database)
    assert len(waiting) == (concurrency == "allow")
    assert tried.reason.endswith(
        "begins at 2026-05-04 13:01:00 UTC"
        if concurrency == "allow"
        else "would begin at 2026-05-04 13:01:00 UTC, and the job fires at 2026-05-04 13:01:00 UTC"
    )


async def test_an_attempt_that_could_not_begin_in_time_gives_way_to_the_next_fire(
    database: Database, admin: Actor
) -> None:
    job, _ = await failed_run(database, admin)

    fired = await database.write(lambda db: fire(db, job, FIRST + timedelta(hours=1)))

    tried, waiting, new = await table(database)
    shown = await database.read(lambda db: jobs.show(db, admin, "job"))
    assert [start.execution_id for start in fired.starts] == [new.id]
    assert (waiting.state, waiting.outcome) == ("skipped", "superseded")
    assert shown.last is not None
    assert (shown.active, shown.last.id) == (1, tried.id)
    assert await database.read(recount) == []


async def test_a_fire_that_was_recorded_before_takes_no_attempt_away(database: Database, admin: Actor) -> None:
    job, _ = await failed_run(database, admin)

    await database.write(lambda db: fire(db, job, FIRST))

    assert [row.state for row in await table(database)] == ["failed", "queued"]


async def test_where_overlap_is_allowed_the_next_fire_takes_no_attempt_away(database: Database, admin: Actor) -> None:
    job, _ = await failed_run(database, admin, concurrency="allow")

    await database.write(lambda db: fire(db, job, FIRST + timedelta(hours=1)))

    assert [row.state for row in await table(database)] == ["failed", "queued", "starting"]
    assert await database.read(recount) == []


async def test_an_attempt_whose_time_has_not_come_holds_nobody_up_in_its_pool(database: Database, admin: Actor) -> None:
    await database.write(lambda db: pools.put(db, admin, "db", PoolPut(slots=2), NOON))
    await failed_run(database, admin, pool="db")

    async def asked_for(name: str, at: datetime) -> tuple[str, str]:
        job = await database.write(lambda db: add_job(db, admin, name, pool="db"))
        view, _ = await database.write(lambda db: runs.request(db, admin, job.id, "", now=at, holder=HOLDER, free=9))
        return view.state, view.reason

    before = await asked_for("before", FAILED_AT + 9 * SECOND)
    then = await asked_for("then", FAILED_AT + 10 * SECOND)

    assert before == ("starting", "")
    assert then == ("queued", "waits: its turn in pool db (1 before it)")


async def test_a_waiting_attempt_keeps_other_runs_out(database: Database, admin: Actor) -> None:
    await failed_run(database, admin)

    with pytest.raises(Conflict):
        await database.write(
            lambda db: runs.request(db, admin, "job", "", now=FAILED_AT + SECOND, holder=HOLDER, free=9)
        )


async def test_pausing_lets_a_run_be_tried_on(database: Database, admin: Actor) -> None:
    await failed_run(database, admin)
    await database.write(lambda db: jobs.set_paused(db, admin, "job", FAILED_AT, paused=True))

    (start,) = await claim(database, FAILED_AT + 10 * SECOND)
    again = await fail(database, start.execution_id, FAILED_AT + 11 * SECOND)

    assert again == [FAILED_AT + 31 * SECOND]


async def test_nothing_of_a_deleted_job_is_tried_again(database: Database, admin: Actor) -> None:
    _, first = await failed_run(database, admin)
    other = await database.write(lambda db: add_job(db, admin, "other", retry=RETRY))
    running = await begun(database, other, FIRST)

    await database.write(lambda db: [jobs.delete(db, admin, name, FAILED_AT + SECOND) for name in ("job", "other")])
    planned = await fail(database, running, FAILED_AT + 2 * SECOND)

    found = {row.id: row for row in await table(database)}
    assert (found[first + 1].state, found[first + 1].outcome) == ("cancelled", "deleted")
    assert planned == []
    assert found[running].reason == "exit code 1; not retried: the job was deleted"
    assert await claim(database, FAILED_AT + MINUTE) == []
    assert await database.read(recount) == []


async def test_a_run_keeps_the_command_and_policy_it_began_with(database: Database, admin: Actor) -> None:
    await failed_run(database, admin, command="old")
    change = JobPatch(version=1, changes={"command": "new", "retry": None})
    await database.write(lambda db: jobs.edit(db, admin, "job", change, FAILED_AT))

    (start,) = await claim(database, FAILED_AT + 10 * SECOND)
    planned = await fail(database, start.execution_id, FAILED_AT + 11 * SECOND)

    assert (start.spec["command"], len(planned)) == ("old", 1)


async def test_the_time_of_the_whole_run_is_kept_over_its_attempts(database: Database, admin: Actor) -> None:
    await failed_run(database, admin, run_timeout_ms=30_000)
    (start,) = await claim(database, FAILED_AT + 10 * SECOND)
    planned = await fail(database, start.execution_id, FAILED_AT + 12 * SECOND)

    first, second = await table(database)

    assert first.started_at == FAILED_AT - SECOND
    assert start.run_ends_at == second.run_ends_at == first.started_at + 30 * SECOND
    assert planned == []
    assert second.reason.endswith("and the whole run had to be over by 2026-05-04 12:01:30 UTC")


async def test_an_attempt_that_is_taken_up_again_keeps_its_end(database: Database, admin: Actor) -> None:
    await failed_run(database, admin, run_timeout_ms=30_000)
    (start,) = await claim(database, FAILED_AT + 10 * SECOND)

    (again,) = await database.read(lambda db: runs.take_over(db, [start.execution_id], node=HOLDER.node))

    assert again.run_ends_at == start.run_ends_at


async def test_a_run_whose_end_nobody_saw_is_retried_only_if_the_job_says_so(database: Database, admin: Actor) -> None:
    def add(db: Connection) -> list[JobView]:
        return [add_job(db, admin, on, retry={"attempts": 1, "on": [on]}) for on in ("exit_code", "lost")]

    made = await database.write(add)
    ids = [await begun(database, job, FIRST) for job in made]

    planned = [await fail(database, run, FAILED_AT, unknown=True) for run in ids]

    assert [len(instants) for instants in planned] == [0, 1]


@pytest.mark.parametrize("limit", [{"retry": RETRY | {"until_ms": 60_000}}, {"run_timeout_ms": 60_000}])
async def test_an_attempt_that_could_not_begin_within_its_limits_never_does(
    database: Database, admin: Actor, limit: dict[str, Any]
) -> None:
    _, first = await failed_run(database, admin, **limit)

    no_room = await claim(database, FAILED_AT + 10 * SECOND, free=0)
    too_late = await claim(database, FAILED_AT + MINUTE)

    tried, waiting = await table(database)
    shown = await database.read(lambda db: jobs.show(db, admin, "job"))
    assert no_room == too_late == []
    assert (waiting.state, waiting.outcome) == ("missed", "misfire")
    assert waiting.reason.startswith("could not begin in time: the ")
    assert shown.last is not None
    assert (shown.active, shown.last.id, tried.id) == (0, first, first)
    assert await database.read(recount) == []


async def test_an_attempt_left_in_the_future_by_the_clock_waits_its_time_from_now(
    database: Database, admin: Actor
) -> None:
    await failed_run(database, admin)
    now = FAILED_AT - timedelta(days=1)

    await database.write(lambda db: retries.set_back(db, now, 5 * SECOND))
    await database.write(lambda db: retries.set_back(db, now + SECOND, 5 * SECOND))

    assert await database.read(lambda db: attempts.next_start(db, now)) == now + 10 * SECOND
    assert len(await claim(database, now + 10 * SECOND)) == 1


async def test_the_next_start_is_that_of_an_attempt_that_waits(database: Database, admin: Actor) -> None:
    await failed_run(database, admin)
    due = FAILED_AT + 10 * SECOND

    found = await database.read(lambda db: [attempts.next_start(db, at) for at in (FAILED_AT, due)])
    await claim(database, due)

    assert found == [due, None]
    assert await database.read(lambda db: attempts.next_start(db, FAILED_AT)) is None


async def test_explain_tells_every_attempt_and_why_there_is_no_other(database: Database, admin: Actor) -> None:
    await failed_run(database, admin)
    waiting = await database.read(lambda db: explain.explain(db, admin, "job", FIRST, FAILED_AT))
    (start,) = await claim(database, FAILED_AT + 10 * SECOND)
    await fail(database, start.execution_id, FAILED_AT + 11 * SECOND, exit_code=0)

    done = await database.read(lambda db: explain.explain(db, admin, "job", FIRST, FAILED_AT + MINUTE))

    first = "attempt 1 of 3: failed at 2026-05-04 12:01:01 UTC, exit code 1; attempt 2 of 3 begins at"
    assert any(reason.startswith(first) for reason in done.reasons)
    assert waiting.verdict == "failed and is tried again: attempt 2 of 3 begins at 2026-05-04 12:01:11 UTC"
    assert done.verdict == "ran and succeeded at attempt 2 of 3"


async def test_one_query_tells_the_attempts_of_a_run(database: Database, admin: Actor) -> None:
    job, _ = await failed_run(database, admin)

    found = await database.read(lambda db: attempts.of_run(db, job.id, FIRST))

    assert [row.attempt for row in found] == [0, 1]
    assert await database.read(lambda db: executions.at_instant(db, job.id, FIRST)) == found[1]


def learnt(code: str, waits_ms: list[int], *, job_id: str = "", pattern_id: str = "", again: bool = False) -> Any:
    key = {"job_id": job_id, "code": code, "pattern_id": pattern_id, "again": again}
    return {**key, "waits_ms": waits_ms, "chance": 0.9 if waits_ms else 0.0, "seen": 9, "at": NOON}


async def learn(database: Database, *rows: Any) -> None:
    await database.write(lambda db: retry_advice.replace(db, rows))


async def wrote(database: Database, job: JobView, run: int, pattern_id: str) -> None:
    """Have it known of a run what it wrote, as the process that reads the output of failed runs tells."""
    row = {"execution_id": run, "job_id": job.id, "pattern_id": pattern_id, "at": NOON, "line": 1, "text": "no"}
    await database.write(lambda db: failures.keep(db, [{**row, "vector": b""}], {pattern_id: "no"}))


async def test_a_smart_policy_spares_a_retry_that_was_learnt_to_be_wasted(database: Database, admin: Actor) -> None:
    await learn(database, learnt("exit 1", []))

    await failed_run(database, admin, retry={**RETRY, "smart": True})

    (tried,) = await table(database)
    assert tried.reason == "exit code 1; not retried: it would be wasted: after 9 such failures a retry helps in 0%"
    assert await database.read(recount) == []


async def test_what_was_learnt_of_the_job_itself_counts_first(database: Database, admin: Actor) -> None:
    job = await database.write(lambda db: add_job(db, admin, schedule="1 * * * *", retry={**RETRY, "smart": True}))
    await learn(database, learnt("exit 1", []), learnt("exit 1", [150_000], job_id=job.id))

    await fail(database, await begun(database, job, FIRST), FAILED_AT)

    _, waiting = await table(database)
    assert waiting.start_after == FAILED_AT + 150 * SECOND


async def test_a_failure_like_the_one_before_is_known_as_such(database: Database, admin: Actor) -> None:
    await learn(database, learnt("exit 1", [], again=True))
    job, _ = await failed_run(database, admin, retry={**RETRY, "smart": True}, schedule="1 * * * *")
    await database.write(lambda db: retries.give_way(db, [job.id], FIRST + timedelta(hours=1)))

    second = await begun(database, job, FIRST + timedelta(hours=1))
    await fail(database, second, FAILED_AT + timedelta(hours=1))

    found = await table(database)
    assert [row.attempt for row in found] == [0, 1, 0]
    assert "not retried: it would be wasted" in found[-1].reason


async def test_a_policy_that_is_not_smart_asks_nothing(database: Database, admin: Actor) -> None:
    await learn(database, learnt("exit 1", []))

    await failed_run(database, admin)

    assert len(await table(database)) == 2


async def test_what_it_wrote_puts_a_smart_retry_off_or_spares_it(database: Database, admin: Actor) -> None:
    await learn(
        database,
        learnt("exit 1", [10_000]),
        learnt("exit 1", [600_000], pattern_id="database down"),
        learnt("exit 1", [], pattern_id="no such file"),
    )
    smart = {"retry": {**RETRY, "smart": True}}
    job, first = await failed_run(database, admin, **smart, on_failure={"command": "true"})
    due = FAILED_AT + 10 * SECOND

    await wrote(database, job, first, "database down")
    early = await claim(database, due)
    (_, waiting) = await table(database)
    await wrote(database, job, first, "no such file")  # kept already, and stays what it was
    start = await claim(database, FAILED_AT + 600 * SECOND)
    await fail(database, waiting.id, FAILED_AT + 601 * SECOND)
    after = await table(database)

    assert (early, waiting.start_after) == ([], FAILED_AT + 600 * SECOND)
    assert [each.execution_id for each in start] == [waiting.id]
    assert "not retried" in after[1].reason


async def test_a_retry_that_what_was_written_says_is_wasted_ends_the_run_as_failed(
    database: Database, admin: Actor
) -> None:
    await learn(database, learnt("exit 1", [10_000]), learnt("exit 1", [], pattern_id="no such file"))
    smart = {"retry": {**RETRY, "smart": True}}
    job, first = await failed_run(database, admin, **smart, on_failure={"command": "true"})
    await wrote(database, job, first, "no such file")

    started = await claim(database, FAILED_AT + 10 * SECOND)

    _, spared, handler = await table(database)
    assert [each.execution_id for each in started] == [handler.id]
    assert (spared.state, spared.reason) == (
        "skipped", "not retried: it would be wasted: after 9 such failures a retry helps in 0%"
    )  # fmt: skip
    assert handler.reason == f"on_failure of run {first}"
    assert (await database.read(lambda db: jobs.show(db, admin, job.id))).last.state == "failed"
    assert await database.read(recount) == []


async def test_where_only_some_words_give_hope_it_waits_until_it_is_known_which_were_written(
    database: Database, admin: Actor
) -> None:
    await learn(database, learnt("exit 1", []), learnt("exit 1", [40_000], pattern_id="refused"))
    smart = {"retry": {**RETRY, "smart": True}}
    job, first = await failed_run(database, admin, **smart)
    _, waiting = await table(database)
    await wrote(database, job, first, "syntax error")

    started = await claim(database, FAILED_AT + 40 * SECOND)

    assert waiting.start_after == FAILED_AT + 40 * SECOND
    assert started == []
    assert [row.state for row in await table(database)] == ["failed", "skipped"]


async def test_only_those_whose_turn_has_come_are_judged_however_many_wait(
    database: Database, admin: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    await learn(database, learnt("exit 1", [10_000]))
    judged = []
    look = retry_advice.run_before
    monkeypatch.setattr(retry_advice, "run_before", lambda db, job, at: judged.append(job) or look(db, job, at))
    for name in ("a", "b", "c"):
        await failed_run(database, admin, name=name, retry={**RETRY, "smart": True})
    judged.clear()

    started = await claim(database, FAILED_AT + 10 * SECOND, free=1)

    assert [start.job_id for start in started] == judged
    assert len(judged) == 1
