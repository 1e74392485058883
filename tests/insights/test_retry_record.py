"""A failure is learnt from once its retries and the job's next run are known, and only as the job is now."""

import json

import pytest

from scheduler_daemon.insights.retry_advice import End
from scheduler_daemon.insights.retry_record import Attempt, RetryRecord

HOUR = 3600.0


def run(record: RetryRecord, number: int, *codes: str, version: int = 1, job: str = "job", wait: float = 10) -> None:
    """Let a run of an hourly job make attempts that end so, each a second long; "" is a success."""
    begun = number * HOUR
    for attempt, code in enumerate(codes):
        record.ended(Attempt(job, version, number * HOUR, attempt, begun, begun + 1, code))
        begun += 1 + wait


def test_retries_that_help_are_advised() -> None:
    record = RetryRecord()
    for number in range(20):
        run(record, number, *(("exit 1", "") if number % 2 else ("",)))

    advice = record.advice()

    assert advice["job", End("exit 1", "", False)].waits_s[0] == 10
    assert advice["", End("exit 1", "", False)].waits_s[0] == 10
    assert advice["job", End("exit 1", "", False)].chance > 0.7


def test_retries_that_never_help_are_advised_against() -> None:
    record = RetryRecord()
    for number in range(24):
        run(record, number, *(("exit 77", "exit 77", "exit 77") if number % 3 else ("",)), wait=900)

    advice = record.advice({"job": HOUR})

    assert advice["job", End("exit 77", "", True)].waits_s == ()
    assert advice["job", End("exit 77", "", True)].chance < 0.1


def test_without_retries_the_next_run_tells() -> None:
    record = RetryRecord()
    for number in range(40):
        run(record, number, "exit 2" if number % 20 else "", wait=0)

    assert record.advice({"job": HOUR})["job", End("exit 2", "", True)].waits_s == ()


def test_a_failure_is_open_until_the_next_run() -> None:
    record = RetryRecord()

    run(record, 0, "exit 1", "")
    before = record.model.known(1)
    run(record, 1, "")

    assert before == []
    assert record.model.known(0.9) != []


def test_a_changed_job_is_learnt_anew_and_its_open_failure_dropped() -> None:
    record = RetryRecord()
    for number in range(20):
        run(record, number, "exit 1")

    run(record, 20, "", version=2)

    assert not [key for key in record.advice() if key[0] == "job"]
    assert ("", End("exit 1", "", True)) in record.advice()


def test_what_is_open_survives_too() -> None:
    record = RetryRecord()
    for number in range(11):
        run(record, number, "exit 1", "")
    restored = RetryRecord.load(json.loads(json.dumps(record.dump())))

    for each in (record, restored):
        run(each, 11, "")

    assert restored.advice().keys() == record.advice().keys()
    assert restored.advice()["job", End("exit 1", "", False)].seen == pytest.approx(11, abs=0.1)
    assert RetryRecord.load({}).advice() == {}
