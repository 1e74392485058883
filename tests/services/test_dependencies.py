"""Jobs that run after others, on both databases: what comes up, what is skipped or blocked, what is refused."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import Connection

from scheduler_daemon.contract.executions import Trigger
from scheduler_daemon.contract.jobs import JobPatch, JobView
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.contract.retry import Retry
from scheduler_daemon.domain.errors import Conflict, Invalid
from scheduler_daemon.domain.lifecycle import Report
from scheduler_daemon.services import dependencies, explain, fires, jobs, runs
from scheduler_daemon.storage.session import Database
from tests.support.world import HOLDER, MINUTE, NOON, SECOND, add_job, end, fire, job_spec, recount, rows

FIRE = NOON + MINUTE
LATER = FIRE + 10 * SECOND


def after(db: Connection, actor: Actor, name: str, *upstreams: str, **fields: Any) -> JobView:
    """Make a job that runs after others."""
    return add_job(db, actor, name, schedule=None, after=upstreams, **fields)


def told(db: Connection) -> dict[str, str]:
    """Return what has become of each job, by name, and why, of its last run."""
    names = {row.id: row.name for row in rows(db, "jobs")}
    return {names[row.job_id]: f"{row.state} {row.outcome or ''}".strip() for row in rows(db, "executions")}


def number(db: Connection, name: str) -> int:
    """Return the id of a job's last run."""
    ids = {row.name: row.id for row in rows(db, "jobs")}
    return int([row.id for row in rows(db, "executions") if row.job_id == ids[name]][-1])


def finish(db: Connection, name: str, code: int = 0) -> None:
    """Let the last run of a job end."""
    end(db, number(db, name), at=LATER, exit_code=code)


def diamond(db: Connection, actor: Actor, **fields: Any) -> JobView:
    """Make a -> b, c -> d, and fire a."""
    root = add_job(db, actor, "a")
    after(db, actor, "b", "a")
    after(db, actor, "c", "a")
    after(db, actor, "d", "b", "c", **fields)
    fire(db, root, FIRE)
    return root


async def test_a_diamond_runs_once_and_in_order_for_one_instant(database: Database, admin: Actor) -> None:
    def work(db: Connection) -> list[dict[str, str]]:
        diamond(db, admin)
        seen = [told(db)]
        for name in "abcd":
            finish(db, name)
            seen.append(told(db))
        return seen

    seen = await database.write(work)
    found = await database.read(lambda db: rows(db, "executions"))

    assert seen == [
        {"a": "starting"},
        {"a": "succeeded ok", "b": "queued", "c": "queued"},
        {"a": "succeeded ok", "b": "succeeded ok", "c": "queued"},
        {"a": "succeeded ok", "b": "succeeded ok", "c": "succeeded ok", "d": "queued"},
        dict.fromkeys("abcd", "succeeded ok"),
    ]
    assert {(row.fire_at, row.trigger) for row in found} == {(FIRE, "schedule"), (FIRE, "dependency")}
    assert await database.read(recount) == []


async def test_a_failure_blocks_all_behind_it_at_once(database: Database, admin: Actor) -> None:
    def work(db: Connection) -> dict[str, str]:
        diamond(db, admin)
        finish(db, "a", code=1)
        return told(db)

    found = await database.write(work)

    assert found == {"a": "failed exit_code", **dict.fromkeys("bcd", "blocked upstream_failed")}
    assert await database.read(recount) == []


async def test_missed_suppressed_and_paused_fires_skip_what_is_behind(database: Database, admin: Actor) -> None:
    def work(db: Connection) -> list[tuple[str, str]]:
        root = add_job(db, admin, "a")
        after(db, admin, "b", "a")
        after(db, admin, "c", "b")
        fire(db, root, missed=[FIRE])
        paused = jobs.set_paused(db, admin, "a", FIRE, paused=True)
        fire(db, paused, FIRE + MINUTE)
        return [(row.state, row.reason) for row in rows(db, "executions") if row.trigger == "dependency"]

    found = await database.write(work)

    assert found == [("skipped", "upstream a was skipped"), ("skipped", "upstream b was skipped")] * 2


async def test_a_retrying_upstream_is_not_done(database: Database, admin: Actor) -> None:
    def work(db: Connection) -> list[dict[str, str]]:
        root = add_job(db, admin, "a", retry=Retry(attempts=1, delay_ms=1000))
        after(db, admin, "b", "a")
        fire(db, root, FIRE)
        finish(db, "a", code=1)
        retrying = told(db)
        (start,) = runs.start_waiting(db, now=LATER + MINUTE, holder=HOLDER, free=9).starts
        end(db, start.execution_id, at=LATER + MINUTE, exit_code=0)
        return [retrying, told(db)]

    retrying, done = await database.write(work)

    assert retrying == {"a": "queued"}
    assert done == {"a": "succeeded ok", "b": "queued"}


