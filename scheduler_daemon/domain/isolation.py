"""Decide what a run is given of the machine: its job's wishes within the most that its policy grants.

What is in force on a machine is found by trying, elsewhere; here it is only held against what a run needs.
"""

import posixpath
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from scheduler_daemon.contract.jobs import JobSpec
from scheduler_daemon.contract.policies import (
    BUILT_IN,
    TRUSTED,
    Files,
    Limits,
    Network,
    NetworkMode,
    PolicySpec,
    Protection,
)
from scheduler_daemon.domain.errors import Invalid

_NONE = Limits()
_BY_LIMIT = {
    "memory_bytes": Protection.MEMORY,
    "processes": Protection.PIDS,
    "cpus": Protection.CPU,
    "cpu_ms": Protection.PROCESS_LIMITS,
    "open_files": Protection.PROCESS_LIMITS,
    "file_bytes": Protection.PROCESS_LIMITS,
}


KEPT_BY = {
    NetworkMode.HOST: frozenset[Protection](),
    NetworkMode.NONE: frozenset({Protection.NETWORK}),
    NetworkMode.ALLOW: frozenset({Protection.NETWORK, Protection.ADDRESSES}),
}
"""What must be in force for a network."""


@dataclass(frozen=True, slots=True)
class Granted:
    """What a run gets."""

    policy: PolicySpec
    read: tuple[str, ...]
    write: tuple[str, ...]
    network: NetworkMode
    limits: Limits
    timeout_ms: int | None
    output_limit_bytes: int
    """Kept of each stream."""
    allow: tuple[str, ...] = ()
    """Whom it may speak to, as HOST:PORT, where the network is that of listed addresses."""


def apart(spec: Mapping[str, Any]) -> bool:
    """Tell whether a job, as it is kept, wants anything but what its account gets at a shell."""
    return spec["policy"] != TRUSTED.name or any(spec.get("limits", {}).values())


