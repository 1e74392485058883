"""What is told of a job's runs, and what is not."""

import pickle
from dataclasses import replace
from datetime import timedelta
from random import Random

from scheduler_daemon.insights.anomaly import JobWatch
from tests.insights.histories import MONDAY, failing, run, told, usual


def test_a_year_of_usual_runs_is_hardly_worth_a_word() -> None:
    alarms = sum(len(told(JobWatch("job"), usual(24 * 73, seed))) for seed in range(5))

    assert alarms <= 6  # of four figures each


def test_a_run_that_takes_much_longer_is_told_once_beside_what_was_expected() -> None:
    history = list(usual(300))
    history[250] = replace(history[250], duration_s=300)

    (anomaly,) = told(JobWatch("job"), history)

    (measure,) = anomaly.evidence
    assert (anomaly.run_id, anomaly.kind, anomaly.event) == ("250", "duration_high", "duration_high:job:250")
    assert measure.low < 55 < measure.expected < 65 < measure.high < 120
    assert (measure.value, measure.unit, measure.runs) == (300, "s", 251)
    assert "duration 300 s, where" in anomaly.text
    assert "its usual level (251 runs)" in anomaly.text


def test_a_tenth_of_a_second_more_is_nothing_odd_of_a_job_that_takes_hardly_any_time() -> None:
    short = [replace(each, duration_s=each.duration_s / 3000, cpu_s=None) for each in usual(300)]
    busy, hung = ([*short[:250], replace(short[250], duration_s=seconds), *short[251:]] for seconds in (0.13, 5.0))

    found = [{each.kind for each in told(JobWatch("job"), history)} for history in (busy, hung)]

    assert found == [set(), {"duration_high"}]


def test_a_slow_spell_is_one_event_and_its_end_is_none() -> None:
    history = [replace(each, duration_s=each.duration_s * (2.5 if 200 <= int(each.run_id) < 230 else 1))
               for each in usual(400)]  # fmt: skip

    anomalies = told(JobWatch("job"), history)

    assert [(each.run_id, each.kind) for each in anomalies] == [("200", "duration_high")]


def test_a_slow_drift_is_told_though_no_run_of_it_is_odd_alone() -> None:
    history = [replace(each, duration_s=each.duration_s * 1.012 ** max(0, int(each.run_id) - 200))
               for each in usual(270, noise=0.1)]  # fmt: skip

    anomalies = told(JobWatch("job"), history)

    assert {each.kind for each in anomalies} == {"duration_high"}
    assert len(anomalies) <= 2  # it is told again when it goes on long after
    assert 200 < int(anomalies[0].run_id or 0) < 250


def test_a_job_with_two_kinds_of_runs_is_not_told_for_either() -> None:
    random = Random(3)
    history = [replace(each, duration_s=each.duration_s * (6 if random.random() < 0.1 else 1)) for each in usual(700)]
    watch = JobWatch("job")

    before, after = told(watch, history), watch.observe(run(700, duration_s=60 * 60))

    assert len(before) <= 1
    assert [each.kind for each in after] == ["duration_high"]  # neither of them


def test_a_job_that_is_slow_on_weekends_is_compared_with_weekends() -> None:
    def weekends(runs: int) -> list:
        return [replace(each, duration_s=each.duration_s * (2 if each.at.weekday() > 4 else 1)) for each in usual(runs)]

    watch = JobWatch("job")
    *_, saturday = told(watch, [*weekends(24 * 33 + 10), run(24 * 33 + 10, duration_s=900)])

    assert saturday.run_id == str(24 * 33 + 10)
    assert saturday.evidence[0].predictor == "this hour of the day and week"
    assert 100 < saturday.evidence[0].expected < 140


def test_a_run_with_much_to_do_may_take_long_and_one_with_little_may_not() -> None:
    random = Random(5)
    history = []
    for each in usual(300):
        size = 1000 * random.lognormvariate(0, 1)
        history.append(replace(each, duration_s=each.duration_s * size / 1000, input_size=size))
    watch = JobWatch("job")

    calm = told(watch, history)
    much = watch.observe(run(300, duration_s=600, input_size=10_000))
    little = watch.observe(run(301, duration_s=600, input_size=1000))

    assert calm == much == []
    assert [each.evidence[0].predictor for each in little] == ["the size of its input"]


