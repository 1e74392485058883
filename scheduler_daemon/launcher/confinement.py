"""Start a job in its box and within its limits.

A newborn joins its control groups while it is still ours, then becomes the job's account for good, takes the limits
that each process has, and only then runs bubblewrap or, without a box, the command. What cannot be done as asked
refuses the start: a job is never run with less around it. Only limits of the run as a whole are passed over where no
control group can be had; whether they must be in force is for its policy to say.
"""

from __future__ import annotations

import functools
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from scheduler_daemon.launcher import (
    accounts,
    another,
    boxes,
    bubblewrap,
    capabilities,
    cgroups,
    controllers,
    declared,
    gateway,
    kernel,
    seccomp,
)
from scheduler_daemon.launcher.another import Account, Newborn
from scheduler_daemon.launcher.command import Files, Unstartable
from scheduler_daemon.launcher.controllers import Groups
from scheduler_daemon.launcher.outcome import HELPERS
from scheduler_daemon.launcher.protocol import RUN_MARK, Message

_ROOM = 512
_PACKAGES = "packages"
_WAYS_IN = ("/sys", "/mnt", "/media", "/srv")
"""Folders that every account may enter; the newborn's own view of one of them leads to its private folders."""


class Confined(NamedTuple):
    """A job that begins so."""

    newborn: Newborn
    groups: Groups


def wanted(request: Message) -> bool:
    """Tell whether anything of this is asked for."""
    return bool(request.get("box") or request.get("limits") or request.get("capabilities"))


def spawn(request: Message, files: Files, mark: tuple[str, int | None], path: str, parents: Groups) -> Confined:
    """Start the process. `path` is the folder of the run. Raises Unstartable."""
    box, limits = request.get("box"), request.get("limits") or {}
    who = _account(request, path)
    keep: list[int] = []
    groups: Groups = {}
    try:
        groups = controllers.make(parents, request["id"], limits, _helpers(box))
        most = _each(request, who, groups)
        before, after = [lambda: _join(groups)], [lambda: _limit(most)]
        if powers := tuple(request.get("capabilities") or ()):
            before.append(capabilities.keep)
            after.append(lambda: capabilities.take(powers))
        if box:
            lead = gateway.open_for(box, files[2], who, groups, mark[1], keep) if gateway.wanted(box) else None
            arguments, environment = _boxed(request, mark[0], who, path, keep, before, lead)
            paths = declared.numbered((*box["read"], *box["write"]))
            if paths:
                after.insert(0, lambda: declared.hold(paths))
        else:
            arguments, environment = request["argv"], {**request["env"], RUN_MARK: mark[0]}
        steps = another.Steps(before, after, keep)
        asked = {**request, "cwd": "/"} if box else request
        newborn = another.start(who, asked, mark[1], arguments, environment, files, steps)
    except Unstartable:
        controllers.remove(groups)
        raise
    except OSError as error:
        controllers.remove(groups)
        raise Unstartable(f"box: {error.filename or path}: {error.strerror}") from None
    finally:
        for descriptor in keep:
            os.close(descriptor)
    return Confined(newborn, groups)


def told(request: Message, groups: Groups) -> Message:
    """Return what the record of a start says of what surrounds the run."""
    limits = request.get("limits") or {}
    return {
        "groups": groups,
        "boxed": bool(request.get("box")),
        "helpers": _helpers(request.get("box")),
        "cpu_limit_ms": limits.get("cpu_ms"),
        "file_limit_bytes": limits.get("file_bytes"),
    }


def _helpers(box: Message | None) -> int:
    """Return how many processes of a run are not the job's."""
    if not box:
        return 0
    return HELPERS + (gateway.PROCESSES if gateway.wanted(box) else 0)


def _account(request: Message, path: str) -> Account | None:
    """Return whom to become, None to stay who we are. A boxed job is never root's. Raises Unstartable."""
    who = another.account(request["user"])
    if who is not None and who.uid == 0 and request.get("box"):
        raise Unstartable("user root: a job in a box is never root's; name another account, or none")
    if who is not None or os.geteuid() != 0 or not request.get("box"):
        return who
    if request["user"] is not None:
        raise Unstartable(f"user {request['user']}: a job in a box is never root's; name another account, or none")
    uid = accounts.of(request["id"], os.path.dirname(path))  # noqa: PTH120 - on the path of every start
    return Account(uid, uid, ())


def _boxed(
    request: Message,
    mark: str,
    who: Account | None,
    path: str,
    keep: list[int],
    before: list[Callable[[], None]],
    lead: gateway.Lead | None,
) -> tuple[list[str], dict[str, str]]:
    """Return the command line and environment of bubblewrap; add the descriptors and steps it needs."""
    (program, closed), box = bubblewrap.program(), request["box"]
    uid, gid = (os.geteuid(), os.getegid()) if who is None else (who.uid, who.gid)
    hidden: dict[str, str] = {}
    home = temporary = None
    if box["files"] == "system":
        home, temporary = (_make_folder(f"{path}/{name}", who) for name in (boxes.HOME, boxes.TEMPORARY))
        hidden |= {boxes.HOME: home, boxes.TEMPORARY: temporary}
    if closed is not None:
        hidden[_PACKAGES] = closed
    if who is not None and hidden:
        way = _way_in(box)
        before += _opening(way, hidden)
        if home is not None:
            home, temporary = f"{way}/{boxes.HOME}", f"{way}/{boxes.TEMPORARY}"
        if closed is not None:
            program = f"{way}/{_PACKAGES}{program.removeprefix(closed)}"
    state = _state_of(os.path.dirname(path))  # noqa: PTH120 - on the path of every start
    hosts = None
    if lead is not None:
        request = {**request, "env": {**request["env"], **lead.variables}}
        keep.append(_in_memory(lead.hosts.encode()))
        hosts = keep[-1]
    words = boxes.words(request, mark, boxes.Paths(home, temporary, state, hosts), uid, gid)
    words += lead.words if lead is not None else ()
    keep.append(_open_status(path))
    words += ["--json-status-fd", str(keep[-1])]
    if box["seccomp"]:
        keep.append(_in_memory(_filter()))
        words += ["--seccomp", str(keep[-1])]
    keep.append(_in_memory(os.fsencode("\0".join(words) + "\0")))
    return [program, "--args", str(keep[-1]), "--", *request["argv"]], {RUN_MARK: mark}


