"""Use the folders of forgotten runs again, with their files emptied.

Making a file is dear where others were removed lately (ext4 passes over inodes freed in the last minute: up to 1 ms of
CPU for each), and a scheduler makes and removes files all day. A folder is used again only if the kernel confirms, by
granting a write lease, that nobody has its output open any more: a process left behind must not write into another log.
The home and /tmp of a box are made anew, for the kernel does not tell who has a folder open: a job could hand its own
to another, which would see in it what the next run does. Folders serve runs of their kind.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from enum import Enum
from pathlib import Path

from scheduler_daemon.launcher import boxes, confinement, spool
from scheduler_daemon.launcher.protocol import Message

FREE = ".free-"
"""How the names of those begin that wait in the spool. To move one there from another folder would be dearer, and all
spawners would wait for each other: the kernel lets one such move at a time into a file system."""
_MOST = 512
"""Folders kept by one spawner."""
_DOOMED = 100
"""Folders removed by one process; a spawner has one at a time."""
_AT_ONCE = 512 * 1024
"""Bytes of arguments that the kernel surely takes."""
_KNOWN = {"stdout", "stderr", "stdin", spool.RECORD, boxes.STATUS, boxes.HOME, boxes.TEMPORARY}
_LONGEST_RECORD = 64 * 1024
"""Bytes a record may grow to over some hundred runs before a new one is begun."""


def clear(spool_path: str) -> None:
    """Begin to remove what an earlier launcher kept, by one process; what is too much for it is left for the next."""
    kept = [f"{spool_path}/{name}" for name in os.listdir(spool_path) if name.startswith(FREE)]  # noqa: PTH208
    most = _AT_ONCE // len(os.fsencode(f"{spool_path}/{FREE}0000000-0000000"))
    if kept:
        confinement.remove_folders(kept[:most])


class Kind(Enum):
    """What a run finds in its folder, which tells others what was around it."""

    PLAIN = "no box"
    IN_MEMORY = "a box that has its home in memory"
    ON_DISK = "a box that has its home in the folder"


def kind_for(box: Message | None) -> Kind:
    """Return the kind of folder that a run with this box has."""
    if not box:
        return Kind.PLAIN
    return Kind.ON_DISK if box["files"] == "system" else Kind.IN_MEMORY


def _kind_of(path: str) -> Kind:
    if not os.path.exists(f"{path}/{boxes.STATUS}"):  # noqa: PTH110
        return Kind.PLAIN
    return Kind.ON_DISK if os.path.exists(f"{path}/{boxes.HOME}") else Kind.IN_MEMORY  # noqa: PTH110


class Folders:
    """The emptied folders of one spawner, which alone knows them, and those that it has another process remove."""

    def __init__(self, spool_path: str) -> None:
        self._spool = spool_path
        self._free: dict[Kind, list[str]] = {kind: [] for kind in Kind}
        self._made = 0
        self._doomed: list[str] = []
        self._remover: int | None = None

    def take(self, path: str, kind: Kind) -> bool:
        """Put an emptied folder in place as `path`. False if there is none or something is there already."""
        free = self._free[kind]
        if not free:
            return False
        try:
            os.rename(free[-1], path)  # noqa: PTH104 - on the path of every start
        except OSError:
            return False
        free.pop()
        return True

    def give(self, run: int) -> None:
        """Take back the folder of a forgotten run; remove it if it cannot be used again."""
        path = spool.folder(self._spool, run)
        if sum(map(len, self._free.values())) < _MOST and _emptied(path):
            self._made += 1
            free = self._free[_kind_of(path)]
            place = f"{self._spool}/{FREE}{os.getpid()}-{self._made}"
            with contextlib.suppress(OSError):
                os.rename(path, place)  # noqa: PTH104
                free.append(place)
                return
        with contextlib.suppress(OSError):
            os.rename(path, f"{self._spool}/{FREE}no-more-{run}")  # noqa: PTH104
            self._doomed.append(f"{self._spool}/{FREE}no-more-{run}")
            self._remove_some()

    def note_end(self, pid: int) -> None:
        """Go on removing if this process was the one that removed."""
        if pid == self._remover:
            self._remover = None
            self._remove_some()

    def _remove_some(self) -> None:
        if self._remover is None and self._doomed:
            self._remover = confinement.remove_folders(self._doomed[:_DOOMED])
            del self._doomed[:_DOOMED]


def _emptied(path: str) -> bool:
    """Empty a run's output files and close its record. False if anything about it is unusual."""
    try:
        names = set(os.listdir(path))  # noqa: PTH208
        if not names <= _KNOWN or not {"stdout", "stderr"} <= names:
            return False
        for name in names & {boxes.HOME, boxes.TEMPORARY}:
            Path(path, name).rmdir()
            Path(path, name).mkdir(0o700)
        if not all(_cut(f"{path}/{name}") for name in names & {"stdout", "stderr", boxes.STATUS}):
            return False
        if "stdin" in names:
            Path(path, "stdin").unlink()
        if spool.RECORD in names and spool.close(path) > _LONGEST_RECORD:
            Path(path, spool.RECORD).unlink()
    except OSError:
        return False
    return True


def _cut(path: str) -> bool:
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_nlink != 1:
            return False
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        if status.st_size:
            os.ftruncate(descriptor, 0)
        if stat.S_IMODE(status.st_mode) != 0o600:
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
    return True
