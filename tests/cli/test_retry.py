"""What the flags of retries make of a job, and how a run with several attempts is shown and waited for."""

from typing import Any

import pytest

from chronos_tui import format as fmt
from scheduler_daemon.contract.jobs import JobSpec
from scheduler_daemon.contract.pages import Page
from scheduler_daemon.contract.retry import Retry
from tests.cli.conftest import Chronos, execution, job_view
from tests.support.canned import Canned


def _job(retry: dict[str, Any] | None) -> Any:
    return job_view(spec=JobSpec.model_validate({"name": "backup", "command": "true", "retry": retry}))


def test_every_flag_becomes_a_field(chronos: Chronos, canned: Canned) -> None:
    canned.answer("POST", "/v1/jobs", job_view(), 201)

    chronos(
        *("job", "add", "x", "--retries", "5", "--retry-delay", "30s", "--retry-factor", "1.5", "--retry-cap", "10m"),
        *("--retry-jitter", "full", "--retry-on", "exit_code", "--retry-on", "signal", "--retry-exit-codes", "1-5,75"),
        *("--retry-not-exit-codes", "2 3", "--retry-signals", "KILL,15", "--retry-not-signals", "SEGV"),
        *("--retry-until", "2h", "--run-timeout", "3h", "--", "true"),
    )

    spec = canned.last.json()["spec"]
    assert spec["run_timeout_ms"] == 3 * 3_600_000
    assert spec["retry"] == {
        "attempts": 5, "delay_ms": 30_000, "factor": 1.5, "cap_ms": 600_000, "jitter": "full",
        "on": ["exit_code", "signal"], "exit_codes": ["1-5", "75"], "not_exit_codes": ["2", "3"],
        "signals": ["KILL", "15"], "not_signals": ["SEGV"], "until_ms": 7_200_000,
    }  # fmt: skip
    assert Retry.model_validate(spec["retry"]).signals == ("SIGKILL", "SIGTERM")


@pytest.mark.parametrize(
    ("flags", "changed"),
    [
        (("--retry-delay", "5s"), {"attempts": 3, "delay_ms": 5000, "exit_codes": ["75"]}),
        (("--retry-exit-codes", "any"), {"attempts": 3, "delay_ms": 10_000, "exit_codes": None}),
        (("--retries", "0"), None),
    ],
)
def test_editing_keeps_what_is_not_named(
    chronos: Chronos, canned: Canned, flags: tuple[str, ...], changed: dict[str, Any] | None
) -> None:
    canned.answer("GET", "/v1/jobs/backup", _job({"attempts": 3, "exit_codes": [75]}))
    canned.answer("PATCH", f"/v1/jobs/{job_view().id}", job_view(version=4))

    chronos("job", "edit", "backup", *flags)

    sent = canned.last.json()["changes"]
    assert sent.keys() == {"retry"}
    assert (sent["retry"] and {name: sent["retry"][name] for name in changed or ()}) == changed


@pytest.mark.parametrize(
    "flags", [("--retry-delay", "soon"), ("--retry-until", "x"), ("--retries", "many"), ("--retry-factor", "x")]
)
def test_what_cannot_be_read_is_wrong_use(chronos: Chronos, flags: tuple[str, ...]) -> None:
    assert chronos("job", "add", "x", *flags, "--", "true").code == 2


def test_a_policy_is_said_in_a_line() -> None:
    policy = Retry.model_validate(
        {"attempts": 5, "delay_ms": 30_000, "jitter": "equal", "exit_codes": ["1-5"], "until_ms": 7_200_000}
    )

    said = fmt.retries(policy.model_dump(mode="json"))

    assert said.startswith("5 times after 30")
    assert "equal jitter; only exit codes 1-5; until 2h" in said
    assert fmt.retries(None) == ""


def test_waiting_for_a_run_is_waiting_for_its_last_attempt(chronos: Chronos, canned: Canned) -> None:
    first = {"attempts": 2, "first_id": 12}
    failed = execution(**first, state="failed", outcome="exit_code", exit_code=1)
    second = execution(**first, id=13, attempt=1, state="succeeded", outcome="ok", exit_code=0)
    canned.answer("POST", "/v1/jobs/backup/run", execution(**first), 202)
    canned.answer("GET", "/v1/executions/12", failed)
    canned.answer("GET", "/v1/executions/12/attempts", Page(items=[failed, second]))

    done = chronos("run", "backup", "--wait")

    assert done.code == 0
    assert done.out.startswith("run 13 of backup: ")


def test_the_list_tells_attempts_apart(chronos: Chronos, canned: Canned) -> None:
    runs = [execution(attempts=3, attempt=1, first_id=12, id=13), execution(attempts=3, first_id=12), execution(id=9)]
    canned.answer("GET", "/v1/executions", Page(items=runs))

    lines = chronos("runs", "list").out.splitlines()

    assert ["2/3" in lines[1], "1/3" in lines[2], "/" in lines[3]] == [True, True, False]
