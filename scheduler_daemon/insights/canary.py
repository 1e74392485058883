"""Say whether a change that was applied made a figure better: the runs after it beside those before. Pure.

Runs are compared by chance: how often would a mean so much better come up if the change had done nothing? A change
that cannot be shown to be better within the runs it was given is taken back, and at once if it does harm.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scheduler_daemon.contract.insights import Verdict
from scheduler_daemon.insights.hours import wilson

Floats = NDArray[np.float64]

LOOKS: Final = (8, 16, 30)
"""Runs after which it is judged; after the last it is kept or taken back."""
_DRAWS: Final = 2000
_CERTAIN: Final = 0.97
"""Looking three times gives chance three tries; all in all it is right nine times in ten."""
_SEED: Final = 1


class Judged(NamedTuple):
    """What a change did."""

    verdict: Verdict
    before: float
    after: float
    gain: float
    """By what share the figure is better than it was; negative for worse."""
    low: float
    high: float
    """The gain lies between with much certainty."""
    runs: int
    why: str


def judge(before: ArrayLike, after: ArrayLike, *, lower_is_better: bool = True, least: float = 0.0) -> Judged:
    """Compare a figure of runs before and after a change, a value a run, as it came.

    To be kept, the gain must surely be more than `least`, a share of what was before.
    """
    old, new = np.asarray(before, np.float64), np.asarray(after, np.float64)
    if len(old) < LOOKS[0] or len(new) < LOOKS[0]:
        return Judged(Verdict.WAIT, _mean(old), _mean(new), 0.0, -1.0, 1.0, len(new), "too few runs yet")
    gains = _gains(old, new, lower_is_better=lower_is_better)
    gain = float(_gain(_mean(old), _mean(new), lower_is_better=lower_is_better))
    low, high = (float(bound) for bound in np.quantile(gains, (1 - _CERTAIN, _CERTAIN)))
    verdict, why = _verdict(low, high, least, len(new))
    return Judged(verdict, _mean(old), _mean(new), gain, low, high, len(new), why)


def harmed(before: tuple[int, int], after: tuple[int, int]) -> bool:
    """Tell whether runs surely fail more than before; each of both is (failed, of). One failure is chance."""
    return after[0] > 1 and wilson(*after)[0] > wilson(*before)[1]


def _verdict(low: float, high: float, least: float, runs: int) -> tuple[Verdict, str]:
    looked = runs in LOOKS or runs >= LOOKS[-1]
    if looked and low > least:
        return Verdict.KEEP, f"surely better after {runs} runs"
    if looked and high < min(least, 0.0):
        return Verdict.REVERT, f"surely worse after {runs} runs"
    if runs >= LOOKS[-1]:
        return Verdict.REVERT, f"not shown to be better within {runs} runs"
    return Verdict.WAIT, f"not decided after {runs} of {LOOKS[-1]} runs"


def _gains(old: Floats, new: Floats, *, lower_is_better: bool) -> Floats:
    """Return the gains of samples drawn anew from both, with replacement."""
    random = np.random.default_rng(_SEED)
    means = [values[random.integers(0, len(values), (_DRAWS, len(values)))].mean(axis=1) for values in (old, new)]
    return np.asarray(_gain(means[0], means[1], lower_is_better=lower_is_better), np.float64)


def _gain(old: Floats | float, new: Floats | float, *, lower_is_better: bool) -> Floats | float:
    scale = np.maximum(np.abs(old), 1e-9)
    return np.asarray((old - new) / scale if lower_is_better else (new - old) / scale)


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else 0.0
