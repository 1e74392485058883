"""Train on what was known before each past run, and take what does better than the regression, or nothing.

A small network needs numpy alone; boosted trees need scikit-learn (the extra `ml`) for training. What either has
learnt is plain numbers, and forecasts without it.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp, log
from typing import Any, Final, Protocol

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
_EPOCHS: Final = 12
_BATCH: Final = 500
_RATE: Final = 0.002
_DECAY: Final = 1e-4
_FIRST, _SECOND = 0.9, 0.999
"""How the slopes and their squares fade, after Kingma and Ba, "Adam" (2014)."""
_TREES: Final = 80


class Trained(Protocol):
    """A rule that was trained, and what it is kept as."""

    kind: str

    def probability(self, features: Sequence[float]) -> float:
        """Return how likely a run of these features fails."""

    def probabilities(self, features: Floats) -> Floats:
        """Return how likely each of some runs fails; a row of features each."""

    def dump(self) -> dict[str, Any]:
        """Return what `load` takes, as JSON has it: some thousand numbers."""


class Network:
    """Layers of weights; the last gives the logarithm of the odds."""

    kind = "network"

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
        return _share((values @ weights + offsets)[:, 0])

    def dump(self) -> dict[str, Any]:
        """Return what `load` takes, as JSON has it: some thousand numbers."""
        layers = [[weights.tolist(), offsets.tolist()] for weights, offsets in self._layers]
        return {"kind": self.kind, "middle": self._middle.tolist(), "spread": self._spread.tolist(), "layers": layers}

    @classmethod
    def load(cls, kept: Mapping[str, Any]) -> "Network":
        """Return what was dumped. Raises KeyError or ValueError for anything else, also of other features."""
        layers = [(np.array(weights, np.float64), np.array(offsets, np.float64)) for weights, offsets in kept["layers"]]
        if layers[0][0].shape[0] != COUNT:
            raise ValueError(f"it goes by {layers[0][0].shape[0]} features, not {COUNT}")
        return cls(np.array(kept["middle"], np.float64), np.array(kept["spread"], np.float64), layers)


class Trees:
    """Boosted trees, each five lists by node: feature (negative at a leaf), threshold, left, right, value."""

    kind = "boosted trees"

    def __init__(self, begin: float, trees: Sequence[Sequence[Sequence[float]]]) -> None:
        """`begin` is the logarithm of the odds that the values of the leaves are added to."""
        self._begin = begin
        self._trees = [
            (list(map(int, feature)), list(threshold), list(map(int, left)), list(map(int, right)), list(value))
            for feature, threshold, left, right, value in trees
        ]

    def probability(self, features: Sequence[float]) -> float:
        """Return how likely a run of these features fails."""
        total = self._begin
        for feature, threshold, left, right, value in self._trees:
            node = 0
            while (which := feature[node]) >= 0:
                node = left[node] if features[which] <= threshold[node] else right[node]
            total += value[node]
        return 1 / (1 + exp(-min(30.0, max(-30.0, total))))

    def probabilities(self, features: Floats) -> Floats:
        """Return how likely each of some runs fails; a row of features each."""
        total = np.full(len(features), self._begin)
        every = np.arange(len(features))
        for tree in self._trees:
            feature, threshold, left, right, value = (np.array(part) for part in tree)
            node = np.zeros(len(features), np.int64)
            while (inner := feature[node] >= 0).any():
                below = features[every, np.maximum(feature[node], 0)] <= threshold[node]
                node = np.where(inner, np.where(below, left[node], right[node]), node)
            total += value[node]
        return _share(total)

    def dump(self) -> dict[str, Any]:
        """Return what `load` takes, as JSON has it: some thousand numbers."""
        return {"kind": self.kind, "begin": self._begin, "trees": [list(tree) for tree in self._trees]}

    @classmethod
    def load(cls, kept: Mapping[str, Any]) -> "Trees":
        """Return what was dumped. Raises KeyError or ValueError for anything else, also of other features."""
        found = cls(float(kept["begin"]), kept["trees"])
        used = max((number for feature, *_ in found._trees for number in feature), default=0)
        if used >= COUNT:
            raise ValueError(f"it goes by feature {used}, and there are {COUNT}")
        return found


def load(kept: Mapping[str, Any]) -> Trained:
    """Return the rule that was dumped. Raises KeyError or ValueError for anything else."""
    known: Mapping[str, Callable[[Mapping[str, Any]], Trained]] = {Network.kind: Network.load, Trees.kind: Trees.load}
    return known[kept["kind"]](kept)


@dataclass(frozen=True, slots=True)
class Choice:
    """What came of a training."""

    rule: Trained | None
    """What did best on the runs that were held back; None where that is the regression."""
    losses: Mapping[str, float]
    """The log loss of each on these runs."""


def choose(features: Floats, failed: Floats, believed: Floats, *, seconds: float = 60.0, seed: int = 0) -> Choice:
    """Train a network, and trees where scikit-learn is there, and return what did best on what was held back.

    The rows of `features` are what was known before each run, in the order of time; `failed` is 1 where the run failed,
    `believed` the probability that the regression gave it then. Each takes at most about half of `seconds` of processor
    time. Too few runs or failures are no reason to take anything.
    """
    cut = int(len(failed) * (1 - HELD_BACK))
    if len(failed) < LEAST_RUNS or min(failed[:cut].sum(), failed[cut:].sum()) < LEAST_FAILURES:
        return Choice(None, {})
    rules: list[Trained] = [train(features[:cut], failed[:cut], seconds=seconds / 2, seed=seed)]
    trees = grow(features[:cut], failed[:cut], seconds=seconds / 2, seed=seed)
    rules += [trees] if trees else []
    losses = {"regression": log_loss(failed[cut:], believed[cut:])}
    losses |= {rule.kind: log_loss(failed[cut:], rule.probabilities(features[cut:])) for rule in rules}
    best = min(rules, key=lambda rule: losses[rule.kind])
    return Choice(best if losses[best.kind] <= BETTER_BY * losses["regression"] else None, losses)


def train(features: Floats, failed: Floats, *, seconds: float = 30.0, seed: int = 0) -> Network:
    """Return a network that was trained on these runs, for at most so many seconds of processor time."""
    random, ends = np.random.default_rng(seed), time.process_time() + seconds
    middle, spread = features.mean(0), features.std(0) + 1e-3
    even = np.clip((features - middle) / spread, -8, 8)
    sizes = [features.shape[1], *_HIDDEN, 1]
    layers = [(random.normal(0, (2 / into) ** 0.5, (into, out)), np.zeros(out)) for into, out in pairwise(sizes)]
    share = float(np.clip(failed.mean(), 1e-4, 1 - 1e-4))
    layers[-1] = (layers[-1][0] * 0.1, np.array([log(share / (1 - share))]))
    moved = [(np.zeros_like(part), np.zeros_like(part)) for layer in layers for part in layer]
    step = 0
    for _ in range(_EPOCHS):
        for rows in np.array_split(random.permutation(len(even)), max(1, len(even) // _BATCH)):
            step += 1
            _descend(layers, moved, _slopes(layers, even[rows], failed[rows]), step)
        if time.process_time() > ends:
            break
    return Network(middle, spread, layers)


def _slopes(layers: Sequence[tuple[Floats, Floats]], values: Floats, failed: Floats) -> list[Floats]:
    """Return by how much the loss rises with each weight and offset, in the order of the layers."""
    inputs = [values]
    for weights, offsets in layers[:-1]:
        inputs.append(np.maximum(inputs[-1] @ weights + offsets, 0))
    weights, offsets = layers[-1]
    back = (_share((inputs[-1] @ weights + offsets)[:, 0]) - failed)[:, None] / len(failed)
    found: list[Floats] = []
    for (weights, _), into in zip(reversed(layers), reversed(inputs), strict=True):
        found += [back.sum(0), into.T @ back + _DECAY * weights]
        back = (back @ weights.T) * (into > 0)
    return found[::-1]


def _descend(
    layers: Sequence[tuple[Floats, Floats]], moved: Sequence[tuple[Floats, Floats]], slopes: Sequence[Floats], step: int
) -> None:
    parts = (part for layer in layers for part in layer)
    for part, (first, second), slope in zip(parts, moved, slopes, strict=True):
        np.add(first, (1 - _FIRST) * (slope - first), out=first)
        np.add(second, (1 - _SECOND) * (slope * slope - second), out=second)
        wide = np.sqrt(second / (1 - _SECOND**step)) + 1e-8
        np.subtract(part, _RATE * (first / (1 - _FIRST**step)) / wide, out=part)


def grow(features: Floats, failed: Floats, *, seconds: float = 30.0, seed: int = 0) -> Trees | None:
    """Return boosted trees that were grown on these runs, for at most so many seconds of processor time.

    None without scikit-learn.
    """
    try:
        from sklearn.ensemble import GradientBoostingClassifier
    except ImportError:
        return None
    ends = time.process_time() + seconds
    rate = 0.08
    grown = GradientBoostingClassifier(
        n_estimators=_TREES, learning_rate=rate, max_depth=4, min_samples_leaf=60, subsample=0.5, random_state=seed
    )
    grown.fit(features, failed > 0, monitor=lambda *_: time.process_time() > ends)
    trees = [stage.tree_ for stage in grown.estimators_[:, 0]]
    share = float((failed > 0).mean())
    return Trees(
        log(share / (1 - share)),
        [
            (
                tree.feature.tolist(), tree.threshold.tolist(), tree.children_left.tolist(),
                tree.children_right.tolist(), (rate * tree.value[:, 0, 0]).tolist(),
            )
            for tree in trees
        ],
    )  # fmt: skip


def log_loss(failed: Floats, probability: Floats) -> float:
    """Return the mean of minus the logarithm of what was held likely of what happened."""
    p = np.clip(probability, 1e-6, 1 - 1e-6)
    return float(-np.mean(failed * np.log(p) + (1 - failed) * np.log(1 - p)))


def _share(odds: Floats) -> Floats:
    """Return the probabilities of logarithms of odds."""
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -30, 30))), np.float64)
