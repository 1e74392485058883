"""One control group a job, where we may make them and joining is cheap: the kernel's own list of what a job started.

Only membership is used (a v2 hierarchy without controllers will do). Where groups are refused or slow, nothing is lost
but certainty: `sweep` then finds a job's processes by parentage, session and mark.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from scheduler_daemon.launcher import kernel

_DEAREST_JOIN = 0.0005
"""Seconds a spawner may spend on joining a group; kernels that wait for a grace period take ten times this."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 10.0
"""Seconds until a group that is not empty is looked at again."""


def parent_of(name: str) -> str | None:
    """Return where the group for all jobs lies or would lie, None without groups."""
    own = _group_of("self")
    return None if own is None else f"{own}/{name}"


def find_parent(name: str) -> str | None:
    """Make and return a group for all jobs, below our own; None where we may not or where joining is slow."""
    own, parent = _group_of("self"), parent_of(name)
    if own is None or parent is None:
        return None
    try:
        Path(parent).mkdir(exist_ok=True)
        remove_empty(parent)
    except OSError:
        return None
    return parent if _joins_fast(own, parent) else None


def of(pid: int, parent: str | None) -> str | None:
    """Return the group below `parent` that a process is in, None if it is in none of them."""
    group = _group_of(str(pid))
    return group if parent is not None and group is not None and group.startswith(f"{parent}/") else None


def _group_of(process: str) -> str | None:
    try:
        mounts = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines()
        member = Path(f"/proc/{process}/cgroup").read_text("utf-8", "surrogateescape").splitlines()
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
    return _group_of("self") or ""


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
        return [int(word) for word in kernel.content(f"{path}/cgroup.procs").split()]
    except OSError:
        return []


def kill(path: str, spared: frozenset[int]) -> bool:
    """Kill all of a group at one stroke, also what is being forked. False if it cannot be or one of us is inside.

    The old hierarchies (v1) know no such stroke: there each member is killed, and who calls looks again.
    """
    if spared.intersection(members(path)):
        return False
    try:
        Path(path, "cgroup.kill").write_bytes(b"1")
    except FileNotFoundError:
        _kill_each(path)
        return False
    except OSError:
        return False
    return True


def _kill_each(path: str) -> None:
    """Kill each member that is one still after its start time is known, so that no pid's next owner is hit."""
    known = {pid: one.ticks for pid in members(path) if (one := kernel.process(pid)) is not None}
    for pid in members(path):
        if pid in known:
            kernel.send(pid, known[pid], signal.SIGKILL)


def remove(path: str) -> bool:
    """Remove a group. False while a living process is in it."""
    try:
        os.rmdir(path)  # noqa: PTH106 - on the path of every end
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


class Emptying:
    """Groups of ended runs that still hold a process: looked at again, less and less often, until they are empty."""

    def __init__(self) -> None:
        self._paths: list[str] = []
        self._pause = _FIRST_PAUSE
        self._look_at = 0.0

    def add(self, *paths: str) -> None:
        """Remove these once they are empty."""
        left = [path for path in paths if not remove(path)]
        if left:
            self._paths += left
            self._pause = _FIRST_PAUSE
            self._look_at = time.monotonic() + self._pause

    def next_look(self) -> Iterator[float]:
        """Yield when `look` has something to do, by the monotonic clock."""
        if self._paths:
            yield self._look_at

    def look(self, now: float) -> None:
        """Remove what is empty by now."""
        if self._paths and now >= self._look_at:
            self._paths = [path for path in self._paths if not remove(path)]
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
            self._look_at = now + self._pause


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
