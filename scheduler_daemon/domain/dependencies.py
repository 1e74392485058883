"""Decide what becomes of a job in a run set: what its upstream jobs did at the same instant, by its trigger rule.

A rule looks only at which kinds of ends there are, not how many of each. So a set is decided, but for the
two rules that wait for all, as soon as no end that is still to come can change the answer, which is then the same in
whatever order they end.
What a run set is, who reads the ends and who writes the answer is left to the callers.
"""

from collections.abc import Callable, Collection, Mapping
from enum import Enum
from itertools import combinations
from typing import NamedTuple

from scheduler_daemon.contract.dependencies import TriggerRule
from scheduler_daemon.contract.executions import ACTIVE, State


class End(Enum):
    """How the run of an upstream job ended, as far as rules tell ends apart."""

    SUCCESS = "succeeded"
    FAILED = "failed"
    UPSTREAM_FAILED = "did not run because of a failure before it"
    SKIPPED = "was skipped"


class Answer(Enum):
    """What becomes of the job in the set."""

    START = "start"
    SKIP = "skip"
    UPSTREAM_FAILED = "upstream_failed"
    WAIT = "wait"


class Decision(NamedTuple):
    """What becomes of a job in a set, and why in a sentence."""

    answer: Answer
    why: str


_SUCCESS, _FAILED, _BEFORE, _SKIPPED = End.SUCCESS, End.FAILED, End.UPSTREAM_FAILED, End.SKIPPED
_BAD = frozenset({_FAILED, _BEFORE})
_ENDS = {
    State.SUCCEEDED: _SUCCESS,
    State.FAILED: _FAILED,
    State.CANCELLED: _FAILED,
    State.UNKNOWN: _FAILED,
    State.BLOCKED: _BEFORE,
    State.SKIPPED: _SKIPPED,
    State.MISSED: _SKIPPED,
    State.SUPPRESSED: _SKIPPED,
}
_FURTHER = [frozenset(more) for size in range(1, len(End) + 1) for more in combinations(End, size)]
"""What kinds of ends may still come."""


def end_of(state: State, attempt: int = 0) -> End | None:
    """Return how a run ended whose last attempt, counted from 0, is in this state; None while it is not done.

    A later attempt that never began leaves the run as the one before it did: failed.
    """
    if state in ACTIVE:
        return None
    found = _ENDS[state]
    return _FAILED if attempt and found is _SKIPPED else found


def decide(rule: TriggerRule, upstreams: Mapping[str, End | None]) -> Decision:
    """Decide on a job that runs after these, by name; None for one that is not done, or not in the set yet."""
    present = frozenset(end for end in upstreams.values() if end is not None)
    missing = [name for name, end in upstreams.items() if end is None]
    outcomes = {answer(rule, present | more) for more in _FURTHER if len(more) <= len(missing)}
    if not missing:
        outcomes = {answer(rule, present)}
    if len(outcomes) > 1 or (missing and rule in _WHEN_ALL_ARE_DONE):
        return Decision(Answer.WAIT, f"waits for {', '.join(missing)}")
    (decided,) = outcomes
    return Decision(decided, _why(rule, decided, upstreams))


_WHEN_ALL_ARE_DONE = frozenset({TriggerRule.ALL_DONE, TriggerRule.ALL_DONE_MIN_ONE_SUCCESS})
"""Rules that would often be decided before, but say when to start too."""


def answer(rule: TriggerRule, ends: Collection[End]) -> Answer:
    """Return what becomes of a job all of whose upstreams are done, in these ways."""
    if _HOLDS[rule](frozenset(ends)):
        return Answer.START
    fails = rule in _FAILS_ON and not _FAILS_ON[rule].isdisjoint(ends)
    return Answer.UPSTREAM_FAILED if fails else Answer.SKIP


_FAILS_ON = {
    TriggerRule.ALL_SUCCESS: _BAD,
    TriggerRule.ONE_SUCCESS: _BAD,
    TriggerRule.ALL_DONE_MIN_ONE_SUCCESS: _BAD,
    TriggerRule.NONE_FAILED: _BAD,
    TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS: _BAD,
}
"""Rules that ask for success, and with which of the ends a job is upstream_failed instead of skipped."""


_HOLDS: dict[TriggerRule, Callable[[frozenset[End]], bool]] = {
    TriggerRule.ALL_SUCCESS: lambda ends: ends == {_SUCCESS},
    TriggerRule.ALL_FAILED: lambda ends: ends <= _BAD,
    TriggerRule.ALL_DONE: lambda _: True,
    TriggerRule.ALL_DONE_MIN_ONE_SUCCESS: lambda ends: _SUCCESS in ends,
    TriggerRule.ALL_SKIPPED: lambda ends: ends == {_SKIPPED},
    TriggerRule.ONE_SUCCESS: lambda ends: _SUCCESS in ends,
    TriggerRule.ONE_FAILED: lambda ends: not ends.isdisjoint(_BAD),
    TriggerRule.ONE_DONE: lambda ends: not ends.isdisjoint({_SUCCESS, _FAILED}),
    TriggerRule.NONE_FAILED: lambda ends: ends.isdisjoint(_BAD),
    TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS: lambda ends: _SUCCESS in ends and ends.isdisjoint(_BAD),
    TriggerRule.NONE_SKIPPED: lambda ends: _SKIPPED not in ends,
    TriggerRule.ALWAYS: lambda _: True,
}
"""Whether a job starts all of whose upstreams are done, by the kinds of their ends."""


def _why(rule: TriggerRule, decided: Answer, upstreams: Mapping[str, End | None]) -> str:
    done = {name: end for name, end in upstreams.items() if end is not None}
    if decided is Answer.START:
        return f"after {_told(done)}" if done else "runs with its upstreams, whatever becomes of them"
    if decided is Answer.UPSTREAM_FAILED:
        return f"upstream {_told({name: end for name, end in done.items() if end in _BAD})}"
    if rule is TriggerRule.ALL_SUCCESS:
        return f"upstream {_told({name: end for name, end in done.items() if end is _SKIPPED})}"
    return f"its trigger rule {rule} does not hold: {_told(done)}"


def _told(ends: Mapping[str, End]) -> str:
    return ", ".join(f"{name} {end.value}" for name, end in ends.items())


def cycle(after: Mapping[str, Collection[str]], job: str) -> list[str]:
    """Return a way from a job over the jobs it runs after back to itself, both ends named; empty if there is none."""
    came_from: dict[str, str] = {}
    open_ones = [job]
    while open_ones:
        here = open_ones.pop()
        for upstream in after.get(here, ()):
            if upstream == job:
                return _way_back(came_from, here, job)
            if upstream not in came_from:
                came_from[upstream] = here
                open_ones.append(upstream)
    return []


def _way_back(came_from: Mapping[str, str], last: str, job: str) -> list[str]:
    """Return the way as runs would follow each other."""
    way = [job, last] if last != job else [job]
    while way[-1] != job:
        way.append(came_from[way[-1]])
    return way if len(way) > 1 else [job, job]
