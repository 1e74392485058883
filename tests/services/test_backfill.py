"""Backfills on both databases: what is listed, queued, started in turn, kept apart from the record, and withdrawn."""

from datetime import timedelta
from typing import Any

import pytest

from scheduler_daemon.contract.backfills import BackfillRequest
from scheduler_daemon.contract.executions import State
from scheduler_daemon.contract.retry import Retry
from scheduler_daemon.domain.errors import Invalid, NotFound
from scheduler_daemon.services import backfill, jobs, runs
from scheduler_daemon.services.explain import explain
from scheduler_daemon.storage.tables import metadata
from tests.support.world import HOLDER, MINUTE, NOON, SECOND, add_job, end, fire, recount, rows, states

LATER = NOON + timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)


def minutes(*numbers: int) -> list[Any]:
    return [NOON + number * MINUTE for number in numbers]


def wanted(first: int, last: int, **fields: Any) -> BackfillRequest:
    start, end_ = minutes(first, last)
    return BackfillRequest.model_validate({"from": start, "to": end_, **fields})


async def made(database, actor, name="job", **fields):
    return await database.write(lambda db: add_job(db, actor, name, **fields))


async def begun(database, actor, job, request, now=LATER):
    return await database.write(lambda db: backfill.begin(db, actor, job.name, request, now=now, holder=HOLDER))


async def served(database, now=LATER, free=100) -> list[Any]:
    return await database.write(lambda db: runs.start_waiting(db, now=now, holder=HOLDER, free=free).starts)


async def table(database) -> list[Any]:
    return await database.read(lambda db: rows(db, "executions"))


async def handled(database, job, number: int) -> None:
    """Let the clock have decided on everything up to a minute, with nothing recorded of it."""
    found = metadata.tables["job_states"]
    await database.write(lambda db: db.execute(found.update().values(last_handled=NOON + number * MINUTE)))


async def test_a_dry_run_lists_what_did_not_run_and_names_what_did(database, admin) -> None:
    job = await made(database, admin)
    first = await database.write(lambda db: fire(db, job, *minutes(1)))
    await database.write(lambda db: end(db, first.starts[0].execution_id))
    await database.write(lambda db: fire(db, job, *minutes(4), missed=minutes(2, 3)))

    found = await database.read(lambda db: backfill.preview(db, admin, "job", wanted(0, 5, dry_run=True), LATER))

    assert list(found.fires) == minutes(0, 2, 3)
    assert [(each.at, each.why, each.run) for each in found.left_out] == [
        (minutes(1)[0], "it ran and succeeded", 1),
        (minutes(4)[0], "its run is starting", 4),
        (minutes(5)[0], "the clock has not decided on it yet", None),
    ]
    assert len(await table(database)) == 4


async def test_what_is_recorded_of_an_instant_stays_and_explains_it(database, admin) -> None:
    job = await made(database, admin)
    await database.write(lambda db: fire(db, job, missed=minutes(1)))
    before = (await table(database))[0]

    answer, _ = await begun(database, admin, job, wanted(1, 1, reason="lost in the outage"))
    starts = await served(database)
    await database.write(lambda db: end(db, starts[0].execution_id))

    after, filled = await table(database)
    assert after == before
    assert (filled.id, filled.trigger, filled.state) == (answer.runs[0], "backfill", "succeeded")
    assert filled.fire_at == minutes(1)[0] + MICROSECOND
    assert filled.reason == ""
    told = await database.read(lambda db: explain(db, admin, "job", minutes(1)[0], LATER))
    assert told.execution is not None
    assert told.execution.state is State.MISSED
    assert await database.read(recount) == []


async def test_a_run_is_told_the_fire_it_is_for(database, admin) -> None:
    from scheduler_daemon.engine.launch import request_for

    job = await made(database, admin, env={"CHRONOS_FIRE_AT": "mine"})
    await handled(database, job, 5)
    await begun(database, admin, job, wanted(3, 3))

    (start,) = await served(database)

    assert request_for(start, LATER).env["CHRONOS_FIRE_AT"] == "2026-05-04T12:03:00Z"


