"""What a policy gives a job, what it refuses, and what must be in force."""

from typing import Any

import pytest

from scheduler_daemon.contract.jobs import JobSpec
from scheduler_daemon.contract.policies import BUILT_IN, STANDARD, STRICT, TRUSTED, NetworkMode, PolicySpec, Protection
from scheduler_daemon.domain.errors import Invalid
from scheduler_daemon.domain.isolation import apart, missing, required, resolve, unknown, wanted, why_refused

LISTED = PolicySpec.model_validate({"name": "listed", "network": {"mode": "allow", "allow": ["a:1", "b:2"]}})


def _spec(**fields: Any) -> JobSpec:
    return JobSpec.model_validate({"name": "a", "command": "true"} | fields)


@pytest.mark.parametrize("policy", BUILT_IN.values(), ids=str)
def test_a_job_without_wishes_gets_what_its_policy_gives(policy: PolicySpec) -> None:
    granted = resolve(policy, _spec())

    assert granted.limits == policy.limits
    assert granted.network is policy.network.mode
    assert (granted.policy.files, granted.read, granted.write) == (policy.files, (), ())


def test_wishes_within_the_policy_are_what_the_run_gets() -> None:
    spec = _spec(limits={"processes": 8, "cpus": 2.0}, write=["/srv/out"], network={"mode": "none"})

    granted = resolve(STANDARD, spec)

    assert (granted.limits.processes, granted.limits.cpus) == (8, 2.0)
    assert granted.limits.memory_bytes == STANDARD.limits.memory_bytes
    assert granted.write == ("/srv/out",)
    assert granted.network is NetworkMode.NONE


_NARROW = PolicySpec(name="narrow", read=("/srv",), write=("/srv/out",))


@pytest.mark.parametrize(
    ("policy", "fields", "field", "said"),
    [
        (STANDARD, {"user": "root"}, "user", "runs nothing as root"),
        (STANDARD, {"limits": {"processes": 129}}, "limits.processes", "asks for processes 129, and .* at most 128"),
        (STANDARD, {"limits": {"scratch_bytes": 4096}}, "limits.scratch_bytes", "no scratch space"),
        (STANDARD, {"read": ["/srv/../etc"]}, "read", "write '/etc'"),
        (STRICT, {"network": {"mode": "host"}}, "network", "grants none"),
        (STRICT, {"read": ["/srv"]}, "read", "grants nothing"),
        (_NARROW, {"read": ["/srvother"]}, "read", "grants /srv, /srv/out"),
        (_NARROW, {"write": ["/srv"]}, "write", "grants /srv/out"),
        (STRICT, {"network": {"mode": "allow", "allow": ["a:1"]}}, "network", "grants no network"),
        (
            LISTED,
            {"network": {"mode": "allow", "allow": ["a:1", "c:1"]}},
            "network",
            "to speak to c:1, .* grants a:1, b:2",
        ),
        (LISTED, {"network": {"mode": "host"}}, "network", "grants a:1, b:2"),
        (TRUSTED, {"network": {"mode": "allow", "allow": ["a:1"]}}, "network", "no box"),
        (STANDARD, {"conditions": [{"kind": "command", "command": "true"}]}, "conditions", "outside the box"),
        (STRICT, {"conditions": [{"kind": "command", "command": "true"}]}, "conditions", "outside the box"),
        (TRUSTED, {"write": ["/srv"]}, "write", "nothing to declare"),
        (TRUSTED, {"network": {"mode": "none"}}, "network", "no box"),
    ],
)
def test_a_wish_beyond_the_policy_is_named(policy: PolicySpec, fields: dict[str, Any], field: str, said: str) -> None:
    with pytest.raises(Invalid, match=said) as caught:
        resolve(policy, _spec(**fields))
    assert caught.value.field == field


def test_a_trusted_job_may_have_a_command_as_condition_and_a_boxed_one_others() -> None:
    assert resolve(TRUSTED, _spec(conditions=[{"kind": "command", "command": "true"}])).policy is TRUSTED
    assert resolve(STRICT, _spec(conditions=[{"kind": "file", "path": "/etc"}])).policy is STRICT


def test_a_policy_that_is_not_there_is_refused_with_those_that_are() -> None:
    assert "choose one of trusted, standard, strict, or make it" in unknown("loose").message


@pytest.mark.parametrize(
    ("policy", "wish", "mode", "allow"),
    [
        (STANDARD, {"mode": "allow", "allow": ["a:1"]}, NetworkMode.ALLOW, ("a:1",)),
        (LISTED, None, NetworkMode.ALLOW, ("a:1", "b:2")),
        (LISTED, {"mode": "allow", "allow": ["B:2"]}, NetworkMode.ALLOW, ("B:2",)),
        (LISTED, {"mode": "none"}, NetworkMode.NONE, ()),
    ],
)
def test_a_network_of_listed_addresses_stays_within_the_policys(
    policy: PolicySpec, wish: dict[str, object] | None, mode: NetworkMode, allow: tuple[str, ...]
) -> None:
    granted = resolve(policy, _spec(network=wish))

    assert (granted.network, granted.allow) == (mode, allow)
    assert (Protection.ADDRESSES in required(granted)) == bool(allow)
    assert Protection.NETWORK in required(granted)


def test_a_network_kept_from_a_job_is_required_and_a_limit_only_wanted() -> None:
    granted = resolve(STANDARD, _spec(network={"mode": "none"}))

    assert Protection.NETWORK in required(granted)
    assert Protection.MEMORY in wanted(granted) - required(granted)
    assert Protection.NETWORK not in required(resolve(STANDARD, _spec()))


def test_what_is_not_in_force_or_was_never_tried_is_missing() -> None:
    lacking = missing({Protection.FILES, Protection.KILL, Protection.PIDS}, {"files": "no bwrap", "kill": ""})

    assert lacking == {"files": "no bwrap", "pids": "it has not been tried"}
    assert why_refused("standard", lacking).endswith("here: files: no bwrap; pids: it has not been tried")


@pytest.mark.parametrize(
    ("fields", "answer"),
    [
        ({}, True),
        ({"policy": "trusted"}, False),
        ({"policy": "strict"}, True),
        ({"policy": "trusted", "limits": {"processes": 4}}, True),
    ],
)
def test_only_what_wants_more_than_a_shell_is_kept_apart(fields: dict[str, Any], answer: bool) -> None:
    assert apart(_spec(**fields).model_dump(mode="json")) is answer
