"""What a runner is asked for and what it tells: a launch, a start, an end. Times are UTC, sizes bytes, as measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Box:
    """What a run sees of the machine; without a box it sees all its account may.

    `read` and `write` are absolute paths shown besides the system's programs. `scratch_bytes` bounds a home and a /tmp
    in memory (files "scratch"). Started by root for no account in particular, the run gets one that nothing else has.
    """

    files: Literal["system", "scratch"] = "system"
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    network: Literal["host", "none"] | tuple[str, ...] = "none"
    """Or the addresses it may speak to, as HOST:PORT."""
    seccomp: bool = True
    scratch_bytes: int | None = None
    devices: tuple[str, ...] = ()
    """Below /dev, shown besides those that any program has."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that a run may use; None is no limit. `open_files` and `file_bytes` hold for each process, the others
    for the run as a whole.
    """

    memory_bytes: int | None = None
    processes: int | None = None
    cpus: float | None = None
    cpu_ms: int | None = None
    open_files: int | None = None
    file_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class LaunchRequest:
    """One process to start. `user` is an account name, None for the daemon's own; `cwd` is absolute.

    The job gets exactly `env` and one variable more, CHRONOS_RUN, by which its processes are recognised.
    `stdin` None means /dev/null. A run beyond `timeout` gets TERM, and KILL after `grace`. Where `not_before` is given
    the launcher holds the start until that instant, by the wall clock.
    """

    execution_id: int
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    """Secrets are in it: it is told to the launcher and nobody else."""
    cwd: str
    umask: int = 0o022
    user: str | None = None
    stdin: bytes | None = None
    timeout: timedelta | None = None
    grace: timedelta = timedelta(seconds=10)
    not_before: datetime | None = None
    box: Box | None = None
    limits: Limits | None = None
    capabilities: tuple[str, ...] = ()
    """Powers of root's that it has without a box, such as net_bind_service."""


@dataclass(frozen=True, slots=True)
class Started:
    """A process exists for this execution. May be told more than once."""

    execution_id: int
    pid: int
    started_at: datetime


@dataclass(frozen=True, slots=True)
class Ended:
    """How an execution ended; told again after each reconnect until it is forgotten.

    Exactly one of these holds: `exit_code` or `signal` is set, or `spawn_error` says why nothing ran, or it was
    cancelled before its start (`started_at` None), or `unknown` (nobody saw the exit status; `reason` says why), or a
    condition kept it from starting. `leftover` counts living processes it left behind; `survivors` those that could not
    be killed. `limit_hit` names the limit that is known to have struck: "memory", "pids", "cpu_time" or "file_size".
    `note` is what else must be said of the exit code. What is None was not measured.
    """

    execution_id: int
    exit_code: int | None
    signal: int | None
    started_at: datetime | None
    ended_at: datetime
    cpu_ms: float | None
    max_rss_bytes: int | None
    usage_source: str | None
    killed_by: Literal["timeout", "cancel"] | None
    reason: str | None
    spawn_error: str | None
    killed: int
    leftover: int
    survivors: int
    unknown: bool
    unmet: str | None = None
    """It was kept from starting by a condition that does not hold."""
    untold: str | None = None
    """It was kept from starting by a condition that could not be told."""
    limit_hit: str | None = None
    processes: int | None = None
    read_bytes: int | None = None
    write_bytes: int | None = None
    note: str | None = None
    blocked: str | None = None
    """It was kept from starting, for its policy requires what is not in force."""
    secretless: str | None = None
    """It was kept from starting, for a secret it names cannot be had."""


def moment(ns: int | None) -> datetime | None:
    """Return nanoseconds since 1970 as a UTC time."""
    return None if ns is None else datetime.fromtimestamp(ns / 1e9, UTC)


def started(record: Mapping[str, Any]) -> Started:
    """Read a start as the launcher tells it."""
    return Started(record["id"], record["pid"], datetime.fromtimestamp(record["started_ns"] / 1e9, UTC))


def ended(record: Mapping[str, Any]) -> Ended:
    """Read an end as the launcher tells it or the run's record holds it."""
    get = record.get
    return Ended(
        execution_id=record["id"],
        exit_code=get("exit_code"),
        signal=get("signal"),
        started_at=moment(get("started_ns")),
        ended_at=datetime.fromtimestamp(record["ended_ns"] / 1e9, UTC),
        cpu_ms=get("cpu_ms"),
        max_rss_bytes=get("max_rss_bytes"),
        usage_source=get("usage_source"),
        killed_by=get("killed_by"),
        reason=get("reason"),
        spawn_error=get("spawn_error"),
        killed=get("killed", 0),
        leftover=get("leftover", 0),
        survivors=get("survivors", 0),
        unknown=bool(get("unknown")),
        unmet=get("unmet"),
        untold=get("untold"),
        limit_hit=get("limit_hit"),
        processes=get("processes"),
        read_bytes=get("read_bytes"),
        write_bytes=get("write_bytes"),
        note=get("note"),
        blocked=get("blocked"),
        secretless=get("secretless"),
    )


def refused(execution_id: int, why: str, now: datetime) -> Ended:
    """Return the end of a launch that could not be handed over or was not taken."""
    record = {
        "id": execution_id,
        "ended_ns": int(now.timestamp() * 1e9),
        "spawn_error": why,
    }
    return ended(record)


def withheld(execution_id: int, now: datetime, **why: str) -> Ended:
    """Return the end of a run not to be launched, and why: unmet, untold, blocked, secretless; cancelled: the wish."""
    record: dict[str, Any] = {"id": execution_id, "ended_ns": int(now.timestamp() * 1e9), **why}
    if "cancelled" in why:
        record |= {"killed_by": "cancel", "reason": why["cancelled"]}
    return ended(record)
