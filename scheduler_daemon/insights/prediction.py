"""Say how likely the next run of a job fails, and why: a logistic regression over all jobs, learnt from run to run.

It begins with weights that held for fleets of many kinds, and moves to those of this one; what a single job does is in
its history. Nothing is said of runs that are hardly likelier to fail than the job's runs always are.
"""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import exp
from typing import Any, Final, Protocol

from scheduler_daemon.insights.observation import Observation
from scheduler_daemon.insights.prediction_features import COUNT, NAMES, FailureHistory

SHOWN_FROM: Final = 3.0
"""A forecast is worth showing when a failure is so many times as likely as it always is with this job."""
REASONS: Final = 3
_BEGIN: Final = (-3.8, 0.88, 0.6, 0.9, 1.15, 0.15, 3.0, 0.2, -0.1, 0.9, 1.5, 0.3, 0.0, 1.8, 0.0)
_RATE: Final = 0.05
_STEADY: Final = 60.0
"""How much the weights to begin with are trusted: as if so much had been learnt of each."""
_HALVED_S: Final = 1800.0
"""Runs of other jobs count half as much after so many seconds."""
_GUESS: Final = 0.02
_USUAL: Final = 0.002


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a failure is likelier: `times` as likely by this alone."""

    text: str
    times: float


@dataclass(frozen=True, slots=True)
class FailureForecast:
    """What is expected of a job's next run."""

    probability: float
    base: float
    """How often the job's runs fail in all."""
    reasons: tuple[Reason, ...]
    """The largest first; none where it is not worth a word."""

    @property
    def shown(self) -> bool:
        """Whether it is worth a word."""
        return self.probability >= SHOWN_FROM * self.base


class Rule(Protocol):
    """What turns the features of a run into a probability, as a network that was trained by night does."""

    kind: str

    def probability(self, features: Sequence[float]) -> float:
        """Return the probability, from 0 to 1."""


class FailureModel:
    """What holds for all jobs: the weights, and how many runs fail just now."""

    __slots__ = ("_failed", "_runs", "_squares", "_time", "_usual", "_weights", "better", "samples")

    def __init__(self) -> None:
        self._weights = list(_BEGIN)
        self._squares = [_STEADY] * COUNT
        self._usual = [0.0] * COUNT
        self._runs = self._failed = self._time = 0.0
        self.better: Rule | None = None
        """Taken in place of the regression where it was shown to do better."""
        self.samples: array[float] | None = None
        """Where this is an array of floats, each run that is learnt from is added: its features, what was believed,
        and whether it failed."""

    @property
    def by(self) -> str:
        """What forecasts are made by."""
        return self.better.kind if self.better else "regression"

    def features(self, history: FailureHistory, at: datetime, *, parent_failed: bool) -> list[float]:
        """Describe a job's run that starts at `at` (UTC)."""
        fading = 0.5 ** (max(0.0, at.timestamp() - self._time) / _HALVED_S)
        others = (self._failed * fading + 3 * _GUESS) / (self._runs * fading + 3)
        return history.features(at, parent_failed=parent_failed, others=others)

    def predict(
        self, history: FailureHistory, at: datetime, *, parent_failed: bool = False, worth: float = 0.0
    ) -> FailureForecast:
        """Forecast the job's run that starts at `at` (UTC).

        What was trained takes longer, and is asked only where the regression gives at least `worth`.
        """
        features = self.features(history, at, parent_failed=parent_failed)
        probability = self._probability(features)
        if self.better and probability >= worth:
            probability = self.better.probability(features)
        base = history.base()
        shown = probability >= SHOWN_FROM * base
        return FailureForecast(probability, base, self._reasons(features) if shown else ())

    def _reasons(self, features: Sequence[float]) -> tuple[Reason, ...]:
        told = sorted(
            ((weight * (x - usual), number) for number, (weight, x, usual) in
             enumerate(zip(self._weights, features, self._usual, strict=True)) if number),
            reverse=True,
        )  # fmt: skip
        return tuple(Reason(NAMES[number], exp(min(part, 20.0))) for part, number in told[:REASONS] if part > 0.1)

    def learn(self, history: FailureHistory, run: Observation) -> float:
        """Learn from a run that has ended, also for its job's history; return how likely its failure had been held."""
        features = self.features(history, run.at, parent_failed=run.parent_failed)
        probability = self._probability(features)
        if self.samples is not None:
            self.samples.extend((*features, probability, run.failed))
        off = probability - run.failed
        weights, squares, usual = self._weights, self._squares, self._usual
        for number, x in enumerate(features):
            usual[number] += _USUAL * (x - usual[number])
            if x:
                slope = off * x
                squares[number] += slope * slope
                weights[number] -= _RATE * slope / squares[number] ** 0.5
        history.learn(run)
        now = run.at.timestamp()
        if now > self._time:
            fading = 0.5 ** ((now - self._time) / _HALVED_S)
            self._runs, self._failed, self._time = self._runs * fading, self._failed * fading, now
        self._runs += 1
        self._failed += run.failed
        return probability

    def _probability(self, features: Sequence[float]) -> float:
        total = sum(weight * x for weight, x in zip(self._weights, features, strict=True))
        return 1 / (1 + exp(min(30.0, max(-30.0, -total))))

    def dump(self) -> dict[str, Any]:
        """Return what `load` takes, as JSON has it: the same size whatever was learnt."""
        return {
            "weights": list(self._weights), "squares": list(self._squares), "usual": list(self._usual),
            "runs": self._runs, "failed": self._failed, "time": self._time,
        }  # fmt: skip

    @classmethod
    def load(cls, kept: Mapping[str, Any]) -> "FailureModel":
        """Return what was dumped, but a rule taken by night. Raises KeyError or ValueError for anything else."""
        model = cls()
        for name in ("weights", "squares", "usual"):
            numbers = [float(x) for x in kept[name]]
            if len(numbers) != COUNT:
                raise ValueError(f"{name} are {len(numbers)}, not {COUNT}")
            setattr(model, f"_{name}", numbers)
        model._runs, model._failed, model._time = kept["runs"], kept["failed"], kept["time"]
        return model
