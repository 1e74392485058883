"""Copy the files that patterns name out of a folder that a job has filled. A program of its own.

It is told on its standard input, as JSON: `account` (uid, gid and groups to become for good, or null to stay), `folder`
(a path, or null where descriptor `folder_fd` is the folder), `plain` (no component of the path may be a link),
`patterns`, `pack` (a descriptor to write all contents to, one after another), `bytes` and `count` (the most of each),
and `since_s` (seconds since 1970: what has not changed since is not the run's). It answers on its standard output, as
JSON: `files`, each with name, start and size, and `notes` on what was left out and why.

Nothing is followed, entered or opened but what it means to be: a folder below without a link on the way and on the same
file system, a regular file that has one name only and belongs to this account. The standard library alone, so that it
starts fast and needs nothing of ours.
"""

from __future__ import annotations

import errno
import fnmatch
import json
import os
import resource
import stat
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

MOST_ENTRIES = 20_000
"""Names looked at in all."""
DEEPEST = 32
"""Folders below each other."""
MOST_NOTES = 20
LONGEST_NAME = 512
"""Bytes of a name with its folders."""
CPU_SECONDS = 60
_CHUNK = 1 << 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

Pattern = tuple[str, ...]


class Found(NamedTuple):
    """A file that a pattern names, in an open folder."""

    folder: int
    base: str
    name: str
    """With the folders on the way."""


class Collector:
    """One collection."""

    def __init__(self, pack: int, most_bytes: int, most_files: int, since_s: float) -> None:
        self._pack = pack
        self._since_s = since_s
        self._most_bytes = most_bytes
        self._most_files = most_files
        self._entries = 0
        self._device = -1
        self._written = 0
        self.files: list[dict[str, Any]] = []
        self.notes: list[str] = []

    def collect(self, folder: int, patterns: list[Pattern]) -> None:
        """Copy what the patterns name below an open folder."""
        self._device = os.fstat(folder).st_dev
        for found in self._walk(folder, "", patterns, 0):
            if len(self.files) >= self._most_files:
                self.note(f"{found.name}: left out, and what follows: more than {self._most_files} files")
                return
            self._take(found)

    def note(self, text: str) -> None:
        """Say what was left out."""
        if len(self.notes) < MOST_NOTES:
            self.notes.append(text.encode("utf-8", "replace").decode()[:LONGEST_NAME])

    def _walk(self, folder: int, path: str, patterns: list[Pattern], depth: int) -> Iterator[Found]:
        wanted = _spread(patterns)
        for base in self._names(folder, path):
            name = f"{path}{base}"
            try:
                kind = os.stat(base, dir_fd=folder, follow_symlinks=False)
            except OSError:
                continue
            if stat.S_ISDIR(kind.st_mode):
                yield from self._descend(folder, base, name, _below(wanted, base), depth)
            elif _named(wanted, base):
                if stat.S_ISREG(kind.st_mode):
                    yield Found(folder, base, name)
                else:
                    self.note(f"{name}: left out: {_kind(kind.st_mode)}")

    def _names(self, folder: int, path: str) -> list[str]:
        names = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    self._entries += 1
                    if self._entries > MOST_ENTRIES:
                        self.note(f"{path or '.'}: not looked through: more than {MOST_ENTRIES} names in all")
                        break
                    names.append(entry.name)
        except OSError as error:
            self.note(f"{path or '.'}: {error.strerror}")
        return sorted(names)

    def _descend(self, folder: int, base: str, name: str, patterns: list[Pattern], depth: int) -> Iterator[Found]:
        if not patterns:
            return
        if depth >= DEEPEST or len(os.fsencode(name)) > LONGEST_NAME:
            self.note(f"{name[:80]}: not looked through: too deep")
            return
        try:
            inner = os.open(base, _FOLDER, dir_fd=folder)
        except OSError as error:
            self.note(f"{name}: {error.strerror}")
            return
        try:
            if os.fstat(inner).st_dev == self._device:
                yield from self._walk(inner, f"{name}/", patterns, depth + 1)
            else:
                self.note(f"{name}: not looked through: another file system")
        finally:
            os.close(inner)

    def _take(self, found: Found) -> None:
        try:
            descriptor = os.open(found.base, _FILE, dir_fd=found.folder)
        except OSError as error:
            self.note(f"{found.name}: {error.strerror}")
            return
        try:
            why = self._refused(found.name, os.fstat(descriptor))
            if why:
                self.note(f"{found.name}: left out: {why}")
            else:
                self._copy(found.name, descriptor)
        finally:
            os.close(descriptor)

    def _refused(self, name: str, kind: os.stat_result) -> str:
        if not stat.S_ISREG(kind.st_mode):
            return _kind(kind.st_mode)
        if kind.st_nlink != 1:
            return f"it has {kind.st_nlink} names (hard links)"
        if kind.st_uid != os.geteuid():
            return "it belongs to another account"
        if kind.st_ctime < self._since_s:
            return "it is older than the run"
        if len(os.fsencode(name)) > LONGEST_NAME:
            return "its name is too long"
        if self._written + kind.st_size > self._most_bytes:
            return f"{kind.st_size} bytes are more than is left of {self._most_bytes}"
        return ""

    def _copy(self, name: str, descriptor: int) -> None:
        start = self._written
        try:
            while data := os.read(descriptor, min(_CHUNK, self._most_bytes - self._written + 1)):
                if self._written + len(data) > self._most_bytes:
                    raise OSError(errno.EFBIG, "it grew beyond what is left")  # noqa: TRY301 - undone in one place
                _write(self._pack, data, self._written)
                self._written += len(data)
        except OSError as error:
            self._written = start
            self.note(f"{name}: left out: {error.strerror}")
            return
        shown = os.fsencode(name).decode("utf-8", "replace")
        self.files.append({"name": shown, "start": start, "size": self._written - start})


