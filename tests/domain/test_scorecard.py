"""What people say moves what is asked of a kind, within bounds; a kind that does worse than rules is muted."""

import random

import pytest

from scheduler_daemon.domain.scorecard import ENOUGH, HIGHEST, LOWEST, USUAL, Outcome, Said, asked_for, card


def test_without_a_word_the_usual_is_asked_for() -> None:
    assert asked_for([]) == USUAL


def test_a_dismissal_asks_for_more_and_an_acceptance_for_less() -> None:
    assert asked_for([Said("dismissed", 0)]) > USUAL
    assert asked_for([Said("snoozed", 0)]) > USUAL
    assert asked_for([Said("accepted", 0)]) < USUAL
    assert asked_for([Said("applied", 0), Said("reverted", 0)]) > USUAL


def test_whatever_is_said_stays_within_bounds() -> None:
    assert USUAL < asked_for([Said("dismissed", 0)] * 1000) <= HIGHEST < 1
    assert 0 < LOWEST <= asked_for([Said("applied", 0)] * 1000) < USUAL


def test_an_old_word_counts_less() -> None:
    assert USUAL < asked_for([Said("dismissed", 120)]) < asked_for([Said("dismissed", 0)])


def test_precision_is_of_what_was_judged() -> None:
    said = ["accepted", "applied", "dismissed", "reverted", "snoozed", None]

    found = card("kind", [Outcome(word=word) for word in said])  # type: ignore[arg-type]

    assert (found.judged, found.right, found.precision) == (4, 2, 0.5)
    assert found.low < 0.5 < found.high
    assert not found.muted


def test_a_kind_that_people_dismiss_is_muted_once_enough_is_known() -> None:
    few, many = ([Outcome(word="dismissed")] * count for count in (ENOUGH - 1, ENOUGH + 5))

    assert not card("kind", few).muted
    assert "too few" in card("kind", few).why
    assert card("kind", many).muted
    assert "less than the rules'" in card("kind", many).why


def foretold(chance: float, times: int, came: int) -> list[Outcome]:
    return [Outcome(foretold=chance, came=number < came) for number in range(times)]


def test_a_forecast_that_is_worse_than_the_base_rate_is_muted() -> None:
    found = card("kind", foretold(0.9, 40, 12))

    assert found.muted
    assert found.brier == pytest.approx((12 * 0.01 + 28 * 0.81) / 40)
    assert found.brier > (found.base or 0)


def test_a_forecast_that_tells_days_apart_speaks() -> None:
    found = card("kind", [*foretold(0.8, 30, 25), *foretold(0.1, 30, 2)])

    assert not found.muted
    assert (found.brier or 1) < (found.base or 0)


def test_a_calibrated_forecast_of_something_constant_is_not_muted() -> None:
    chance = random.Random(4)

    outcomes = [Outcome(foretold=0.3, came=chance.random() < 0.3) for _ in range(400)]

    assert not card("kind", outcomes).muted


def test_gain_is_that_of_what_was_kept() -> None:
    found = card("kind", [
        Outcome(word="applied", gain=0.4, kept=True), Outcome(word="applied", gain=0.2, kept=True),
        Outcome(word="reverted", gain=-0.5, kept=False), Outcome(word="applied"),
    ])  # fmt: skip

    assert (found.applied, found.kept) == (3, 2)
    assert found.gain == pytest.approx(0.3)


def test_nothing_known_is_nothing_claimed() -> None:
    found = card("kind", [])

    assert (found.precision, found.brier, found.gain, found.muted) == (None, None, None, False)
    assert (found.low, found.high) == (0, 1)
