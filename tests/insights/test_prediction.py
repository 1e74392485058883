"""What is expected of a job's next run."""

import json
from array import array
from dataclasses import replace
from datetime import timedelta
from math import inf, nan
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings

from scheduler_daemon.insights.anomaly_failures import Streaks
from scheduler_daemon.insights.observation import Observation
from scheduler_daemon.insights.prediction import FailureModel
from scheduler_daemon.insights.prediction_features import COUNT, FailureHistory
from scheduler_daemon.insights.prediction_nightly import Network, Trees, choose, grow, load, log_loss, train
from tests.insights.histories import MONDAY, failing, run, usual
from tests.insights.test_anomaly_properties import runs

DAY = timedelta(days=1)


def lived(history: list[Observation]) -> tuple[FailureModel, FailureHistory]:
    """What is known after a history."""
    model, known = FailureModel(), FailureHistory()
    for each in history:
        model.learn(known, each)
    return model, known


def test_a_job_that_fails_by_night_is_expected_to_by_night_alone() -> None:
    random = Random(2)
    history = [failing(each) if each.at.hour in {1, 2} and random.random() < 0.3 else each for each in usual(24 * 60)]
    model, known = lived(history)
    night = model.predict(known, MONDAY + 61 * DAY + timedelta(hours=1))
    noon = model.predict(known, MONDAY + 61 * DAY + timedelta(hours=12))

    assert night.probability > 4 * noon.probability
    assert (night.shown, noon.shown) == (True, False)
    assert night.reasons[0].text == "this hour of the day"


def test_a_failed_parent_is_a_reason() -> None:
    random, history = Random(4), []
    for each in usual(1000):
        after = int(each.run_id) % 25 == 0
        bad = random.random() < (0.6 if after else 0.01)
        history.append(replace(failing(each) if bad else each, parent_failed=after))
    model, known = lived(history)

    forecast = model.predict(known, MONDAY + 42 * DAY, parent_failed=True)

    assert 0.3 < forecast.probability < 0.9
    assert forecast.shown
    assert "what followed such failures before" in {each.text for each in forecast.reasons}
    assert not model.predict(known, MONDAY + 42 * DAY).shown


def test_memory_and_time_that_grow_from_run_to_run_are_a_reason() -> None:
    history = list(usual(300))
    for number in range(290, 300):
        part = 1 + (number - 289) / 10
        memory = int((history[number].memory_bytes or 0) * part)
        history[number] = replace(history[number], memory_bytes=memory, duration_s=history[number].duration_s * part)
    model, known = lived(history)

    forecast = model.predict(known, MONDAY + 13 * DAY)

    assert forecast.shown
    assert forecast.reasons[0].text == "it takes both longer and more memory"


def test_a_job_that_hardly_ever_failed_is_not_shown() -> None:
    model, known = lived(list(usual(500)))

    forecast = model.predict(known, MONDAY + 30 * DAY)

    assert forecast.probability < 0.03
    assert not forecast.shown


def test_what_is_forecast_happens_as_often() -> None:
    random, jobs, model = Random(9), [FailureHistory() for _ in range(20)], FailureModel()
    expected, happened = 0.0, 0
    for number in range(400):
        for place, known in enumerate(jobs):
            bad = random.random() < 0.01 + 0.01 * place
            each = run(number, job_id=str(place))
            expected += model.learn(known, failing(each) if bad else each)
            happened += bad

    assert expected == pytest.approx(happened, rel=0.15)


def test_what_is_kept_goes_on_as_if_never_stopped() -> None:
    model, known = lived([failing(each) if int(each.run_id) % 37 == 0 else each for each in usual(300)])
    again = FailureModel.load(json.loads(json.dumps(model.dump())))
    history = FailureHistory.unpack(known.pack(), Streaks.unpack(known.streaks.pack()))

    assert again.predict(history, MONDAY + 13 * DAY) == model.predict(known, MONDAY + 13 * DAY)
    assert len(known.pack()) < 500
    with pytest.raises(ValueError, match="weights are 3"):
        FailureModel.load(model.dump() | {"weights": [1, 2, 3]})


