"""What is seen of the world makes each kind of condition hold, fail, or be one that cannot be told."""

from datetime import datetime
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from scheduler_daemon.contract.conditions import (
    Condition,
    FileCondition,
    Metric,
    MetricCondition,
    StateCondition,
    WindowCondition,
    said,
)
from scheduler_daemon.contract.jobs import JobSpec
from scheduler_daemon.domain.conditions import (
    Finding,
    JobFacts,
    Look,
    Tried,
    command_finding,
    file_finding,
    gate,
    metric_finding,
    state_finding,
    window_finding,
)

read = TypeAdapter[Condition](Condition).validate_python
RAN = JobFacts("failed", {Metric.DURATION_MS: 60_000, Metric.EXIT_CODE: 1, Metric.FAILED_24H: 3})
NEVER = JobFacts(None, {Metric.DURATION_MS: None, Metric.FAILED_24H: 0})


def utc(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")


@pytest.mark.parametrize(
    ("absent", "look", "finding"),
    [
        (False, Look(there=True), Finding(True, "it is there")),
        (False, Look(there=False), Finding(False, "there is no such file")),
        (True, Look(there=True), Finding(False, "it is there")),
        (True, Look(there=False), Finding(True, "there is no such file")),
        (True, Look(there=False, fault="Permission denied"), Finding(None, "it cannot be seen: Permission denied")),
    ],
)
def test_a_file(absent: bool, look: Look, finding: Finding) -> None:
    assert file_finding(FileCondition(path="/x", absent=absent), look) == finding


@pytest.mark.parametrize(
    ("tried", "holds"),
    [
        (Tried(0), True),
        (Tried(1), False),
        (Tried(255), False),
        (Tried(126), None),
        (Tried(127), None),
        (Tried(-9), None),
        (Tried(None, "it took longer than 1 s and was killed"), None),
    ],
)
def test_a_command(tried: Tried, holds: bool | None) -> None:
    assert command_finding(tried).holds is holds


@pytest.mark.parametrize(
    ("begin", "end", "days", "now", "holds"),
    [
        ("22:00", "06:00", (), "2026-05-04T20:00:00", True),  # 22:00 in Berlin
        ("22:00", "06:00", (), "2026-05-04T19:59:59.9", False),
        ("22:00", "06:00", (), "2026-05-05T03:59:59.9", True),
        ("22:00", "06:00", (), "2026-05-05T04:00:00", False),
        ("22:00", "06:00", ("fri",), "2026-05-09T02:00:00", True),  # Saturday's morning belongs to Friday's window
        ("22:00", "06:00", ("sat",), "2026-05-09T02:00:00", False),
        ("02:30", "03:30", (), "2026-03-29T01:00:00", True),  # the clock goes from 02:00 to 03:00
        ("02:00", "02:59", (), "2026-03-29T01:00:00", False),
        ("02:00", "02:59", (), "2026-10-25T00:30:00", True),  # 02:30 comes twice
        ("02:00", "02:59", (), "2026-10-25T01:30:00", True),
        ("06:30:30", "06:30:31", (), "2026-05-04T04:30:30.5", True),
    ],
)
def test_a_window(begin: str, end: str, days: tuple[Any, ...], now: str, holds: bool) -> None:
    finding = window_finding(WindowCondition(begin=begin, end=end, days=days), "Europe/Berlin", utc(now))

    assert finding.holds is holds


def test_a_window_tells_the_time_of_its_zone() -> None:
    finding = window_finding(WindowCondition(begin="10:00", end="11:00"), "Europe/Berlin", utc("2026-05-04T12:00:00"))

    assert finding == Finding(False, "it is Mon 14:00:00 CEST")


@pytest.mark.parametrize(
    ("states", "job", "finding"),
    [
        (("succeeded",), RAN, Finding(False, "its last run failed")),
        (("succeeded", "failed"), RAN, Finding(True, "its last run failed")),
        (("succeeded",), NEVER, Finding(False, "it has not run yet")),
        (("succeeded",), None, Finding(None, "that job has been deleted")),
    ],
)
def test_the_last_run_of_a_job(states: tuple[Any, ...], job: JobFacts | None, finding: Finding) -> None:
    assert state_finding(StateCondition(job="load", states=states), job) == finding


@pytest.mark.parametrize(
    ("metric", "op", "value", "job", "finding"),
    [
        ("duration_ms", "<", 60_000, RAN, Finding(False, "it is 60000")),
        ("duration_ms", "<=", 60_000, RAN, Finding(True, "it is 60000")),
        ("duration_ms", ">", 60_000, RAN, Finding(False, "it is 60000")),
        ("duration_ms", ">=", 60_000, RAN, Finding(True, "it is 60000")),
        ("exit_code", "==", 1, RAN, Finding(True, "it is 1")),
        ("exit_code", "!=", 1, RAN, Finding(False, "it is 1")),
        ("cpu_ms", "<", 1, RAN, Finding(False, "there is no such figure of its last run")),
        ("duration_ms", "<", 1, NEVER, Finding(False, "it has not run yet")),
        ("failed_24h", "<", 1, NEVER, Finding(True, "it is 0")),
        ("failed_24h", "<", 1, None, Finding(None, "that job has been deleted")),
    ],
)
def test_a_figure_of_a_job(metric: Any, op: Any, value: int, job: JobFacts | None, finding: Finding) -> None:
    assert metric_finding(MetricCondition(metric=metric, op=op, value=value), job) == finding


@pytest.mark.parametrize(
    ("not_before", "zone", "fire_at", "opens"),
    [
        ("06:30", "UTC", "2026-05-04T03:00:00", "2026-05-04T06:30:00"),
        ("06:30:15", "Europe/Berlin", "2026-05-04T01:00:00", "2026-05-04T04:30:15"),
        ("06:30", "Europe/Berlin", "2026-05-04T22:30:00", "2026-05-05T04:30:00"),  # it is the 5th there
        ("06:30", "UTC", "2026-05-04T23:00:00", "2026-05-04T06:30:00"),
        ("02:30", "Europe/Berlin", "2026-03-28T23:30:00", "2026-03-29T01:00:00"),  # skipped: after the gap
        ("02:30", "Europe/Berlin", "2026-10-24T22:30:00", "2026-10-25T00:30:00"),  # repeated: the first time
    ],
)
def test_a_gate_opens_at_a_time_of_the_day_of_the_run_set(not_before: str, zone: str, fire_at: str, opens: str) -> None:
    assert gate(not_before, zone, utc(fire_at)) == utc(opens)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"kind": "file", "path": "/a b"}, "file /a b"),
        ({"kind": "file", "path": "/a", "absent": True}, "no file /a"),
        ({"kind": "command", "command": "test -s /x"}, "command test -s /x"),
        ({"kind": "window", "begin": "22:00", "end": "06:00"}, "between 22:00-06:00"),
        (
            {"kind": "window", "begin": "22:00", "end": "06:00", "days": ["mon", "tue"]},
            "between 22:00-06:00 mon,tue",
        ),
        ({"kind": "state", "job": "load", "states": ["failed", "unknown"]}, "load failed or unknown"),
        ({"kind": "metric", "metric": "cpu_ms", "op": ">", "value": 5}, "cpu_ms > 5"),
        ({"kind": "metric", "job": "load", "metric": "cpu_ms", "op": ">", "value": 5}, "load.cpu_ms > 5"),
    ],
)
def test_a_condition_is_said_as_it_is_asked_for(fields: dict[str, Any], text: str) -> None:
    assert said(read(fields)) == text


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"kind": "weather"}, "'file', 'command', 'window', 'state', 'metric'"),
        ({"kind": "file", "path": "here"}, "is not an absolute path"),
        ({"kind": "command", "command": " "}, "is empty"),
        ({"kind": "command", "command": "true", "timeout_ms": 600_001}, "less than or equal to 600000"),
        ({"kind": "window", "begin": "24:00", "end": "06:00"}, "is no time of day"),
        ({"kind": "window", "begin": "06:00", "end": "06:00:00"}, "begins and ends at 06:00"),
        ({"kind": "window", "begin": "06:00", "end": "07:00", "days": ["today"]}, "'mon'"),
        ({"kind": "state", "job": "x", "states": []}, "at least 1 item"),
        ({"kind": "state", "job": "x", "states": ["skipped"]}, "'succeeded', 'failed', 'cancelled' or 'unknown'"),
        ({"kind": "metric", "metric": "mood", "op": "<", "value": 1}, "'duration_ms'"),
        ({"kind": "metric", "metric": "cpu_ms", "op": "~", "value": 1}, "'<'"),
    ],
)
def test_a_condition_that_means_nothing_is_refused(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        read(fields)


def test_a_job_has_ten_conditions_at_most() -> None:
    file = {"kind": "file", "path": "/"}

    with pytest.raises(ValidationError, match="at most 10 items"):
        JobSpec.model_validate({"name": "x", "command": "true", "conditions": [file] * 11})


@pytest.mark.parametrize("text", ["6:30", "24:00", "06:60", "06:30:60", "6am", "06:30Z"])
def test_a_gate_that_is_no_time_of_day_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="is no time of day"):
        JobSpec.model_validate({"name": "x", "command": "true", "after": ["y"], "not_before": text})


def test_a_gate_of_a_job_that_runs_after_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match="not_before is for a job that runs after others"):
        JobSpec.model_validate({"name": "x", "command": "true", "not_before": "06:30"})
