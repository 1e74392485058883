"""A change of level is found where it is and tied to what began there; noise, odd runs and slow growth are none."""

import numpy as np
import pytest

from scheduler_daemon.insights.changes import changes, trend


def noisy(*levels: tuple[float, int], seed: int = 1, noise: float = 0.08) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.concatenate([level * np.exp(random.normal(0, noise, count)) for level, count in levels])


@pytest.mark.parametrize("seed", range(5))
def test_a_change_is_found_where_it_is(seed: int) -> None:
    (found,) = changes(noisy((10, 120), (16, 80), seed=seed))

    assert found.at == pytest.approx(120, abs=2)
    assert found.before == pytest.approx(10, rel=0.05)
    assert found.after == pytest.approx(16, rel=0.05)
    assert found.version is None


def test_a_change_is_tied_to_the_version_that_began_there() -> None:
    versions = [4] * 121 + [5] * 79

    assert [each.version for each in changes(noisy((10, 120), (16, 80)), versions)] == [5]
    assert [each.version for each in changes(noisy((10, 120), (16, 80)), [4] * 60 + [5] * 140)] == [None]


@pytest.mark.parametrize("seed", range(10))
def test_noise_is_no_change(seed: int) -> None:
    assert changes(noisy((10, 400), seed=seed, noise=0.3)) == []


def test_odd_runs_are_no_change() -> None:
    values = noisy((10, 200))
    values[[50, 51, 120]] *= 20

    assert changes(values) == []


def test_several_changes_are_found_in_order() -> None:
    found = changes(noisy((10, 80), (20, 80), (10, 80)))

    assert [each.after > each.before for each in found] == [True, False]


def test_a_small_or_a_short_change_is_not_told() -> None:
    assert changes(noisy((10, 200), (10.9, 200))) == []
    assert changes(noisy((10, 100), (30, 4))) == []


def test_nothing_is_said_of_a_few_runs_or_of_equal_ones() -> None:
    assert changes([]) == []
    assert changes([1.0]) == []
    assert changes([0.0] * 50) == []


def test_of_a_long_record_the_latest_runs_are_looked_at() -> None:
    (found,) = changes(noisy((10, 3000), (15, 500)))

    assert found.at == pytest.approx(3000, abs=2)


def test_growth_is_found_with_its_rate_and_when_it_reaches_a_limit() -> None:
    days = np.arange(0, 60, 0.25)
    values = 100 * 1.01**days * np.exp(np.random.default_rng(1).normal(0, 0.1, len(days)))

    found = trend(days, values)

    assert found is not None
    assert found.low < 0.01 < found.high
    assert found.now == pytest.approx(100 * 1.01**60, rel=0.08)
    likely, earliest = found.reaches(2 * found.now) or (0, 0)
    assert 50 < earliest < likely < 90
    assert found.reaches(found.now / 2) is None


@pytest.mark.parametrize("seed", range(5))
def test_what_stays_has_no_trend(seed: int) -> None:
    days = np.arange(0, 60, 0.25)

    found = trend(days, 100 * np.exp(np.random.default_rng(seed).normal(0, 0.2, len(days))))

    assert found is None or abs(found.per_day) < 0.002
    assert trend(days[:20], days[:20] + 1) is None


def test_what_shrinks_reaches_nothing() -> None:
    found = trend(np.arange(30.0), 100 * 0.98 ** np.arange(30.0))

    assert found is not None
    assert found.per_day == pytest.approx(-0.02)
    assert found.reaches(200) is None
