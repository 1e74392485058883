"""A limit that struck names the end, unless the run went on and ended well."""

import pytest

from scheduler_daemon.contract.executions import Outcome, State
from scheduler_daemon.domain.lifecycle import Report, verdict


@pytest.mark.parametrize(
    ("limit", "outcome"),
    [
        ("memory", Outcome.OOM_KILLED),
        ("pids", Outcome.PIDS_LIMIT),
        ("cpu_time", Outcome.CPU_LIMIT),
        ("file_size", Outcome.DISK_LIMIT),
    ],
)
def test_a_limit_names_the_end(limit: str, outcome: Outcome) -> None:
    found = verdict(Report(signal=9, limit_hit=limit))

    assert (found.state, found.outcome) == (State.FAILED, outcome)
    assert found.reason.endswith(": killed by SIGKILL")


def test_a_run_that_met_a_limit_and_ended_well_has_succeeded() -> None:
    found = verdict(Report(exit_code=0, limit_hit="memory"))

    assert (found.state, found.outcome) == (State.SUCCEEDED, Outcome.OK)
    assert found.reason == "it met its limit of memory, and went on"


def test_what_a_code_may_mean_is_said() -> None:
    found = verdict(Report(exit_code=137, note="128+9: SIGKILL inside the box or an exit with that code"))

    assert found.outcome is Outcome.EXIT_CODE
    assert found.reason == "exit code 137 (128+9: SIGKILL inside the box or an exit with that code)"


def test_who_cancels_a_run_at_its_limit_has_cancelled_it() -> None:
    found = verdict(Report(signal=9, killed_by="cancel", cancelled_by="ada", limit_hit="pids"))

    assert (found.state, found.outcome) == (State.CANCELLED, Outcome.CANCELLED)
