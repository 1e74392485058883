"""Limits of a run as a whole, and what it used: control groups with controllers, one for each run that has limits.

Where the kernel keeps the old hierarchies (v1) a run has a group in each; where it has one hierarchy (v2) and hands
the controllers down to us, one group holds all, and is the one by which the run is killed. Where neither may be had a
run is limited process by process only.
"""

from __future__ import annotations

import contextlib
import os
from itertools import pairwise
from pathlib import Path

from scheduler_daemon.launcher import cgroups, kernel
from scheduler_daemon.launcher.command import Unstartable
from scheduler_daemon.launcher.protocol import Message

V2 = "v2"
_V1 = ("memory", "pids", "cpu", "cpuacct", "blkio")
_FOR_SWAP = ("memory.swap.max", "memory.memsw.limit_in_bytes")
_PERIOD_US = 100_000

Groups = dict[str, str]
"""The path of a group by its controller; by "v2" where one holds all."""


def find_parents(name: str) -> Groups:
    """Return the groups for all limited runs, below our own, which need not exist; what we may not have is left out."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines()
        member = Path("/proc/self/cgroup").read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return {}
    own = {kind: path for line in member for _, kinds, path in [line.split(":", 2)] for kind in kinds.split(",")}
    found = _v2(mounts, own, name)
    for kind in _V1:
        points = [line.split()[4] for line in mounts if " - cgroup " in line and kind in line.split()[-1].split(",")]
        if found.get(V2) is None and points and kind in own:
            home = f"{points[0]}{own[kind]}".rstrip("/")
            if os.access(home, os.W_OK):
                found[kind] = f"{home}/{name}"
                with contextlib.suppress(OSError):
                    cgroups.remove_empty(found[kind])
    return found


def _v2(mounts: list[str], own: dict[str, str], name: str) -> Groups:
    """Return the parent in the one hierarchy, if the group above ours is given to us and hands down memory and pids.

    A group that hands down controllers holds no processes itself, and a service manager that starts the daemon anew
    puts it into the same group again: hence ours must be one below the one that is given to us.
    """
    points = [line.split()[4] for line in mounts if " - cgroup2 " in line]
    if not points or own.get("", "/") == "/":
        return {}
    home = Path(f"{points[0]}{own['']}").parent
    parent = home / f"{name}-limits"
    try:
        offered = set(home.joinpath("cgroup.controllers").read_text("ascii").split())
        if not {"memory", "pids"} <= offered or not _is_given(home) or cgroups.members(str(home)):
            return {}
        wanted = " ".join(f"+{kind}" for kind in ("memory", "pids", "cpu", "io") if kind in offered)
        home.joinpath("cgroup.subtree_control").write_text(wanted, "ascii")
        parent.mkdir(exist_ok=True)
        parent.joinpath("cgroup.subtree_control").write_text(wanted, "ascii")
        cgroups.remove_empty(str(parent))
    except OSError:
        return {}
    return {V2: str(parent)}


def _is_given(path: Path) -> bool:
    """Tell whether the service manager has marked a group as ours to divide."""
    for name in ("user.delegate", "trusted.delegate"):
        with contextlib.suppress(OSError):
            if os.getxattr(path, name) == b"1":
                return True
    return False


def make(parents: Groups, run: int, limits: Message, extra: int) -> Groups:
    """Make the groups of a run and set its limits; `extra` processes are not the run's own. Raises Unstartable."""
    groups = {
        kind: f"{parent}/{run}" for kind, parent in parents.items() if kind != "cpu" or limits.get("cpus") is not None
    }
    try:
        for path in groups.values():
            _make(path)
        for kind, file, value in _settings(limits, extra):
            if kind in groups:
                _set(f"{groups[kind]}/{file}", value)
    except OSError as error:
        remove(groups)
        raise Unstartable(f"limits: control group {error.filename or ''}: {error.strerror}") from None
    return groups


def _make(path: str) -> None:
    try:
        os.mkdir(path)  # noqa: PTH102 - on the path of every limited start
    except FileNotFoundError:
        Path(path).mkdir(parents=True)


