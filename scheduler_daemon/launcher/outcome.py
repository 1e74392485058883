"""Say of a run's end what its box and its control groups tell, and which limit struck it."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
from collections.abc import Iterator
from itertools import islice

from scheduler_daemon.launcher import boxes, controllers
from scheduler_daemon.launcher.protocol import Message

HELPERS = 2
"""Processes of bubblewrap's in a box that are not the job's."""
_LIMIT_OF = {int(signal.SIGXCPU): "cpu_time", int(signal.SIGXFSZ): "file_size"}
_MOST_LOOKED_AT = 2000
"""Files of a run looked at for one that has reached its limit."""


def outcome(path: str, record: Message, start: Message, code: int | None, *, held: bool) -> Message:
    """Return the record of an end with all that tells of it. `held` where we are ending it.

    `path` is the folder of the run, `start` the record of its start (`groups`, `boxed` and limits), `code` the exit
    code that its box noted, if it has one.
    """
    boxed, groups = bool(start.get("boxed")), start.get("groups") or {}
    found = {**record, **controllers.told(groups)}
    if boxed and found.get("processes"):
        found["processes"] = max(1, found["processes"] - start.get("helpers", HELPERS))
    if record.get("signal") in _LIMIT_OF:
        found.setdefault("limit_hit", _LIMIT_OF[record["signal"]])
    if not boxed:
        return found
    if code is None and record.get("exit_code") is not None and not held:
        whole = {name: record[name] for name in ("id", "started_ns", "ended_ns")}
        return {**whole, "spawn_error": boxes.why_not_begun(path)}
    if code is not None:
        found |= {"exit_code": code, "signal": None, **_note(code)}
        if _reached(path, code, start):
            found.setdefault("limit_hit", "file_size")
    return found


def _note(code: int) -> Message:
    """Return what an exit code may mean: a box tells a signal inside by the same number as an exit with it."""
    number = code - 128
    if number <= 0 or number not in signal.valid_signals():
        return {}
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    return {"note": f"128+{number}: {name} inside the box or an exit with that code"}


def _reached(path: str, code: int, start: Message) -> bool:
    """Tell whether a run that failed has left a file as long as one may be: its signal, or the error, was for that.

    What a process in a box used of the processor is told by nobody else, so there an exit code of 128+SIGXCPU stays
    what its note says, unless a control group counts.
    """
    most = start.get("file_limit_bytes")
    return code != 0 and most is not None and any(size >= most for size in _sizes(path))


def _sizes(path: str) -> Iterator[int]:
    """Yield the sizes of a run's files that are left: its output, and what is in its home and /tmp."""
    for name in ("stdout", "stderr"):
        with contextlib.suppress(FileNotFoundError):  # the folder was taken away under us
            yield os.stat(f"{path}/{name}", follow_symlinks=False).st_size  # noqa: PTH116
    folders, looked_at = [f"{path}/{boxes.HOME}", f"{path}/{boxes.TEMPORARY}"], 0
    while folders and looked_at < _MOST_LOOKED_AT:
        folder = folders.pop()
        try:
            with os.scandir(folder) as entries:  # not all of them: a job may have made millions
                names = [entry.name for entry in islice(entries, _MOST_LOOKED_AT - looked_at)]
        except OSError:
            names = []
        for name in names:
            looked_at += 1
            try:
                status = os.stat(f"{folder}/{name}", follow_symlinks=False)  # noqa: PTH116
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode):
                yield status.st_size
            elif stat.S_ISDIR(status.st_mode):
                folders.append(f"{folder}/{name}")
