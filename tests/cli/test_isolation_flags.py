"""Flags of `job add` and `job edit` that say what a run may use and reach."""

import pytest

from chronos_tui.verbs import isolation
from chronos_tui.verbs.failure import Failure
from tests.cli.conftest import Canned, Chronos, job_view


def test_job_add_turns_limits_paths_and_the_network_into_fields(chronos: Chronos, canned: Canned) -> None:
    canned.answer("POST", "/v1/jobs", job_view(), 201)

    done = chronos(
        "job", "add", "x", "--policy", "standard", "--memory", "256M", "--processes", "8", "--read", "/srv/in",
        "--write", "/srv/out", "--network", "none", "--", "true",
    )  # fmt: skip

    assert done.code == 0
    spec = canned.last.json()["spec"]
    assert spec["policy"] == "standard"
    assert spec["limits"] == {"memory_bytes": 256 << 20, "processes": 8}
    assert (spec["read"], spec["write"], spec["network"]) == (["/srv/in"], ["/srv/out"], {"mode": "none"})


def test_what_is_not_said_of_limits_stays() -> None:
    assert isolation.over({"processes": 8, "memory_bytes": 1}, {"memory_bytes": None}) == {
        "processes": 8,
        "memory_bytes": None,
    }


@pytest.mark.parametrize("given", [{"memory": "much"}, {"memory": "1.5G"}, {"processes": "-1"}])
def test_what_is_no_size_or_number_is_refused(given: dict[str, str]) -> None:
    nothing = dict.fromkeys(("memory", "processes", "network"))
    with pytest.raises(Failure, match="write one such as"):
        isolation.fields(**(nothing | given), read=None, write=None)  # type: ignore[arg-type]
