"""Say how to start a run: the argv, environment and directory that cron would give it."""

import os
import pwd
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from scheduler_daemon.contract.policies import Files, NetworkMode
from scheduler_daemon.domain.isolation import Granted
from scheduler_daemon.domain.retry import attempt_timeout
from scheduler_daemon.runners.process import Box, LaunchRequest, Limits
from scheduler_daemon.services import parameters
from scheduler_daemon.services.runs import Start
from scheduler_daemon.services.secrets import Given

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BOXED_HOME = "/job"
"""The home of a job that has a view of the file system of its own."""


@lru_cache(maxsize=256)
def _home(account: str | None) -> tuple[str, str]:
    """Return (name, home) of an account; of the daemon's own for None. The launcher refuses one that does not exist."""
    try:
        entry = pwd.getpwuid(os.getuid()) if account is None else pwd.getpwnam(account)
    except KeyError:
        return account or str(os.getuid()), "/"
    return entry.pw_name, entry.pw_dir


def request_for(
    start: Start, now: datetime, granted: Granted | None = None, given: Given | None = None
) -> LaunchRequest:
    """Return what the launcher is told now.

    The environment is cron's, then the job's own, then what the run is told, then its secrets. LOGNAME cannot be set,
    nor CHRONOS_FIRE_AT, which tells a run the instant it is for as 2026-05-01T08:00:00Z: of its schedule, or when
    somebody asked for it. `granted` is None for what runs as its account would at a shell.
    """
    spec = start.spec
    name, home = _home(spec["user"])
    box = _box(granted)
    if box is not None:
        home = BOXED_HOME
    shell = spec["shell"]
    env = _environment(name, home, shell, spec["env"])
    if spec.get("parameters"):
        env |= parameters.environment(spec, None if start.told is None else start.told.values)
    if granted is not None:
        env |= granted.policy.environment
    if given is not None:
        env |= given.env
    if start.fire_at is not None:
        env["CHRONOS_FIRE_AT"] = f"{start.fire_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    most = spec["timeout_ms"] if granted is None else granted.timeout_ms
    timeout = attempt_timeout(most, spec.get("run_timeout_ms"), start.run_ends_at, now)
    return LaunchRequest(
        execution_id=start.execution_id,
        argv=(shell, "-c", spec["command"]),
        env=env,
        cwd=spec["cwd"] or env["HOME"],
        umask=spec["umask"],
        user=spec["user"],
        stdin=None if spec["stdin"] is None else spec["stdin"].encode(),
        timeout=None if timeout is None else timedelta(milliseconds=timeout),
        grace=timedelta(milliseconds=spec["grace_ms"]),
        not_before=start.not_before,
        box=box,
        capabilities=() if granted is None else granted.policy.capabilities,
        limits=None if granted is None else Limits(**granted.limits.model_dump(exclude={"scratch_bytes"})),
    )


def folder_of(spec: Mapping[str, Any], *, boxed: bool) -> str:
    """Return where runs of a job work, "" where each has a folder of its own in the daemon's."""
    if spec["cwd"]:
        return str(spec["cwd"])
    return "" if boxed else str(spec["env"].get("HOME") or _home(spec["user"])[1])


def _box(granted: Granted | None) -> Box | None:
    if granted is None or granted.policy.files is Files.HOST:
        return None
    return Box(
        files="scratch" if granted.policy.files is Files.SCRATCH else "system",
        read=granted.read,
        write=granted.write,
        network=granted.allow or ("host" if granted.network is NetworkMode.HOST else "none"),
        seccomp=granted.policy.seccomp,
        devices=granted.policy.devices,
        scratch_bytes=granted.limits.scratch_bytes,
    )


def _environment(name: str, home: str, shell: str, own: Mapping[str, str]) -> dict[str, str]:
    return {"HOME": home, "SHELL": shell, "PATH": PATH, "USER": name} | dict(own) | {"LOGNAME": name}
