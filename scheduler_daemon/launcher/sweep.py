"""Find every living process of a job in the process table, however it tried to get away.

A process belongs to a job if it is in the job's control group, its session or process group, descends from one that
does, or carries the job's mark: the variable CHRONOS_RUN in the environment it was started with, or the number kept as
its limit of real-time work, which survives `env -i`. Decided here: who belongs. What is sent to them is left to `jobs`.
"""

from __future__ import annotations

import os
import resource
from collections import defaultdict
from dataclasses import dataclass, field

from scheduler_daemon.launcher import cgroups, kernel
from scheduler_daemon.launcher.kernel import Process
from scheduler_daemon.launcher.protocol import RUN_MARK


@dataclass(slots=True)
class Target:
    """A job as a sweep looks for it. `known` holds pid and start time of those found before."""

    pid: int
    ticks: int
    mark: str
    number: int
    group: str | None
    known: set[tuple[int, int]] = field(default_factory=set)
    recycled: bool = False


class Census:
    """The process table at one moment, and the marks read so far; one census serves all jobs being killed."""

    def __init__(self) -> None:
        self._own_session = os.getsid(0)
        self._marks: dict[tuple[int, int], tuple[str, int]] = {}
        self._living: dict[int, Process] = {}
        self._children: dict[int, list[int]] = {}
        self._sessions: dict[int, list[int]] = {}

    def take(self, ours: frozenset[int]) -> None:
        """Read the process table anew. `ours` are the launcher and its spawners, which never belong to a job."""
        table = kernel.processes()
        self._living = {pid: one for pid, one in table.items() if one.living and pid not in ours}
        children: dict[int, list[int]] = defaultdict(list)
        sessions: dict[int, list[int]] = defaultdict(list)
        for one in self._living.values():
            children[one.parent].append(one.pid)
            sessions[one.session].append(one.pid)
        self._children, self._sessions = children, sessions
        alive = {(one.pid, one.ticks) for one in self._living.values()}
        self._marks = {key: mark for key, mark in self._marks.items() if key in alive}

    def of(self, target: Target) -> list[Process]:
        """Return the living processes of a job, and remember them."""
        owner = self._living.get(target.pid)
        target.recycled = target.recycled or (owner is not None and owner.ticks != target.ticks)
        in_group = set(cgroups.members(target.group)) if target.group else set()
        found = {one.pid for one in self._living.values() if one.pid in in_group or self._belongs(one, target)}
        queue = list(found)
        while queue:
            one = self._living[queue.pop()]
            fresh = set(self._children.get(one.pid, ())) - found
            if one.session != self._own_session:  # a newborn that has not made its session yet is still in ours
                fresh |= set(self._sessions[one.session]) - found
            found |= fresh
            queue.extend(fresh)
        members = [self._living[pid] for pid in found]
        target.known.update((one.pid, one.ticks) for one in members)
        return members

    def _belongs(self, one: Process, target: Target) -> bool:
        if one.ticks < target.ticks:
            return False
        if not target.recycled and target.pid in {one.session, one.group}:
            return True
        if (one.pid, one.ticks) in target.known:
            return True
        text, number = self._mark_of(one)
        return (text != "" and text == target.mark) or (number != 0 and number == target.number)

    def find_mark(self, prefix: str) -> tuple[Process, str] | None:
        """Return the oldest living session leader whose mark begins so, and its mark, or None."""
        for one in sorted(self._living.values(), key=lambda each: each.ticks):
            text = self._mark_of(one)[0]
            if one.session == one.pid and text.startswith(prefix):
                return one, text
        return None

    def _mark_of(self, one: Process) -> tuple[str, int]:
        key = one.pid, one.ticks
        mark = self._marks.get(key)
        if mark is None:
            mark = kernel.variable(one.pid, RUN_MARK), _number(one.pid)
            self._marks[key] = mark
        return mark


def _number(pid: int) -> int:
    try:
        return resource.prlimit(pid, resource.RLIMIT_RTTIME)[0]
    except OSError:
        return 0
