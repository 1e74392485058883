"""How a job is kept apart from the machine: what a policy grants, limits and requires.

A policy says what a run is given; `Protection` names what must be in force for that. What is in force is found by
trying, never assumed, and a run whose policy requires more than that is refused.
"""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Address, ip_address
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, Field, model_validator

from scheduler_daemon.contract.texts import AbsolutePath, plain, speakable

_HOST_AND_PORT = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?|\[[0-9A-Fa-f:]{2,39}\]):([0-9]{1,5})\Z"
)
_NUMERIC = re.compile(r"(?:\A|\.)(?:[0-9]+|0[xX][0-9A-Fa-f]*)\.?\Z")
_BROADCAST = IPv4Address("255.255.255.255")

_CAPABILITIES = frozenset(
    [
        "chown",
        "dac_override",
        "dac_read_search",
        "fowner",
        "fsetid",
        "kill",
        "setgid",
        "setuid",
        "setpcap",
        "linux_immutable",
        "net_bind_service",
        "net_broadcast",
        "net_admin",
        "net_raw",
        "ipc_lock",
        "ipc_owner",
        "sys_module",
        "sys_rawio",
        "sys_chroot",
        "sys_ptrace",
        "sys_pacct",
        "sys_admin",
        "sys_boot",
        "sys_nice",
        "sys_resource",
        "sys_time",
        "sys_tty_config",
        "mknod",
        "lease",
        "audit_write",
        "audit_control",
        "setfcap",
        "mac_override",
        "mac_admin",
        "syslog",
        "wake_alarm",
        "block_suspend",
        "audit_read",
        "perfmon",
        "bpf",
        "checkpoint_restore",
    ]
)
_DEVICE = re.compile(r"/dev(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9_.:@+-]+)+\Z")
_OWN_DEVICES = ("/dev/shm", "/dev/pts", "/dev/mqueue", "/dev/fd", "/dev/ptmx")  # noqa: S108 - the box's own


def _capability(text: str) -> str:
    name = text.lower().removeprefix("cap_")
    if name not in _CAPABILITIES:
        raise ValueError(f"{text!r} is no capability; write one such as net_bind_service, as in capabilities(7)")
    return name


def _device(text: str) -> str:
    if not _DEVICE.match(text) or any(text == one or text.startswith(f"{one}/") for one in _OWN_DEVICES):
        raise ValueError(f"{text!r} is no device to share; name one such as /dev/fuse or /dev/dri")
    return text


