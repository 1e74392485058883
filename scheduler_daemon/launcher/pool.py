"""The launcher's spawners: forked from it, given work evenly. What the death of one means is the server's to say."""

from __future__ import annotations

import os
import resource
import selectors
import signal
import socket
import sys
from collections.abc import Callable, Iterator

from scheduler_daemon.launcher.controllers import Groups
from scheduler_daemon.launcher.protocol import Lines
from scheduler_daemon.launcher.spawner import Spawner

_IN_FLIGHT = 16
"""Starts a spawner is given ahead of its answers: enough to keep it busy, few to be left open if it dies."""

_FILL_AGAIN = 1.0
"""Seconds between attempts to fork a spawner that the machine refused."""


class Helper:
    """One spawner as the launcher sees it. `unanswered` keeps the order in which starts were sent."""

    def __init__(self, pid: int, link: socket.socket) -> None:
        self.pid = pid
        self.link = link
        self.lines = Lines()
        self.unanswered: dict[int, None] = {}
        self.waiting = bytearray()

    def say(self, line: bytes) -> None:
        """Queue one line (without its end) for the spawner."""
        self.waiting += line
        self.waiting += b"\n"


class Pool:
    """The spawners by pid. `hear` gets each line one of them sends."""

    def __init__(
        self,
        spool: str,
        group: str | None,
        limiters: Groups,
        wanted: int,
        selector: selectors.BaseSelector,
        hear: Callable[[Helper, bytes], None],
    ) -> None:
        self._wanted = wanted
        self._fill_at = 0.0
        self._limits = _have_descriptors()
        self._spool = spool
        self._group = group
        self._limiters = limiters
        self._selector = selector
        self._hear = hear
        self._turn = 0
        self.helpers: dict[int, Helper] = {}

    def fill(self, now: float) -> None:
        """Fork the spawners that are missing; if the machine refuses, try again in a while."""
        if now < self._fill_at:
            return
        try:
            while len(self.helpers) < self._wanted:
                self._add()
        except OSError:
            self._fill_at = now + _FILL_AGAIN

    def next_fill(self) -> Iterator[float]:
        """Yield when `fill` has something to do."""
        if len(self.helpers) < self._wanted:
            yield self._fill_at

    def _add(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                pid = os.fork()
            except OSError:
                ours.close()
                raise
            if pid == 0:
                self._become_spawner(theirs)
        ours.setblocking(False)
        helper = self.helpers[pid] = Helper(pid, ours)
        self._selector.register(ours, selectors.EVENT_READ, lambda mask: self._ready(helper, mask))

    def _become_spawner(self, link: socket.socket) -> None:
        """Keep nothing of the launcher but this link, above all not its lock; never return."""
        try:
            signal.set_wakeup_fd(-1)
            os.closerange(3, link.fileno())
            os.closerange(link.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
            resource.setrlimit(resource.RLIMIT_NOFILE, self._limits)
            Spawner(link, self._spool, self._group, self._limiters).run()
        except BaseException:  # noqa: BLE001 - a forked child must never return into its parent's frames
            sys.excepthook(*sys.exc_info())
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)

    def least_busy(self) -> Helper | None:
        """Return the spawner with the fewest unanswered starts, or None if all have enough."""
        helper = min(self.helpers.values(), key=lambda one: len(one.unanswered), default=None)
        return helper if helper is not None and len(helper.unanswered) < _IN_FLIGHT else None

    def any_one(self) -> Helper | None:
        """Return one spawner after the other."""
        if not self.helpers:
            return None
        self._turn += 1
        return list(self.helpers.values())[self._turn % len(self.helpers)]

    def flush(self) -> None:
        """Send to each spawner what it can take now."""
        for helper in self.helpers.values():
            if helper.waiting:
                self._send(helper)

    def drain(self, helper: Helper) -> None:
        """Hear everything a spawner has said so far, also after its death."""
        while True:
            try:
                data = helper.link.recv(1 << 20)
            except OSError:
                return
            for line in helper.lines.feed(data):
                self._hear(helper, line)
            if not data:
                return

    def bury(self, helper: Helper) -> None:
        """Forget a dead spawner."""
        del self.helpers[helper.pid]
        self._selector.unregister(helper.link)
        helper.link.close()

    def close(self) -> None:
        """Let all spawners go, and wait for them: they have nothing left to do."""
        for helper in self.helpers.values():
            helper.link.close()
        for pid in self.helpers:
            os.waitpid(pid, 0)

    def _ready(self, helper: Helper, mask: int) -> None:
        if mask & selectors.EVENT_WRITE:
            self._send(helper)
        if mask & selectors.EVENT_READ:
            try:
                data = helper.link.recv(1 << 18)
            except OSError:
                return
            for line in helper.lines.feed(data):
                self._hear(helper, line)

    def _send(self, helper: Helper) -> None:
        try:
            sent = helper.link.send(helper.waiting)
        except OSError:  # full, or dead: its death is noticed as that of a child
            sent = 0
        del helper.waiting[:sent]
        key = self._selector.get_key(helper.link)
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if helper.waiting else 0)
        if key.events != events:
            self._selector.modify(helper.link, events, key.data)


def _have_descriptors() -> tuple[int, int]:
    """Allow ourselves as many descriptors as we may have: one for each adopted job. Return what jobs are to get."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return soft, hard
