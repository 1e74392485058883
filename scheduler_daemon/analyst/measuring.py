"""Measure what came of an insight: whether an applied change is better than what was before, and what was foretold.

A change is compared by the figure it foretold, over the runs of the version it made and those before. One that does
harm (runs fail more, or meet the limit it set) is to be taken back at once, whatever its figure says.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scheduler_daemon.analyst.past import Past, killed_by_memory
from scheduler_daemon.analyst.spreading import beside
from scheduler_daemon.contract.insights import Measured, Prediction, Verdict
from scheduler_daemon.insights.canary import LOOKS, harmed, judge

Floats = NDArray[np.float64]
_AFTER: Final = 10
"""Runs that tell whether a change of level has stayed."""
_BEFORE: Final = 60
"""Runs before a change that it is compared with, the latest."""


@dataclass(frozen=True, slots=True)
class Applied:
    """A change that was made of an insight."""

    job_id: str
    version: int
    """Of the job, that it made."""
    value: Any
    before: Any
    """What the field was."""
    prediction: Prediction


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of the job, and of the others."""

    runs: Past
    finally_failed: Mapping[int, bool]
    """By run, the id of its first attempt: whether it failed after all its attempts."""
    fleet: Sequence[tuple[str, float, float]]
    """(job, start, end) of the runs of the last weeks, epoch seconds."""


def of_change(applied: Applied, seen: Seen, now: datetime) -> Measured | None:
    """Return how a change does so far, None where there is no figure to go by, or no run yet."""
    measure = _MEASURES.get(applied.prediction.metric)
    old = seen.runs.where(seen.runs.versions < applied.version)
    new = seen.runs.since(applied.version)
    if measure is None or not len(new) or not len(old):
        return None
    old = old.where(np.arange(len(old)) >= len(old) - _BEFORE)
    found = measure(applied, old, new, seen, now)
    if applied.prediction.metric in _MAY_HARM and harmed(_failures(old), _failures(new)):
        why = f"since then {_failures(new)[0]} of {len(new)} runs failed, before {_failures(old)[0]} of {len(old)}"
        return found.model_copy(update={"verdict": Verdict.REVERT, "why": why})
    return found


def of_level(prediction: Prediction, values: Floats, now: datetime) -> Measured | None:
    """Return whether a figure stayed at the level that was foretold; None until enough runs tell. Values a run."""
    known = values[np.isfinite(values)]
    if len(known) < _AFTER:
        return None
    after = float(np.median(known[:_AFTER]))
    came = _within(prediction, after)
    return Measured(metric=prediction.metric, after=after, runs=_AFTER, came=came, at=now)


def _within(prediction: Prediction, value: float) -> bool:
    above = prediction.low is None or value >= prediction.low
    return above and (prediction.high is None or value <= prediction.high)


def _failures(runs: Past) -> tuple[int, int]:
    return int(runs.failed.sum()), len(runs)


def _memory(applied: Applied, old: Past, new: Past, seen: Seen, now: datetime) -> Measured:  # noqa: ARG001
    largest = float(np.nanmax(new.memory, initial=0.0))
    killed = killed_by_memory(new)
    gain = 1 - applied.value / applied.before
    verdict, why = Verdict.WAIT, f"no run has met the limit yet, after {len(new)} of {LOOKS[1]}"
    if killed > killed_by_memory(old):
        verdict, why = Verdict.REVERT, f"{killed} of {len(new)} runs met the new limit"
    elif len(new) >= LOOKS[1]:
        verdict, why = Verdict.KEEP, f"no run has met the limit in {len(new)} runs"
    came = not killed and _within(applied.prediction, largest) if verdict is not Verdict.WAIT else None
    return Measured(
        verdict=verdict, metric="memory_bytes", before=float(applied.before), after=float(applied.value), gain=gain,
        low=gain, high=gain, runs=len(new), came=came, why=why, at=now,
    )  # fmt: skip


def _rate(applied: Applied, old: Past, new: Past, seen: Seen, now: datetime) -> Measured:  # noqa: ARG001
    before, after = _per_day(old), _per_day(new)
    gain = 1 - after / before if before else 0.0
    decided = len(new) >= LOOKS[0]
    keeps = decided and gain > 0
    verdict = Verdict.KEEP if keeps else Verdict.REVERT if decided else Verdict.WAIT
    return Measured(
        verdict=verdict, metric="runs_per_day", before=before, after=after, gain=gain, low=gain, high=gain,
        runs=len(new), came=_within(applied.prediction, after) if decided else None,
        why=f"{after:.1f} runs a day instead of {before:.1f}", at=now,
    )  # fmt: skip


def _per_day(runs: Past) -> float:
    if len(runs) < 2:
        return 0.0
    return float(86_400 / max(float(np.median(np.diff(runs.started))), 1.0))


def _beside(applied: Applied, old: Past, new: Past, seen: Seen, now: datetime) -> Measured:
    changed = float(new.started[0])
    own = [each for each in seen.fleet if each[0] == applied.job_id]
    others = beside(applied.job_id, seen.fleet)
    before = [value for (_, start, _), value in zip(own, others, strict=True) if start < changed]
    after = [value for (_, start, _), value in zip(own, others, strict=True) if start >= changed]
    del old
    return _judged(applied, np.array(before), np.array(after), now)


def _failure_rate(applied: Applied, old: Past, new: Past, seen: Seen, now: datetime) -> Measured:  # noqa: ARG001
    return _judged(applied, old.failed.astype(np.float64), new.failed.astype(np.float64), now)


def _recovered(applied: Applied, old: Past, new: Past, seen: Seen, now: datetime) -> Measured:
    """Compare the runs that failed for good; what was foretold is of those that failed at first."""
    lost = [np.array([seen.finally_failed.get(int(n), False) for n in runs.ids], np.float64) for runs in (old, new)]
    found = _judged(applied, lost[0], lost[1], now)
    at_first = int(new.failed.sum())
    came = None
    if at_first and found.verdict is not Verdict.WAIT:
        came = _within(applied.prediction, 1 - float(lost[1].sum()) / at_first)
    return found.model_copy(update={"came": came, "metric": "recovered_share"})


def _judged(applied: Applied, before: Floats, after: Floats, now: datetime) -> Measured:
    found = judge(before, after)
    decided = found.verdict is not Verdict.WAIT
    return Measured(
        verdict=found.verdict, metric=applied.prediction.metric, before=found.before, after=found.after,
        gain=found.gain, low=found.low, high=found.high, runs=found.runs,
        came=_within(applied.prediction, found.after) if decided else None, why=found.why, at=now,
    )  # fmt: skip


_MEASURES: Final[Mapping[str, Callable[[Applied, Past, Past, Seen, datetime], Measured]]] = {
    "memory_bytes": _memory,
    "runs_per_day": _rate,
    "runs_beside": _beside,
    "failure_rate": _failure_rate,
    "recovered_share": _recovered,
}
_MAY_HARM: Final = frozenset({"memory_bytes", "runs_per_day", "runs_beside"})
