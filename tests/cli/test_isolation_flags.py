"""Flags of `job add` and `job edit` that say what a run may use and reach."""

import pytest

from chronos_tui.verbs import isolation, limits
from chronos_tui.verbs.failure import Failure
from scheduler_daemon.contract.policies import Limits
from tests.cli.conftest import Canned, Chronos, job_view

_NOTHING: dict[str, str | None] = dict.fromkeys(
    ("memory", "processes", "cpus", "cpu_time", "open_files", "file_size", "scratch")
)


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


@pytest.mark.parametrize(
    "given",
    [
        {"memory": "much"}, {"memory": "1.5G"}, {"processes": "-1"}, {"cpus": "half"}, {"cpu_time": "long"},
        {"open_files": "2K"}, {"file_size": "-1"}, {"scratch": ""},
    ],
)  # fmt: skip
def test_what_is_no_size_or_number_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(Failure, match=r"--[a-z-]+ '.*' is"):
        limits.fields(**(_NOTHING | given))


def test_every_limit_has_a_flag() -> None:
    read = limits.fields(
        memory="1G", processes="8", cpus="0.5", cpu_time="2m", open_files="64", file_size="10M", scratch="none"
    )

    assert read == {
        "memory_bytes": 1 << 30, "processes": 8, "cpus": 0.5, "cpu_ms": 120_000, "open_files": 64,
        "file_bytes": 10 << 20, "scratch_bytes": None,
    }  # fmt: skip
    assert read.keys() == Limits.model_fields.keys()
    assert limits.fields(**_NOTHING) == {}


def test_a_network_that_is_no_address_is_refused_with_what_it_may_be() -> None:
    with pytest.raises(Failure, match=r"--network 'db\.example\.org' is neither none nor host, nor an address"):
        isolation.network_of("db.example.org")
