"""What becomes of a run beside others: every cell of policy, active runs and room; turns that starve nobody."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler_daemon.domain.concurrency import (
    Admission,
    PoolRoom,
    Waiter,
    choose,
    decide,
    policy_of,
    turn,
    waits_for,
    with_wait,
    without_wait,
)

# Rows: 0, 1, 2 runs have begun; columns: 0, 1, 2 runs wait. S starts, w waits, x is skipped; r replaces what waits and
# starts, R replaces what has begun too and waits for its end.
TABLES = {
    ("forbid", None, 100): "Sxx xxx xxx",
    ("allow", None, 100): "SSS SSS SSS",
    ("allow", 1, 100): "Sxx xxx xxx",
    ("allow", 2, 100): "SSx Sxx xxx",
    ("replace", None, 100): "Srr RRR RRR",
    ("queue_one", None, 100): "Sxx wxx wxx",
    ("queue_one", 2, 100): "SSx Sxx wxx",
    ("queue_all", None, 1): "Sxx wxx wxx",
    ("queue_all", None, 2): "Swx wwx wwx",
    ("queue_all", 2, 2): "SSx Swx wwx",
}
CELLS = [
    (policy, running, waiting, cell)
    for policy, table in TABLES.items()
    for running, line in enumerate(table.split())
    for waiting, cell in enumerate(line)
]
ROOMS = {
    "room": (1, None, ""),
    "no room": (0, None, "waits: as many runs are active as may be at once"),
    "a free slot": (1, PoolRoom("db", 4, 3, 0), ""),
    "a full pool": (1, PoolRoom("db", 4, 4, 2), "waits: pool db is full (4 of 4)"),
    "a shrunk pool": (1, PoolRoom("db", 1, 4, 0), "waits: pool db is full (4 of 1)"),
    "a closed pool": (1, PoolRoom("db", 0, 0, 0), "waits: pool db is full (0 of 0)"),
    "others before it": (1, PoolRoom("db", 4, 3, 2), "waits: its turn in pool db (2 before it)"),
    "a free slot and no room": (0, PoolRoom("db", 4, 3, 0), "waits: as many runs are active as may be at once"),
}
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def policy(kind: str, limit: int | None = None, queue: int = 100):
    return policy_of({"concurrency": kind, "concurrency_limit": limit, "queue_limit": queue})


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize(("said", "running", "waiting", "cell"), CELLS)
def test_every_cell_is_as_the_table_says(said, running: int, waiting: int, cell: str, room: str) -> None:
    free, pool, held = ROOMS[room]

    decision = decide(policy(*said), running, waiting, free, pool)

    expected = {"S": Admission.START, "r": Admission.START, "x": Admission.SKIP}.get(cell, Admission.WAIT)
    if held and expected is Admission.START:
        expected = Admission.WAIT
        assert decision.why == held
    assert decision.admission is expected
    assert decision.replaces is (cell in "rR")
    assert bool(decision.why) is (expected is not Admission.START)


@pytest.mark.parametrize(
    ("said", "running", "waiting", "why"),
    [
        (("forbid",), 1, 0, "an earlier run of this job is still active, and the job forbids overlap"),
        (("allow", 2), 2, 0, "as many runs of this job are active as it allows at once (2 of 2)"),
        (("queue_one",), 1, 1, "a run of this job waits already, and the job keeps the first"),
        (("queue_all", None, 3), 1, 3, "as many runs of this job wait as it lets wait (3 of 3)"),
        (("queue_one",), 1, 0, "waits: an earlier run of this job is still active"),
        (("queue_one", 2), 2, 0, "waits: 2 earlier runs of this job are still active"),
        (("queue_all",), 0, 1, "waits: earlier runs of this job have not started yet"),
        (("replace",), 1, 0, "waits: the run it replaces is being stopped"),
    ],
)
def test_it_says_why(said, running: int, waiting: int, why: str) -> None:
    assert decide(policy(*said), running, waiting, 10).why == why


def test_a_spec_from_before_there_was_a_choice_means_what_it_did() -> None:
    assert policy_of({"concurrency": "forbid"}).slots == 1
    assert policy_of({"concurrency": "allow"}).slots is None


@pytest.mark.parametrize(
    ("said", "told"),
    [("", "waits: x"), ("on a whim", "on a whim; waits: x"), ("it waits: so", "it waits: so; waits: x")],
)
def test_what_a_run_waits_for_goes_again_when_it_starts(said: str, told: str) -> None:
    assert with_wait(said, "waits: x") == told
    assert without_wait(told) == said


def test_what_somebody_said_is_no_wait() -> None:
    assert with_wait("on a whim", "") == without_wait("on a whim") == "on a whim"


WAITERS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from([None, 1, 2]), st.sampled_from([None, "p", "q", "gone"])),
    max_size=12,
).map(lambda rows: [Waiter(number, *row) for number, row in enumerate(rows)])
COUNTS = st.dictionaries(st.sampled_from("abc"), st.integers(0, 3))
POOLS = st.fixed_dictionaries(
    {name: st.builds(PoolRoom, st.just(name), st.integers(0, 4), st.integers(0, 4), st.just(0)) for name in "pq"}
)


@given(WAITERS, COUNTS, POOLS, st.integers(0, 6))
def test_chosen_are_all_that_may_start_and_no_more_each_in_its_turn(waiters, running, pools, free: int) -> None:
    chosen = choose(waiters, running, pools, free)

    assert chosen == sorted(set(chosen))
    assert len(chosen) <= free
    begun: list[Waiter] = []
    for waiter in waiters:
        of_job = running.get(waiter.job_id, 0) + sum(other.job_id == waiter.job_id for other in begun)
        pool = pools.get(waiter.pool)
        taken = pool.running + sum(other.pool == waiter.pool for other in begun) if pool else 0
        fits = (waiter.slots is None or of_job < waiter.slots) and (pool is None or taken < pool.slots)
        assert (waiter.id in chosen) is (fits and len(begun) < free)
        if waiter.id in chosen:
            begun.append(waiter)


def test_a_slot_goes_to_the_highest_priority_and_then_to_who_came_first() -> None:
    came = [(0, 3), (10, 9), (20, 9), (30, 5)]

    order = sorted(came, key=lambda run: turn(NOON + timedelta(seconds=run[0]), run[1]))

    assert order == [(10, 9), (20, 9), (30, 5), (0, 3)]


@pytest.mark.parametrize("priority", range(9))
def test_nobody_who_comes_nine_minutes_later_overtakes_the_least(priority: int) -> None:
    waiting = [(turn(NOON, priority), NOON)]
    now = NOON
    overtook: list[datetime] = []

    while not overtook or overtook[-1] != NOON:
        now += timedelta(seconds=10)  # each is served in this time, and two more of the highest come, for ever
        waiting += [(turn(came, 9), came) for came in (now - timedelta(seconds=5), now)]
        waiting.sort()
        waiters = [Waiter(number, "job", None, "one") for number in range(len(waiting))]
        (first,) = choose(waiters, {}, {"one": PoolRoom("one", 1, 0, 0)}, 10)
        overtook.append(waiting.pop(first)[1])

    bound = (9 - priority) * timedelta(minutes=1)
    assert bound - timedelta(seconds=10) <= max(overtook) - NOON <= bound
    assert len(overtook) == bound / timedelta(seconds=5)


def test_a_run_that_starts_at_once_waits_for_nothing() -> None:
    assert waits_for(policy("allow"), 5, 5, 1, None) == ""
