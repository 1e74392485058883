"""Runs beside others, on both databases: queued, replaced, skipped and started as job and pool say, with the reason."""

import asyncio
from datetime import timedelta

import pytest

from scheduler_daemon.contract.jobs import JobPatch
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.contract.pools import PoolPut
from scheduler_daemon.domain.errors import Conflict, Invalid, NotAllowed, NotFound
from scheduler_daemon.services import fires, jobs, pools, runs
from scheduler_daemon.services.explain import explain
from scheduler_daemon.storage import executions
from scheduler_daemon.storage.session import Database
from tests.support.world import HOLDER, MINUTE, NOON, SECOND, add_job, end, fire, recount, rows, states

FIRST = NOON + MINUTE
TOO_MANY = "as many runs are active as may be at once"


async def made(database: Database, admin: Actor, name: str = "job", **fields):
    return await database.write(lambda db: add_job(db, admin, name, **fields))


async def fired(database: Database, job, *numbers: int, free: int = 100):
    """Let these minutes come, one after the other."""
    found = []
    for number in numbers:
        instant = NOON + number * MINUTE
        found.append(await database.write(lambda db, instant=instant: fire(db, job, instant, free=free)))
    return found[-1]


async def served(database: Database, free: int = 100, now=FIRST) -> list[int]:
    starts = await database.write(lambda db: runs.start_waiting(db, now=now, holder=HOLDER, free=free).starts)
    return [start.execution_id for start in starts]


async def story(database: Database) -> list[tuple[str, str | None, str]]:
    found = await database.read(lambda db: rows(db, "executions"))
    return [(row.state, row.outcome, row.reason) for row in found]


async def put(database: Database, admin: Actor, name: str, slots: int) -> None:
    await database.write(lambda db: pools.put(db, admin, name, PoolPut(slots=slots), NOON))


async def verdict(database: Database, admin: Actor, job, number: int) -> str:
    at = NOON + number * MINUTE
    return (await database.read(lambda db: explain(db, admin, job.id, at, at + SECOND))).verdict


async def test_queue_one_keeps_the_first_and_starts_it_at_the_end_of_the_run(database, admin) -> None:
    job = await made(database, admin, concurrency="queue_one")

    first = await fired(database, job, 1)
    await fired(database, job, 2, 3)
    too_early = await served(database)
    waiting = await verdict(database, admin, job, 2)
    await database.write(lambda db: end(db, first.starts[0].execution_id))

    assert too_early == []
    assert await served(database) == [2]
    assert waiting == "waits: an earlier run of this job is still active"
    assert await story(database) == [
        ("succeeded", "ok", ""),
        ("starting", None, ""),
        ("skipped", "overlap", "a run of this job waits already, and the job keeps the first"),
    ]
    told = await verdict(database, admin, job, 3)
    assert told == "skipped: a run of this job waits already, and the job keeps the first"
    assert await database.read(recount) == []


async def test_queue_all_keeps_as_many_as_the_job_says_in_their_order(database, admin) -> None:
    job = await made(database, admin, concurrency="queue_all", queue_limit=2)

    await fired(database, job, 1, 2, 3, 4)
    order = []
    for run in (1, 2, 3):
        await database.write(lambda db, run=run: end(db, run))
        order.append(await served(database))

    assert order == [[2], [3], []]
    assert [state for state, _, _ in await story(database)] == ["succeeded"] * 3 + ["skipped"]
    assert "as many runs of this job wait as it lets wait (2 of 2)" in (await story(database))[3]
    assert await database.read(recount) == []


async def test_a_queue_of_several_at_once_never_runs_more(database, admin) -> None:
    job = await made(database, admin, concurrency="queue_all", concurrency_limit=2)

    begun = await database.write(lambda db: fire(db, job, *(NOON + number * MINUTE for number in range(1, 6))))
    await database.write(lambda db: end(db, 1, 2))

    assert [start.execution_id for start in begun.starts] == [1, 2]
    assert await served(database) == [3, 4]
    assert await served(database) == []


async def test_allow_has_a_bound(database, admin) -> None:
    job = await made(database, admin, concurrency="allow", concurrency_limit=2)

    await fired(database, job, 1, 2, 3)

    assert (await story(database))[1:] == [
        ("starting", None, ""),
        ("skipped", "overlap", "as many runs of this job are active as it allows at once (2 of 2)"),
    ]