def _write(descriptor: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, at)
        view, at = view[written:], at + written


def _spread(patterns: list[Pattern]) -> list[Pattern]:
    """Add to patterns that begin with any number of folders those that begin with none."""
    found: list[Pattern] = []
    for pattern in patterns:
        rest = pattern
        while rest[:1] == ("**",) and len(rest) > 1:
            found.append(rest)
            rest = rest[1:]
        found.append(rest)
    return found


def _below(patterns: list[Pattern], name: str) -> list[Pattern]:
    """Return what of the patterns is looked for in a folder of this name."""
    found: dict[Pattern, None] = {}
    for first, *rest in patterns:
        if first == "**" and not name.startswith("."):
            found[(first, *rest)] = None
        elif rest and first != "**" and _fits(name, first):
            found[tuple(rest)] = None
    return list(found)


def _named(patterns: list[Pattern], name: str) -> bool:
    return any(len(pattern) == 1 and (pattern[0] == "**" or _fits(name, pattern[0])) for pattern in patterns)


def _fits(name: str, part: str) -> bool:
    """Compare as a shell does: what begins with a dot is only meant by a pattern that does."""
    return fnmatch.fnmatchcase(name, part) and (not name.startswith(".") or part.startswith("."))


def _kind(mode: int) -> str:
    kinds = {stat.S_IFLNK: "a link", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket", stat.S_IFDIR: "a folder"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def open_folder(path: str, *, plain: bool) -> int:
    """Open the folder of a job; where it must be `plain`, no component may be a link."""
    if not plain:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    folder = os.open("/", _FOLDER)
    for part in path.split("/"):
        if part:
            try:
                inner = os.open(part, _FOLDER, dir_fd=folder)
            finally:
                os.close(folder)
            folder = inner
    return folder


def main() -> None:
    """Do what standard input says."""
    told = json.load(sys.stdin)
    if told["account"] is not None:
        uid, gid, groups = told["account"]
        os.setgroups(groups)
        os.setgid(gid)
        os.setuid(uid)
    for kind, most in ((resource.RLIMIT_FSIZE, told["bytes"]), (resource.RLIMIT_CPU, CPU_SECONDS)):
        hard = resource.getrlimit(kind)[1]
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (least, least))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    collector = Collector(told["pack"], told["bytes"], told["count"], told["since_s"])
    try:
        if told["folder"] is None:
            folder = os.open(".", _FOLDER, dir_fd=told["folder_fd"])
        else:
            folder = open_folder(told["folder"], plain=told["plain"])
        collector.collect(folder, [tuple(pattern.split("/")) for pattern in told["patterns"]])
    except OSError as error:
        collector.note(f"the folder of the run: {error.strerror}")
    json.dump({"files": collector.files, "notes": collector.notes}, sys.stdout)


if __name__ == "__main__":
    main()
