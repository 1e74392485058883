"""An applied change is kept if its figure is surely better, taken back if not, and at once if it does harm."""

from typing import Any

import numpy as np
import pytest

from scheduler_daemon.analyst.measuring import Applied, Seen, of_change, of_level
from scheduler_daemon.contract.insights import Prediction, Verdict
from tests.analyst.records import MIB, NOW, noise, rows, runs

FACTORS = noise(200)


def applied(metric: str, value: Any = None, before: Any = None, **foretold: Any) -> Applied:
    return Applied("job", 2, value, before, Prediction(**{"metric": metric, "expected": 0, **foretold}))


def record(after: int, each: Any = lambda n: {}, before: int = 60) -> Seen:  # noqa: ARG005
    def told(number: int) -> dict[str, Any]:
        return {"job_version": 1 if number < before else 2, **each(number - before)}

    made = rows(before + after, told)
    fleet = [("job", row.started_at.timestamp(), row.ended_at.timestamp()) for row in made]
    return Seen(runs(before + after, told), {}, fleet)


def verdict(change: Applied, seen: Seen) -> Verdict | None:
    found = of_change(change, seen, NOW)
    assert found is not None
    return found.verdict


MEMORY = applied("memory_bytes", 150 * MIB, 600 * MIB, high=150 * MIB)


def test_a_lower_limit_is_kept_when_enough_runs_have_not_met_it() -> None:
    assert verdict(MEMORY, record(5)) is Verdict.WAIT

    found = of_change(MEMORY, record(16), NOW)

    assert found is not None
    assert (found.verdict, found.gain, found.came) == (Verdict.KEEP, 0.75, True)


def test_a_limit_that_kills_a_run_is_taken_back_at_once() -> None:
    seen = record(3, lambda n: {"exit": 137, "outcome": "oom_killed"} if n == 2 else {})

    found = of_change(MEMORY, seen, NOW)

    assert found is not None
    assert (found.verdict, found.came) == (Verdict.REVERT, False)
    assert found.why == "1 of 3 runs met the new limit"


def test_a_rarer_schedule_is_kept_if_it_is_rarer_and_nothing_fails() -> None:
    change = applied("runs_per_day", high=3.0)
    seen = record(0)
    old, new = rows(60, lambda _: {"job_version": 1}), rows(10, lambda _: {"job_version": 2}, every=12 * 3600)
    del seen
    found = of_change(change, _of(old, new), NOW)

    assert found is not None
    assert (found.verdict, found.came) == (Verdict.KEEP, True)
    assert found.gain == pytest.approx(1 - 2 / 24)


def _of(old: list[Any], new: list[Any]) -> Seen:
    from scheduler_daemon.analyst.past import past

    for number, row in enumerate(new):
        row.id = 1000 + number
    return Seen(past([*old, *new]), {}, [])


def test_a_change_after_which_runs_fail_is_taken_back_whatever_its_figure_says() -> None:
    old = rows(60, lambda _: {"job_version": 1})
    new = rows(10, lambda n: {"job_version": 2, "exit": int(n > 4)}, every=12 * 3600)

    found = of_change(applied("runs_per_day"), _of(old, new), NOW)

    assert found is not None
    assert found.verdict is Verdict.REVERT
    assert found.why == "since then 5 of 10 runs failed, before 0 of 60"


@pytest.mark.parametrize(("beside_after", "expected"), [(0, Verdict.KEEP), (6, Verdict.REVERT), (5, Verdict.WAIT)])
def test_a_moved_start_is_judged_by_the_runs_beside_it(beside_after: int, expected: Verdict) -> None:
    seen = record(8)
    others = []
    for number, (_, start, end) in enumerate(seen.fleet):
        crowd = 5 if number < 60 else beside_after
        others += [(f"other {n}", start, end) for n in range(crowd)]
    seen = Seen(seen.runs, {}, [*seen.fleet, *others])

    found = of_change(applied("runs_beside", high=1.0), seen, NOW)

    assert found is not None
    assert found.verdict is expected
    assert found.before == 5


def test_retries_are_judged_by_the_runs_that_are_lost() -> None:
    seen = record(30, lambda n: {"exit": int(n % 3 == 0)})
    lost = {int(number): bool(number <= 60) for number in seen.runs.ids[seen.runs.failed]}

    found = of_change(applied("recovered_share", low=0.6), Seen(seen.runs, lost, []), NOW)

    assert found is not None
    assert (found.verdict, found.came) == (Verdict.KEEP, True)


def test_before_the_first_run_nothing_is_measured() -> None:
    assert of_change(MEMORY, record(0), NOW) is None
    assert of_change(applied("beauty"), record(30), NOW) is None


def test_a_level_that_was_foretold_came_or_did_not() -> None:
    foretold = Prediction(metric="duration_s", expected=10, low=8, high=12)

    assert of_level(foretold, np.array([10.0] * 9), NOW) is None
    assert of_level(foretold, np.array([10.0] * 9 + [np.nan]), NOW) is None
    stayed, went = (of_level(foretold, np.array([value] * 10), NOW) for value in (11.0, 13.0))
    assert stayed is not None
    assert went is not None
    assert (stayed.came, went.came) == (True, False)
