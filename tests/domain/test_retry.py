"""When a failed run is begun again: how long it waits, which ends count, and what ends the trying."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from scheduler_daemon.contract.executions import Outcome
from scheduler_daemon.contract.retry import Jitter, Retry
from scheduler_daemon.domain.retry import Learnt, Tried, attempt_timeout, decide, delay, end_code, run_limit
from tests.support.world import NOON, SECOND

MS = timedelta(milliseconds=1)
RUNS = 2000


def policy(attempts: int = 3, **fields: Any) -> Retry:
    return Retry.model_validate({"attempts": attempts, **fields})


def tried(number: int = 0, outcome: Outcome = Outcome.EXIT_CODE, **fields: Any) -> Tried:
    known = {"exit_code": 1 if outcome is Outcome.EXIT_CODE else None, "signal": None, "cancelled": False}
    given = {"run_id": 7, "number": number, "outcome": outcome, "fire_at": NOON, "ended_at": NOON + SECOND}
    return Tried(**{**known, **given, **fields})


def next_attempt(policy: Retry | None, end: Tried, *, late: timedelta = timedelta(), next_fire: Any = None) -> Any:
    return decide(policy, end, now=end.ended_at + late, next_fire=next_fire)


def test_waits_grow_by_the_factor_up_to_the_cap() -> None:
    growing = policy(7, delay_ms=1000, factor=3, cap_ms=60_000)

    waits = [delay(growing, 1, number) / SECOND for number in range(1, 8)]

    assert waits == [1, 3, 9, 27, 60, 60, 60]


def test_the_longest_policy_does_not_overflow() -> None:
    assert delay(policy(100, delay_ms=86_400_000, factor=100, cap_ms=86_400_000), 1, 100) == timedelta(days=1)


@pytest.mark.parametrize(("jitter", "least", "mean"), [("full", 0, 5000), ("equal", 5000, 7500)])
def test_jitter_is_even_over_runs(jitter: str, least: int, mean: int) -> None:
    spread = policy(jitter=jitter, delay_ms=10_000)

    waits = [delay(spread, run, 1) / MS for run in range(RUNS)]

    assert least <= min(waits) < least + 50
    assert 9950 < max(waits) < 10_000
    assert abs(sum(waits) / RUNS - mean) < 200
    assert len(set(waits)) > RUNS / 2


def test_jitter_of_one_retry_says_nothing_about_the_next() -> None:
    spread = policy(jitter="full", delay_ms=10_000, factor=1)

    pairs = [(delay(spread, run, 1) / MS - 5000, delay(spread, run, 2) / MS - 5000) for run in range(RUNS)]

    covariance = sum(first * second for first, second in pairs) / RUNS
    assert abs(covariance) < 0.1 * 10_000**2 / 12


@given(
    st.integers(1, 2**53),
    st.integers(1, 100),
    st.integers(0, 10**8),
    st.floats(1, 100),
    st.integers(0, 10**9),
    st.sampled_from(Jitter),
)
def test_a_wait_is_the_same_at_every_asking_and_never_beyond_its_bounds(
    run: int, number: int, base: int, factor: float, more: int, jitter: Jitter
) -> None:
    any_policy = policy(100, delay_ms=base, factor=factor, cap_ms=base + more, jitter=jitter)

    wait = delay(any_policy, run, number) / MS

    whole = min(base + more, base * factor ** (number - 1))
    least = {"none": whole, "full": 0, "equal": whole / 2}[jitter]
    assert int(least) - 1 <= wait <= whole
    assert delay(any_policy, run, number) / MS == wait


FILTERS: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    ({}, {"exit_code": 1}, True),
    ({}, {"outcome": Outcome.SIGNAL, "signal": 9}, True),
    ({}, {"outcome": Outcome.TIMED_OUT}, True),
    ({}, {"outcome": Outcome.SPAWN_FAILED}, True),
    ({}, {"outcome": Outcome.LOST}, False),
    ({"on": ["lost"]}, {"outcome": Outcome.LOST}, True),
    ({"on": ["lost"]}, {"exit_code": 1}, False),
    ({"on": ["timed_out"]}, {"outcome": Outcome.SIGNAL, "signal": 9}, False),
    ({"exit_codes": [75, "100-110"]}, {"exit_code": 75}, True),
    ({"exit_codes": [75, "100-110"]}, {"exit_code": 100}, True),
    ({"exit_codes": [75, "100-110"]}, {"exit_code": 110}, True),
    ({"exit_codes": [75, "100-110"]}, {"exit_code": 111}, False),
    ({"exit_codes": [75, "100-110"]}, {"exit_code": 99}, False),
    ({"exit_codes": [75]}, {"outcome": Outcome.SIGNAL, "signal": 9}, True),
    ({"not_exit_codes": ["126-127"]}, {"exit_code": 127}, False),
    ({"not_exit_codes": ["126-127"]}, {"exit_code": 1}, True),
    ({"exit_codes": ["1-10"], "not_exit_codes": [2]}, {"exit_code": 2}, False),
    ({"signals": ["KILL"]}, {"outcome": Outcome.SIGNAL, "signal": 9}, True),
    ({"signals": [9]}, {"outcome": Outcome.SIGNAL, "signal": 15}, False),
    ({"not_signals": ["SIGSEGV"]}, {"outcome": Outcome.SIGNAL, "signal": 11}, False),
    ({"signals": [40]}, {"outcome": Outcome.SIGNAL, "signal": 40}, True),
    ({}, {"exit_code": 1, "cancelled": True}, False),
    ({}, {"outcome": Outcome.CANCELLED}, False),
]


@pytest.mark.parametrize(("fields", "end", "again"), FILTERS)
def test_filters_say_which_ends_are_retried(fields: dict[str, Any], end: dict[str, Any], *, again: bool) -> None:
    decided = next_attempt(policy(**fields), tried(**end))

    assert (decided.at is not None) == again
    assert decided.why.startswith("attempt 2 of 4 begins at" if again else "not retried: ")


def test_a_job_without_a_policy_is_not_retried_and_needs_no_reason() -> None:
    assert next_attempt(None, tried()) == next_attempt(policy(0), tried())
    assert next_attempt(None, tried()).at is None
    assert next_attempt(None, tried()).why == ""


def test_retries_are_used_up() -> None:
    twice = policy(2, delay_ms=1000)

    found = [next_attempt(twice, tried(number)) for number in range(4)]

    assert [decided.at is not None for decided in found] == [True, True, False, False]
    assert found[2].why == "not retried: all 2 retries are used up"


LIMITS: list[tuple[dict[str, Any], dict[str, Any], timedelta | None, bool]] = [
    ({"until_ms": 11_000}, {}, None, True),
    ({"until_ms": 10_999}, {}, None, False),
    ({}, {"run_ends_at": NOON + 12 * SECOND}, None, True),
    ({}, {"run_ends_at": NOON + 11 * SECOND}, None, False),
    ({}, {}, 12 * SECOND, True),
    ({}, {}, 11 * SECOND, False),
    ({}, {}, SECOND, False),
]


@pytest.mark.parametrize(("fields", "end", "fires_in", "again"), LIMITS)
def test_limits_end_the_trying(
    fields: dict[str, Any], end: dict[str, Any], fires_in: timedelta | None, *, again: bool
) -> None:
    following = None if fires_in is None else NOON + fires_in

    decided = next_attempt(policy(delay_ms=10_000, **fields), tried(**end), next_fire=following)

    assert decided.at == (NOON + 11 * SECOND if again else None)


def test_an_attempt_whose_time_passed_while_nobody_looked_begins_at_once_or_not_at_all() -> None:
    waits = policy(delay_ms=10_000, until_ms=60_000)

    soon = next_attempt(waits, tried(), late=30 * SECOND)
    too_late = next_attempt(waits, tried(), late=60 * SECOND)

    assert soon.at == NOON + 31 * SECOND
    assert too_late.at is None
    assert "retries until 2026-05-04 12:01:00 UTC" in too_late.why


@pytest.mark.parametrize(
    ("timeout", "run_timeout", "left", "allowed"),
    [
        (None, None, None, None),
        (500, None, None, 500),
        (None, 3000, None, 3000),
        (500, 3000, None, 500),
        (5000, 3000, None, 3000),
        (None, 3000, 1200, 1200),
        (500, 3000, 1200, 500),
        (500, 3000, 100, 100),
        (500, 3000, -100, 1),
        (500, None, 200, 200),
    ],
)
def test_an_attempt_may_take_its_own_time_and_what_is_left_of_the_runs(
    timeout: int | None, run_timeout: int | None, left: int | None, allowed: int | None
) -> None:
    ends_at = None if left is None else NOON + left * MS

    assert attempt_timeout(timeout, run_timeout, ends_at, NOON) == allowed


def test_the_time_of_a_run_counts_from_its_first_start() -> None:
    assert run_limit(3000, NOON) == NOON + 3 * SECOND
    assert run_limit(None, NOON) is run_limit(3000, None) is None


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"attempts": 101}, "less than or equal to 100"),
        ({"attempts": -1}, "greater than or equal to 0"),
        ({"attempts": 1, "factor": 0.5}, "greater than or equal to 1"),
        ({"attempts": 1, "factor": float("inf")}, "finite"),
        ({"attempts": 1, "delay_ms": 5000, "cap_ms": 4000}, "raise it or shorten the delay"),
        ({"attempts": 1, "on": ["success"]}, "exit_code"),
        ({"attempts": 1, "on": []}, "at least 1"),
        ({"attempts": 1, "exit_codes": ["9-3"]}, "the lower first"),
        ({"attempts": 1, "exit_codes": [0]}, "no codes of a failure"),
        ({"attempts": 1, "exit_codes": ["x"]}, "is no exit code"),
        ({"attempts": 1, "exit_codes": [True]}, "is no exit code"),
        ({"attempts": 1, "exit_codes": []}, "at least 1"),
        ({"attempts": 1, "signals": ["SIGNONE"]}, "there is no signal"),
        ({"attempts": 1, "signals": [65]}, "there is no signal"),
        ({"attempts": 1, "on": ["signal"], "exit_codes": [1]}, "add it there"),
        ({"attempts": 1, "on": ["exit_code"], "not_signals": [9]}, "add it there"),
        ({"attempts": 1, "until_ms": 0}, "greater than or equal to 1"),
        ({"attempts": 1, "tries": 1}, "not permitted"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Retry.model_validate(fields)


def test_codes_and_signals_are_kept_in_one_spelling() -> None:
    kept = policy(exit_codes=[75, " 1-5 ", "7-7"], signals=["kill", 15, "SIGABRT", 40])

    assert kept.exit_codes == ("75", "1-5", "7")
    assert kept.signals == ("SIGKILL", "SIGTERM", "SIGABRT", "40")
    assert Retry.model_validate(kept.model_dump(mode="json")) == kept


HOPELESS, LATER = Learnt((), 0.02, 14), Learnt((600_000, 1_200_000), 0.8, 14)


def test_what_was_learnt_says_whether_and_when_where_the_policy_is_smart() -> None:
    smart = policy(3, smart=True)

    never = decide(smart, tried(), now=NOON, next_fire=None, learnt=HOPELESS)
    first = decide(smart, tried(0), now=NOON, next_fire=None, learnt=LATER)
    third = decide(smart, tried(2), now=NOON, next_fire=None, learnt=LATER)

    assert (never.at, never.why) == (
        None, "not retried: it would be wasted: after 14 such failures a retry helps in 2%",
    )  # fmt: skip
    assert first.at == NOON + 601 * SECOND
    assert first.why.endswith("12:10:01 UTC, for that helped after such ends (80% of 14)")
    assert (third.at, third.why) == (None, "not retried: further retries would be wasted, as 14 such failures told")


def test_what_was_learnt_is_nothing_to_a_policy_that_is_not_smart() -> None:
    assert decide(policy(3), tried(), now=NOON, next_fire=None, learnt=HOPELESS).at == NOON + 11 * SECOND


def test_a_smart_policy_goes_by_its_own_waits_until_something_is_learnt() -> None:
    assert decide(policy(3, smart=True), tried(), now=NOON, next_fire=None).at == NOON + 11 * SECOND


@pytest.mark.parametrize(
    ("fields", "end", "why"),
    [
        ({"attempts": 1}, {"number": 1}, "its one retry is used up"),
        ({"not_exit_codes": ["1"]}, {}, "exit code 1 is not one the job retries"),
        ({"until_ms": 60_000}, {}, "the job retries until"),
    ],
)
def test_learning_never_widens_what_the_policy_allows(fields: Any, end: Any, why: str) -> None:
    smart = policy(**{"smart": True, **fields})

    decided = decide(smart, tried(**end), now=NOON, next_fire=None, learnt=LATER)

    assert decided.at is None
    assert why in decided.why


def test_the_cap_and_the_jitter_hold_for_learnt_waits_too() -> None:
    assert delay(policy(smart=True, cap_ms=60_000), 1, 1, 600_000) == 60 * SECOND
    assert 5 * SECOND <= delay(policy(smart=True, jitter="equal"), 1, 1, 10_000) < 10 * SECOND


def test_ends_are_told_apart_by_code_or_signal() -> None:
    assert end_code(Outcome.EXIT_CODE, 75, None) == "exit 75"
    assert end_code(Outcome.SIGNAL, None, 9) == "SIGKILL"
    assert end_code(Outcome.TIMED_OUT, None, 15) == "timed_out"
