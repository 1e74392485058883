"""Which fires a backfill runs, and under which keys: every state a run can be in, and small ranges in full."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler_daemon.contract.executions import State
from scheduler_daemon.domain.backfill import LOOKED_AT, Seen, fire_of, keys, plan, refuse_too_many, slots, turns
from scheduler_daemon.domain.errors import Invalid

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MICROSECOND = timedelta(microseconds=1)
ONE = [NOON]


def seen(state: str, *, began: bool, trigger: str = "schedule", at: datetime = NOON) -> Seen:
    outcome = "spawn_failed" if state == "failed" and not began else None
    return Seen(7, at, state, outcome, trigger, at if began else None)


@pytest.mark.parametrize(
    ("state", "began", "why"),
    [
        ("queued", False, "its run is queued"),
        ("starting", False, "its run is starting"),
        ("running", True, "its run is running"),
        ("succeeded", True, "it ran and succeeded"),
        ("failed", True, "it ran and failed"),
        ("failed", False, ""),
        ("cancelled", True, "it ran and was stopped"),
        ("cancelled", False, ""),
        ("skipped", False, ""),
        ("missed", False, ""),
        ("suppressed", False, ""),
        ("blocked", False, ""),
        ("unknown", True, "it may have run: how its run ended is not known"),
        ("unknown", False, "it may have run: how its run ended is not known"),
    ],
)
def test_a_fire_is_run_unless_its_run_has_begun_or_may_yet(state, began, why) -> None:
    found = plan(ONE, [seen(state, began=began)], handled=NOON)

    assert [(each.at, each.why, each.run) for each in found.left_out] == ([(NOON, why, 7)] if why else [])
    assert found.fires == ([] if why else ONE)


def test_the_table_holds_every_state() -> None:
    cells = next(iter(test_a_fire_is_run_unless_its_run_has_begun_or_may_yet.pytestmark)).args[1]

    assert {cell[0] for cell in cells} == set(State)


@pytest.mark.parametrize("trigger", ["backfill", "manual"])
def test_an_earlier_backfill_counts_and_a_requested_run_does_not(trigger) -> None:
    found = plan(ONE, [seen("succeeded", began=True, trigger=trigger, at=NOON + 3 * MICROSECOND)], handled=NOON)

    assert len(found.fires) == (trigger == "manual")


def test_what_the_clock_has_not_decided_on_is_left_to_it() -> None:
    found = plan([NOON, NOON + SECOND], [], handled=NOON)

    assert found.fires == [NOON]
    assert found.left_out[0].why == "the clock has not decided on it yet"


def test_a_range_with_too_many_fires_is_refused_without_looking_at_all_of_them() -> None:
    endless = (NOON + number * SECOND for number in range(10**9))

    with pytest.raises(Invalid, match=f"more than {LOOKED_AT:,} fires"):
        plan(endless, [], handled=NOON)


def test_a_refusal_says_how_many_there_are() -> None:
    with pytest.raises(Invalid, match="1,440 fires of the range did not run, and at most 1,000"):
        refuse_too_many(1440, 1000)


@given(st.sets(st.integers(0, 9)), st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5))))
def test_keys_are_new_and_tell_their_fires(wanted, taken) -> None:
    fires = [NOON + second * SECOND for second in sorted(wanted)]
    used = [NOON + second * SECOND + micro * MICROSECOND for second, micro in taken]

    found = keys(fires, used)

    assert [fire_of(key) for key in found] == fires
    assert not set(found) & set(used)
    assert all(key.microsecond for key in found)


def test_turns_keep_the_order_and_lie_behind_what_is_queued_within_a_day() -> None:
    found = turns(1000, NOON)

    assert found == sorted(set(found))
    assert found[0] >= NOON + timedelta(days=1)


@pytest.mark.parametrize(("at_once", "of_job", "expected"), [(1, None, 1), (5, None, 5), (5, 2, 2), (1, 3, 1)])
def test_no_more_run_at_once_than_both_the_request_and_the_job_say(at_once, of_job, expected) -> None:
    assert slots(at_once, of_job) == expected