@settings(max_examples=40, deadline=None)
@given(runs())
def test_no_run_whatever_raises_or_makes_a_forecast_that_is_none(history: list[Observation]) -> None:
    model, known = lived(history)

    forecast = model.predict(known, history[-1].at, parent_failed=True)

    assert 0 < forecast.probability < 1
    json.dumps(model.dump(), allow_nan=False)
    assert FailureHistory.unpack(known.pack(), known.streaks).pack() == known.pack()


def test_figures_that_are_no_numbers_change_nothing() -> None:
    odd = [replace(each, duration_s=nan, memory_bytes=None) for each in usual(50)]
    odd += [replace(each, duration_s=inf, memory_bytes=-1) for each in usual(50)]

    assert lived(odd)[1].slow_time == 0


def night_of(seed: int, runs: int, *, knotted: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, failures, and a belief that knows the share alone; knotted ones follow from two features together."""
    random = np.random.default_rng(seed)
    features = random.normal(0, 1, (runs, COUNT))
    share = np.where(knotted & (features[:, 1] * features[:, 2] > 1), 0.9, 0.03)
    failed = (random.random(runs) < share).astype(float)
    return features, failed, np.full(runs, failed.mean())


def test_what_does_better_on_what_was_held_back_is_taken_and_kept() -> None:
    found = choose(*night_of(1, 8_000, knotted=True))

    assert found.rule is not None
    assert found.losses.keys() == {"regression", "network", "boosted trees"}
    assert found.losses[found.rule.kind] == min(found.losses.values())
    again = load(json.loads(json.dumps(found.rule.dump())))
    fresh, truth, plain = night_of(2, 4000, knotted=True)
    assert log_loss(truth, again.probabilities(fresh)) < 0.9 * log_loss(truth, plain)
    model, known = lived(list(usual(50)))
    model.better = again
    expected = again.probability(model.features(known, MONDAY, parent_failed=False))
    assert model.predict(known, MONDAY).probability == pytest.approx(expected)
    assert model.by == found.rule.kind
    assert model.predict(known, MONDAY, worth=1.0).probability != pytest.approx(expected)


def test_a_network_learns_without_scikit_learn() -> None:
    features, failed, _ = night_of(1, 8_000, knotted=True)

    network = train(features, failed)

    fresh, truth, plain = night_of(2, 4000, knotted=True)
    assert log_loss(truth, network.probabilities(fresh)) < 0.9 * log_loss(truth, plain)


def test_trees_say_what_scikit_learn_would_and_the_same_of_one_run_as_of_many() -> None:
    features, failed, _ = night_of(1, 3000, knotted=True)

    trees = grow(features, failed)

    assert trees is not None
    many = trees.probabilities(features[:50])
    assert [trees.probability(list(row)) for row in features[:50]] == pytest.approx(many.tolist())
    assert many[failed[:50] > 0].mean() > 2 * many[failed[:50] == 0].mean()
    assert trees.probabilities(features).mean() == pytest.approx(failed.mean(), rel=0.1)


def test_training_ends_in_time_with_what_it_has() -> None:
    features, failed, _ = night_of(1, 3000, knotted=True)

    assert isinstance(train(features, failed, seconds=0), Network)
    assert isinstance(grow(features, failed, seconds=0), Trees)


def test_nothing_is_taken_where_there_is_nothing_to_learn_or_too_little() -> None:
    assert choose(*night_of(3, 6_000, knotted=False)).rule is None
    assert choose(*night_of(3, 1000, knotted=True)).losses == {}


def test_each_run_that_is_learnt_from_is_noted_to_train_on() -> None:
    model, known = FailureModel(), FailureHistory()
    model.samples = array("f")

    believed = model.learn(known, failing(run(1)))

    assert len(model.samples) == COUNT + 2
    assert model.samples[COUNT:].tolist() == pytest.approx([believed, 1.0])


def test_a_network_for_other_features_is_refused() -> None:
    layer = [np.zeros((3, 1)).tolist(), [0.0]]

    with pytest.raises(ValueError, match="it goes by 3 features"):
        Network.load({"middle": [0] * 3, "spread": [1] * 3, "layers": [layer]})
