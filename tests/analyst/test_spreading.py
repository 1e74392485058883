"""The next move of a start is one that is useful, allowed, and changes nothing but the minute, or the hour."""

from datetime import timedelta
from typing import Any

import pytest

from scheduler_daemon.analyst.ahead import look
from scheduler_daemon.analyst.past import Fleet, Subject
from scheduler_daemon.analyst.spreading import beside, failing_hour, next_move
from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.insights.hours import Seen
from tests.analyst.records import NOW, runs, subject

NO_PEERS = [Seen()] * 24


def crowd(*others: Subject, count: int = 8, took: float = 300) -> Fleet:
    """Return jobs that all start at three, and four weeks of their runs."""
    jobs = [*(subject("0 3 * * *", name=f"nightly {n}", move="never") for n in range(count)), *others]
    at = [NOW.replace(hour=3) - timedelta(days=day) for day in range(28)]
    ran = [(job.id, each.timestamp(), each.timestamp() + took) for each in at for job in jobs]
    return Fleet(jobs, {job.id: took for job in jobs}, ran)


def test_a_job_that_starts_with_many_others_is_offered_a_minute_of_its_own() -> None:
    found = next_move(crowd(subject("0 3 * * *", name="free")), NOW)

    assert found is not None
    assert (found.job_id, found.kind) == ("free", "collision")
    assert found.action is not None
    assert found.action.value["expressions"] == ["5 3 * * *"]
    assert found.action.before["expressions"] == ["0 3 * * *"]
    assert found.prediction is not None
    assert found.prediction.expected == 0
    assert found.evidence[0].model_dump()["value"] == 8
    assert "`5 3 * * *` instead of `0 3 * * *`" in found.text


def test_where_the_coming_day_is_foretold_the_move_says_what_becomes_of_its_peak() -> None:
    fleet = crowd(subject("0 3 * * *", name="free"))

    found = next_move(fleet, NOW, look(fleet, NOW))

    assert found is not None
    assert found.job_id == "free"
    _, peak = found.evidence
    assert (peak.metric, round(peak.value), round(peak.expected)) == ("runs_at_once", 9, 8)  # type: ignore[union-attr]
    assert "the highest peak, 9.0 runs at once, becomes 8.0 (8.0 to 8.0)" in found.text


@pytest.mark.parametrize(
    "fields",
    [
        {"move": "never"},
        {"schedule": Schedule(expressions=("0 3 * * *", "0 4 * * *"))},
        {"schedule": Schedule(expressions=("0 3 * * *",), jitter_s=60)},
        {"schedule": Schedule(expressions=("@every 1d",))},
        {"schedule": Schedule(expressions=("0 3 * * *",), calendars=("holidays",))},
    ],
)
def test_a_job_that_says_more_than_a_minute_or_does_not_want_it_stays(fields: Any) -> None:
    fields = {"schedule": "0 3 * * *", **fields}

    assert next_move(crowd(subject(fields.pop("schedule"), name="free", **fields)), NOW) is None


def test_a_few_others_are_no_crowd() -> None:
    assert next_move(crowd(subject("0 3 * * *", name="free"), count=1), NOW) is None


def test_a_job_that_ran_seldom_is_not_moved() -> None:
    fleet = crowd(subject("0 3 * * *", name="free"))
    seldom = Fleet(fleet.jobs, {key: took for key, took in fleet.typical_s.items() if key != "free"}, fleet.runs)

    assert next_move(seldom, NOW) is None


def test_what_runs_beside_a_run_is_counted_by_the_time_shared() -> None:
    found = beside("a", [("a", 100, 200), ("b", 0, 150), ("c", 150, 400), ("d", 500, 600), ("a", 1000, 1000)])

    assert found == [1.0, 0.0]


def test_a_job_that_fails_at_its_hour_and_may_leave_it_is_offered_a_better_one() -> None:
    job = subject("0 22 * * *", move="hours")
    peers = [Seen(100, 40 if hour in {21, 22, 23} else 0) for hour in range(24)]
    record = runs(60, lambda n: {"exit": n % 2}, every=86_400, until=NOW.replace(hour=22))

    found = failing_hour(job, record, peers, NOW)

    assert found is not None
    assert found.action is not None
    assert found.action.value["expressions"] == ["0 20 * * *"]
    assert "100 runs" in found.text


def test_a_job_that_may_not_leave_its_hour_is_left_there() -> None:
    peers = [Seen(100, 40 if hour == 22 else 0) for hour in range(24)]
    record = runs(60, lambda n: {"exit": n % 2}, every=86_400, until=NOW.replace(hour=22))

    assert failing_hour(subject("0 22 * * *"), record, peers, NOW) is None
    assert failing_hour(subject("0 22 * * *", move="hours"), record, NO_PEERS, NOW) is None
