"""What is given and not needed is found, with what to give instead; what is needed is left alone."""

import numpy as np
import pytest

from scheduler_daemon.insights.usage import idle, limit

MIB = 1 << 20
GIB = 1 << 30


def peaks(mean: float = 100, count: int = 60, spread: float = 0.1) -> np.ndarray:
    return mean * MIB * np.exp(np.random.default_rng(1).normal(0, spread, count))


def test_a_limit_far_above_what_was_ever_used_is_lowered_with_room_to_spare() -> None:
    used = peaks()

    found = limit(used, 4 * GIB)

    assert found is not None
    assert not found.tight
    assert used.max() * 1.4 < found.proposed < 300 * MIB
    assert found.proposed % (16 * MIB) == 0


def test_a_limit_that_is_nearly_reached_is_raised() -> None:
    used = peaks()

    found = limit(used, used.max() * 1.05)

    assert found is not None
    assert found.tight
    assert found.proposed > used.max() * 1.3


def test_a_limit_that_fits_is_left_alone() -> None:
    assert limit(peaks(), 350 * MIB) is None


def test_a_job_with_rare_large_runs_keeps_what_they_need() -> None:
    used = peaks()
    used[10] = 900 * MIB

    found = limit(used, 4 * GIB)

    assert found is None or found.proposed > 1350 * MIB


def test_a_few_runs_say_nothing() -> None:
    assert limit(peaks(count=29), 4 * GIB) is None
    assert limit([np.nan] * 60, 4 * GIB) is None


def record(count: int = 400, working: int = 40) -> tuple[np.ndarray, np.ndarray]:
    at, size = np.arange(count) * 60.0, np.full(count, 12.0)
    size[::working] = 700
    return at, size


def test_a_job_that_mostly_finds_nothing_to_do_may_run_as_rarely_as_it_finds_something() -> None:
    at, size = record()

    found = idle(at, size, [""] * 400, np.zeros(400))

    assert found is not None
    assert (found.runs, found.idle, found.usual_s, found.work_s) == (400, 390, 60, 2400)
    assert found.every_s == 720  # never rarer than one in twelve


def test_a_job_that_often_works_is_left_alone() -> None:
    at, size = record(working=10)

    assert idle(at, size, [""] * 400, np.zeros(400)) is None


@pytest.mark.parametrize(
    "wrong", ["fails", "writes much", "reports another result each time", "is young", "says nothing"]
)
def test_nothing_is_said_of_a_job_that(wrong: str) -> None:
    at, size = record()
    results, failed = [""] * 400, np.zeros(400)
    if wrong == "fails":
        failed[3] = 1
    if wrong == "says nothing":
        size[:] = 0
    if wrong == "writes much":
        size += 10_000
    if wrong.startswith("reports"):
        results = [f"rows={number}" for number in range(400)]
    count = 20 if wrong == "is young" else 400

    assert idle(at[:count], size[:count], results[:count], failed[:count]) is None


def test_a_job_that_never_works_is_advised_to_run_less() -> None:
    at, _ = record()

    found = idle(at, np.zeros(400), ["rows=0"] * 400, np.zeros(400))

    assert found is not None
    assert found.every_s == 720
