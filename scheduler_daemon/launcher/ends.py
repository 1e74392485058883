"""The record of an end, as the spool and the `ended` event hold it: measured, counted, or honestly not known."""

from __future__ import annotations

import os
import resource
import time

from scheduler_daemon.launcher import birth, boxes, cgroups, controllers, kernel, spool
from scheduler_daemon.launcher.outcome import outcome
from scheduler_daemon.launcher.protocol import Message

_INEXACT = 1024 * 1024
"""Bytes by which the kernel's counts of memory may differ: it adds them up lazily."""


def own_peak() -> int:
    """Return the most memory we have had, in bytes: what the kernel also counts for a child before its exec."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measured(run: int, started_ns: int, inherited: int | None, ending: kernel.Ending) -> Message:
    """Return the record of an end that we saw.

    `inherited` is the peak of the spawner it was born from (None: not known). `max_rss_bytes` is None for a job that
    stayed below it: the kernel then tells the spawner's peak, and the job's own is not known.
    """
    known = inherited is not None and ending.max_rss > inherited + _INEXACT
    return {
        "id": run,
        "started_ns": started_ns,
        "ended_ns": time.time_ns(),
        "exit_code": ending.exit_code,
        "signal": ending.signal,
        "cpu_ms": ending.cpu_us / 1000,
        "max_rss_bytes": ending.max_rss if known else None,
        "read_bytes": ending.read,
        "write_bytes": ending.written,
        "usage_source": "wait4",
    }


def unstarted(run: int, why: str) -> Message:
    """Return the record of a job that could not be started."""
    now = time.time_ns()
    return {"id": run, "started_ns": now, "ended_ns": now, "spawn_error": why}


def cancelled_in_queue(run: int, reason: str) -> Message:
    """Return the record of a job cancelled before anything of it ran."""
    return {
        "id": run,
        "started_ns": None,
        "ended_ns": time.time_ns(),
        "killed_by": "cancel",
        "reason": reason,
        "killed": 0,
    }


def unseen(run: int, start: Message | None, why: str) -> Message:
    """Return the record of a run whose exit status nobody saw. It is not guessed."""
    started = start["started_ns"] if start else None
    return {"id": run, "started_ns": started, "ended_ns": time.time_ns(), "unknown": True, "reason": why}


def noted(spool_path: str, run: int, start: Message) -> Message | None:
    """Close the box of a run whose end nobody saw, if it has one. Return the end if the box noted it."""
    path = spool.folder(spool_path, run)
    if not start.get("boxed"):
        return None
    box, groups = boxes.told(path), start.get("groups") or {}
    boxes.close_wholly(box, start.get("mark") or birth.first_half(spool_path, run), start["group"])
    if box.exit_code is None:
        return None
    record = {
        "id": run,
        "started_ns": start["started_ns"],
        "ended_ns": os.stat(f"{path}/{boxes.STATUS}").st_mtime_ns,  # noqa: PTH116
        "leftover": 0,
    }
    record = outcome(path, record, start, box.exit_code, held=False)
    controllers.remove(groups)
    return record


def leftover(group: str | None, pid: int) -> int:
    """Count the living processes an ended job leaves: all by its control group, else those of its process group."""
    if group is not None:
        return sum(1 for member in cgroups.members(group) if member != os.getpid())
    if not kernel.has_living_child_in_group(pid):
        return 0
    return sum(1 for one in kernel.processes().values() if one.group == pid and one.living)