@pytest.mark.parametrize(
    ("fields", "request_", "expected"),
    [
        ({}, {}, 1),
        ({"concurrency": "replace"}, {"at_once": 9}, 1),
        ({"concurrency": "allow"}, {}, 1),
        ({"concurrency": "allow"}, {"at_once": 3}, 3),
        ({"concurrency": "allow", "concurrency_limit": 2}, {"at_once": 3}, 2),
        ({"concurrency": "queue_one"}, {}, 1),
        ({"concurrency": "queue_all"}, {}, 1),
    ],
)
async def test_they_begin_in_their_order_as_many_at_once_as_asked_and_allowed(
    database, admin, fields, request_, expected
) -> None:
    job = await made(database, admin, **fields)
    await handled(database, job, 9)
    await begun(database, admin, job, wanted(1, 5, **request_))
    order: list[list[int]] = []

    while found := [start.execution_id for start in await served(database)]:
        order.append(found)
        await database.write(lambda db, found=found: end(db, *found))

    assert [len(each) for each in order[:-1]] == [expected] * (len(order) - 1)
    assert [number for each in order for number in each] == [1, 2, 3, 4, 5]
    assert await database.read(recount) == []


@pytest.mark.parametrize("concurrency", ["forbid", "replace", "queue_one", "queue_all", "allow"])
async def test_a_fire_starts_at_once_beside_backfilled_runs_that_wait(database, admin, concurrency) -> None:
    job = await made(database, admin, concurrency=concurrency)
    await handled(database, job, 9)
    await begun(database, admin, job, wanted(1, 3))

    fired = await database.write(lambda db: fire(db, job, *minutes(10)))

    assert [start.fire_at for start in fired.starts] == minutes(10)
    assert await database.read(states) == [("queued", None)] * 3 + [("starting", None)]
    await served(database)
    assert (await database.read(states))[:3] == [("queued", None)] * 3


@pytest.mark.parametrize(
    ("concurrency", "expected"), [("forbid", "skipped"), ("queue_one", "queued"), ("queue_all", "queued")]
)
async def test_a_backfilled_run_that_has_begun_counts_like_any_other(database, admin, concurrency, expected) -> None:
    job = await made(database, admin, concurrency=concurrency)
    await handled(database, job, 9)
    await begun(database, admin, job, wanted(1, 2))
    await served(database)

    await database.write(lambda db: fire(db, job, *minutes(10)))

    assert [row.state for row in await table(database)] == ["starting", "queued", expected]


async def test_runs_of_others_go_first_for_a_slot_of_the_pool_though_they_came_later(database, admin) -> None:
    from scheduler_daemon.contract.pools import PoolPut
    from scheduler_daemon.services import pools

    await database.write(lambda db: pools.put(db, admin, "db", PoolPut(slots=0), NOON))
    past = await made(database, admin, "past", pool="db", priority=9)
    now = await made(database, admin, "now", pool="db", priority=0)
    await handled(database, past, 9)
    await begun(database, admin, past, wanted(1, 2), now=NOON + 9 * MINUTE)
    await database.write(lambda db: fire(db, now, *minutes(300)))
    await database.write(lambda db: pools.put(db, admin, "db", PoolPut(slots=1), NOON))

    starts = await served(database, now=minutes(301)[0])

    assert [start.job_id for start in starts] == [now.id]


async def test_more_than_are_asked_for_are_refused_with_their_number(database, admin) -> None:
    job = await made(database, admin)
    await handled(database, job, 59)

    with pytest.raises(Invalid, match="59 fires of the range did not run, and at most 50"):
        await begun(database, admin, job, wanted(1, 59, limit=50))

    assert await table(database) == []