async def test_an_attempt_that_gives_way_is_the_failure_of_its_set(database: Database, admin: Actor) -> None:
    def work(db: Connection) -> list[Any]:
        root = add_job(db, admin, "a", retry=Retry(attempts=1, delay_ms=1000))
        after(db, admin, "b", "a")
        fire(db, root, FIRE)
        finish(db, "a", code=1)
        fire(db, root, FIRE + MINUTE)
        return [(row.state, row.fire_at) for row in rows(db, "executions") if row.trigger == "dependency"]

    found = await database.write(work)

    assert found == [("blocked", FIRE)]


async def test_one_success_starts_before_the_others_are_done_and_only_once(database: Database, admin: Actor) -> None:
    def work(db: Connection) -> list[dict[str, str]]:
        diamond(db, admin, trigger_rule="one_success")
        finish(db, "a")
        finish(db, "b")
        early = told(db)
        finish(db, "c", code=1)
        return [early, told(db)]

    early, late = await database.write(work)

    assert (early["c"], early["d"]) == ("queued", "queued")
    assert (late["c"], late["d"]) == ("failed exit_code", "queued")


async def test_always_comes_up_with_its_upstream(database: Database, admin: Actor) -> None:
    def work(db: Connection) -> dict[str, str]:
        root = add_job(db, admin, "a")
        after(db, admin, "b", "a", trigger_rule="always")
        fire(db, root, FIRE)
        return told(db)

    assert await database.write(work) == {"a": "starting", "b": "queued"}


async def test_sets_are_paired_by_their_instant_and_not_by_what_ran_last(database: Database, admin: Actor) -> None:
    def work(db: Connection) -> list[Any]:
        first, second = add_job(db, admin, "a", concurrency="allow"), add_job(db, admin, "b")
        after(db, admin, "c", "a", "b")
        fire(db, first, FIRE)
        finish(db, "a")
        fire(db, second, FIRE + MINUTE)
        finish(db, "b")
        apart = [row.fire_at for row in rows(db, "executions") if row.trigger == "dependency"]
        fire(db, first, FIRE + MINUTE)
        finish(db, "a")
        return [apart, [row.fire_at for row in rows(db, "executions") if row.trigger == "dependency"]]

    apart, together = await database.write(work)

    assert apart == []
    assert together == [FIRE + MINUTE]


async def test_a_run_that_someone_asks_for_begins_a_set_of_its_own(database: Database, admin: Actor) -> None:
    def work(db: Connection) -> list[Any]:
        add_job(db, admin, "a")
        after(db, admin, "b", "a")
        runs.request(db, admin, "a", "", now=LATER, holder=HOLDER, free=9)
        finish(db, "a")
        return [(row.fire_at, row.trigger, row.actor) for row in rows(db, "executions")]

    first, second = await database.write(work)

    assert first == (LATER + timedelta(microseconds=1), "manual", "root")
    assert second == (first[0], "dependency", "root")


async def test_a_job_that_is_paused_or_still_active_skips_its_turn(database: Database, admin: Actor) -> None:
    def work(db: Connection) -> list[Any]:
        root = add_job(db, admin, "a")
        after(db, admin, "b", "a")
        after(db, admin, "c", "a")
        jobs.set_paused(db, admin, "c", NOON, paused=True)
        for minute in range(2):
            fire(db, root, FIRE + minute * MINUTE)
            finish(db, "a")
        names = {row.id: row.name for row in rows(db, "jobs")}
        made = [row for row in rows(db, "executions") if row.trigger == "dependency"]
        return sorted((names[row.job_id], row.fire_at, row.state, row.outcome) for row in made)

    found = await database.write(work)

    assert found == [
        ("b", FIRE, "queued", None),
        ("b", FIRE + MINUTE, "skipped", "overlap"),
        ("c", FIRE, "skipped", "paused"),
        ("c", FIRE + MINUTE, "skipped", "paused"),
    ]


async def test_what_comes_up_is_started_by_those_who_start_what_waits(database: Database, admin: Actor) -> None:
    def work(db: Connection) -> tuple[Any, Any]:
        diamond(db, admin)
        ended = runs.Ended(number(db, "a"), Report(exit_code=0), None, LATER, None, None, None)
        again = runs.ended(db, [ended], LATER)
        return again, runs.start_waiting(db, now=LATER, holder=HOLDER, free=9).starts

    again, starts = await database.write(work)

    assert again == [LATER]
    assert [start.spec["name"] for start in starts] == ["b", "c"]
    assert [start.not_before for start in starts] == [None, None]


