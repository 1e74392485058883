"""Take over runs that a launcher or spawner before us began: from the spool, the process table and their marks.

The living are watched by pidfd. The exit code of the dead is told by the spawner that reaps them, as long as it lives;
when nobody is left who could know, the end is recorded as unknown.
"""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Iterator

from scheduler_daemon.launcher import birth, boxes, cgroups, confinement, controllers, ends, kernel, spool
from scheduler_daemon.launcher.controllers import Groups
from scheduler_daemon.launcher.jobs import Job
from scheduler_daemon.launcher.kernel import Process
from scheduler_daemon.launcher.protocol import Message
from scheduler_daemon.launcher.sweep import Census

_LOOK_EVERY = 0.02
_PATIENCE_FOR_START = 1.0
"""Seconds a run may have an output file but no start in its record: its spawner is just starting it."""
_NS_PER_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def with_times(start: Message, request: Message) -> Message:
    """Return the start of a run that was found by its mark, with the times that its request sets."""
    times = {"timeout_ms": request["timeout_ms"], "grace_ms": request["grace_ms"]}
    confined = confinement.told(request, start["groups"]) if "groups" in start else {}
    return {**start, **times, "by_mark": False, **confined}


def lived(start: Message) -> float:
    """Return the seconds since a run began, by the clock that nobody sets.

    They count from the instant the record calls the start, else from the end of the clock tick its process began in:
    no timeout strikes before the run is seen to have lasted that long.
    """
    born: int = start.get("started_boot_ns", (start["ticks"] + 1) * _NS_PER_TICK)
    return max(0, time.clock_gettime_ns(time.CLOCK_BOOTTIME) - born) / 1e9


class Adoption:
    """The runs being taken over and not yet settled."""

    def __init__(self, spool_path: str, parent: str | None, limiters: Groups, selector: selectors.BaseSelector) -> None:
        """`parent` is where the groups of runs lie, also where joining them has become too slow to be used."""
        self._spool = spool_path
        self._parent = parent
        self._limiters = limiters
        self._selector = selector
        self._boot = kernel.boot_id()
        self._starting: dict[int, float] = {}
        self._dying: dict[int, Message] = {}
        self._look_at = 0.0

    def take(self, job: Job, ours: frozenset[int]) -> Message | None:
        """Return the end of this run, its start if it lives, or None while that must be waited for."""
        path = spool.folder(self._spool, job.run)
        record = spool.load(path, spool.EXIT)
        if record is not None:
            return record
        start = spool.load(path, spool.START)
        if start is None:
            self._starting[job.run] = time.monotonic() + _PATIENCE_FOR_START
            return None
        return self._settle(job.run, start, ours)

    def next_look(self) -> Iterator[float]:
        """Yield when `look` has something to do."""
        if self._starting or self._dying:
            yield self._look_at

    def look(self, now: float, ours: frozenset[int]) -> list[tuple[int, Message]]:
        """Return what has become of the runs waited for: each with its start or its end."""
        if now < self._look_at or not (self._starting or self._dying):
            return []
        self._look_at = now + _LOOK_EVERY
        found = [(run, self._look_at_dying(run, start)) for run, start in list(self._dying.items())]
        found += [(run, self._look_at_starting(run, until, now, ours)) for run, until in list(self._starting.items())]
        settled = [(run, news) for run, news in found if news is not None]
        for run, _ in settled:
            self._starting.pop(run, None)
            self._dying.pop(run, None)
        return settled

    def _settle(self, run: int, start: Message, ours: frozenset[int]) -> Message | None:
        if start["boot"] != self._boot:
            return ends.unseen(run, start, "the machine was restarted while it ran")
        one = kernel.process(start["pid"])
        same = one if one is not None and one.ticks == start["ticks"] else None
        if same is not None and (same.parent == os.getpid() or same.parent in ours):
            return start
        if same is not None and same.living:
            self._watch(run, start)
            return start
        self._dying[run] = start
        return None

    def _watch(self, run: int, start: Message) -> None:
        try:
            descriptor = os.pidfd_open(start["pid"])
        except OSError:  # gone by now, or no descriptors are left: then it is looked at until it goes
            self._dying[run] = start
            return
        self._selector.register(descriptor, selectors.EVENT_READ, lambda _mask: self._ended(run, start, descriptor))
        if not kernel.is_living(start["pid"], start["ticks"]):
            self._ended(run, start, descriptor)

    def _ended(self, run: int, start: Message, descriptor: int) -> None:
        self._selector.unregister(descriptor)
        os.close(descriptor)
        self._dying[run] = start

    def _look_at_dying(self, run: int, start: Message) -> Message | None:
        witness = kernel.is_living(start["spawner"], start["spawner_ticks"])
        record = spool.load(spool.folder(self._spool, run), spool.EXIT)
        if record is not None or witness or kernel.is_living(start["pid"], start["ticks"]):
            return record
        return ends.noted(self._spool, run, start) or ends.unseen(
            run, start, "launcher and spawner died while it ran; nobody saw its exit code"
        )

    def _look_at_starting(self, run: int, until: float, now: float, ours: frozenset[int]) -> Message | None:
        path = spool.folder(self._spool, run)
        record, start = spool.load(path, spool.EXIT), spool.load(path, spool.START)
        if record is not None:
            return record
        if start is not None:
            del self._starting[run]
            return self._settle(run, start, ours)
        if now < until:
            return None
        census = Census()
        census.take(ours)
        found = census.find_mark(birth.first_half(self._spool, run))
        if found is None:
            return ends.noted(self._spool, run, self._surroundings(run)) or ends.unseen(
                run, None, "the spawner died in the instant of its start; nobody saw if it ran"
            )
        start = self._start_of(run, *found)
        self._watch(run, start)
        return start

    def _surroundings(self, run: int) -> Message:
        """Return what a record of the start would say of box and groups, nothing if there are none."""
        groups = controllers.existing(self._limiters, run)
        boxed = os.path.exists(f"{spool.folder(self._spool, run)}/{boxes.STATUS}")  # noqa: PTH110
        told = controllers.listing(groups) if boxed else groups.get(controllers.V2)
        found: Message = {"started_ns": None, "group": told}
        return found | ({"groups": groups, "boxed": boxed, "cpu_limit_ms": None} if groups or boxed else {})

    def _start_of(self, run: int, one: Process, mark: str) -> Message:
        """Return what the record would have said of a process found by its mark: what surrounds it is looked at.

        Its times went with the spawner. `by_mark` says so: who repeats the request tells them again.
        """
        around = self._surroundings(run)
        return around | {
            "pid": one.pid,
            "ticks": one.ticks,
            "started_ns": time.time_ns() - int(lived({"ticks": one.ticks}) * 1e9),
            "mark": mark,
            "number": birth.number_of(mark),
            "group": around["group"] or cgroups.of(one.pid, self._parent),
            "timeout_ms": None,
            "grace_ms": 0,
            "spawner": 0,
            "spawner_ticks": 0,
            "boot": self._boot,
            "by_mark": True,
        }