async def test_a_second_backfill_leaves_out_what_the_first_will_run(database, admin) -> None:
    job = await made(database, admin)
    await handled(database, job, 9)
    await begun(database, admin, job, wanted(1, 2))

    answer, _ = await begun(database, admin, job, wanted(1, 3))

    assert list(answer.fires) == minutes(3)
    assert [each.why for each in answer.left_out] == ["its run is queued"] * 2


async def test_a_fire_whose_backfilled_run_was_withdrawn_is_backfilled_anew(database, admin) -> None:
    job = await made(database, admin)
    await handled(database, job, 9)
    await begun(database, admin, job, wanted(1, 1))
    await database.write(lambda db: backfill.cancel(db, admin, "job", "", LATER))

    answer, _ = await begun(database, admin, job, wanted(1, 1))

    assert list(answer.fires) == minutes(1)
    assert (await table(database))[1].fire_at == minutes(1)[0] + 2 * MICROSECOND


async def test_a_backfill_is_cancelled_as_a_whole_and_nothing_else_with_it(database, admin) -> None:
    job = await made(database, admin, concurrency="allow")
    await handled(database, job, 9)
    await begun(database, admin, job, wanted(1, 4))
    await served(database)
    await database.write(lambda db: fire(db, job, *minutes(10)))

    done = await database.write(lambda db: backfill.cancel(db, admin, "job", "wrong range", LATER))

    assert (done.withdrawn, done.stopped) == ((2, 3, 4), (1,))
    found = await table(database)
    assert [row.state for row in found] == ["starting", "cancelled", "cancelled", "cancelled", "starting"]
    assert found[1].reason == "cancelled by root: wrong range"
    assert found[0].cancel_actor == "root"
    assert found[4].cancel_actor is None
    acts = [(row.verb, row.detail) for row in await database.read(lambda db: rows(db, "audit"))]
    assert [verb for verb, _ in acts][-2:] == ["job.backfill", "job.backfill.cancel"]
    assert acts[-1][1] == {"withdrawn": 3, "stopped": 1, "reason": "wrong range"}
    assert await database.read(recount) == []


async def test_the_waiting_runs_end_with_their_job(database, admin) -> None:
    job = await made(database, admin)
    await handled(database, job, 9)
    await begun(database, admin, job, wanted(1, 3))
    await served(database)

    await database.write(lambda db: jobs.delete(db, admin, "job", LATER))

    assert await database.read(states) == [("starting", None)] + [("cancelled", "deleted")] * 2
    assert await database.read(recount) == []


async def test_a_retry_of_a_backfilled_run_does_not_give_way_to_a_fire(database, admin) -> None:
    job = await made(database, admin, retry=Retry(attempts=1))
    await handled(database, job, 9)
    await begun(database, admin, job, wanted(1, 1))
    await served(database)
    await database.write(lambda db: end(db, 1, at=LATER, exit_code=1))

    fired = await database.write(lambda db: fire(db, job, LATER + MINUTE))

    assert len(fired.starts) == 1
    assert [row.state for row in await table(database)] == ["failed", "queued", "starting"]
    assert await database.read(recount) == []


async def test_what_never_fires_by_the_clock_or_is_still_to_come_is_refused(database, admin) -> None:
    asked = await made(database, admin, "asked", schedule=None)
    job = await made(database, admin)

    with pytest.raises(Invalid, match="'asked' has no schedule"):
        await begun(database, admin, asked, wanted(1, 2))
    with pytest.raises(Invalid, match="is still to come"):
        await begun(database, admin, job, wanted(1, 2), now=NOON + MINUTE + SECOND)


async def test_who_may_not_see_a_job_backfills_nothing_of_it(database, admin, vic) -> None:
    job = await made(database, admin)

    with pytest.raises(NotFound):
        await begun(database, vic, job, wanted(1, 2))
    with pytest.raises(NotFound):
        await database.write(lambda db: backfill.cancel(db, vic, "job", "", LATER))
