"""Say of each protection whether it is in force here, why not, what would bring it about, and who needs it. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from scheduler_daemon.contract.policies import BUILT_IN, PolicySpec, Protection
from scheduler_daemon.domain.isolation import needs

WHAT = {
    Protection.FILES: "a view of the files of its own",
    Protection.PROCESSES: "sees and signals only its own processes",
    Protection.NETWORK: "no network but what is allowed",
    Protection.ADDRESSES: "of the network only the addresses listed",
    Protection.SECCOMP: "dangerous system calls are refused",
    Protection.PRIVILEGES: "an account without rights, and no way to gain one",
    Protection.KILL: "an end reaches every process",
    Protection.MEMORY: "a limit of memory for the whole run",
    Protection.PIDS: "a limit of processes for the whole run",
    Protection.CPU: "a share of the processors for the whole run",
    Protection.PROCESS_LIMITS: "limits of each process",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """One protection on this machine. `enable` is the command that would bring it about, or what to do."""

    name: str
    what: str
    in_force: bool
    why_not: str
    enable: str
    required_by: tuple[str, ...]


def standings(lacking: Mapping[str, str], own: Iterable[PolicySpec] = ()) -> list[Standing]:
    """Return how each protection stands. `lacking` holds for each by name "" if it is in force, else why and remedy.

    `own` are the policies that are not built in.
    One that nobody has tried is not in force. A reason ends with the remedy, after its last colon.
    """
    found, policies = [], (*BUILT_IN.values(), *own)
    for one in Protection:
        reason = lacking.get(one.value, "it has not been tried")
        why, _, enable = reason.rpartition(": ") if ": " in reason else (reason, "", "")
        needed_by = tuple(policy.name for policy in policies if one in needs(policy))
        found.append(Standing(one.value, WHAT[one], not reason, why, enable, needed_by))
    return found


def refused_policies(found: Iterable[Standing]) -> list[str]:
    """Return the policies of which no run is started here, the built-in ones first."""
    refused = {name for one in found if not one.in_force for name in one.required_by}
    return [*(name for name in BUILT_IN if name in refused), *sorted(refused - BUILT_IN.keys())]
