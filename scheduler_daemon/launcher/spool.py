"""The folder of one run: `spool/<id>/` with stdin, stdout, stderr, start.json and exit.json: what outlives us all.

Each of the two JSON files appears whole or not at all. They are not synced to the disk: they tell of processes, and
after a crash of the machine there are none. Who reads the output and when the folder goes is left to the daemon.
"""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

from scheduler_daemon.launcher.protocol import Message

START = "start.json"
EXIT = "exit.json"


def folder(spool: str, run: int) -> str:
    """Return where everything of this run lies."""
    return f"{spool}/{run}"


def save(path: str, name: str, record: Message) -> None:
    """Write `record` as file `name` of a run's folder, replacing what was there in one step."""
    save_text(path, name, json.dumps(record, separators=(",", ":")).encode("ascii"))


def save_text(path: str, name: str, text: bytes) -> None:
    """The same for a record that is encoded already."""
    draft = f"{path}/.{name}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        if os.write(descriptor, text) != len(text):
            raise OSError(errno.ENOSPC, "only a part could be written", draft)
    finally:
        os.close(descriptor)
    os.rename(draft, f"{path}/{name}")  # noqa: PTH104 - on the path of every start and end


def load(path: str, name: str) -> Message | None:
    """Return the record in file `name`, or None if there is none that is whole."""
    try:
        record = json.loads(Path(path, name).read_bytes())
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def was_begun(path: str) -> bool:
    """Tell whether a spawner has ever taken this run up: the output file is made once and marks it."""
    return Path(path, "stdout").exists()


def runs(spool: str) -> list[int]:
    """Return the ids of all runs that have a folder."""
    return sorted(int(name) for name in os.listdir(spool) if name.isdigit())  # noqa: PTH208
