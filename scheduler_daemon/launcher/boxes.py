"""The box of a run: what bubblewrap is told, and what it has told us when the run is over.

The program is never started by root: it runs as the job's account, and keeps the job apart by the namespaces that any
account may make. Nothing secret is in its arguments or environment; it reads them from a descriptor. Who puts a box
around which job, and its limits, is left to `confinement`.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import select
import signal
import stat
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from scheduler_daemon.launcher import accounts, cgroups, declared, kernel
from scheduler_daemon.launcher.command import Unstartable
from scheduler_daemon.launcher.declared import within
from scheduler_daemon.launcher.protocol import RUN_MARK, Message

STATUS = "status"
"""The file in a run's folder in which bubblewrap notes the process inside and its exit code."""
HOME, TEMPORARY = "home", "tmp"
"""The folders in a run's folder that a box has for /job and /tmp."""
_SCRATCH_BYTES = 64 << 20
_MOST_WORDS = 8000
"""Bubblewrap takes at most 9000 arguments."""
_NOBODY = 65534
_SYSTEM_KEPT = 10.0
"""Seconds for which it is remembered what the system has."""
_LAYOUTS_KEPT = 64
"""Ways to lay out a box that are remembered: jobs that declare the same paths have the same."""
_LONGEST_NOTES = 4096
"""Bytes that are read of what bubblewrap noted, which is less than a fifth of it."""
_MOST_PIDS, _MOST_INODES, _MOST_CODES = 1 << 22, 1 << 64, 255
_PATIENCE = 0.25
"""Seconds we wait for killed processes to be gone."""
_LINKED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_ETC = (
    "alternatives",
    "ca-certificates",
    "crypto-policies",
    "gai.conf",
    "group",
    "host.conf",
    "hosts",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "nsswitch.conf",
    "passwd",
    "pki",
    "protocols",
    "resolv.conf",
    "services",
    "ssl",
    "timezone",
)


class Paths(NamedTuple):
    """Where what a box shows lies: the run's home and /tmp (None: in memory), and the daemon's folder, to be hidden."""

    home: str | None
    temporary: str | None
    state: str
    hosts: int | None = None
    """The descriptor of its own /etc/hosts, if it has one."""


def words(request: Message, mark: str, paths: Paths, uid: int, gid: int) -> list[str]:
    """Return what bubblewrap is told of a box, but for descriptors and the command. Raises Unstartable."""
    box = request["box"]
    own = accounts.is_ours(uid)
    told = [
        "--unshare-user",
        "--unshare-pid",
        "--unshare-ipc",
        "--unshare-uts",
        "--unshare-cgroup-try",
        "--new-session",
    ]
    told += ["--disable-userns", "--cap-drop", "ALL"] + ([] if box["network"] == "host" else ["--unshare-net"])
    told += ["--uid", str(_NOBODY if own else uid), "--gid", str(_NOBODY if own else gid)]
    shown = {**dict.fromkeys(box["read"], "--ro-bind-fd"), **dict.fromkeys(box["write"], "--bind-fd")}
    held = declared.numbered(shown)
    places = _system(int(time.monotonic() / _SYSTEM_KEPT), tuple(shown)) | _private(box, paths)
    for path, how in shown.items():
        declared.check(path, paths.state)
        places[path] = [how, str(held[path]), path]
    places["/dev"] = _with_devices(places["/dev"], box.get("devices") or ())
    if paths.hosts is not None:
        places["/etc/hosts"] = ["--perms", "0444", "--ro-bind-data", str(paths.hosts), "/etc/hosts"]
    above = [path for path in shown if within(paths.state, path)]
    if above and _may_enter(paths.state, uid):
        for path in above:
            if path in box["write"]:  # a folder between could be moved away, and what hides ours with it
                raise Unstartable(f"box: {path} holds the daemon's own folder; it may be read, not written")
        places[paths.state] = ["--size", "65536", "--tmpfs", paths.state, "--remount-ro", paths.state]
    for path in _outermost_first(tuple(places)):
        told += places[path]
    told += ["--remount-ro", "/", "--chdir", _cwd(request["cwd"], shown), "--clearenv"]
    environment = {**request["env"], RUN_MARK: mark, "TMPDIR": "/tmp"}  # noqa: S108 - the box's own
    if not any(within(environment.get("HOME", "/"), path) for path in shown):
        environment["HOME"] = "/job"
    for name, value in environment.items():
        told += ["--setenv", name, value]
    if len(told) > _MOST_WORDS:
        raise Unstartable(f"box: {len(environment)} variables and {len(shown)} paths are too many for bubblewrap")
    return told


def _with_devices(told: list[str], devices: Iterable[str]) -> list[str]:
    """Return what is told of /dev with some devices more, which have to be there before it is made read-only."""
    bound = [word for path in devices for word in ("--dev-bind", path, path)]
    return [*told[:-2], *bound, *told[-2:]] if bound else told


@functools.lru_cache(maxsize=_LAYOUTS_KEPT)
def _outermost_first(places: tuple[str, ...]) -> list[str]:
    return sorted(places, key=lambda one: [part for part in one.split("/") if part])


