"""Starts that fall together are taken apart, within what each job allows, the most useful move first."""

import numpy as np
import pytest

from scheduler_daemon.insights.spread import Starter, spread

HOUR = np.arange(60)


def nightly(key: str, takes: int = 5, minute: int = 180, offsets: np.ndarray = HOUR) -> Starter:
    return Starter(key, np.array([minute]), takes, offsets)


def test_a_pile_of_jobs_is_spread_over_its_hour() -> None:
    found = spread([nightly(f"job {n}") for n in range(60)], 1440)

    assert found.peak_now == 60
    assert found.peak_then <= 6  # 300 minutes of work in an hour: 5 at the least


def test_no_job_leaves_the_minutes_it_allows() -> None:
    jobs = [nightly(f"job {n}", offsets=np.array([0, 10, 20])) for n in range(30)]

    assert {move.by for move in spread(jobs, 1440).moves} == {10, 20}


def test_a_job_that_allows_nothing_stays_and_counts() -> None:
    fixed = [nightly(f"fixed {n}", offsets=np.array([0])) for n in range(5)]

    found = spread([*fixed, nightly("free")], 1440)

    assert [move.key for move in found.moves] == ["free"]
    assert found.moves[0].beside_now == 5
    assert found.moves[0].beside_then == 0
    assert found.moves[0].by == 5  # the nearest minute at which it is alone


def test_a_fleet_without_collisions_is_left_alone() -> None:
    assert spread([nightly(f"job {n}", takes=10, minute=180 + 10 * n) for n in range(6)], 1440).moves == []


def test_what_cannot_be_moved_at_all_is_avoided() -> None:
    background = np.zeros(1440)
    background[180:210] = 40

    found = spread([nightly("job")], 1440, background)

    assert found.moves[0].by == 30


def test_the_move_that_frees_most_comes_first_and_is_counted_by_itself() -> None:
    jobs = [*(nightly(f"three {n}") for n in range(9)), nightly("four a", minute=240), nightly("four b", minute=240)]

    first = spread(jobs, 1440).moves[0]

    assert first.key.startswith("three")
    assert first.beside_now == 8


def test_a_run_longer_than_the_span_is_counted_once_a_minute() -> None:
    found = spread([nightly("long", takes=5000), nightly("other", takes=5000)], 1440)

    assert found.peak_now == 2
    assert found.moves == []


@pytest.mark.parametrize("seed", range(3))
def test_a_thousand_jobs_of_a_usual_crontab_keep_two_fifths_of_the_peak_at_most(seed: int) -> None:
    random = np.random.default_rng(seed)
    jobs = []
    for n in range(1000):
        minute = int(random.choice([0, 0, 0, 15, 30]))
        hours = np.arange(24) if random.random() < 0.5 else random.choice([0, 1, 2, 3, 6], 1)
        jobs.append(Starter(str(n), hours * 60 + minute, int(random.integers(1, 8)), HOUR - minute))

    found = spread(jobs, 1440)

    assert found.peak_then <= 0.4 * found.peak_now
