"""Say how runs of a job are kept apart, and what keeps them from starting, as things stand now."""

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import Connection

from scheduler_daemon.contract.executions import PolicyInForce
from scheduler_daemon.contract.jobs import JobSpec
from scheduler_daemon.contract.policies import Files
from scheduler_daemon.domain.errors import Invalid
from scheduler_daemon.domain.isolation import Granted, missing, required, resolve, unknown, why_refused
from scheduler_daemon.services import policies

_WHAT = {
    Files.HOST: "no box",
    Files.SYSTEM: "a box of its own",
    Files.SCRATCH: "a box of its own with its files in memory",
}


_MIB = 1 << 20
_LIMITS = {
    "memory_bytes": "{:g} MiB of memory",
    "processes": "{:g} processes",
    "cpus": "{:g} processors",
    "cpu_ms": "{:g} ms of processor time",
    "open_files": "{:g} open files",
    "file_bytes": "{:g} MiB in a file",
    "scratch_bytes": "{:g} MiB of scratch space",
}


class Apart(NamedTuple):
    """How its runs are kept apart, and why they are refused; "" if they are not."""

    words: str
    refused: str


def of_job(db: Connection, spec: JobSpec, lacking: Mapping[str, str] | None) -> Apart:
    """Say it of a job; `lacking` says why protections are not in force, None where nobody could tell."""
    kept = policies.named(db, [spec.policy]).get(spec.policy)
    if kept is None:
        return Apart(f"policy {spec.policy}", unknown(spec.policy).message)
    name = f"policy {spec.policy}" + (f", version {kept.version}" if kept.version else "")
    try:
        granted = resolve(kept.policy, spec)
    except Invalid as error:
        return Apart(name, error.message)
    absent = {} if lacking is None else missing(required(granted), lacking)
    return Apart(f"{name}: {_granted(granted)}", why_refused(spec.policy, absent) if absent else "")


def of_run(policy: PolicyInForce) -> str:
    """Say it of a run, as it was recorded."""
    name = f"policy {policy.requested}" + (f", version {policy.version}" if policy.version else "")
    in_force = f"; in force: {', '.join(policy.in_force)}" if policy.in_force else ""
    return name + in_force + (f"; missing: {', '.join(policy.missing)}" if policy.missing else "")


def _granted(granted: Granted) -> str:
    found = [_WHAT[granted.policy.files], f"network {', '.join(granted.allow) or granted.network}"]
    found += [f"reads {', '.join(granted.read)}"] if granted.read else []
    found += [f"writes {', '.join(granted.write)}"] if granted.write else []
    most = granted.limits.model_dump(exclude_none=True)
    found += [
        f"at most {_LIMITS[name].format(value / _MIB if name.endswith('_bytes') else value)}"
        for name, value in most.items()
    ]
    return ", ".join(found)
