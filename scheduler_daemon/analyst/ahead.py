"""Look a day ahead: how many runs fall together, by the schedules and by what recurs, and what one move would change.

A peak is told only where it is higher than on any day of the last weeks: the rest people know.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scheduler_daemon.analyst.past import Fleet, Run, Subject
from scheduler_daemon.contract.insights import Finding, MetricEvidence, Prediction, Severity
from scheduler_daemon.domain.schedule import compile_schedule
from scheduler_daemon.insights.load import (
    BUCKET_S,
    DAY_S,
    WEEK_S,
    Forecast,
    Known,
    forecast,
    occupancy,
    planned,
    seasonal,
)

Floats = NDArray[np.float64]

DAY: Final = timedelta(days=1)
BUCKETS: Final = DAY_S // BUCKET_S
METRIC: Final = "runs_at_once"
_MOST_FIRES: Final = 400
"""A job that fires more often in a day than this is part of what recurs."""
_MOST_KNOWN: Final = 2000
"""Jobs whose fires are looked at one by one: those that take most time."""
_WEEKS: Final = 4
_NEW: Final = 1.1
"""Of the highest peak of the last weeks: from so much on, one is told."""
_LEAST: Final = 3.0
_NAMED: Final = 3


@dataclass(frozen=True, slots=True)
class Ahead:
    """The coming day, in buckets of five minutes."""

    first: datetime
    """Its beginning, UTC."""
    load: Forecast
    """Runs at once."""
    rest: Forecast
    """Of these the runs whose fires nobody can know."""
    known: Mapping[str, Known]
    """The others, by job."""
    peaks: Sequence[float]
    """The highest of each day of the last whole weeks."""

    @property
    def peak(self) -> int:
        """The bucket in which most is expected."""
        return int(np.argmax(self.load.expected))

    def at(self, bucket: int) -> datetime:
        """When a bucket begins, UTC."""
        return self.first + timedelta(seconds=bucket * BUCKET_S)


class Relief(NamedTuple):
    """What a move makes of the highest peak, in runs at once; eight in ten times it lies from `low` to `high`."""

    now: float
    then: float
    low: float
    high: float


def look(fleet: Fleet, now: datetime) -> Ahead | None:
    """Forecast the coming day; None where less than a week is known."""
    first = int(now.timestamp()) // BUCKET_S * BUCKET_S
    lasting = {job.id for job in fleet.jobs if not job.paused}
    runs = [run for run in fleet.runs if run[0] in lasting]
    weeks = min(_WEEKS, int((first - min((start for _, start, _ in runs), default=first)) // WEEK_S))
    if not weeks:
        return None
    known = _known(fleet, runs, datetime.fromtimestamp(first, UTC))
    begin, buckets = first - weeks * WEEK_S, weeks * WEEK_S // BUCKET_S
    past = _load([run for run in runs if run[0] not in known], begin, buckets)
    every = _load(runs, begin, buckets)
    return Ahead(
        datetime.fromtimestamp(first, UTC),
        forecast(past, list(known.values()), first, BUCKET_S, BUCKETS),
        seasonal(past, WEEK_S // BUCKET_S, BUCKETS),
        known,
        every.reshape(-1, BUCKETS).max(axis=1).tolist(),
    )


def _load(runs: Sequence[Run], begin: float, buckets: int) -> Floats:
    starts, ends = (np.array([run[side] for run in runs], np.float64) for side in (1, 2))
    return occupancy(starts, ends - starts, begin, BUCKET_S, buckets)


def _known(fleet: Fleet, runs: Sequence[Run], first: datetime) -> dict[str, Known]:
    """Return the jobs whose fires of the coming day are known, and what their runs took."""
    took: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for job_id, start, end in (*fleet.rare, *runs):
        took[job_id].append((start, end - start))
    most = sorted(took, key=lambda job_id: -sum(lasts for _, lasts in took[job_id]))[:_MOST_KNOWN]
    wanted = set(most)
    found = {}
    for job in fleet.jobs:
        if job.id in wanted and (fires := fires_of(job, first)):
            begun, lasted = zip(*sorted(took[job.id]), strict=True)
            found[job.id] = Known([fire.timestamp() for fire in fires], begun, lasted)
    return found


def fires_of(job: Subject, first: datetime) -> list[datetime]:
    """Return the fires of a job in the day from an instant on; none of one that fires all the time or is paused."""
    if job.paused or not job.spec.schedule.expressions:
        return []
    fires = list(compile_schedule(job.spec.schedule, job.id).fires(first, first + DAY, _MOST_FIRES + 1))
    return fires if len(fires) <= _MOST_FIRES else []


def relief(ahead: Ahead, job_id: str, minutes: int) -> Relief | None:
    """Return what becomes of the highest peak if the starts of a job move by some minutes; None of an unknown job."""
    job = ahead.known.get(job_id)
    if job is None:
        return None
    first, load = ahead.first.timestamp(), ahead.load.expected
    moved = job._replace(fires=np.asarray(job.fires, np.float64) + minutes * 60)
    here, there = (planned([one], first, BUCKET_S, BUCKETS) for one in (job, moved))
    others = load - here.expected
    then, low, high = ((others + there_load).max() for there_load in (there.expected, there.low, there.high))
    return Relief(float(load.max()), float(then), float(low), float(high))


def peak(ahead: Ahead, names: Mapping[str, str]) -> Finding | None:
    """Return that more runs fall together than on any day of the last weeks, where that is to come."""
    load, bucket = ahead.load, ahead.peak
    expected, low, high = (float(values[bucket]) for values in load)
    usual, highest = float(np.median(ahead.peaks)), max(ahead.peaks)
    if expected < _LEAST or expected < _NEW * highest or low < usual:
        return None
    at = ahead.at(bucket)
    return Finding(
        key=f"peak_ahead:{at:%Y-%m-%dT%H:%M}",
        job_id=None,
        kind="peak_ahead",
        severity=Severity.INFO,
        confidence=0.8,
        title=f"{expected:.1f} runs at once are expected at {at:%H:%M} UTC, more than on any day of the last weeks",
        text=f"It may be {low:.1f} to {high:.1f}; in the last {len(ahead.peaks)} days it was {usual:.1f} on most and "
        f"{highest:.1f} at the most. {_runs_then(ahead, bucket, names)}",
        evidence=(
            MetricEvidence(
                metric=METRIC, value=expected, expected=usual, low=min(ahead.peaks), high=highest, unit="runs"
            ),
        ),
        prediction=Prediction(
            metric=METRIC, expected=expected, low=low, high=high, by=at + timedelta(seconds=BUCKET_S)
        ),
        model="load",
        at=ahead.first,
        expires=at + timedelta(seconds=BUCKET_S),
    )


def _runs_then(ahead: Ahead, bucket: int, names: Mapping[str, str]) -> str:
    """Say which jobs run in a bucket, those that run most seldom first: the others are there on other days too."""
    first = ahead.first.timestamp()
    own = {job: planned([known], first, BUCKET_S, BUCKETS).expected[bucket] for job, known in ahead.known.items()}
    running = sorted((job for job in own if own[job] > 0), key=lambda job: len(np.asarray(ahead.known[job].begun)))
    more = f" and {len(running) - _NAMED} more" if len(running) > _NAMED else ""
    return f"Then run {', '.join(names[job] for job in running[:_NAMED])}{more}." if running else ""


def at_once(foretold: Prediction, runs: Sequence[Run]) -> float:
    """Return how many runs there were at once in the five minutes that something was foretold of."""
    assert foretold.by is not None
    return float(_load(runs, foretold.by.timestamp() - BUCKET_S, 1)[0])