def requested(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run tells of its policy before anything is known to be in force."""
    return _requested(spec["policy"])


@lru_cache
def _requested(policy: str) -> dict[str, Any]:
    """One object for the runs of a burst, which is written once."""
    return {"requested": policy, "in_force": [], "missing": []}


def unknown(name: str) -> Invalid:
    """Return what is said of a policy that does not exist."""
    return Invalid(
        f"there is no policy {name!r}; choose one of {', '.join(BUILT_IN)}, or make it with "
        f"`chronos policy create {name}`",
        field="policy",
    )


def resolve(policy: PolicySpec, spec: JobSpec) -> Granted:
    """Return what a run of the job gets. Raises Invalid for a wish beyond the policy, naming both."""
    if policy.files is Files.HOST and (spec.read or spec.write):
        raise Invalid(
            f"policy {policy.name!r} keeps no file from a job, so there is nothing to declare; take the paths out, "
            "or choose another policy",
            field="read" if spec.read else "write",
        )
    if policy.files is not Files.HOST and any(one.kind == "command" for one in spec.conditions):
        raise Invalid(
            f"a condition's command would run outside the box that policy {policy.name!r} puts around the job; "
            "take it out, let the job itself try it, or choose the policy trusted",
            field="conditions",
        )
    _require_account(policy, spec.user)
    _require_variables(policy, spec)
    _require_paths("read", spec.read, policy, (*policy.read, *policy.write))
    _require_paths("write", spec.write, policy, policy.write)
    network = _network(policy, spec.network)
    return Granted(
        policy,
        spec.read,
        spec.write,
        network.mode,
        _limits(policy, spec.limits),
        _timeout(policy, spec.timeout_ms),
        output_limit(policy, spec.output_limit_bytes),
        allow=network.allow,
    )


def output_limit(policy: PolicySpec, wish: int) -> int:
    """Return how many bytes are kept of each stream of a run whose job says to keep so many."""
    return wish if policy.output_limit_bytes is None else min(wish, policy.output_limit_bytes)


def required(granted: Granted) -> frozenset[Protection]:
    """Return what must be in force, or the run is refused: what its policy says, and a network kept from it."""
    return needs(granted.policy, granted.network)


def needs(policy: PolicySpec, network: NetworkMode | None = None) -> frozenset[Protection]:
    """Return what must be in force for each run of a policy: what it says, and what there is no box without.

    `network` is that of a job, if it is another than the policy's.
    """
    found = set(policy.requires)
    if policy.files is not Files.HOST:
        found |= {Protection.FILES, Protection.PROCESSES, Protection.PRIVILEGES}
        found |= KEPT_BY[network or policy.network.mode]
        found |= {Protection.SECCOMP} if policy.seccomp else set()
    return frozenset(found)


def wanted(granted: Granted) -> frozenset[Protection]:
    """Return what the run is to have: what is required, and what its limits are kept with."""
    kept_with = {one for name, one in _BY_LIMIT.items() if getattr(granted.limits, name) is not None}
    return required(granted) | kept_with


def missing(needed: Collection[Protection], lacking: Mapping[str, str]) -> dict[str, str]:
    """Return which of these are not in force, and why. One that nobody has tried is not."""
    reasons = ((one.value, lacking.get(one.value, "it has not been tried")) for one in sorted(needed))
    return {name: why for name, why in reasons if why}


def why_refused(policy: str, lacking: Mapping[str, str]) -> str:
    """Return why a run is refused, in a sentence that names what is missing and the remedy."""
    each = "; ".join(f"{name}: {why}" for name, why in lacking.items())
    return f"what its policy {policy!r} requires is not in force here: {each}"


def _require_account(policy: PolicySpec, account: str | None) -> None:
    if account == "root" and not policy.root:
        raise Invalid(f"policy {policy.name!r} runs nothing as root; choose another account or policy", field="user")
    if policy.capabilities and account is None:
        raise Invalid(
            f"policy {policy.name!r} gives capabilities to an account that is not root; name the account",
            field="user",
        )
    if policy.accounts and account not in policy.accounts:
        wish = "names no account" if account is None else f"asks to run as {account}"
        raise Invalid(
            f"the job {wish}, and policy {policy.name!r} runs jobs as {', '.join(policy.accounts)}; "
            "name one of them, or choose another policy",
            field="user",
        )


def _require_variables(policy: PolicySpec, spec: JobSpec) -> None:
    ways = {"env": spec.env, "secrets": spec.secrets, "parameters": [one.variable for one in spec.parameters]}
    for field, names in ways.items():
        for name in sorted(policy.environment.keys() & set(names)):
            raise Invalid(
                f"policy {policy.name!r} sets the variable {name}, so its jobs cannot; take it out, "
                "or choose another policy",
                field=field,
            )


def _require_paths(field: str, wishes: Collection[str], policy: PolicySpec, granted: Collection[str]) -> None:
    for path in wishes:
        if posixpath.normpath(path) != path:
            raise Invalid(f"{path!r} takes a detour; write {posixpath.normpath(path)!r}", field=field)
        if not any(path == one or path.startswith(one.rstrip("/") + "/") for one in granted):
            most = ", ".join(granted) or "nothing"
            raise Invalid(
                f"the job asks to {field} {path}, and policy {policy.name!r} grants {most}; take it out, "
                "or choose another policy",
                field=field,
            )


def _network(policy: PolicySpec, wish: Network | None) -> Network:
    most = policy.network
    if wish is None or wish == most:
        wish = most
    elif wish.mode is NetworkMode.HOST and most.mode is not NetworkMode.HOST:
        raise Invalid(
            f"the job asks for the network of the host, and policy {policy.name!r} grants "
            f"{', '.join(most.allow) or most.mode}; take it out, or choose another policy",
            field="network",
        )
    elif wish.mode is NetworkMode.ALLOW and most.mode is not NetworkMode.HOST:
        beyond = [one for one in wish.allow if one.lower() not in map(str.lower, most.allow)]
        if beyond:
            raise Invalid(
                f"the job asks to speak to {beyond[0]}, and policy {policy.name!r} grants "
                f"{', '.join(most.allow) or 'no network'}; take it out, or choose another policy",
                field="network",
            )
    if wish.mode is not NetworkMode.HOST and policy.files is Files.HOST:
        raise Invalid(
            f"policy {policy.name!r} puts no box around a job, so no network can be kept from it; "
            "choose standard or strict",
            field="network",
        )
    return wish


def _limits(policy: PolicySpec, wishes: Limits) -> Limits:
    if wishes == _NONE:
        return policy.limits
    for name in type(wishes).model_fields:
        wish, most = getattr(wishes, name), getattr(policy.limits, name)
        if wish is not None and most is not None and wish > most:
            raise Invalid(
                f"the job asks for {name} {wish}, and policy {policy.name!r} grants at most {most}; ask for less, "
                "or choose another policy",
                field=f"limits.{name}",
            )
    if wishes.scratch_bytes is not None and policy.files is not Files.SCRATCH:
        raise Invalid(
            f"policy {policy.name!r} keeps no scratch space in memory to limit; take it out, or choose strict",
            field="limits.scratch_bytes",
        )
    return policy.limits.under(wishes)


def _timeout(policy: PolicySpec, wish: int | None) -> int | None:
    if wish is not None and policy.timeout_ms is not None and wish > policy.timeout_ms:
        raise Invalid(
            f"the job asks for a timeout of {wish} ms, and policy {policy.name!r} grants at most {policy.timeout_ms}; "
            "ask for less, or choose another policy",
            field="timeout_ms",
        )
    return policy.timeout_ms if wish is None else wish
