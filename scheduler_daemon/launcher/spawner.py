"""A spawner: a small process that starts jobs and writes down how each ended.

Several of them make a burst of starts parallel, and several jobs of each may be on their way into their boxes at once.
A spawner does not judge: when to kill, and whom, is the launcher's to say. If the launcher dies the spawner takes
nothing new, waits for its jobs, writes their true ends and goes.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from collections import deque
from dataclasses import dataclass

from scheduler_daemon.launcher import birth, boxes, cgroups, confinement, controllers, ends, kernel, spool
from scheduler_daemon.launcher.another import LOOK_AFTER_MS, Newborn
from scheduler_daemon.launcher.births import Birth, Births
from scheduler_daemon.launcher.command import Files, Unstartable
from scheduler_daemon.launcher.controllers import Groups
from scheduler_daemon.launcher.outcome import outcome
from scheduler_daemon.launcher.protocol import Lines, Message, announce, decode, encode
from scheduler_daemon.launcher.reuse import Folders, kind_for

_REAP_EVERY = 0.01
"""Seconds between looks at ended jobs while starts are waiting: starts go first."""
_REPORT_EVERY = 8
"""Starts reported in one write while more are waiting."""
_GROUPS_KEPT = 256
"""Empty control groups kept for the next jobs: making and removing one costs as much as a tenth of a start."""


@dataclass(slots=True)
class Child:
    """One running job of ours. `held` means the launcher is killing it and will write its end. `confined` is what the
    record of its start says of box, groups and limits, None where it has none of them.
    """

    run: int
    mark: str
    started_ns: int
    inherited: int
    group: str | None
    confined: Message | None
    held: bool = False


class Spawner:
    """The loop of one spawner over its socket to the launcher."""

    def __init__(self, link: socket.socket, spool_path: str, group: str | None, limiters: Groups) -> None:
        self._link = link
        self._spool = spool_path
        self._folders = Folders(spool_path)
        self._group = group
        self._limiters = limiters
        self._home = cgroups.home() if group else ""
        self._away: str | None = None
        self._next_group: str | None = None
        """The empty group we wait in for the next job."""
        self._stays = False
        """Whether the last job needed no group of ours to be in: the next may need none either."""
        self._me = os.getpid()
        self._launcher = os.getppid()
        self._identity = {"spawner": self._me, "spawner_ticks": self._own_ticks(), "boot": kernel.boot_id()}
        self._watched = select.poll()
        self._births = Births(self._watched)
        self._children: dict[int, Child] = {}
        self._unwritten: dict[int, Message] = {}
        self._emptying = cgroups.Emptying()
        self._spent: list[str] = []
        self._free_groups: list[str] = []
        self._inbox: deque[bytes] = deque()
        self._outbox: list[bytes] = []
        self._orphaned = False
        self._ended = kernel.hear_of_ended_children()

    def _own_ticks(self) -> int:
        me = kernel.process(self._me)
        return me.ticks if me else 0

    def run(self) -> None:
        """Serve until the launcher is gone and no child is left."""
        kernel.become_subreaper("chronos-spawn")  # does not come down from the launcher by fork
        lines = Lines()
        watched = self._watched
        watched.register(self._ended, select.POLLIN)
        watched.register(self._link, select.POLLIN)
        while not self._orphaned or self._births or self._children:
            self._flush()
            if not self._inbox:
                self._tidy()
                self._stand_ready()
            ready = {descriptor for descriptor, _ in watched.poll(self._longest_wait())}
            if self._ended in ready:
                os.read(self._ended, 65536)
            if self._link.fileno() in ready and not self._read(lines):
                watched.unregister(self._link)
                self._lose_launcher()
            self._hear_births()
            self._reap()
            self._work()

    def _tidy(self) -> None:
        """Remove the groups of ended runs, for which no start should wait."""
        self._emptying.add(*self._spent)
        self._spent.clear()

    def _longest_wait(self) -> int | None:
        """Return the milliseconds until there is something to do of itself."""
        waits = [max(0, int((at - time.monotonic()) * 1000) + 1) for at in self._emptying.next_look()]
        return min([*waits, LOOK_AFTER_MS] if self._births else waits, default=None)

    def _read(self, lines: Lines) -> bool:
        try:
            data = self._link.recv(1 << 20)
        except OSError:
            data = b""
        self._inbox.extend(lines.feed(data))
        return bool(data)

    def _lose_launcher(self) -> None:
        self._orphaned = True
        self._inbox.clear()
        for run, record in self._unwritten.items():
            path = spool.folder(self._spool, run)
            if spool.load(path, spool.EXIT) is None:
                with contextlib.suppress(OSError):
                    spool.save(path, spool.EXIT, record)
        for child in self._children.values():
            child.held = False

    def _work(self) -> None:
        reaped = time.monotonic()
        while self._inbox and self._births.room:
            self._obey(decode(self._inbox.popleft()))
            self._hear_births()
            if len(self._outbox) >= _REPORT_EVERY:
                self._flush()
            if time.monotonic() - reaped > _REAP_EVERY:
                self._reap()
                reaped = time.monotonic()

    def _flush(self) -> None:
        if not self._outbox:
            return
        if not self._orphaned:
            with contextlib.suppress(OSError):  # a dead launcher shows when we read
                self._link.sendall(b"".join(self._outbox))
        self._outbox.clear()

    def _say(self, event: str, run: int, **more: object) -> None:
        self._outbox.append(encode({"event": event, "id": run, **more}))

    def _obey(self, message: Message) -> None:
        run = message["id"]
        if message["op"] == "start":
            self._start(run, message)
        elif message["op"] == "hold":
            self._hold(run)
        elif message["op"] == "drop":  # the launcher has written the end
            self._unwritten.pop(run, None)
        else:  # forget: nobody reads the folder any more
            self._folders.give(run)

    def _start(self, run: int, request: Message) -> None:
        if os.getppid() != self._launcher:
            return  # it died, and the next one may have had this run started, ended and forgotten by now
        path = spool.folder(self._spool, run)
        try:
            files = birth.open_files(path, self._folders, stdin=request["stdin"], kind=kind_for(request.get("box")))
            self._give_birth(run, path, request, files)
        except birth.AlreadyBegun:
            self._say("begun", run)
        except Unstartable as error:
            self._fail(run, str(error))
        except OSError as error:
            self._fail(run, f"start: {error.filename or 'launcher'}: {error.strerror}")

    def _give_birth(self, run: int, path: str, request: Message, files: Files) -> None:
        """Let the process begin. Raises Unstartable or OSError only if there is none."""
        group = None
        try:
            mark = birth.new_mark(birth.first_half(self._spool, run))
            group = self._enter_group(request)
            before = kernel.ticks_now()
            newborn, groups = self._spawn(path, request, files, mark, tagged=group is None)
        except (Unstartable, OSError):
            self._give_up(group)
            raise
        finally:
            for descriptor in files:
                if descriptor is not None:
                    os.close(descriptor)
        one = Birth(request, path, mark, newborn, group, groups, before)
        if newborn.told is None:
            self._begun(one)
        else:
            self._births.add(one)

    def _give_up(self, group: str | None) -> None:
        """Let the group of a job that did not begin be another's."""
        if group is not None:
            if group == self._away:
                self._step_out()
            self._leave_group(group, crowded=bool(cgroups.members(group)))

    def _hear_births(self) -> None:
        for one, why in self._births.heard():
            self._settle(one, why)

    def _settle(self, one: Birth, why: str | None) -> None:
        """Write down a start whose command runs now, or why it cannot."""
        if why is None:
            self._begun(one)
            return
        self._give_up(one.group)
        self._spent += (one.groups or {}).values()
        self._fail(one.run, why)

    def _begun(self, one: Birth) -> None:
        group, groups, request = one.group, one.groups, one.request
        if groups and group is None:
            group = controllers.listing(groups)
        now, inherited = time.time_ns(), ends.own_peak()
        confined = None if groups is None else confinement.told(request, groups)
        self._children[one.newborn.pid] = Child(one.run, one.mark.text, now, inherited, group, confined)
        record = {
            "id": one.run,
            "pid": one.newborn.pid,
            "ticks": kernel.ticks_of_newborn(one.newborn.pid, one.before),
            "started_ns": now,
            "started_boot_ns": time.clock_gettime_ns(time.CLOCK_BOOTTIME),
            "mark": one.mark.text,
            "number": one.mark.number,
            "inherited_rss": inherited,
            "group": group,
            "timeout_ms": request["timeout_ms"],
            "grace_ms": request["grace_ms"],
            **self._identity,
            **(confined or {}),
        }
        text = encode(record)
        with contextlib.suppress(OSError):  # a full disk must not stop the schedule; the launcher knows it by the event
            spool.save_text(one.path, spool.START, text)
        self._outbox.append(announce("started", text))

    def _spawn(
        self, path: str, request: Message, files: Files, mark: birth.Mark, *, tagged: bool
    ) -> tuple[Newborn, Groups | None]:
        if not confinement.wanted(request):
            return birth.spawn(request, files, mark, tagged=tagged), None
        return confinement.spawn(request, files, (mark.text, mark.number if tagged else None), path, self._limiters)

    def _enter_group(self, request: Message) -> str | None:
        """Go into a group of the next job's own; None where groups cannot be had, or those that limit it tell enough.

        They do if one of them holds all, and for a job in a box, of which nothing can stay behind.
        """
        limited = controllers.V2 in self._limiters and confinement.wanted(request)
        self._stays = limited or bool(self._limiters and request.get("box"))
        if self._stays and self._next_group is not None:
            self._away = self._next_group
            self._leave_group(self._next_group, crowded=False)
            self._next_group = None
        group = None if self._stays else self._next_group or self._enter_new_group()
        if group is None:
            self._go_home()
        self._next_group, self._away = None, group
        return group

    def _enter_new_group(self) -> str | None:
        """Go into an emptied group if there is one, or make one."""
        if self._group is None:
            return None
        group = self._free_groups.pop() if self._free_groups else f"{self._group}/{os.urandom(12).hex()}"
        try:
            cgroups.enter(group)
        except OSError:
            cgroups.remove(group)
            return None
        return group

    def _stand_ready(self) -> None:
        """With nothing to do, leave the last job's group for the next one's: going into a group takes the kernel
        milliseconds, unless it was just done. After a job that needed none we stay at home.
        """
        if self._next_group is None and not self._stays:
            self._next_group, self._away = self._enter_new_group(), None

    def _leave_group(self, group: str, *, crowded: bool) -> None:
        """Keep an empty group for the next job; one with processes left is only removed, once it is empty."""
        if crowded:
            self._emptying.add(group)
        elif len(self._free_groups) < _GROUPS_KEPT:
            self._free_groups.append(group)
        else:
            cgroups.remove(group)

    def _go_home(self) -> None:
        """Leave the last job's group. Raises OSError if we cannot: then the next job would be in that group too."""
        if self._away is not None:
            cgroups.join(self._home)
            self._away = None

    def _step_out(self) -> None:
        """Leave the last job's group, so that killing it does not kill us; if we cannot, the launcher spares us."""
        with contextlib.suppress(OSError):
            self._go_home()

    def _fail(self, run: int, why: str) -> None:
        self._end(run, ends.unstarted(run, why))

    def _end(self, run: int, record: Message) -> None:
        text = encode(record)
        try:
            spool.save_text(spool.folder(self._spool, run), spool.EXIT, text)
        except OSError as error:
            text = encode({**record, "unsaved": error.strerror})
        self._outbox.append(announce("ended", text))

    def _hold(self, run: int) -> None:
        self._step_out()
        for child in self._children.values():
            if child.run == run:
                child.held = True
                self._say("held", run)

    def _reap(self) -> None:
        while (ending := kernel.peek_ended_child()) is not None:
            if ending.pid in self._births:  # it is over before we heard that it has begun, or that it cannot
                self._settle(*self._births.settle(ending.pid))
                continue
            child = self._children.pop(ending.pid, None)
            if child is not None:
                self._bury(child, ending)
            kernel.reap(ending.pid)
            self._folders.note_end(ending.pid)
        self._emptying.look(time.monotonic())

    def _bury(self, child: Child, ending: kernel.Ending) -> None:
        record = ends.measured(child.run, child.started_ns, child.inherited, ending)
        if child.confined is not None:
            record = self._bury_confined(child, child.confined, record)
        if child.held:
            self._unwritten[child.run] = record
            self._say("main_ended", child.run, record=record)
            self._flush()  # it must be out before the zombie, the other witness, goes
            return
        if child.group is not None and child.group == self._away:
            self._step_out()
        record["leftover"] = ends.leftover(child.group, ending.pid)
        if child.group is not None and child.group not in (child.confined or {}).get("groups", {}).values():
            self._leave_group(child.group, crowded=record["leftover"] > 0)
        self._end(child.run, record)

    def _bury_confined(self, child: Child, confined: Message, record: Message) -> Message:
        """Let nothing stay in a box whose run is over, and say what box and groups tell of it."""
        path, code = spool.folder(self._spool, child.run), None
        if confined["boxed"]:
            box = boxes.told(path)
            code = box.exit_code
            if not child.held:
                if child.group is not None and child.group == self._away:
                    self._step_out()
                boxes.close_wholly(box, child.mark, child.group)
        found = outcome(path, record, confined, code, held=child.held)
        self._spent += confined["groups"].values()
        return found
