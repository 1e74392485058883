"""Histories of jobs, made up: the runs of one job, an hour apart, with what is wanted at a run put in its place."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from scheduler_daemon.insights.anomaly import Anomaly, JobWatch
from scheduler_daemon.insights.observation import Observation

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)


def run(number: int, **other: Any) -> Observation:
    """A run of a minute that printed a page and held 100 MB, `number` hours after a Monday's midnight."""
    usual = Observation(
        job_id="job", run_id=str(number), at=MONDAY + timedelta(hours=number), duration_s=60.0, output_bytes=4000,
        memory_bytes=100_000_000, delay_s=1.0, failed=False, outcome="succeeded",
    )  # fmt: skip
    return replace(usual, **other)


def usual(runs: int, seed: int = 7, noise: float = 0.06) -> Iterator[Observation]:
    """Runs that differ a little."""
    random = Random(seed)
    for number in range(runs):
        yield run(
            number,
            duration_s=60 * random.lognormvariate(0, noise),
            output_bytes=int(4000 * random.lognormvariate(0, noise)),
            memory_bytes=int(1e8 * random.lognormvariate(0, noise)),
            delay_s=random.gammavariate(1.5, 1),
        )


def failing(each: Observation) -> Observation:
    """The same run, failed."""
    return replace(each, failed=True, outcome="failed", exit_code=1)


def told(watch: JobWatch, history: Iterator[Observation] | list[Observation]) -> list[Anomaly]:
    """Everything that is told of a history."""
    return [anomaly for each in history for anomaly in watch.observe(each)]
