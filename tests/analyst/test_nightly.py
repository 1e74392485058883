"""Once a day something is trained beside the analyst's work, and taken where it does better on what was held back."""

import asyncio
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from scheduler_daemon.analyst.nightly import Trainer
from scheduler_daemon.insights.prediction import FailureModel
from scheduler_daemon.insights.prediction_features import COUNT
from scheduler_daemon.storage import learnt
from scheduler_daemon.storage.learnt import Learnt
from tests.support.world import NOON

DAY = timedelta(days=1)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Learnt]:
    """What the analyst has learnt."""
    made = Learnt(tmp_path / "learnt.db")
    yield made
    made.close()


def night(runs: int) -> bytes:
    """Return samples whose failures follow from two features together, which the regression cannot see."""
    random = np.random.default_rng(1)
    features = random.normal(0, 1, (runs, COUNT))
    failed = random.random(runs) < np.where(features[:, 1] * features[:, 2] > 1, 0.9, 0.03)
    return np.column_stack([features, np.full(runs, failed.mean()), failed]).astype(np.float32).tobytes()


async def trained(trainer: Trainer) -> None:
    """Let a training begin and end."""
    await trainer.step()
    assert trainer._answer is not None
    await asyncio.wait([trainer._answer])
    await trainer.step()


async def test_what_was_trained_is_taken_kept_and_trained_again_the_next_day(file: Learnt) -> None:
    now = NOON
    file.commit({}, {}, night(7_000))
    model, again = FailureModel(), FailureModel()
    trainer = Trainer(file, model, lambda: now, DAY)

    await trained(trainer)
    restarted = Trainer(file, again, lambda: now, DAY)
    await restarted.step()
    waits = restarted._answer is None
    now += DAY
    await restarted.step()
    begins = restarted._answer is not None
    await restarted.close()

    assert model.by in {"network", "boosted trees"}
    assert again.by == model.by
    assert (waits, begins) == (True, True)
    kept = json.loads(file.fact("nightly") or "")
    assert kept["losses"][model.by] == min(kept["losses"].values())
    assert datetime.fromisoformat(kept["at"]) == NOON


async def test_too_few_runs_start_no_training(file: Learnt) -> None:
    file.commit({}, {}, night(100))
    model = FailureModel()
    trainer = Trainer(file, model, lambda: NOON, DAY)

    await trainer.step()

    assert (trainer._answer, model.by) == (None, "regression")


async def test_one_that_takes_too_long_is_ended_and_its_process_with_it(file: Learnt) -> None:
    now = NOON
    file.commit({}, {}, night(7_000))
    trainer = Trainer(file, FailureModel(), lambda: now, DAY)
    await trainer.step()
    process = trainer._process
    assert process is not None

    now += DAY / 2
    await trainer.step()

    assert process.returncode is not None
    assert trainer._answer is None


def test_a_rule_that_cannot_be_read_is_none(file: Learnt) -> None:
    model = FailureModel()
    file.commit({"nightly": json.dumps({"at": NOON.isoformat(), "rule": {"kind": "oracle"}})}, {})

    Trainer(file, model, lambda: NOON, DAY)

    assert model.by == "regression"


def test_of_what_is_trained_on_the_earliest_goes(file: Learnt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learnt, "SAMPLES", 10)

    for part in (b"aaaa", b"bbbb", b"cccc", b"dd"):
        file.commit({}, {}, part)

    assert file.samples() == b"bbbbccccdd"
