"""Load is what ran, to the second; a forecast is what recurs and what the schedules say, and says how sure it is."""

import numpy as np
import pytest

from scheduler_daemon.insights.load import (
    DAY_S,
    WEEK_S,
    Known,
    durations,
    forecast,
    mase,
    occupancy,
    planned,
    seasonal,
)

MONDAY = 1_767_571_200  # 2026-01-05T00:00Z


def test_occupancy_counts_the_parts_of_runs_that_lie_in_a_bucket() -> None:
    found = occupancy([0, 30, 290, -60], [60, 600, 20, 90], 0, 300, 4)

    assert found.tolist() == pytest.approx([(60 + 270 + 10 + 30) / 300, (300 + 10) / 300, 30 / 300, 0])


def test_occupancy_adds_up_to_all_that_ran() -> None:
    random = np.random.default_rng(3)
    starts, took = random.uniform(0, 80_000, 500), random.exponential(700, 500).clip(max=4000)

    assert occupancy(starts, took, 0, 300, 300).sum() * 300 == pytest.approx(took.sum())


def test_what_recurs_each_week_is_forecast_without_one_bad_week() -> None:
    week = np.sin(np.arange(2016) / 30) + 2
    series = np.tile(week, 5)
    series[2016 + 100 : 2016 + 200] += 50  # an outage piled runs up, four weeks ago

    found = seasonal(series, 2016, 2016)

    assert np.abs(found.expected - week).max() < 1e-9
    assert (found.low <= found.expected).all()
    assert (found.high >= found.expected).all()


def test_a_week_of_history_is_the_least() -> None:
    with pytest.raises(ValueError, match="no history"):
        seasonal(np.ones(2015), 2016, 10)


def test_known_fires_bring_the_time_their_runs_take_at_that_hour() -> None:
    begun = MONDAY + np.arange(24 * 28) * 3600.0
    took = np.where(begun % DAY_S < 6 * 3600, 900.0, 300.0)  # long by night

    night, noon = durations(
        np.array([MONDAY + WEEK_S * 4 + 2 * 3600.0, MONDAY + WEEK_S * 4 + 12 * 3600.0]), begun, took
    )

    assert np.median(night) == pytest.approx(900, rel=0.1)
    assert np.median(noon) == pytest.approx(300, rel=0.1)


def test_a_job_that_grew_lately_is_taken_as_it_is_now() -> None:
    begun = MONDAY + np.arange(24 * 28) * 3600.0
    took = np.where(np.arange(24 * 28) > 24 * 14, 1200.0, 600.0)

    found = durations(np.array([MONDAY + WEEK_S * 4.0]), begun, took)

    assert np.median(found) > 1000


def test_a_new_schedule_counts_from_its_first_fire() -> None:
    known = Known(fires=[MONDAY + 600], begun=[MONDAY - 3600.0, MONDAY - 1800.0], took=[300, 300])

    found = forecast(np.zeros(2016), [known], MONDAY, 300, 4)

    assert found.expected.tolist() == pytest.approx([0, 0, 1, 0], abs=0.05)
    assert planned([], MONDAY, 300, 3).expected.tolist() == [0, 0, 0]


def test_the_scaled_error_of_repeating_last_week_is_about_one() -> None:
    series = np.random.default_rng(1).normal(5, 1, 2016 * 5)

    assert mase(series[-2016:], series[-4032:-2016], series[:-2016], 2016) == pytest.approx(1, abs=0.05)
    assert mase(series[-2016:], seasonal(series[:-2016], 2016, 2016).expected, series[:-2016], 2016) < 0.85
