"""The paths that a job declares: which of them a box may show, and how the one that was meant is held fast.

Each is looked up once, as the job's account and following no link, and bubblewrap is given what was found. Were it
given the path, it would look again: whoever may rename something on the way could have another folder shown by then.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterable, Mapping

from scheduler_daemon.launcher.command import Unstartable

OWN = ("/proc", "/dev", "/sys")
"""Folders that are the box's own or in no box."""
_FIRST = 100
"""The descriptor of the first path; a newborn has few of its own, and its limit of open files is not taken yet."""
_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


def within(path: str, folder: str) -> bool:
    """Tell whether a path is a folder or in it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def numbered(paths: Iterable[str]) -> dict[str, int]:
    """Return at which descriptor each path will be."""
    return {path: _FIRST + place for place, path in enumerate(dict.fromkeys(paths))}


def check(path: str, state: str) -> None:
    """Raise Unstartable unless a box may show what has this path. `state` is the daemon's own folder."""
    if path == "/":
        raise Unstartable("box: / cannot be shown as a whole; declare the folders below it")
    if posixpath.normpath(path) != path or path.startswith("//"):
        raise Unstartable(f"box: {path} takes a detour; declare {posixpath.normpath('/' + path.lstrip('/'))}")
    if within(path, state):
        raise Unstartable(f"box: {path} is the daemon's own and cannot be shown")
    if any(within(path, own) for own in OWN):
        raise Unstartable(f"box: {path} cannot be shown: a box has its own {'/'.join(path.split('/')[:2])} or none")


def hold(numbers: Mapping[str, int]) -> None:
    """In the newborn, as the job's account: put what each path leads to at its descriptor. Raises Unstartable."""
    for path, number in numbers.items():
        found = _walk(path)
        os.dup2(found, number)
        os.close(found)


def _walk(path: str) -> int:
    found = os.open("/", _LOOK)
    for name in path.split("/")[1:]:
        folder = found
        try:
            found = os.open(name, _LOOK, dir_fd=folder)
            is_link = stat.S_ISLNK(os.fstat(found).st_mode)
        except OSError as error:
            raise Unstartable(f"box: {path}: {error.strerror}") from None
        finally:
            os.close(folder)
        if is_link:
            os.close(found)
            raise Unstartable(f"box: {path} is {_real(path)} by a symbolic link; declare that path")
    return found


def _real(path: str) -> str:
    try:
        return os.path.realpath(path)
    except OSError:  # it was exchanged meanwhile
        return "another"