def test_a_run_that_ends_well_too_soon_with_hardly_any_output_is_told() -> None:
    (anomaly,) = told(JobWatch("job"), [*usual(200), run(200, duration_s=20, output_bytes=500)])

    assert anomaly.kind in {"duration_low", "output_low"}
    assert anomaly.run_id == "200"


def test_what_takes_ever_longer_and_more_memory_is_told_before_it_fails() -> None:
    history = list(usual(230))
    for number in range(200, 230):
        part = 1 + (number - 200) / 40
        memory = int((history[number].memory_bytes or 0) * part)
        history[number] = replace(history[number], duration_s=history[number].duration_s * part, memory_bytes=memory)

    anomalies = told(JobWatch("job"), history)

    assert len(anomalies) == 1
    assert 201 < int(anomalies[0].run_id or 0) < 212


def test_failures_in_a_row_are_told_of_a_job_that_hardly_ever_fails() -> None:
    history = list(usual(300))
    history[100] = failing(history[100])
    history[200:206] = [failing(each) for each in history[200:206]]

    (anomaly,) = told(JobWatch("job"), history)

    assert anomaly.kind == "failure_burst"
    assert anomaly.run_id == "203"
    assert anomaly.evidence[0].value == 4


def test_two_failures_in_a_row_are_no_news_of_a_job_that_often_fails() -> None:
    random, history, bad = Random(11), [], False
    for each in usual(1500):
        bad = random.random() < (0.6 if bad else 0.08)
        history.append(failing(each) if bad else each)

    assert len(told(JobWatch("job"), history)) <= 3


def test_every_missed_run_is_told_and_those_in_a_row_are_one_event() -> None:
    watch = JobWatch("job")
    hour = timedelta(hours=1)

    first = watch.missed(MONDAY, MONDAY + hour)
    again = watch.missed(MONDAY, MONDAY + hour)
    second = JobWatch.unpack("job", watch.pack()).missed(MONDAY + hour, MONDAY + 2 * hour)
    watch.observe(run(2))
    later = watch.missed(MONDAY + 3 * hour, MONDAY + 4 * hour)

    assert again == []
    assert [each[0].kind for each in (first, second, later)] == ["missed_run"] * 3
    assert first[0].event == second[0].event != later[0].event
    assert [each[0].evidence[0].value for each in (first, second, later)] == [1, 2, 1]


def test_a_late_start_is_told_and_an_early_one_is_not() -> None:
    assert [each.kind for each in told(JobWatch("job"), [*usual(200), run(200, delay_s=90)])] == ["delay_high"]
    assert told(JobWatch("job"), [*usual(200), run(200, delay_s=0)]) == []


def test_a_figure_of_the_jobs_own_is_watched_by_its_name() -> None:
    history = [replace(each, kpis={"orders": 500 + each.duration_s}) for each in usual(200)]

    (anomaly,) = told(JobWatch("job"), [*history, run(200, kpis={"orders": 3.0})])

    assert (anomaly.kind, anomaly.metric) == ("kpi_low", "orders")
    assert 540 < anomaly.evidence[0].low < anomaly.evidence[0].expected < 580


def test_what_a_user_expects_from_now_on_is_told_no_more() -> None:
    slow = [replace(each, run_id=str(200 + int(each.run_id)), duration_s=each.duration_s * 3) for each in usual(100)]
    watch = JobWatch("job")
    told(watch, usual(200))

    first = told(watch, slow[:1])
    watch.expected_from_now("duration")

    assert [each.kind for each in first] == ["duration_high"]
    assert told(watch, slow[1:]) == []
    assert [each.kind for each in watch.observe(run(300, duration_s=900))] == ["duration_high"]


def test_a_kind_that_was_called_useless_must_be_rarer() -> None:
    watch = JobWatch("job")
    told(watch, usual(60))
    strict = JobWatch.unpack("job", watch.pack())
    for _ in range(20):
        strict.heed("duration_high", useful=False)

    assert strict.bars == {"duration_high": 3.0}
    assert [len(each.observe(run(60, duration_s=84))) for each in (watch, strict)] == [1, 0]


def test_what_is_told_of_a_run_can_be_handed_to_another_process() -> None:
    assert pickle.loads(pickle.dumps(run(1))) == run(1)
