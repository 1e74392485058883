"""Jitter is the same for a job and a fire everywhere, spread over its window, and never reaches the next fire."""

from collections import Counter
from datetime import timedelta

from scheduler_daemon.domain.jitter import jitter
from tests.support.times import utc

FIRE = utc(2026, 5, 4, 12)
MINUTE = timedelta(minutes=1)


def test_a_delay_is_fixed_for_a_job_a_fire_and_a_seed() -> None:
    delay = jitter("job", FIRE, MINUTE, None)

    others = [jitter("other", FIRE, MINUTE, None), jitter("job", FIRE + MINUTE, MINUTE, None),
              jitter("job", FIRE, MINUTE, None, "seed")]  # fmt: skip

    assert delay == timedelta(milliseconds=51_676)
    assert delay not in others


def test_delays_of_many_jobs_fill_the_window_evenly() -> None:
    delays = [jitter(f"job {number}", FIRE, MINUTE, None) for number in range(6000)]

    buckets = Counter(delay // timedelta(seconds=1) for delay in delays)

    assert set(buckets) == set(range(60))
    assert sum((count - 100) ** 2 / 100 for count in buckets.values()) < 98.3  # chi-squared, 59 degrees, p = 0.001


def test_a_delay_never_reaches_the_next_fire() -> None:
    delays = [jitter(f"job {number}", FIRE, 60 * MINUTE, FIRE + MINUTE) for number in range(500)]

    assert max(delays) < MINUTE
    assert max(delays) > 0.9 * MINUTE


def test_without_a_window_there_is_no_delay() -> None:
    assert jitter("job", FIRE, timedelta(0), None) == timedelta(0)
