"""A policy of one's own: what it grants beyond the one it was made from, and what makes no sense."""

from typing import Any

import pytest

from scheduler_daemon.contract.policies import BUILT_IN, STANDARD, STRICT, TRUSTED, PolicySpec, Protection
from scheduler_daemon.domain.errors import Invalid
from scheduler_daemon.domain.isolation import needs
from scheduler_daemon.domain.policies import changed, looser, privileges

_ONLY_A, _ONLY_B = ({"mode": "allow", "allow": [f"{name}.example:1"]} for name in "ab")
_ON_DISK = ["files", "limits.scratch_bytes"]
_LIMITS = STANDARD.limits.model_dump()


@pytest.mark.parametrize("policy", BUILT_IN.values(), ids=lambda one: one.name)
def test_a_policy_is_no_looser_than_itself(policy: PolicySpec) -> None:
    assert looser(policy, policy) == []


@pytest.mark.parametrize(
    ("base", "changes", "found"),
    [
        (STANDARD, {"files": "host", "seccomp": False, "read": [], "write": []}, ["files", "seccomp", "requires"]),
        (STANDARD, {"files": "scratch"}, []),
        (STRICT, {"files": "system", "limits": STRICT.limits.model_dump() | {"scratch_bytes": None}}, _ON_DISK),
        (STANDARD, {"read": ["/srv"], "write": []}, []),
        (STRICT, {"read": ["/srv"]}, ["read"]),
        (STRICT, {"write": ["/srv"]}, ["write"]),
        (STANDARD, {"network": {"mode": "none"}}, []),
        (STRICT, {"network": {"mode": "host"}}, ["network", "requires"]),
        (STANDARD, {"seccomp": False}, ["seccomp", "requires"]),
        (STANDARD, {"limits": _LIMITS | {"memory_bytes": 1 << 30}}, ["limits.memory_bytes"]),
        (STANDARD, {"limits": _LIMITS | {"memory_bytes": None}}, ["limits.memory_bytes"]),
        (STANDARD, {"limits": _LIMITS | {"memory_bytes": 8 << 20, "cpus": 0.5}}, []),
        (STRICT, {"limits": STRICT.limits.model_dump() | {"scratch_bytes": 1 << 30}}, ["limits.scratch_bytes"]),
        (STRICT, {"requires": []}, ["requires"]),
        (STANDARD, {"environment": {"LD_PRELOAD": "/srv/x.so"}}, ["environment"]),
        (STANDARD, {"timeout_ms": 1000, "output_limit_bytes": 4096}, []),
        (STANDARD, {"accounts": ["www-data"]}, []),
        (STANDARD, {"admins_only": True}, []),
        (STANDARD, {"devices": ["/dev/fuse"]}, ["devices"]),
        (TRUSTED, {"root": False, "capabilities": ["CAP_NET_BIND_SERVICE"]}, ["capabilities"]),
    ],
)
def test_what_a_policy_grants_beyond_another_is_named(
    base: PolicySpec, changes: dict[str, Any], found: list[str]
) -> None:
    assert looser(changed(base, changes), base) == found


@pytest.mark.parametrize(
    ("held", "given"),
    [
        ({"accounts": ["www-data"]}, {"accounts": ["www-data", "backup"]}),
        ({"accounts": ["www-data"]}, {"accounts": []}),
        ({"admins_only": True}, {"admins_only": False}),
        ({"timeout_ms": 1000}, {"timeout_ms": None}),
        ({"output_limit_bytes": 4096}, {"output_limit_bytes": 8192}),
        ({"environment": {"A": "1"}}, {"environment": {}}),
        (
            {"network": {"mode": "allow", "allow": ["a.example:1"]}},
            {"network": {"mode": "allow", "allow": ["b.example:1"]}},
        ),
        ({"read": ["/srv/in"], "write": []}, {"read": ["/srv/inside"]}),
    ],
)
def test_what_a_policy_held_is_not_let_go_unnoticed(held: dict[str, Any], given: dict[str, Any]) -> None:
    base = changed(STANDARD, held)

    assert looser(changed(base, given), base) == [next(iter(given))]


def test_root_and_no_box_are_an_admins_to_give_whatever_the_base_gives() -> None:
    assert looser(TRUSTED, TRUSTED) == []
    assert privileges(TRUSTED) == ["files", "root"]
    assert privileges(changed(STANDARD, {"devices": ["/dev/fuse"]})) == ["devices"]
    assert privileges(STANDARD) == []


@pytest.mark.parametrize(
    ("base", "changes", "field", "said"),
    [
        (STANDARD, {"colour": "red"}, "changes.colour", "no field"),
        (STANDARD, {"name": "other"}, "changes.name", "stays"),
        (STANDARD, {"files": "half"}, "changes.files", "host"),
        (STANDARD, {"limits": {"memory_bytes": 1}}, "changes.limits.memory_bytes", "greater"),
        (STANDARD, {"requires": ["magic"]}, "changes.requires.0", "files"),
        (STANDARD, {"files": "host", "seccomp": False}, "changes.read", "keeps no file"),
        (STANDARD, {"files": "host"}, "changes.seccomp", "no filter"),
        (TRUSTED, {"network": {"mode": "none"}}, "changes.network", "no network"),
        (STANDARD, {"root": True}, "changes.root", "never root's"),
        (STANDARD, {"limits": {"scratch_bytes": 1 << 20}}, "changes.limits.scratch_bytes", "scratch"),
        (STANDARD, {"devices": ["/dev/shm/x"]}, "changes.devices.0", "no device to share"),
        (STANDARD, {"devices": ["/dev/../etc"]}, "changes.devices.0", "no device to share"),
        (TRUSTED, {"devices": ["/dev/fuse"]}, "changes.devices", "keeps no device"),
        (STANDARD, {"capabilities": ["net_raw"]}, "changes.capabilities", "without a box"),
        (TRUSTED, {"capabilities": ["net_raw"]}, "changes.capabilities", "not root"),
        (TRUSTED, {"capabilities": ["fly"]}, "changes.capabilities.0", "no capability"),
        (STANDARD, {"requires": ["network"]}, "changes.requires", "does not give it"),
        (STANDARD, {"read": ["/srv/../etc"]}, "changes.read", "write '/etc'"),
        (STANDARD, {"environment": {"A B": "x"}}, "changes.environment.A B.[key]", "pattern"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_field(
    base: PolicySpec, changes: dict[str, Any], field: str, said: str
) -> None:
    with pytest.raises(Invalid, match=said) as caught:
        changed(base, changes)
    assert caught.value.field == field


def test_a_box_needs_what_there_is_no_box_without_even_if_the_policy_says_less() -> None:
    bare = changed(STRICT, {"requires": []})

    assert needs(bare) == {
        Protection.FILES, Protection.PROCESSES, Protection.PRIVILEGES, Protection.NETWORK, Protection.SECCOMP,
    }  # fmt: skip
    assert needs(TRUSTED) == {Protection.KILL}
