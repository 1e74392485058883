"""One control group a job, where we may make them and joining is cheap: the kernel's own list of what a job started.

Only membership is used (a v2 hierarchy without controllers will do). Where groups are refused or slow, nothing is lost
but certainty: `sweep` then finds a job's processes by parentage, session and mark.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

_DEAREST_JOIN = 0.0005
"""Seconds a spawner may spend on joining a group; kernels that wait for a grace period take ten times this."""


def find_parent(name: str) -> str | None:
    """Make and return a group for all jobs, below our own; None where we may not or where joining is slow."""
    own = _own_group()
    if own is None:
        return None
    parent = f"{own}/{name}"
    try:
        Path(parent).mkdir(exist_ok=True)
        remove_empty(parent)
    except OSError:
        return None
    return parent if _joins_fast(own, parent) else None


def _own_group() -> str | None:
    try:
        mounts = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines()
        member = Path("/proc/self/cgroup").read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return None
    points = [line.split()[4] for line in mounts if " - cgroup2 " in line]
    paths = [line[3:] for line in member if line.startswith("0::")]
    return f"{points[0]}{paths[0]}".rstrip("/") if points and paths else None


def _joins_fast(home: str, parent: str) -> bool:
    trial = f"{parent}/trial-{os.getpid()}"
    times = []
    try:
        Path(trial).mkdir()
        for _ in range(5):
            begun = time.perf_counter()
            join(trial)
            times.append(time.perf_counter() - begun)
            join(home)
        Path(trial).rmdir()
    except OSError:
        return False
    return sorted(times)[2] <= _DEAREST_JOIN


def home() -> str:
    """Return the group this process is in now, to come back to."""
    return _own_group() or ""


def enter(path: str) -> None:
    """Move this process into a group, making it if need be."""
    try:
        join(path)
    except FileNotFoundError:
        os.mkdir(path)  # noqa: PTH102 - on the path of every start
        join(path)


def join(path: str) -> None:
    """Move this process into a group; what it starts from now on is born there."""
    descriptor = os.open(f"{path}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, b"0")
    finally:
        os.close(descriptor)


def members(path: str) -> list[int]:
    """Return the pids in a group, zombies not counted; none if the group is gone."""
    try:
        descriptor = os.open(f"{path}/cgroup.procs", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return []
    text = b""
    try:
        while chunk := os.read(descriptor, 65536):
            text += chunk
    except OSError:
        return []
    finally:
        os.close(descriptor)
    return [int(word) for word in text.split()]


def kill(path: str, spared: frozenset[int]) -> bool:
    """Kill all of a group at one stroke, also what is being forked. False if it cannot be or one of us is inside."""
    if spared.intersection(members(path)):
        return False
    try:
        Path(path, "cgroup.kill").write_bytes(b"1")
    except OSError:
        return False
    return True


def remove(path: str) -> bool:
    """Remove a group. False while a living process is in it."""
    try:
        os.rmdir(path)  # noqa: PTH106 - on the path of every end
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def remove_parent(path: str) -> None:
    """Remove the launcher's own group when it goes, unless jobs are left in it."""
    with contextlib.suppress(OSError):
        remove_empty(path)
        Path(path).rmdir()


def remove_empty(path: str) -> None:
    """Remove the groups below this one that hold no process."""
    for child in Path(path).iterdir():
        if child.is_dir():
            remove(str(child))