async def test_what_is_replaced_is_stopped_and_the_new_run_waits_for_its_end(database, admin) -> None:
    job = await made(database, admin, concurrency="replace", grace_ms=700)
    await fired(database, job, 1)

    second = await fired(database, job, 2)
    too_early = await served(database)
    before = await story(database)
    await database.write(lambda db: end(db, 1, signal=15, killed_by="cancel"))

    assert [(stop.execution_id, stop.reason, stop.grace) for stop in second.stops] == [
        (1, "replaced by run 2", timedelta(milliseconds=700))
    ]
    assert (second.starts, second.waits, too_early) == ([], True, [])
    assert before[1] == ("queued", None, "waits: the run it replaces is being stopped")
    assert await served(database) == [2]
    assert await story(database) == [("cancelled", "superseded", "replaced by run 2"), ("starting", None, "")]
    assert await database.read(recount) == []


async def test_a_run_that_ends_by_itself_before_it_is_stopped_keeps_its_own_end(database, admin) -> None:
    job = await made(database, admin, concurrency="replace")
    await fired(database, job, 1, 2)

    await database.write(lambda db: end(db, 1))

    assert (await story(database))[0] == ("succeeded", "ok", "")


async def test_a_replacing_run_that_still_waits_is_itself_replaced_and_never_runs(database, admin) -> None:
    job = await made(database, admin, concurrency="replace")

    await fired(database, job, 1, 2)
    third = await fired(database, job, 3)
    await database.write(lambda db: end(db, 1, signal=9, killed_by="cancel"))

    assert third.stops == []  # the first was told already
    assert await served(database) == [3]
    assert await story(database) == [
        ("cancelled", "superseded", "replaced by run 2"),
        ("cancelled", "superseded", "replaced by run 3"),
        ("starting", None, ""),
    ]
    assert await verdict(database, admin, job, 2) == "did not run: replaced by run 3"
    assert await database.read(recount) == []


async def test_of_several_fires_at_once_the_last_replaces_the_others(database, admin) -> None:
    job = await made(database, admin, concurrency="replace")
    instants = [NOON + number * MINUTE for number in (1, 2, 3)]

    begun = await database.write(lambda db: fire(db, job, *instants, free=1))

    assert [start.execution_id for start in begun.starts] == [3]
    assert [(state, outcome) for state, outcome, _ in await story(database)] == [
        ("skipped", "superseded"), ("skipped", "superseded"), ("starting", None),
    ]  # fmt: skip
    assert (await story(database))[0][2] == "replaced by the run for 2026-05-04 12:02:00 UTC before it began"
    assert await database.read(recount) == []


async def test_a_user_who_cancelled_first_is_named_and_not_the_run_that_replaces(database, admin) -> None:
    job = await made(database, admin, concurrency="replace")
    await fired(database, job, 1)
    await database.write(lambda db: runs.cancel(db, admin, 1, "mine", FIRST))

    second = await fired(database, job, 2)
    await database.write(lambda db: end(db, 1, signal=15, killed_by="cancel"))

    assert second.stops == []
    assert (await story(database))[0] == ("cancelled", "cancelled", "cancelled by root: mine")


async def test_runs_by_hand_obey_the_policy(database, admin) -> None:
    def request(db):
        return runs.request(db, admin, "job", "a whim", now=FIRST + SECOND, holder=HOLDER, free=10)

    job = await made(database, admin, concurrency="queue_one")
    await fired(database, job, 1)

    view, begun = await database.write(request)
    with pytest.raises(Conflict, match="'job' cannot run now: a run of this job waits already, and the job keeps the"):
        await database.write(request)
    await database.write(lambda db: end(db, 1))

    assert (view.state, view.reason) == ("queued", "a whim; waits: an earlier run of this job is still active")
    assert (begun.starts, begun.waits) == ([], True)
    assert await served(database) == [view.id]
    assert (await story(database))[1] == ("starting", None, "a whim")


async def test_a_run_by_hand_replaces(database, admin) -> None:
    job = await made(database, admin, concurrency="replace")
    await fired(database, job, 1)

    view, begun = await database.write(
        lambda db: runs.request(db, admin, "job", "", now=FIRST + SECOND, holder=HOLDER, free=10)
    )

    assert [(stop.execution_id, stop.reason) for stop in begun.stops] == [(1, f"replaced by run {view.id}")]


