"""`--keep`: for how long the output of a job's runs is kept."""

from typing import Any

import pytest

from scheduler_daemon.contract.jobs import JobSpec, OutputKept
from tests.cli.conftest import Chronos, job_view
from tests.support.canned import Canned


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("30d",), {"days": 30, "runs": 5, "bytes": None}),
        (("100", "2G"), {"days": None, "runs": 100, "bytes": 2 << 30}),
        (("none",), None),
    ],
)
def test_bounds_are_put_over_those_a_job_has(
    chronos: Chronos, canned: Canned, flags: tuple[str, ...], expected: dict[str, Any] | None
) -> None:
    spec = JobSpec(name="backup", command="true", output_kept=OutputKept(runs=5))
    kept = job_view(spec=spec.model_dump())
    canned.answer("GET", "/v1/jobs/backup", kept)
    canned.answer("PATCH", f"/v1/jobs/{kept.id}", kept)

    done = chronos("job", "edit", "backup", *(word for flag in flags for word in ("--keep", flag)))

    assert canned.last.json()["changes"] == {"output_kept": expected}
    assert "5 runs" in done.out


@pytest.mark.parametrize("text", ["soon", "1.5m", "5X", "30 d"])
def test_a_bound_that_cannot_be_read_is_refused(chronos: Chronos, canned: Canned, text: str) -> None:
    done = chronos("job", "add", "x", "--keep", text, "--", "true")

    assert done.code == 2
    assert f"--keep {text!r} is no bound; write days such as 30d" in done.err
