"""Train a small network on what was known before each past run, and take it only where it does better.

Training needs scikit-learn (the extra `ml`); what it trained is plain numbers, and forecasts without it.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scheduler_daemon.insights.prediction_features import COUNT

Floats = NDArray[np.float64]

HELD_BACK: Final = 0.3
"""The latest part of the history is not learnt from, and decides."""
LEAST_RUNS: Final = 5000
LEAST_FAILURES: Final = 50
BETTER_BY: Final = 0.995
"""It is taken if its log loss on what was held back is at most this part of that of the regression."""
_HIDDEN: Final = (24, 12)


class Network:
    """Layers of weights; the last gives the logarithm of the odds."""

    def __init__(self, middle: Floats, spread: Floats, layers: Sequence[tuple[Floats, Floats]]) -> None:
        """`middle` and `spread` are what features are made even with; a layer is its weights (in, out) and offsets."""
        self._middle, self._spread, self._layers = middle, spread, list(layers)

    def probability(self, features: Sequence[float]) -> float:
        """Return how likely a run of these features fails."""
        return float(self.probabilities(np.array([features]))[0])

    def probabilities(self, features: Floats) -> Floats:
        """Return how likely each of some runs fails; a row of features each."""
        values = np.clip((features - self._middle) / self._spread, -8, 8)
        for weights, offsets in self._layers[:-1]:
            values = np.maximum(values @ weights + offsets, 0)
        weights, offsets = self._layers[-1]
        return np.asarray(1 / (1 + np.exp(-np.clip((values @ weights + offsets)[:, 0], -30, 30))), np.float64)

    def dump(self) -> dict[str, Any]:
        """Return what `load` takes, as JSON has it: some thousand numbers."""
        layers = [[weights.tolist(), offsets.tolist()] for weights, offsets in self._layers]
        return {"middle": self._middle.tolist(), "spread": self._spread.tolist(), "layers": layers}

    @classmethod
    def load(cls, kept: Mapping[str, Any]) -> "Network":
        """Return what was dumped. Raises KeyError or ValueError for anything else, also of other features."""
        layers = [(np.array(weights, np.float64), np.array(offsets, np.float64)) for weights, offsets in kept["layers"]]
        if layers[0][0].shape[0] != COUNT:
            raise ValueError(f"it goes by {layers[0][0].shape[0]} features, not {COUNT}")
        return cls(np.array(kept["middle"], np.float64), np.array(kept["spread"], np.float64), layers)


def train(features: Floats, failed: Floats, believed: Floats, seed: int = 0) -> Network | None:
    """Return a network that did better than what was believed, or None: there is none, or too little to tell.

    The rows of `features` are what was known before each run, in the order of time; `failed` is 1 where the run failed,
    `believed` the probability that the regression gave it then. Raises ImportError without scikit-learn.
    """
    from sklearn.neural_network import MLPClassifier

    cut = int(len(failed) * (1 - HELD_BACK))
    if len(failed) < LEAST_RUNS or min(failed[:cut].sum(), failed[cut:].sum()) < LEAST_FAILURES:
        return None
    middle, spread = features[:cut].mean(0), features[:cut].std(0) + 1e-3
    even = np.clip((features[:cut] - middle) / spread, -8, 8)
    trained = MLPClassifier(
        _HIDDEN, alpha=0.01, batch_size=500, learning_rate_init=0.002, max_iter=12, random_state=seed
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is stopped early on purpose
        trained.fit(even, failed[:cut] > 0)
    network = Network(middle, spread, list(zip(trained.coefs_, trained.intercepts_, strict=True)))
    ours, theirs = (log_loss(failed[cut:], each) for each in (network.probabilities(features[cut:]), believed[cut:]))
    return network if ours <= BETTER_BY * theirs else None


def log_loss(failed: Floats, probability: Floats) -> float:
    """Return the mean of minus the logarithm of what was held likely of what happened."""
    p = np.clip(probability, 1e-6, 1 - 1e-6)
    return float(-np.mean(failed * np.log(p) + (1 - failed) * np.log(1 - p)))