@functools.lru_cache(maxsize=1)
def _state_of(spool_path: str) -> str:
    return os.path.realpath(f"{spool_path}/..")


def _open_status(path: str) -> int:
    """Open the file for what bubblewrap notes, with room set aside: on a full disk the exit code must still fit.

    In a folder that is used again it is there already, emptied.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(f"{path}/{boxes.STATUS}", flags, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, _ROOM)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _filter() -> bytes:
    program = seccomp.filter_program()
    if program is None:
        raise Unstartable(
            "box: no filter of system calls is known for this kind of processor; use a policy without one"
        )
    return program


def _in_memory(data: bytes) -> int:
    descriptor = os.memfd_create("chronos", os.MFD_CLOEXEC)
    os.write(descriptor, data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _make_folder(path: str, who: Account | None) -> str:
    """Make a folder of the run's, or use the empty one that is there."""
    uid, gid = (-1, -1) if who is None else (who.uid, who.gid)
    try:
        try:
            os.chown(path, uid, gid, follow_symlinks=False)
        except FileNotFoundError:
            os.mkdir(path, 0o700)  # noqa: PTH102
            os.chown(path, uid, gid, follow_symlinks=False)
    except OSError as error:
        raise Unstartable(f"box: folder {path}: {error.strerror}") from None
    return path


@functools.cache
def _ways() -> list[str]:
    return [way for way in _WAYS_IN if Path(way).is_dir()]


def _way_in(box: Message) -> str:
    """Return a folder whose content no one in this box will miss. Raises Unstartable."""
    declared = (*box["read"], *box["write"])
    for way in _ways():
        if not any(one == way or one.startswith(f"{way}/") for one in declared):
            return way
    raise Unstartable(f"box: one of {', '.join(_WAYS_IN)} must be left undeclared")


def _opening(way: str, hidden: dict[str, str]) -> list[Callable[[], None]]:
    """Return the steps that lead, in a view of our own, from a folder all may enter to folders closed to them."""
    tmpfs = "size=64k,mode=0755"
    steps = [kernel.leave_mounts, kernel.mounting("tmpfs", way, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, tmpfs)]
    for name, folder in hidden.items():
        place = f"{way}/{name}"
        steps += [functools.partial(os.mkdir, place), kernel.mounting(folder, place, None, kernel.MS_BIND, None)]
    return steps


def _join(groups: Groups) -> None:
    for kind, path in groups.items():
        try:
            cgroups.join(path)
        except OSError as error:
            raise Unstartable(f"limits: control group of {kind}: {error.strerror}") from None


def _each(request: Message, who: Account | None, groups: Groups) -> dict[int, int]:
    """Return the limits that the kernel is to keep for each process.

    Asked before the newborn has its own view of the files, which may hide the control groups.
    """
    limits = request.get("limits") or {}
    wanted = {resource.RLIMIT_NOFILE: limits.get("open_files"), resource.RLIMIT_FSIZE: limits.get("file_bytes")}
    if request.get("box"):
        wanted[resource.RLIMIT_CORE] = 0
    if limits.get("cpu_ms") is not None and controllers.cpu_ms(groups) is None:
        wanted[resource.RLIMIT_CPU] = -(-limits["cpu_ms"] // 1000)
    alone = who is not None and request["user"] is None
    if alone and limits.get("processes") is not None and not {"pids", controllers.V2} & groups.keys():
        wanted[resource.RLIMIT_NPROC] = limits["processes"] + _helpers(request.get("box"))
    return {kind: most for kind, most in wanted.items() if most is not None}


def _limit(each: dict[int, int]) -> None:
    for kind, most in each.items():
        hard = resource.getrlimit(kind)[1]
        lesser = most if hard == resource.RLIM_INFINITY else min(most, hard)
        top = lesser + 1 if kind == resource.RLIMIT_CPU else lesser
        resource.setrlimit(kind, (lesser, top if hard == resource.RLIM_INFINITY else min(top, hard)))


def remove_folders(paths: list[str]) -> int | None:
    """Begin to remove folders of runs; return the pid of the process that does it, None if it cannot.

    What is inside may be much, owned by others and closed against its owner, and links in it are not followed.
    """
    opened = "" if os.geteuid() == 0 else 'chmod -R u+rwX -- "$@" 2>/dev/null; '
    words = ["/bin/sh", "-c", f'{opened}exec rm -rf -- "$@"', "sh", *paths]
    try:
        return os.posix_spawn("/bin/sh", words, {"PATH": "/usr/bin:/bin"}, setsid=True)
    except OSError:
        return None