@functools.lru_cache(maxsize=_LAYOUTS_KEPT)
def _system(_period: int, shown: tuple[str, ...]) -> dict[str, list[str]]:
    """Return how each place of the system is shown that is not in one `shown`; it is looked at once a period."""
    places = {"/usr": ["--ro-bind", "/usr", "/usr"]}
    for name in _LINKED:
        path = Path("/", name)
        if path.is_symlink():
            places[str(path)] = ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            places[str(path)] = ["--ro-bind", str(path), str(path)]
    for name in _ETC:
        places[f"/etc/{name}"] = ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    places["/proc"] = ["--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys"]
    places["/dev"] = ["--dev", "/dev", "--size", "16777216", "--tmpfs", "/dev/shm", "--remount-ro", "/dev"]  # noqa: S108
    return {
        path: how for path, how in places.items() if path in declared.OWN or not any(within(path, one) for one in shown)
    }


def _private(box: Message, paths: Paths) -> dict[str, list[str]]:
    if paths.home is None or paths.temporary is None:
        size = str(box["scratch_bytes"] or _SCRATCH_BYTES)
        made = ["--perms", "0700", "--size", size, "--tmpfs", "/job", "--perms", "0700", "--dir", "/job/.tmp"]
        return {"/job": made, "/tmp": ["--symlink", "job/.tmp", "/tmp"]}  # noqa: S108
    return {"/job": ["--bind", paths.home, "/job"], "/tmp": ["--bind", paths.temporary, "/tmp"]}  # noqa: S108


def _may_enter(state: str, uid: int) -> bool:
    """Tell whether the daemon's folder is open to the job's account: then it must be hidden."""
    return uid == os.geteuid() or bool(stat.S_IMODE(os.stat(state).st_mode) & 0o077)  # noqa: PTH116


def _cwd(cwd: str, shown: Iterable[str]) -> str:
    """Return the working directory, if it is one that the box shows, else the run's home."""
    visible = cwd == "/" or any(within(cwd, path) for path in (*shown, "/usr", "/job", "/tmp"))  # noqa: S108
    return cwd if visible else "/job"


class Told(NamedTuple):
    """What bubblewrap noted of a run: its first process inside, by our pid and its namespace, and the exit code."""

    inner: int | None
    namespace: int | None
    exit_code: int | None


def told(path: str) -> Told:
    """Return what is known of the box of the run with this folder. Its account may have written anything there."""
    found: Message = {}
    with contextlib.suppress(OSError, ValueError, RecursionError):
        for line in _notes(f"{path}/{STATUS}").rstrip(b"\0").splitlines():
            said = json.loads(line)
            found |= said if isinstance(said, dict) else {}
    return Told(
        _number(found.get("child-pid"), _MOST_PIDS),
        _number(found.get("pid-namespace"), _MOST_INODES),
        _number(found.get("exit-code"), _MOST_CODES),
    )


def _notes(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, _LONGEST_NOTES)
    finally:
        os.close(descriptor)


def _number(said: object, most: int) -> int | None:
    return said if type(said) is int and 0 <= said <= most else None


def why_not_begun(path: str) -> str:
    """Return what bubblewrap said when it could not begin: nothing of the job has written there."""
    try:
        lines = Path(path, "stderr").read_bytes()[:4096].decode("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    said = [line.removeprefix("bwrap: ") for line in lines if line.startswith("bwrap: ")]
    return "box: " + ("; ".join(said) or "bubblewrap ended before the command began and did not say why")


def close_wholly(box: Told, mark: str, group: str | None) -> None:
    """Kill what is left in the box of a run whose mark begins so, and wait a moment until it is gone."""
    end = time.monotonic() + _PATIENCE
    dying = _kill(box, mark)
    if dying is not None:
        _wait(dying)
        os.close(dying)
    while group is not None and cgroups.members(group):
        cgroups.kill(group, frozenset())
        if time.monotonic() > end:
            return
        time.sleep(0.001)


def _kill(box: Told, mark: str) -> int | None:
    """Kill the first process inside, with which the kernel ends all others, and return a descriptor that can be read
    from once all of them are gone; None if there is nothing to wait for.

    What was noted is the word of the job's account, and we may be root: only a process that was started with the mark
    of the run is killed. One that is dying already shows none any more, and is waited for.
    """
    if not box.inner or box.namespace is None:
        return None
    try:
        pinned = os.pidfd_open(box.inner)
    except OSError:
        return None
    try:
        same = os.readlink(f"/proc/{box.inner}/ns/pid") == f"pid:[{box.namespace}]"  # noqa: PTH115
        one, carried = kernel.process(box.inner), kernel.variable(box.inner, RUN_MARK)
        if same and one is not None and one.living and (not carried or carried.startswith(mark)):
            if carried:
                signal.pidfd_send_signal(pinned, signal.SIGKILL)
            return pinned
    except OSError:
        pass
    os.close(pinned)
    return None


def _wait(dying: int) -> None:
    watched = select.poll()
    watched.register(dying, select.POLLIN)
    watched.poll(_PATIENCE * 1000)