async def test_what_a_job_runs_after_is_kept_by_id(database: Database, admin: Actor) -> None:
    def work(db: Connection) -> tuple[JobView, JobView]:
        root = add_job(db, admin, "a")
        made = after(db, admin, "b", "a", root.id)
        jobs.edit(db, admin, "a", JobPatch(version=1, changes={"name": "renamed"}), NOON)
        return root, made

    root, made = await database.write(work)
    graph = await database.read(lambda db: dependencies.graph(db, admin, made.id))

    assert made.spec.after == (root.id,)
    assert [node.name for node in graph.nodes] == ["renamed", "b"]
    assert [(edge.upstream, edge.downstream) for edge in graph.edges] == [(root.id, made.id)]


async def test_a_cycle_is_refused_with_its_path(database: Database, admin: Actor) -> None:
    def work(db: Connection) -> JobView:
        add_job(db, admin, "a", schedule=None)
        after(db, admin, "b", "a")
        after(db, admin, "c", "b")
        return jobs.show(db, admin, "a")

    job = await database.write(work)
    patch = JobPatch(version=job.version, changes={"after": ["c"]})

    with pytest.raises(Invalid, match="'a' would wait for itself: a -> b -> c -> a") as refused:
        await database.write(lambda db: jobs.edit(db, admin, "a", patch, NOON))

    assert refused.value.field == "after"
    assert await database.read(lambda db: jobs.show(db, admin, "a").spec.after) == ()


async def test_a_job_after_itself_or_after_nobody_is_refused(database: Database, ada: Actor, admin: Actor) -> None:
    await database.write(lambda db: add_job(db, admin, "hidden"))
    await database.write(lambda db: add_job(db, ada, "a", schedule=None, user="ada"))
    patch = JobPatch(version=1, changes={"after": ["a"]})

    with pytest.raises(Invalid, match="a -> a"):
        await database.write(lambda db: jobs.edit(db, ada, "a", patch, NOON))
    with pytest.raises(Invalid, match="there is no job 'nobody' to run after"):
        await database.write(lambda db: after(db, ada, "b", "nobody", user="ada"))
    with pytest.raises(Invalid, match="there is no job 'hidden' to run after"):
        await database.write(lambda db: after(db, ada, "b", "hidden", user="ada"))


def test_a_job_has_a_schedule_or_runs_after_others() -> None:
    with pytest.raises(ValidationError, match="has no schedule of its own"):
        job_spec("b", schedule="* * * * *", after=("a",))


async def test_a_job_that_others_run_after_is_not_deleted_before_them(database: Database, admin: Actor) -> None:
    def work(db: Connection) -> None:
        add_job(db, admin, "a")
        after(db, admin, "b", "a")

    await database.write(work)

    with pytest.raises(Conflict, match="b run after 'a'"):
        await database.write(lambda db: jobs.delete(db, admin, "a", NOON))
    await database.write(lambda db: jobs.delete(db, admin, "b", NOON))
    await database.write(lambda db: jobs.delete(db, admin, "a", NOON))


async def test_an_edit_takes_a_job_out_of_its_graph(database: Database, admin: Actor) -> None:
    def work(db: Connection) -> dict[str, str]:
        root = add_job(db, admin, "a")
        after(db, admin, "b", "a")
        jobs.edit(db, admin, "b", JobPatch(version=1, changes={"after": []}), NOON)
        fire(db, root, FIRE)
        finish(db, "a")
        return told(db)

    assert await database.write(work) == {"a": "succeeded ok"}


async def test_a_run_that_comes_up_may_replace_the_one_before(database: Database, admin: Actor) -> None:
    def work(db: Connection) -> list[Any]:
        root = add_job(db, admin, "a")
        after(db, admin, "b", "a", concurrency="replace")
        after(db, admin, "c", "b", trigger_rule="all_done")
        for minute in range(2):
            fire(db, root, FIRE + minute * MINUTE)
            finish(db, "a")
        return [(row.state, row.outcome, row.fire_at) for row in rows(db, "executions") if row.trigger == "dependency"]

    found = await database.write(work)

    assert found == [
        ("cancelled", "superseded", FIRE),
        ("queued", None, FIRE + MINUTE),
        ("queued", None, FIRE),
    ]
    assert await database.read(recount) == []


