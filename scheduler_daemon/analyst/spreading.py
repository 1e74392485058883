"""Find the start that is best moved next, so that fewer runs fall together or a job leaves an hour in which it fails.

One move at a time: the next is offered when this one was judged. Only schedules of one expression are moved, within
their hour, or within their day where the job says that it may be; and only where no calendar or blackout is in the way.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scheduler_daemon.analyst.ahead import METRIC, Ahead, Relief, fires_of, relief
from scheduler_daemon.analyst.past import Fleet, Past, Subject
from scheduler_daemon.contract.insights import Action, ActionVerb, Finding, MetricEvidence, Prediction, Severity
from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.domain.schedule import compile_schedule
from scheduler_daemon.domain.shifts import means_the_same, moved_schedule, offsets
from scheduler_daemon.insights.hours import Seen, better, by_hour
from scheduler_daemon.insights.load import BUCKET_S
from scheduler_daemon.insights.spread import Move, Starter, spread

ENOUGH: Final = 30
"""Runs of a job that must be known before it is offered to be moved."""
_CROWD: Final = 2.0
"""Other runs beside one's own, in the mean, from which a move is worth it."""
_MINUTES: Final = 1440
_CHECKED: Final = timedelta(days=40)
_SHOWN: Final = timedelta(days=14)
_WEEKS: Final = 4
_WEEK: Final = timedelta(days=7)
_TRIED: Final = 20
"""Moves that are looked at until one is found that nothing is in the way of."""


