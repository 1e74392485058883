"""What becomes of a job in a run set: every cell of rule and upstream ends; cycles and their paths."""

from itertools import permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler_daemon.contract.dependencies import TriggerRule
from scheduler_daemon.contract.executions import State
from scheduler_daemon.domain.dependencies import Answer, End, answer, cycle, decide, end_of

# Rows and columns: each of two upstreams succeeded, failed, upstream_failed, was skipped, is not done.
# S starts, x is skipped, u is upstream_failed, w waits.
TABLES = {
    "all_success": "Suuxw uuuuu uuuuu xuuxw wuuww",
    "all_failed": "xxxxx xSSxw xSSxw xxxxx xwwxw",
    "all_done": "SSSSw SSSSw SSSSw SSSSw wwwww",
    "all_done_min_one_success": "SSSSw Suuuw Suuuw Suuxw wwwww",
    "all_skipped": "xxxxx xxxxx xxxxx xxxSw xxxww",
    "one_success": "SSSSS Suuuw Suuuw Suuxw Swwww",
    "one_failed": "xSSxw SSSSS SSSSS xSSxw wSSww",
    "one_done": "SSSSS SSSSS SSxxw SSxxw SSwww",
    "none_failed": "SuuSw uuuuu uuuuu SuuSw wuuww",
    "none_failed_min_one_success": "SuuSw uuuuu uuuuu Suuxw wuuww",
    "none_skipped": "SSSxw SSSxw SSSxw xxxxx wwwxw",
    "always": "SSSSS SSSSS SSSSS SSSSS SSSSS",
}
ENDS = (End.SUCCESS, End.FAILED, End.UPSTREAM_FAILED, End.SKIPPED, None)
ANSWERS = {"S": Answer.START, "x": Answer.SKIP, "u": Answer.UPSTREAM_FAILED, "w": Answer.WAIT}
CELLS = [
    (TriggerRule(rule), first, second, cell)
    for rule, table in TABLES.items()
    for first, line in zip(ENDS, table.split(), strict=True)
    for second, cell in zip(ENDS, line, strict=True)
]


def test_the_table_has_every_rule() -> None:
    assert set(TABLES) == {str(rule) for rule in TriggerRule}


@pytest.mark.parametrize(("rule", "first", "second", "cell"), CELLS)
def test_each_rule_decides_on_each_pair_of_ends(
    rule: TriggerRule, first: End | None, second: End | None, cell: str
) -> None:
    decided = decide(rule, {"a": first, "b": second})

    assert decided.answer is ANSWERS[cell]
    assert decided.why


@given(st.sampled_from(TriggerRule), st.lists(st.sampled_from(ENDS[:4]), min_size=1, max_size=4))
def test_what_is_decided_early_is_what_would_be_decided_late(rule: TriggerRule, ends: list[End]) -> None:
    whole = answer(rule, ends)

    for order in permutations(range(len(ends))):
        for known in range(len(ends)):
            early = decide(rule, {str(n): ends[n] if n in order[:known] else None for n in range(len(ends))})
            assert early.answer in {whole, Answer.WAIT}


@pytest.mark.parametrize(
    ("state", "end"),
    [
        (State.QUEUED, None),
        (State.STARTING, None),
        (State.RUNNING, None),
        (State.SUCCEEDED, End.SUCCESS),
        (State.FAILED, End.FAILED),
        (State.CANCELLED, End.FAILED),
        (State.UNKNOWN, End.FAILED),
        (State.BLOCKED, End.UPSTREAM_FAILED),
        (State.SKIPPED, End.SKIPPED),
        (State.MISSED, End.SKIPPED),
        (State.SUPPRESSED, End.SKIPPED),
    ],
)
def test_each_state_of_a_run_is_one_end_or_none(state: State, end: End | None) -> None:
    assert end_of(state) is end


@pytest.mark.parametrize("state", [State.SKIPPED, State.MISSED, State.CANCELLED])
def test_a_retry_that_never_began_leaves_its_run_failed(state: State) -> None:
    assert end_of(state, attempt=1) is End.FAILED


@pytest.mark.parametrize(
    ("rule", "ends", "why"),
    [
        ("all_success", (End.FAILED, None), "upstream a failed"),
        ("all_success", (End.SKIPPED, End.SUCCESS), "upstream a was skipped"),
        ("all_success", (End.SUCCESS, None), "waits for b"),
        ("none_failed", (End.UPSTREAM_FAILED, None), "upstream a did not run because of a failure before it"),
        ("all_failed", (End.SUCCESS, None), "its trigger rule all_failed does not hold: a succeeded"),
        ("one_success", (End.SUCCESS, None), "after a succeeded"),
        ("always", (None, None), "runs with its upstreams, whatever becomes of them"),
    ],
)
def test_a_decision_names_the_upstreams_it_is_for(rule: str, ends: tuple[End | None, ...], why: str) -> None:
    decided = decide(TriggerRule(rule), dict(zip("ab", ends, strict=True)))

    assert decided.why == why


@pytest.mark.parametrize(
    ("after", "found"),
    [
        ({"a": ["a"]}, ["a", "a"]),
        ({"a": ["b"], "b": ["a"]}, ["a", "b", "a"]),
        ({"a": ["c"], "c": ["b"], "b": ["a"]}, ["a", "b", "c", "a"]),
        ({"a": ["b", "c"], "b": ["d"], "c": ["d"]}, []),
        ({"a": ["b"], "b": ["c"], "c": ["b"]}, []),
    ],
)
def test_a_cycle_is_told_as_the_runs_would_follow(after: dict[str, list[str]], found: list[str]) -> None:
    assert cycle(after, "a") == found


def test_the_table_agrees_with_itself_whichever_upstream_comes_first() -> None:
    cells = {(rule, first, second): cell for rule, first, second, cell in CELLS}

    for rule, first, second in product(TriggerRule, ENDS, ENDS):
        assert cells[rule, first, second] == cells[rule, second, first]