def _set(path: str, value: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        if os.path.basename(path) in _FOR_SWAP:  # noqa: PTH119 - this kernel does not count it
            return
        raise
    try:
        os.write(descriptor, value.encode("ascii"))
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(descriptor)


def _settings(limits: Message, extra: int) -> list[tuple[str, str, str]]:
    memory, processes, cpus = limits.get("memory_bytes"), limits.get("processes"), limits.get("cpus")
    found = []
    if memory is not None:
        found += [(V2, "memory.max", str(memory)), ("memory", "memory.limit_in_bytes", str(memory))]
        found += [(V2, "memory.swap.max", "0"), ("memory", "memory.memsw.limit_in_bytes", str(memory))]
    if processes is not None:
        found += [(kind, "pids.max", str(processes + extra)) for kind in (V2, "pids")]
    if cpus is not None:
        quota = max(1000, int(cpus * _PERIOD_US))
        found += [(V2, "cpu.max", f"{quota} {_PERIOD_US}"), ("cpu", "cpu.cfs_quota_us", str(quota))]
    return found


def listing(groups: Groups) -> str | None:
    """Return the group that tells what belongs to a run: the one that holds all, else one of them."""
    return groups.get(V2) or groups.get("pids") or next(iter(groups.values()), None)


def existing(parents: Groups, run: int) -> Groups:
    """Return the groups that a run was given."""
    groups = {kind: f"{parent}/{run}" for kind, parent in parents.items()}
    return {kind: path for kind, path in groups.items() if Path(path).is_dir()}


def remove(groups: Groups) -> bool:
    """Remove the groups of a run. False while a process is in one."""
    gone = [cgroups.remove(path) for path in groups.values()]
    return all(gone)


def cpu_ms(groups: Groups) -> float | None:
    """Return the processor time a run has used, None where it is not counted."""
    if V2 in groups:
        used = _table(groups[V2], "cpu.stat").get("usage_usec")
        return None if used is None else used / 1000
    used = _number(groups.get("cpuacct"), "cpuacct.usage")
    return None if used is None else used / 1e6


def throttled(groups: Groups) -> bool:
    """Tell whether the run was ever made to wait for its share of the processors."""
    return _table(groups.get("cpu", groups.get(V2)), "cpu.stat").get("nr_throttled", 0) > 0


def told(groups: Groups) -> Message:
    """Return what the groups of a run tell of it for the record of its end: usage, and the limit that struck."""
    found: Message = {}
    used = cpu_ms(groups)
    if used is not None:
        found |= {"cpu_ms": used, "usage_source": "cgroup"}
    one = groups.get(V2)
    peak = _number(groups.get("memory"), "memory.max_usage_in_bytes") if one is None else _number(one, "memory.peak")
    if peak is not None:
        found["max_rss_bytes"] = peak
    most = _number(groups.get("pids", one), "pids.peak")
    if most is not None:
        found["processes"] = most
    found |= _io(groups)
    hit = _limit_hit(groups)
    return found | ({"limit_hit": hit} if hit else {})


def _limit_hit(groups: Groups) -> str | None:
    one = groups.get(V2)
    events = _table(groups.get("memory"), "memory.oom_control") if one is None else _table(one, "memory.events")
    if events.get("oom_kill"):
        return "memory"
    return "pids" if _table(groups.get("pids", one), "pids.events").get("max") else None


def _io(groups: Groups) -> Message:
    text = _text(groups.get("blkio"), "blkio.throttle.io_service_bytes") or _text(groups.get(V2), "io.stat")
    if text is None:
        return {}
    words = text.replace("=", " ").split()
    pairs = list(pairwise(words))
    read = sum(int(value) for name, value in pairs if name in {"Read", "rbytes"} and value.isdigit())
    written = sum(int(value) for name, value in pairs if name in {"Write", "wbytes"} and value.isdigit())
    return {"read_bytes": read, "write_bytes": written}


def _text(path: str | None, file: str) -> str | None:
    if path is None:
        return None
    try:
        return kernel.content(f"{path}/{file}").decode("ascii")
    except OSError:
        return None


def _number(path: str | None, file: str) -> int | None:
    text = (_text(path, file) or "").strip()
    return int(text) if text.isdigit() else None


def _table(path: str | None, file: str) -> dict[str, int]:
    pairs = [line.split() for line in (_text(path, file) or "").splitlines()]
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