PolicyName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-z0-9][a-z0-9_.-]*$")]
AccountName = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(plain)]
CapabilityName = Annotated[str, AfterValidator(_capability)]
DevicePath = Annotated[str, Field(max_length=256), AfterValidator(plain), AfterValidator(_device)]
VariableName = Annotated[str, Field(max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Message = Annotated[str, Field(max_length=400), AfterValidator(speakable)]


class Protection(StrEnum):
    """One thing that keeps a run apart or ends it; each is in force on a machine or not."""

    FILES = "files"
    """A view of the file system of its own: user and mount namespaces."""
    PROCESSES = "processes"
    """It sees and signals no process but its own: a pid namespace."""
    NETWORK = "network"
    """No network but what is allowed: a network namespace."""
    ADDRESSES = "addresses"
    """Of the network only the addresses listed: a gateway, the one way out of a network namespace."""
    SECCOMP = "seccomp"
    """Dangerous system calls are refused: a filter."""
    PRIVILEGES = "privileges"
    """It runs as an account without rights, with no capability and no way to gain one."""
    KILL = "kill"
    """An end reaches every process it has started."""
    MEMORY = "memory"
    """A limit of memory for the run as a whole: a memory controller."""
    PIDS = "pids"
    """A limit of processes for the run as a whole: a pids controller."""
    CPU = "cpu"
    """A share of the processors for the run as a whole: a cpu controller."""
    PROCESS_LIMITS = "process_limits"
    """Limits that the kernel keeps for each process apart (rlimits)."""


class Files(StrEnum):
    """What a run sees of the file system."""

    HOST = "host"
    """All that its account may see."""
    SYSTEM = "system"
    """The system's programs, read only; a /tmp and a home of its own, kept on disk until the run has ended."""
    SCRATCH = "scratch"
    """The same, with /tmp and home in memory, up to the limit of scratch space."""


class NetworkMode(StrEnum):
    """Whom a run may speak to."""

    HOST = "host"
    NONE = "none"
    ALLOW = "allow"
    """The addresses listed, and nobody else."""


def _host_and_port(text: str) -> str:
    found = _HOST_AND_PORT.match(text)
    if not found or not 1 <= int(found[1]) <= 65535:
        raise ValueError(f"{text!r} is no address; write HOST:PORT, such as db.example.org:5432")
    host = text.rpartition(":")[0].strip("[]")
    try:
        literal = ip_address(host)
    except ValueError:
        if ":" in host or _NUMERIC.search(host):  # which resolvers read as addresses in other spellings
            raise ValueError(f"{text!r} is no address; write it as four numbers, such as 10.0.0.5:80") from None
        return text
    if literal.is_unspecified or literal.is_multicast or literal == _BROADCAST:
        raise ValueError(f"{text!r} is the address of no one machine; name the machine")
    return text


class Network(BaseModel, frozen=True, extra="forbid"):
    """The network of a run."""

    mode: NetworkMode = NetworkMode.NONE
    allow: Annotated[tuple[Annotated[str, AfterValidator(_host_and_port)], ...], Field(max_length=64)] = ()

    @model_validator(mode="after")
    def _list_means_something(self) -> Self:
        if bool(self.allow) != (self.mode is NetworkMode.ALLOW):
            raise ValueError("`allow` lists the addresses of mode `allow`; give both or neither")
        return self


class Limits(BaseModel, frozen=True, extra="forbid"):
    """Most that a run may use; None is no limit of ours. Sizes in bytes, times in ms."""

    memory_bytes: Annotated[int, Field(ge=4 << 20, le=1 << 50)] | None = None
    """Of all its processes, files in memory included."""
    processes: Annotated[int, Field(ge=1, le=4_194_304)] | None = None
    """At once, threads included."""
    cpus: Annotated[float, Field(ge=0.01, le=4096)] | None = None
    """Processors' worth of time it gets in each moment; 0.5 is half of one."""
    cpu_ms: Annotated[int, Field(ge=1, le=366 * 86_400_000)] | None = None
    """Processor time of all its processes; beyond it the run is ended."""
    open_files: Annotated[int, Field(ge=8, le=1 << 30)] | None = None
    """Of each process."""
    file_bytes: Annotated[int, Field(ge=4096, le=1 << 50)] | None = None
    """Of each file it writes."""
    scratch_bytes: Annotated[int, Field(ge=4096, le=1 << 50)] | None = None
    """Of its own /tmp and home, where they are in memory."""

    def under(self, stricter: Limits) -> Limits:
        """Return for each limit the lesser of both."""
        lesser = {}
        for name in type(self).model_fields:
            given = [value for value in (getattr(self, name), getattr(stricter, name)) if value is not None]
            lesser[name] = min(given) if given else None
        return Limits(**lesser)


class PolicySpec(BaseModel, frozen=True, extra="forbid"):
    """What runs of a policy are given, and what must be in force for that."""

    name: PolicyName
    description: Annotated[str, Field(max_length=400)] = ""
    files: Files = Files.SYSTEM
    read: Annotated[tuple[AbsolutePath, ...], Field(max_length=64)] = ()
    """Folders and files that jobs may ask to read: these and all below."""
    write: Annotated[tuple[AbsolutePath, ...], Field(max_length=64)] = ()
    """The same to write; what may be written may be read."""
    network: Network = Network()
    """The most that a job may ask for, and what it gets if it asks for nothing."""
    accounts: Annotated[tuple[AccountName, ...], Field(max_length=64)] = ()
    """A job names one of these to run as; none listed is any."""
    root: bool = False
    """Runs may be root's."""
    admins_only: bool = False
    """Only an admin saves a job of it."""
    environment: Annotated[dict[VariableName, Annotated[str, AfterValidator(speakable)]], Field(max_length=64)] = {}
    """Variables that every run gets; a job that sets one of them is refused."""
    seccomp: bool = True
    capabilities: Annotated[tuple[CapabilityName, ...], Field(max_length=64)] = ()
    """Powers of root's that every run has, though its account is not root; of a policy without a box alone."""
    devices: Annotated[tuple[DevicePath, ...], Field(max_length=32)] = ()
    """What every run finds below /dev besides what any program has; its account's rights to it stay what they are."""
    limits: Limits = Limits()
    """The most that a job may ask for, and what it gets if it asks for nothing."""
    timeout_ms: Annotated[int, Field(ge=1, le=31 * 86_400_000)] | None = None
    """The most that an attempt of a run may take, and what it gets if its job says nothing."""
    output_limit_bytes: Annotated[int, Field(ge=4096, le=1 << 40)] | None = None
    """The most that is kept of each stream of a run, whatever its job says."""
    requires: tuple[Protection, ...] = ()
    """What must be in force; without it the run is refused."""


class PolicyCreate(BaseModel, frozen=True, extra="forbid"):
    """A request for a policy of one's own: another one with some fields changed."""

    name: PolicyName
    based_on: PolicyName = "standard"
    changes: dict[str, Any] = {}
    """Fields of the policy that are to be otherwise."""
    message: Message = ""


class PolicyPatch(BaseModel, frozen=True, extra="forbid"):
    """Fields of a policy to change. `version` is the one the editor saw; another one in between is a conflict."""

    version: int
    changes: dict[str, Any]
    message: Message = ""


class PolicyVersion(BaseModel, frozen=True):
    """One saved policy and who saved it."""

    version: int
    policy: PolicySpec
    author: str
    message: str
    created_at: datetime


class CustomPolicy(BaseModel, frozen=True):
    """What is known of a policy that somebody here has made."""

    version: int
    based_on: str
    owner: str
    jobs: int
    """Living jobs that have it."""
    used_by: tuple[str, ...]
    """The first of them, as far as the reader may see them."""
    unfit: dict[str, str] = {}
    """After a change: those that ask for more than it now grants, and what. Their runs are refused."""
    created_at: datetime
    updated_at: datetime


class PolicyView(BaseModel, frozen=True):
    """A policy and whether the daemon's machine can give it."""

    policy: PolicySpec
    default: bool
    """New jobs that say nothing get it."""
    missing: dict[str, str]
    """What it requires that is not in force, and why. A run of it would be refused."""
    custom: CustomPolicy | None = None
    """None for one that is built in."""


_APART = (Protection.FILES, Protection.PROCESSES, Protection.SECCOMP, Protection.PRIVILEGES, Protection.KILL)
_MIB = 1 << 20

TRUSTED = PolicySpec(
    name="trusted",
    description="As the account itself at a shell: nothing is kept from it.",
    files=Files.HOST,
    network=Network(mode=NetworkMode.HOST),
    root=True,
    seccomp=False,
    requires=(Protection.KILL,),
)
STANDARD = PolicySpec(
    name="standard",
    description="The system read only, a /tmp and home of its own, what is declared, and limits.",
    read=("/",),
    write=("/",),
    network=Network(mode=NetworkMode.HOST),
    limits=Limits(memory_bytes=512 * _MIB, processes=128, open_files=1024, file_bytes=1024 * _MIB),
    requires=(*_APART, Protection.PROCESS_LIMITS),
)
STRICT = PolicySpec(
    name="strict",
    description="Nothing but the system read only and scratch space in memory; no network.",
    files=Files.SCRATCH,
    limits=Limits(
        memory_bytes=256 * _MIB,
        processes=64,
        cpus=0.5,
        open_files=256,
        file_bytes=128 * _MIB,
        scratch_bytes=64 * _MIB,
    ),
    requires=(
        *_APART,
        Protection.NETWORK,
        Protection.MEMORY,
        Protection.PIDS,
        Protection.CPU,
        Protection.PROCESS_LIMITS,
    ),
)
BUILT_IN = {policy.name: policy for policy in (TRUSTED, STANDARD, STRICT)}