async def test_a_full_pool_makes_runs_of_several_jobs_wait(database, admin) -> None:
    await put(database, admin, "db", 2)
    made_jobs = [await made(database, admin, name, pool="db") for name in "abc"]

    for job in made_jobs:
        await fired(database, job, 1)
    waiting = await verdict(database, admin, made_jobs[2], 1)
    seen = await database.read(lambda db: pools.show(db, admin, "db"))
    too_early = await served(database)
    await database.write(lambda db: end(db, 1))

    assert waiting == "waits: pool db is full (2 of 2)"
    assert (seen.slots, seen.running, seen.waiting, seen.used_by) == (2, 2, 1, ("a", "b", "c"))
    assert too_early == []
    assert await served(database) == [3]
    assert await database.read(recount) == []


async def test_a_slot_goes_to_the_highest_priority_and_age_counts(database, admin) -> None:
    await put(database, admin, "db", 1)
    for number, (name, priority) in enumerate([("running", 5), ("low", 1), ("high", 9), ("late", 9)]):
        job = await made(database, admin, name, pool="db", priority=priority)
        await fired(database, job, 1 if name != "late" else 10)
        assert number + 1 == len(await database.read(states))

    order = []
    for run in (1, 3, 2):
        await database.write(lambda db, run=run: end(db, run))
        order += await served(database)

    assert order == [3, 2, 4]  # `late` has nine minutes less than `low`, and only eight more of priority


async def test_a_full_pool_holds_nobody_else_back(database, admin) -> None:
    await put(database, admin, "db", 0)
    for number in range(5):
        job = await made(database, admin, f"in {number}", pool="db")
        await fired(database, job, 1)
    outside = await made(database, admin, "outside")
    await fired(database, outside, 1, free=0)

    assert await served(database, free=2) == [6]


async def test_one_job_with_many_waiting_runs_holds_nobody_else_back(database, admin) -> None:
    busy = await made(database, admin, "busy", concurrency="queue_all")
    await fired(database, busy, *range(1, 8), free=0)
    other = await made(database, admin, "other")
    await fired(database, other, 9, free=0)

    assert await served(database, free=3) == [1, 8]


async def test_a_run_does_not_overtake_those_that_wait_for_the_same_pool(database, admin) -> None:
    await put(database, admin, "db", 1)
    first, second, third = [await made(database, admin, name, pool="db") for name in "abc"]
    await fired(database, first, 1)
    await fired(database, second, 1)
    await database.write(lambda db: end(db, 1))

    begun = await fired(database, third, 2)

    assert (begun.starts, begun.waits) == ([], True)
    assert (await story(database))[2][2] == "waits: its turn in pool db (1 before it)"
    assert await served(database) == [2]


async def test_more_slots_let_more_start_and_fewer_stop_nobody(database, admin) -> None:
    await put(database, admin, "db", 1)
    for name in "abc":
        await fired(database, await made(database, admin, name, pool="db"), 1)

    await put(database, admin, "db", 3)
    more = await served(database)
    await put(database, admin, "db", 1)
    seen = await database.read(lambda db: pools.show(db, admin, "db"))

    assert more == [2, 3]
    assert (seen.slots, seen.running) == (1, 3)


async def test_a_run_without_room_says_so(database, admin) -> None:
    job = await made(database, admin)

    await fired(database, job, 1, free=0)

    assert await story(database) == [("queued", None, f"waits: {TOO_MANY}")]
    assert await verdict(database, admin, job, 1) == f"waits: {TOO_MANY}"


async def test_what_is_to_come_is_not_decided_ahead_where_it_depends_on_others(database, admin) -> None:
    await put(database, admin, "db", 1)
    in_pool, replacing = await made(database, admin, "a", pool="db"), await made(database, admin, concurrency="replace")
    ahead = {"now": FIRST - SECOND / 2, "holder": HOLDER, "free": 10}

    def due(job, instant):
        return fires.Due(
            job.id, 1, job.spec.concurrency, (instant,), (), runs.Trigger.SCHEDULE, instant, None, ahead=True
        )

    first = await database.write(lambda db: runs.fire(db, [due(in_pool, FIRST), due(replacing, FIRST)], **ahead))
    other = await made(database, admin, "b", pool="db")
    second = await database.write(
        lambda db: runs.fire(db, [due(other, FIRST), due(replacing, FIRST + MINUTE)], **ahead)
    )

    assert [start.not_before for start in first.starts] == [FIRST, FIRST]
    assert (second.starts, second.stops, second.undecided) == ([], [], [other.id, replacing.id])