async def test_explain_tells_what_a_job_waits_for_and_why_it_did_not_run(database: Database, admin: Actor) -> None:
    def work(db: Connection) -> list[str]:
        def verdict(name: str) -> str:
            return explain.explain(db, admin, name, FIRE, LATER).verdict

        def latest(name: str) -> str:
            return explain.explain(db, admin, name, None, LATER).verdict

        diamond(db, admin)
        finish(db, "a")
        finish(db, "b")
        seen = [verdict("d"), latest("d")]
        finish(db, "c", code=1)
        return [*seen, verdict("d"), latest("d"), *explain.explain(db, admin, "d", FIRE, LATER).reasons]

    found = await database.write(work)

    assert found[:4] == [
        "waits for c of the run set of 2026-05-04 12:01:00 UTC",
        "waits for c of the run set of 2026-05-04 12:01:00 UTC",
        "did not run: upstream c failed",
        "of the run set of 2026-05-04 12:01:00 UTC: did not run: upstream c failed",
    ]
    assert "runs after b, c (rule all_success)" in found


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_of_two_ends_written_at_once_the_second_brings_the_job_up(database: Database, admin: Actor) -> None:
    def begin(db: Connection, minute: int) -> tuple[int, int]:
        for name in "ab":
            fire(db, jobs.show(db, admin, name), FIRE + minute * MINUTE)
        return number(db, "a"), number(db, "b")

    def make(db: Connection) -> None:
        add_job(db, admin, "a")
        add_job(db, admin, "b")
        after(db, admin, "c", "a", "b", concurrency="allow")

    await database.write(make)
    for minute in range(20):
        both = await database.write(lambda db, minute=minute: begin(db, minute))  # type: ignore[misc]  # mypy cannot type the default
        await asyncio.gather(*(database.write(lambda db, one=one: end(db, one)) for one in both))  # type: ignore[misc]  # the same

    made = await database.read(
        lambda db: [row.fire_at for row in rows(db, "executions") if row.trigger == "dependency"]
    )
    assert made == [FIRE + minute * MINUTE for minute in range(20)]


async def test_a_graph_shows_all_that_is_tied_and_nothing_of_others(
    database: Database, ada: Actor, admin: Actor
) -> None:
    def work(db: Connection) -> str:
        diamond(db, admin)
        finish(db, "a", code=1)
        add_job(db, ada, "mine", user="ada")
        after(db, admin, "theirs", "mine")
        return jobs.show(db, ada, "mine").id

    mine = await database.write(work)
    whole = await database.read(lambda db: dependencies.graph(db, admin, jobs.show(db, admin, "c").id))
    seen = await database.read(lambda db: dependencies.graph(db, ada, mine))

    assert [node.name for node in whole.nodes] == ["a", "b", "c", "d"]
    assert [node.state for node in whole.nodes] == [
        "failed",
        "blocked",
        "blocked",
        "blocked",
    ]  # of those behind it none began
    assert len(whole.edges) == 4
    assert ([node.name for node in seen.nodes], seen.edges) == (["mine"], ())


async def test_what_starts_with_an_upstream_prepared_ahead_is_held_until_the_instant(
    database: Database, admin: Actor
) -> None:
    early = FIRE - SECOND / 2

    def work(db: Connection) -> list[runs.Start]:
        job = add_job(db, admin, "a")
        after(db, admin, "b", "a", trigger_rule="always")
        due = fires.Due(job.id, 1, job.spec.concurrency, (FIRE,), (), Trigger.SCHEDULE, FIRE, None, ahead=True)
        runs.fire(db, [due], now=early, holder=HOLDER, free=9)
        return runs.start_waiting(db, now=early, holder=HOLDER, free=9).starts

    (start,) = await database.write(work)

    assert (start.spec["name"], start.not_before) == ("b", FIRE)


async def test_a_run_that_gives_way_while_it_waits_tells_when_those_behind_it_start(
    database: Database, admin: Actor
) -> None:
    def work(db: Connection) -> runs.Fired:
        root = add_job(db, admin, "a", concurrency="replace")
        after(db, admin, "b", "a", trigger_rule="all_done", not_before="12:30")
        fire(db, root, FIRE)
        fire(db, root, FIRE + MINUTE)
        return fire(db, root, FIRE + 2 * MINUTE)

    fired = await database.write(work)
    waiting = (await database.read(lambda db: rows(db, "executions")))[-1]

    assert waiting.start_after > NOON
    assert waiting.start_after in fired.later


async def test_an_attempt_that_could_not_begin_in_time_tells_what_gives_way_behind_it(
    database: Database, admin: Actor
) -> None:
    retry = {"attempts": 1, "delay_ms": 1000, "until_ms": 30_000}

    def work(db: Connection) -> tuple[runs.Begun, int]:
        root = add_job(db, admin, "a", schedule="1 * * * *", retry=retry)
        after(db, admin, "b", "a", trigger_rule="all_done", concurrency="replace")
        begun = runs.request(db, admin, "b", "", now=FIRE, holder=HOLDER, free=9)[1]
        fire(db, root, FIRE)
        end(db, number(db, "a"), at=FIRE + SECOND, exit_code=1)
        return runs.start_waiting(db, now=LATER + MINUTE, holder=HOLDER, free=9), begun.starts[0].execution_id

    begun, replaced = await database.write(work)

    assert [stop.execution_id for stop in begun.stops] == [replaced]
