"""Make a policy out of another, and say what it grants that the other does not. Who may do that is decided elsewhere.

Built-in policies are as strict as they say, so a policy of one's own is held against the one it was made from.
"""

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from scheduler_daemon.contract.policies import Files, Limits, NetworkMode, PolicySpec, Protection
from scheduler_daemon.domain.errors import Invalid
from scheduler_daemon.domain.isolation import KEPT_BY, needs

_FIXED = frozenset({"name"})
_OPENNESS = {Files.SCRATCH: 0, Files.SYSTEM: 1, Files.HOST: 2}
_REACH = {NetworkMode.NONE: 0, NetworkMode.ALLOW: 1, NetworkMode.HOST: 2}


def changed(policy: PolicySpec, changes: Mapping[str, Any]) -> PolicySpec:
    """Return a policy with some fields changed. Raises Invalid, naming the field.

    It no longer requires what it no longer gives, unless the changes say that it does, which makes no sense.
    """
    odd = sorted((set(changes) - set(PolicySpec.model_fields)) | (set(changes) & _FIXED))
    if odd:
        why = "stays as it is" if odd[0] in _FIXED else "is no field of a policy"
        raise Invalid(f"{odd[0]!r} {why}; take it out", field=f"changes.{odd[0]}")
    try:
        made = PolicySpec.model_validate({**policy.model_dump(), **changes})
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, ("changes", *first["loc"])))
        raise Invalid(f"{field} {first['msg'].removeprefix('Value error, ')}", field=field) from None
    _require_sense(made)
    idle = {one for one in made.requires if one in _not_given(made)}
    if idle and "requires" in changes:
        named = ", ".join(sorted(idle))
        raise Invalid(f"the policy requires {named} and does not give it; take it out", field="changes.requires")
    return made.model_copy(update={"requires": tuple(one for one in made.requires if one not in idle)})


def _not_given(policy: PolicySpec) -> set[Protection]:
    """Return what runs of a policy do not have, whatever is in force."""
    if policy.files is Files.HOST:
        return {
            Protection.FILES,
            Protection.PROCESSES,
            Protection.PRIVILEGES,
            Protection.NETWORK,
            Protection.ADDRESSES,
            Protection.SECCOMP,
        }
    none = set() if policy.seccomp else {Protection.SECCOMP}
    return none | (KEPT_BY[NetworkMode.ALLOW] - KEPT_BY[policy.network.mode])


def looser(policy: PolicySpec, base: PolicySpec) -> list[str]:
    """Return the names of the fields in which a policy grants or drops what another does not; none if it is as strict.

    A policy in which nothing is kept from a job has nothing to declare, so any path is within it.
    """
    unlike = {
        "files": _OPENNESS[policy.files] > _OPENNESS[base.files],
        "read": not _within(policy.read, (*base.read, *base.write), base.files),
        "write": not _within(policy.write, base.write, base.files),
        "network": not _reaches_no_further(policy, base),
        "accounts": bool(base.accounts) and not (policy.accounts and set(policy.accounts) <= set(base.accounts)),
        "root": policy.root and not base.root,
        "admins_only": base.admins_only and not policy.admins_only,
        "environment": policy.environment != base.environment,
        "capabilities": not set(policy.capabilities) <= set(base.capabilities),
        "devices": not set(policy.devices) <= set(base.devices) and base.files is not Files.HOST,
        "seccomp": base.seccomp and not policy.seccomp,
        **{f"limits.{name}": more for name, more in _beyond(policy.limits, base).items()},
        "timeout_ms": _more(policy.timeout_ms, base.timeout_ms),
        "output_limit_bytes": _more(policy.output_limit_bytes, base.output_limit_bytes),
        "requires": not needs(base) - {Protection.ADDRESSES} <= needs(policy),  # of which `network` tells
    }
    return [name for name, yes in unlike.items() if yes]


def privileges(policy: PolicySpec) -> list[str]:
    """Return the names of the fields by which a policy gives what an admin alone may give, whatever it is based on."""
    given = {
        "files": policy.files is Files.HOST,
        "root": policy.root,
        "capabilities": bool(policy.capabilities),
        "devices": bool(policy.devices),
    }
    return [name for name, yes in given.items() if yes]


def _faults(policy: PolicySpec) -> Iterator[tuple[bool, str, str]]:
    """Yield whether it contradicts itself in a field, the field, and why that makes no sense."""
    boxed = policy.files is not Files.HOST
    open_ = "a policy without a box (files host)"
    boxes = "let files be system or scratch"
    yield (
        not boxed and policy.network.mode is not NetworkMode.HOST,
        "network",
        f"{open_} can keep no network from a job; {boxes}, or the network host",
    )
    yield not boxed and policy.seccomp, "seccomp", f"{open_} has no filter of system calls; {boxes}, or seccomp off"
    for field in ("read", "write"):
        yield not boxed and bool(getattr(policy, field)), field, f"{open_} keeps no file from a job; take the paths out"
    yield not boxed and bool(policy.devices), "devices", f"{open_} keeps no device from a job; take them out"
    yield boxed and policy.root, "root", "what runs in a box is never root's; let files be host, or root off"
    yield (
        bool(policy.capabilities) and (boxed or policy.root),
        "capabilities",
        "capabilities are for runs without a box whose account is not root; let files be host and root off",
    )
    yield (
        policy.limits.scratch_bytes is not None and policy.files is not Files.SCRATCH,
        "limits.scratch_bytes",
        "only files scratch has space in memory to limit; take scratch_bytes out, or choose files scratch",
    )


def _require_sense(policy: PolicySpec) -> None:
    """Raise Invalid for what contradicts itself: no box can be made from it, or it promises what it does not keep."""
    for wrong, field, why in _faults(policy):
        if wrong:
            raise Invalid(why, field=f"changes.{field}")
    for field in ("read", "write"):
        for path in getattr(policy, field):
            if posixpath.normpath(path) != path:
                raise Invalid(f"{path!r} takes a detour; write {posixpath.normpath(path)!r}", field=f"changes.{field}")


def _within(paths: Iterable[str], granted: Iterable[str], files: Files) -> bool:
    most = tuple(granted)
    return files is Files.HOST or all(
        any(path == one or path.startswith(one.rstrip("/") + "/") for one in most) for path in paths
    )


def _reaches_no_further(policy: PolicySpec, base: PolicySpec) -> bool:
    mine, other = policy.network, base.network
    if mine.mode is NetworkMode.ALLOW and other.mode is NetworkMode.ALLOW:
        return set(mine.allow) <= set(other.allow)
    return _REACH[mine.mode] <= _REACH[other.mode]


def _beyond(limits: Limits, base: PolicySpec) -> dict[str, bool]:
    found = {name: _more(getattr(limits, name), getattr(base.limits, name)) for name in Limits.model_fields}
    return found | ({} if base.files is Files.SCRATCH else {"scratch_bytes": False})


def _more(mine: float | None, most: float | None) -> bool:
    return most is not None and (mine is None or mine > most)
