"""What is retried, and after what wait, follows from how earlier attempts after the same end went."""

import json
from math import inf

import pytest

from scheduler_daemon.insights.retry_advice import End, Failed, RetryModel, Tally, judge, replay

DAY = 86_400.0
REFUSED, WRONG_PASSWORD, DOWN = End("exit 1", "refused"), End("exit 1", "password"), End("exit 75", "down")


def taught(end: End, later: list[tuple[float, bool]], times: int = 12, job: str = "job") -> RetryModel:
    model = RetryModel()
    for number in range(times):
        model.observe(job, end, later, number * DAY)
    return model


def test_what_never_passed_by_itself_is_not_retried() -> None:
    model = taught(WRONG_PASSWORD, [(10, False), (30, False), (70, False), (DAY, False)])

    advice = model.advise("job", WRONG_PASSWORD)

    assert advice.waits_s == ()
    assert advice.chance < 0.05
    assert advice.seen == pytest.approx(12, rel=0.1)


def test_what_passes_at_once_is_retried_at_once() -> None:
    advice = taught(REFUSED, [(10, True)]).advise("job", REFUSED)

    assert advice.waits_s[0] == 10
    assert advice.low > 0.7


def test_an_outage_is_waited_for() -> None:
    advice = taught(DOWN, [(10, False), (30, False), (70, False), (700, True)]).advise("job", DOWN)

    assert advice.waits_s[0] >= 600


def test_no_wait_reaches_the_next_fire() -> None:
    model = taught(DOWN, [(10, False), (30, False), (70, False), (700, True)])

    assert sum(model.advise("job", DOWN, within_s=500).waits_s) < 500


def test_one_exit_code_means_different_things_with_different_logs() -> None:
    model = taught(WRONG_PASSWORD, [(10, False), (3600, False)])
    for number in range(12):
        model.observe("job", REFUSED, [(10, True)], number * DAY)

    assert model.advise("job", WRONG_PASSWORD).waits_s == ()
    assert model.advise("job", REFUSED).waits_s != ()


def test_a_job_never_seen_is_judged_by_the_others() -> None:
    model = taught(WRONG_PASSWORD, [(10, False), (30, False), (DAY, False)], job="old")

    assert model.advise("new", WRONG_PASSWORD).waits_s == ()
    assert model.advise("new", End("SIGSEGV")).waits_s != ()


def test_a_failure_that_came_before_is_another_than_the_first() -> None:
    model = taught(End("exit 1"), [(10, True)])
    for number in range(12):
        model.observe(
            "job", End("exit 1", again=True), [(10, False), (30, False), (70, False), (3600, False)], number * DAY
        )

    assert model.advise("job", End("exit 1")).waits_s != ()
    assert model.advise("job", End("exit 1", again=True), within_s=3600).waits_s == ()


def test_nothing_known_is_a_reason_to_try() -> None:
    advice = RetryModel().advise("job", End("exit 1"))

    assert advice.waits_s != ()
    assert (advice.low, advice.high) == (0.0, 1.0) or advice.high - advice.low > 0.5


def test_what_was_given_up_is_tried_again_after_long() -> None:
    model = taught(WRONG_PASSWORD, [(10, False), (30, False), (70, False), (7200, False)])
    assert model.advise("job", WRONG_PASSWORD).waits_s == ()

    model.observe("job", WRONG_PASSWORD, [(10, True)], 600 * DAY)

    assert model.advise("job", WRONG_PASSWORD).waits_s != ()


def test_a_job_that_was_changed_is_forgotten_and_the_others_are_not() -> None:
    model = taught(REFUSED, [(10, True)])

    model.forget("job")

    assert model.seen("job", REFUSED) == 0
    assert model.seen("", REFUSED) > 0


def test_what_was_learnt_survives_as_json() -> None:
    model = taught(DOWN, [(10, False), (700, True)])

    again = RetryModel.load(json.loads(json.dumps(model.dump())))

    assert again.advise("job", DOWN).waits_s == model.advise("job", DOWN).waits_s
    assert RetryModel.load({"version": 99, "counts": [["?"]]}).known(0) == []


def test_it_stays_bounded() -> None:
    model = RetryModel()
    for number in range(6000):
        model.observe(f"job {number}", End("exit 1", f"template {number}"), [(10, True)], 0)

    assert len(model.dump()["counts"]) <= 20_000


def test_attempts_between_what_is_known_are_told_apart() -> None:
    failed = Failed("job", REFUSED, 0, ((10, False), (100, True)), inf)

    assert judge(failed, (5, 5)) == Tally(2, 0, 2, 0)
    assert judge(failed, (50,)) == Tally(1, 0, 0, 1)
    assert judge(failed, (10, 90)) == Tally(2, 1, 1, 0)
    assert judge(failed._replace(next_fire_s=60), (10, 90)) == Tally(1, 0, 1, 0)


def test_replay_wastes_less_and_keeps_what_recovered() -> None:
    record = [
        Failed("job", WRONG_PASSWORD if number % 2 else REFUSED, number * 3600.0,
               ((10, False), (30, False), (70, False), (3600, False)) if number % 2 else ((10, True),), 3600)
        for number in range(100)
    ]  # fmt: skip

    fixed, learnt = replay(record, (10, 20, 40))

    assert fixed == Tally(200, 50, 150, 0)
    assert learnt.recovered == 50
    assert learnt.wasted < 15
