"""`chronos policy ...`: what is asked of the server, and what is told of its answers."""

import json
from typing import Any

import pytest

from scheduler_daemon.contract.pages import Page
from scheduler_daemon.contract.policies import STANDARD, CustomPolicy, PolicySpec, PolicyVersion, PolicyView
from tests.cli.conftest import NOON, Chronos
from tests.support.canned import Canned

QUIET = STANDARD.model_copy(update={"name": "quiet", "timeout_ms": 60_000})


def view(policy: PolicySpec = QUIET, **custom: Any) -> PolicyView:
    known = {"version": 2, "based_on": "standard", "owner": "ada", "jobs": 3, "used_by": ("backup",)} | custom
    kept = None if policy is STANDARD else CustomPolicy(**known, created_at=NOON, updated_at=NOON)
    return PolicyView(policy=policy, default=False, missing={"pids": "no controller"}, custom=kept)


def words(out: str) -> list[str]:
    return [" ".join(line.split()) for line in out.splitlines()]


def test_a_policy_is_made_of_another_with_what_the_flags_say(chronos: Chronos, canned: Canned) -> None:
    canned.answer("GET", "/v1/policies/standard", view(STANDARD))
    canned.answer("POST", "/v1/policies", view(), 201)

    done = chronos(
        "policy", "create", "quiet", "--network", "none", "--memory", "1G", "--cpus", "0.5", "--read", "/srv",
        "--write", "", "--timeout", "1m", "--env", "TEAM=a", "--admins-only", "-m", "as they asked",
    )  # fmt: skip

    assert done.code == 0, done.err
    sent = canned.last.json()
    assert (sent["name"], sent["based_on"], sent["message"]) == ("quiet", "standard", "as they asked")
    limits = STANDARD.limits.model_dump() | {"memory_bytes": 1 << 30, "cpus": 0.5}
    assert sent["changes"] == {
        "network": {"mode": "none"}, "read": ["/srv"], "write": [], "timeout_ms": 60_000, "admins_only": True,
        "environment": {"TEAM": "a"}, "limits": limits,
    }  # fmt: skip
    assert {"most 512 MiB memory, 1.0 GiB of each file, 128 processes, 1024 open files"} <= set(words(done.out))
    assert {"jobs backup, 2 more", "version 2", "made from standard"} <= set(words(done.out))


def test_an_edit_is_made_to_the_version_seen_and_names_the_jobs_that_no_longer_fit(
    chronos: Chronos, canned: Canned
) -> None:
    canned.answer("GET", "/v1/policies/quiet", view())
    canned.answer("PATCH", "/v1/policies/quiet", view(unfit={"big": "it asks for too much"}))

    done = chronos("policy", "edit", "quiet", "--processes", "16")

    assert canned.last.json()["version"] == 2
    assert canned.last.json()["changes"]["limits"]["processes"] == 16
    assert "warning: runs of big will be refused: it asks for too much" in done.err
    assert chronos("policy", "edit", "quiet").code == 2


def test_versions_are_listed_with_what_each_changed_and_two_are_compared(chronos: Chronos, canned: Canned) -> None:
    saved = [
        PolicyVersion(version=2, policy=QUIET, author="ada", message="slow", created_at=NOON),
        PolicyVersion(version=1, policy=STANDARD, author="ada", message="made", created_at=NOON),
    ]
    canned.answer("GET", "/v1/policies/quiet/versions", Page(items=saved))

    assert any(line.endswith("slow name, timeout_ms") for line in words(chronos("policy", "versions", "quiet").out))
    assert "timeout_ms - 60000" in words(chronos("policy", "diff", "quiet").out)
    told = json.loads(chronos("policy", "diff", "quiet", "2", "1", "--json").out)
    assert told["changed"]["timeout_ms"] == {"old": 60_000, "new": None}
    assert "no version 9" in chronos("policy", "diff", "quiet", "9").err


@pytest.mark.parametrize("flags", [("--env", "A"), ("--timeout", "soon"), ("--output-limit", "much")])
def test_a_flag_that_cannot_be_read_is_refused(chronos: Chronos, flags: tuple[str, str]) -> None:
    done = chronos("policy", "create", "quiet", *flags)

    assert done.code == 2
    assert flags[0] in done.err