def next_move(fleet: Fleet, now: datetime, day: Ahead | None = None) -> Finding | None:
    """Return the most useful move of a start away from the others, None where there is none worth it.

    Where the coming day is foretold, that is the one that lowers its peak most.
    """
    first = day.first if day else now.astimezone(UTC).replace(second=0, microsecond=0)
    starters = [found for job in fleet.jobs if (found := _starter(job, fleet.typical_s, first))]
    by_id = {job.id: job for job in fleet.jobs}
    rest = np.repeat(day.rest.expected, BUCKET_S // 60) if day else None
    moves = [move for move in spread(starters, _MINUTES, rest).moves[:_TRIED] if move.beside_now >= _CROWD]
    for move, lowers in _by_use(moves, day):
        job = by_id[move.key]
        if _allowed(job.spec.schedule, job.id, move.by, now):
            return _collision(job, move, fleet, now, lowers)
    return None


def _by_use(moves: Sequence[Move], day: Ahead | None) -> list[tuple[Move, Relief | None]]:
    """Return the moves, those that lower the peak of the coming day most first, with what becomes of it."""
    found = [(move, relief(day, move.key, move.by) if day else None) for move in moves]
    return sorted(found, key=lambda pair: round(pair[1].then - pair[1].now, 1) if pair[1] else 0.0)


def _starter(job: Subject, typical_s: Mapping[str, float], first: datetime) -> Starter | None:
    minutes = np.array([(fire - first) // timedelta(minutes=1) for fire in fires_of(job, first)], np.int64)
    if not len(minutes):
        return None
    takes = max(1, ceil(typical_s.get(job.id, 0.0) / 60))
    allowed = _offsets(job) if job.id in typical_s else (0,)
    return Starter(job.id, minutes % _MINUTES, takes, np.array(allowed, np.int64))


def _offsets(job: Subject) -> tuple[int, ...]:
    """Return by how many minutes a job may be moved: within its hour, if it says nothing else."""
    schedule = job.spec.schedule
    if job.spec.move == "never" or len(schedule.expressions) != 1 or schedule.jitter_s:
        return (0,)
    return offsets(schedule.expressions[0])


def _allowed(schedule: Schedule, job_id: str, by: int, now: datetime) -> bool:
    """Tell whether a schedule means the same moved by some minutes, over weeks, and nothing is in the way."""
    if schedule.blackouts or schedule.calendars:
        return False  # what they let through in another minute, people must judge
    apart = timedelta(minutes=by)
    moved = moved_schedule(schedule, by)
    before = list(compile_schedule(schedule, job_id).fires(now, now + _CHECKED, 5000))
    after = list(compile_schedule(moved, job_id).fires(now + apart, now + _CHECKED + apart, 5000))
    return means_the_same(before, after, by)


def _collision(job: Subject, move: Move, fleet: Fleet, now: datetime, lowers: Relief | None) -> Finding:
    seen = beside(job.id, fleet.runs)
    weeks = _by_week(job.id, move.by, fleet.runs, now)
    low, high = (min(weeks), max(weeks)) if weeks else (0.0, move.beside_now)
    return _moved(
        job,
        move.by,
        now,
        kind="collision",
        title=f"{job.name} would run beside {move.beside_then:.1f} others instead of {move.beside_now:.1f}",
        why=f"Moved by {move.by:+d} minutes its runs meet {move.beside_then:.1f} others at a time, as schedules "
        f"are now; in the last weeks it would have been {low:.1f} to {high:.1f}."
        + (
            f" Of the coming day the highest peak, {lowers.now:.1f} runs at once, becomes {lowers.then:.1f} "
            f"({lowers.low:.1f} to {lowers.high:.1f})."
            if lowers
            else ""
        ),
        evidence=(
            MetricEvidence(
                metric="runs_beside",
                value=float(np.mean(seen)) if seen else move.beside_now,
                expected=move.beside_then,
                low=low,
                high=high,
            ),
            *_peaks(lowers),
        ),
        prediction=Prediction(
            metric="runs_beside", expected=move.beside_then, low=0.0, high=max(high, move.beside_then * 1.5) + 0.5
        ),
        confidence=0.75,
    )


def _peaks(lowers: Relief | None) -> tuple[MetricEvidence, ...]:
    if lowers is None:
        return ()
    return (
        MetricEvidence(
            metric=METRIC, value=lowers.now, expected=lowers.then, low=lowers.low, high=lowers.high, unit="runs"
        ),
    )


def beside(job_id: str, runs: Sequence[tuple[str, float, float]]) -> list[float]:
    """Return for each run of a job how many runs of others it had beside it, in the mean over its time."""
    own = [(start, end) for job, start, end in runs if job == job_id]
    others = [(start, end) for job, start, end in runs if job != job_id]
    starts, ends = (np.array([pair[side] for pair in others], np.float64) for side in (0, 1))
    return [_overlap(starts, ends, start, max(end, start + 1.0)) for start, end in own]


def _overlap(starts: NDArray[np.float64], ends: NDArray[np.float64], begin: float, end: float) -> float:
    shared = np.minimum(ends, end) - np.maximum(starts, begin)
    return float(shared.clip(0).sum() / (end - begin))


def _by_week(job_id: str, by: int, runs: Sequence[tuple[str, float, float]], now: datetime) -> list[float]:
    """Return what a job would have had beside it in each of the last weeks, moved by so many minutes."""
    found = []
    for week in range(_WEEKS):
        until = (now - week * _WEEK).timestamp()
        some = [each for each in runs if until - _WEEK.total_seconds() <= each[1] < until]
        shifted = [
            (job, start + by * 60, end + by * 60) if job == job_id else (job, start, end) for job, start, end in some
        ]
        seen = beside(job_id, shifted)
        if seen:
            found.append(float(np.mean(seen)))
    return found


def failing_hour(job: Subject, runs: Past, peers: Sequence[Seen], now: datetime) -> Finding | None:
    """Return a move of a job out of an hour in which it fails, where it may leave its hour; None if there is none."""
    schedule = job.spec.schedule
    if job.spec.move != "hours" or len(schedule.expressions) != 1 or len(runs) < ENOUGH:
        return None
    within = offsets(schedule.expressions[0], hours=True)
    local = [datetime.fromtimestamp(start, UTC) for start in runs.started]
    hours = [at.hour for at in local]
    now_in = max(set(hours[-10:]), key=hours[-10:].count)
    found = better(by_hour(zip(hours, runs.failed.tolist(), strict=True)), list(peers), now_in)
    by = 0 if found is None else (found.hour - now_in) * 60
    if found is None or by not in within or not _allowed(schedule, job.id, by, now):
        return None
    low, high = found.then.interval()
    whose = "jobs beside it" if found.peers else "it"
    return _moved(
        job,
        by,
        now,
        kind="failing_hour",
        title=f"{job.name} fails in {found.now.rate:.0%} of its runs at this hour",
        why=f"At {now_in:02d}h UTC {whose} failed in {found.now.failures} of {found.now.runs} runs, at "
        f"{found.hour:02d}h in {found.then.failures} of {found.then.runs}.",
        evidence=(
            MetricEvidence(
                metric="failure_rate", value=found.now.rate, expected=found.then.rate, low=low, high=high,
                run_ids=tuple(int(n) for n in runs.ids[runs.failed][-10:]),
            ),
        ),
        prediction=Prediction(metric="failure_rate", expected=found.then.rate, low=0.0, high=high),
        confidence=0.8,
    )  # fmt: skip


def _moved(job: Subject, by: int, now: datetime, *, kind: str, title: str, why: str, **parts: Any) -> Finding:
    before = job.spec.schedule.model_dump(mode="json")
    after = moved_schedule(job.spec.schedule, by)
    old, new = job.spec.schedule.expressions[0], after.expressions[0]
    return Finding(
        key=f"{kind}:{job.id}:{old}:{new}",
        job_id=job.id,
        kind=kind,
        severity=Severity.INFO,
        confidence=parts["confidence"],
        title=title[:200],
        text=f"{why} `{new}` instead of `{old}`: the same days, and as many runs.",
        evidence=parts["evidence"],
        action=Action(verb=ActionVerb.SET_SCHEDULE, value=after.model_dump(mode="json"), before=before),
        prediction=parts["prediction"],
        model="spread",
        at=now,
        expires=now + _SHOWN,
    )
