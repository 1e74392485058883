"""The folder of one run: `spool/<id>/` with stdin, stdout, stderr and record: what outlives us all.

The record tells of the start and of the end, each in one appended line: its name, a space, a JSON object. A line counts
once its newline is there, so each appears whole or not at all. They are not synced to the disk: they tell of processes,
and after a crash of the machine there are none. Who reads the output and when the folder goes is left to the daemon.
"""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

from scheduler_daemon.launcher.protocol import Message

RECORD = "record"
START = "start"
EXIT = "exit"
_CLOSED = b"forgotten\n"
"""What stands above this line told of an earlier run."""
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW


def folder(spool: str, run: int) -> str:
    """Return where everything of this run lies."""
    return f"{spool}/{run}"


def save(path: str, name: str, record: Message) -> None:
    """Add `record` as line `name` to a run's record, also below the half line of a writer that died."""
    text = json.dumps(record, separators=(",", ":"))
    _append(path, f"\n{name} {text}\n".encode("ascii"))


def save_text(path: str, name: str, text: bytes) -> None:
    """The same for one that is encoded already, with its newline, where what is above is our own."""
    _append(path, b"%s %s" % (name.encode(), text))


def close(path: str) -> int:
    """Let what is in the record count no more: the folder is to be another run's. Return its size in bytes."""
    return _append(path, _CLOSED)


def _append(path: str, line: bytes) -> int:
    descriptor = os.open(f"{path}/{RECORD}", _FLAGS, 0o600)
    try:
        written = os.write(descriptor, line)
        size = os.lseek(descriptor, 0, os.SEEK_CUR)
        if written != len(line):
            os.ftruncate(descriptor, size - written)
            raise OSError(errno.ENOSPC, "only a part could be written", f"{path}/{RECORD}")
        return size
    finally:
        os.close(descriptor)


def load(path: str, name: str) -> Message | None:
    """Return the last record `name` of this run, or None if there is none that is whole."""
    try:
        lines = Path(path, RECORD).read_bytes().split(b"\n")
    except OSError:
        return None
    wanted = name.encode() + b" "
    for line in reversed(lines[:-1]):
        if line == _CLOSED[:-1]:
            return None
        if line.startswith(wanted):
            return _decoded(line[len(wanted) :], int(Path(path).name))
    return None


def _decoded(text: bytes, run: int) -> Message | None:
    """Return the record in a line, unless a crash of the machine left us that of another run."""
    try:
        record = json.loads(text)
    except ValueError:
        return None
    return record if isinstance(record, dict) and record.get("id") == run else None


def was_begun(path: str) -> bool:
    """Tell whether a spawner has ever taken this run up: the output file is made once and marks it."""
    return Path(path, "stdout").exists()


def runs(spool: str) -> list[int]:
    """Return the ids of all runs that have a folder."""
    return sorted(int(name) for name in os.listdir(spool) if name.isdigit())  # noqa: PTH208
