"""What a review says of a job rests on its runs, proposes what can be applied, and foretells what can be measured."""

from typing import Any

import pytest

from scheduler_daemon.analyst.advising import review
from scheduler_daemon.analyst.past import Past, Subject
from scheduler_daemon.contract.insights import ActionVerb, Finding, Severity
from scheduler_daemon.contract.jobs import JobSpec
from scheduler_daemon.insights.retry_advice import Advice
from tests.analyst.records import MIB, NOW, noise, runs, subject

FACTORS = noise(400)
HELPS = Advice((10, 30), 0.9, 0.7, 1.0, 14)
HOPELESS = Advice((), 0.01, 0.0, 0.08, 14)


def said(job: Subject, record: Past, advice: Any = None) -> list[Finding]:
    return review(job, record, NOW, advice or {})


def test_an_ordinary_job_is_left_in_peace() -> None:
    record = runs(200, lambda n: {"took": 10 * FACTORS[n], "output_bytes": 100 + n})

    assert said(subject(limits={"memory_bytes": 256 * MIB}, timeout_ms=60_000), record) == []


def test_a_memory_limit_far_above_use_is_proposed_to_be_lowered() -> None:
    job = subject(limits={"memory_bytes": 4096 * MIB})

    (found,) = said(job, runs(60, lambda n: {"max_rss_bytes": int(100 * MIB * FACTORS[n]), "output_bytes": n}))

    assert found.kind == "memory_limit"
    assert found.action is not None
    assert (found.action.verb, found.action.before) == (ActionVerb.SET_MEMORY_LIMIT, 4096 * MIB)
    assert 150 * MIB <= found.action.value < 250 * MIB
    assert "Of 60 runs none used more than" in found.text
    assert found.prediction is not None
    assert found.prediction.high == found.action.value
    evidence = found.evidence[0]
    assert evidence.kind == "metric"
    assert len(evidence.run_ids) == 10
    JobSpec.model_validate({**job.spec.model_dump(), "limits": {"memory_bytes": found.action.value}})


def test_a_memory_limit_that_is_nearly_met_is_a_warning() -> None:
    found = said(subject(limits={"memory_bytes": 105 * MIB}), runs(60, lambda n: {"output_bytes": n}))

    assert [(one.kind, one.severity) for one in found] == [("memory_limit", Severity.WARNING)]


def test_runs_for_nothing_are_proposed_to_be_rarer() -> None:
    job = subject("* * * * *")

    (found,) = said(job, runs(400, lambda n: {"output_bytes": 900 if n % 40 == 0 else 5}, every=60))

    assert found.kind == "idle_runs"
    assert found.action is not None
    assert found.action.value["expressions"] == ["*/12 * * * *"]
    assert found.action.before["expressions"] == ["* * * * *"]
    JobSpec.model_validate({**job.spec.model_dump(), "schedule": found.action.value})


def test_a_change_by_far_is_told_in_times() -> None:
    record = runs(200, lambda n: {"took": (10 if n < 180 else 1700) * FACTORS[n], "output_bytes": n})

    (found,) = said(subject(), record)

    assert found.title == "Runs of job take 171 times as long"


def test_a_change_is_told_with_the_version_it_came_with() -> None:
    record = runs(200, lambda n: {"took": (10 if n < 180 else 16) * FACTORS[n], "job_version": 3 if n < 180 else 4,
                                  "output_bytes": n})  # fmt: skip

    (found,) = said(subject(version=4), record)

    assert found.title == "Runs of job take 61% more since version 4"
    assert found.text.endswith("with version 4.")
    assert found.action is None
    assert found.severity is Severity.WARNING


def test_an_old_change_is_no_news() -> None:
    assert said(subject(), runs(200, lambda n: {"took": (10 if n < 100 else 16) * FACTORS[n], "output_bytes": n})) == []


def test_a_job_that_grows_towards_its_timeout_is_told_of_with_the_day() -> None:
    record = runs(60 * 24, lambda n: {"took": 30 * 1.01 ** (n / 24), "output_bytes": n})

    found = [one for one in said(subject(timeout_ms=65_000), record) if one.kind == "timeout_ahead"]

    assert len(found) == 1
    assert found[0].prediction is not None
    assert found[0].prediction.by is not None
    assert 12 <= (found[0].prediction.by - NOW).days <= 20
    assert found[0].action is not None
    assert found[0].action.value == 130_000


def failing(code: int = 75) -> Past:
    return runs(100, lambda n: {"exit": code if n % 5 == 0 else 0, "output_bytes": n})


def test_retries_are_proposed_where_they_would_help() -> None:
    job = subject()

    (found,) = said(job, failing(), {("exit 75", False): HELPS})

    assert found.kind == "retry"
    assert found.action is not None
    saved = JobSpec.model_validate({**job.spec.model_dump(), "retry": found.action.value}).retry
    assert saved is not None
    assert (saved.attempts, saved.delay_ms, saved.smart) == (2, 10_000, True)
    assert found.prediction is not None
    assert (found.prediction.expected, found.prediction.low) == (0.9, 0.7)


def test_retries_that_are_wasted_are_proposed_to_be_spared() -> None:
    job = subject(retry={"attempts": 3})

    (found,) = said(job, failing(77), {("exit 77", False): HOPELESS})

    assert found.kind == "retry_spared"
    assert found.action is not None
    saved = JobSpec.model_validate({**job.spec.model_dump(), "retry": found.action.value}).retry
    assert saved is not None
    assert saved.not_exit_codes == ("77",)


@pytest.mark.parametrize("retry", [None, {"attempts": 2, "smart": True}])
def test_nothing_is_proposed_where_a_retry_is_spared_already(retry: Any) -> None:
    assert said(subject(retry=retry), failing(77), {("exit 77", False): HOPELESS}) == []


def test_a_job_without_runs_is_not_spoken_of() -> None:
    assert said(subject(limits={"memory_bytes": 256 * MIB}, timeout_ms=1000), runs(0)) == []