async def test_pools_are_kept_seen_and_deleted_only_when_nobody_names_them(database, admin, ada, vic) -> None:
    await database.write(lambda db: pools.put(db, ada, "hers", PoolPut(slots=3), NOON))
    job = await database.write(lambda db: add_job(db, ada, user="ada", pool="hers"))

    with pytest.raises(NotAllowed):
        await database.write(lambda db: pools.put(db, vic, "hers", PoolPut(slots=1), NOON))
    with pytest.raises(Conflict, match="pool 'hers' is used by 'job'"):
        await database.write(lambda db: pools.delete(db, ada, "hers", NOON))
    patch = JobPatch(version=1, changes={"pool": None})
    await database.write(lambda db: jobs.edit(db, ada, job.id, patch, NOON))
    await database.write(lambda db: pools.delete(db, ada, "hers", NOON))

    assert await database.read(lambda db: pools.page(db, vic)) == []
    with pytest.raises(NotFound, match="no pool 'hers'"):
        await database.read(lambda db: pools.show(db, ada, "hers"))


async def test_a_pool_that_is_not_there_is_refused_at_save(database, admin) -> None:
    job = await made(database, admin)
    patch = JobPatch(version=1, changes={"pool": "typo"})

    with pytest.raises(Invalid, match="no pool 'typo'; make it with `chronos pool set typo SLOTS`"):
        await made(database, admin, "other", pool="typo")
    with pytest.raises(Invalid, match="no pool 'typo'"):
        await database.write(lambda db: jobs.edit(db, admin, job.id, patch, NOON))


async def test_a_limit_that_a_policy_cannot_mean_is_refused(database, admin) -> None:
    job = await made(database, admin)
    patch = JobPatch(version=1, changes={"concurrency": "replace", "concurrency_limit": 2})

    with pytest.raises(Invalid, match="concurrency_limit says how many may run at once, and replace lets one"):
        await database.write(lambda db: jobs.edit(db, admin, job.id, patch, NOON))


async def test_a_policy_that_lets_one_run_takes_the_limit_of_the_one_before_out(database, admin) -> None:
    job = await made(database, admin, concurrency="queue_all", concurrency_limit=3)

    patch = JobPatch(version=1, changes={"concurrency": "replace"})
    edited = await database.write(lambda db: jobs.edit(db, admin, job.id, patch, NOON))

    assert (edited.spec.concurrency, edited.spec.concurrency_limit) == ("replace", None)


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
@pytest.mark.parametrize("pool", [None, "db"])
async def test_daemons_that_serve_at_once_start_each_run_once_and_keep_every_bound(database, admin, pool) -> None:
    await put(database, admin, "db", 3)
    queues = [await made(database, admin, f"q{number}", concurrency="queue_all", pool=pool) for number in range(8)]
    for job in queues:
        await fired(database, job, *range(1, 6), free=0)

    started: list[int] = []
    while waiting := [row for row in await database.read(lambda db: rows(db, "executions")) if row.state == "queued"]:
        found = await asyncio.gather(*(served(database, free=7) for _ in range(6)))
        begun = [run for part in found for run in part]
        standing = await database.read(executions.active)
        running = [row for row in standing if row.state == "starting"]
        assert begun, waiting
        assert all(sum(row.job_id == job.id for row in running) <= 1 for job in queues)
        assert sum(row.pool == "db" for row in running) <= 3
        started += begun
        await database.write(lambda db, begun=begun: end(db, *begun))

    assert sorted(started) == list(range(1, 41))
    assert await database.read(recount) == []


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_daemons_that_fire_at_once_share_the_slots_of_a_pool(database, admin) -> None:
    await put(database, admin, "db", 3)
    eight = [await made(database, admin, f"p{number}", pool="db") for number in range(8)]

    await asyncio.gather(*(fired(database, job, 1) for job in eight))

    assert sorted(state for state, _ in await database.read(states)) == ["queued"] * 5 + ["starting"] * 3


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_daemons_that_replace_at_once_leave_one_run(database, admin) -> None:
    job = await made(database, admin, concurrency="replace")
    await fired(database, job, 1)

    def request(db):
        return runs.request(db, admin, "job", "", now=FIRST + SECOND, holder=HOLDER, free=10)

    await asyncio.gather(*(database.write(request) for _ in range(6)))
    await database.write(lambda db: end(db, 1, signal=15, killed_by="cancel"))
    started = await served(database)

    found = [(state, outcome) for state, outcome, _ in await story(database)]
    assert len(started) == 1
    assert sorted(found) == [("cancelled", "superseded")] * 6 + [("starting", None)]
    assert await database.read(recount) == []
