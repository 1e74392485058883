"""A change is kept if it is surely better, taken back if it is not, and judged only after as many runs as it takes."""

import numpy as np
import pytest

from scheduler_daemon.contract.insights import Verdict
from scheduler_daemon.insights.canary import LOOKS, harmed, judge


def took(mean: float, count: int, seed: int = 1, noise: float = 0.2) -> np.ndarray:
    return mean * np.exp(np.random.default_rng(seed).normal(0, noise, count))


def test_a_large_gain_is_kept_early_and_told_with_its_interval() -> None:
    found = judge(took(100, 40), took(60, LOOKS[0], 2))

    assert found.verdict is Verdict.KEEP
    assert found.low < found.gain < found.high
    assert found.gain == pytest.approx(0.4, abs=0.1)


def test_a_loss_is_taken_back_early() -> None:
    assert judge(took(100, 40), took(160, LOOKS[0], 2)).verdict is Verdict.REVERT


def test_what_is_not_clear_waits_and_is_then_taken_back() -> None:
    old = took(100, 40)

    assert judge(old, took(99, LOOKS[1], 2)).verdict is Verdict.WAIT
    last = judge(old, took(99, LOOKS[-1], 2))

    assert last.verdict is Verdict.REVERT
    assert last.why == "not shown to be better within 30 runs"


def test_too_few_runs_say_nothing() -> None:
    assert judge(took(100, 40), took(1, LOOKS[0] - 1)).verdict is Verdict.WAIT
    assert judge(took(100, 3), took(1, 100)).verdict is Verdict.WAIT


def test_it_is_judged_only_when_it_was_said_it_would_be() -> None:
    assert judge(took(100, 40), took(60, LOOKS[0] + 1, 2)).verdict is Verdict.WAIT


def test_more_can_be_better() -> None:
    assert judge(took(100, 40), took(160, 8, 2), lower_is_better=False).verdict is Verdict.KEEP


def test_a_gain_that_must_be_large_is_not_enough_if_it_is_small() -> None:
    assert judge(took(100, 40), took(90, 30, 2), least=0.25).verdict is Verdict.REVERT


def test_chance_alone_is_seldom_kept() -> None:
    kept = 0
    for seed in range(200):
        old, new = took(100, 60, seed), took(100, 30, seed + 1000)
        kept += any(judge(old, new[:runs]).verdict is Verdict.KEEP for runs in LOOKS)

    assert kept / 200 <= 0.12


def test_a_real_gain_is_mostly_kept() -> None:
    kept = 0
    for seed in range(100):
        old, new = took(100, 60, seed), took(80, 30, seed + 1000)
        kept += any(judge(old, new[:runs]).verdict is Verdict.KEEP for runs in LOOKS)

    assert kept >= 90


def test_more_failures_are_harm_if_they_are_surely_more() -> None:
    assert harmed((2, 100), (5, 10))
    assert not harmed((2, 100), (1, 10))
    assert not harmed((0, 0), (3, 3))
    assert not harmed((2, 100), (0, 0))


def test_what_was_nothing_can_only_get_worse() -> None:
    assert judge(np.zeros(20), np.zeros(30)).verdict is Verdict.REVERT
    assert judge(np.zeros(20), np.ones(8)).verdict is Verdict.REVERT
