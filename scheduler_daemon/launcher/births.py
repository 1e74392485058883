"""The starts of a spawner that are on their way: forked, and not known yet to have become their jobs.

What is written of a start, and what becomes of the group of one that failed, is left to the spawner.
"""

from __future__ import annotations

import select
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from scheduler_daemon.launcher import another, birth
from scheduler_daemon.launcher.another import LOOK_AFTER_MS, Newborn
from scheduler_daemon.launcher.command import Unstartable
from scheduler_daemon.launcher.controllers import Groups
from scheduler_daemon.launcher.protocol import Message

MOST = 8
"""Starts on their way at once: they wait for the kernel, and for processors, side by side."""
_LONG = 1.0
"""Seconds after which one waits for something else, such as a folder that does not answer, and holds up no other."""
LONGEST = 30.0
"""Seconds after which one is given up."""


@dataclass(slots=True)
class Birth:
    """One start: what its record will say once the command runs. `before` is the tick before its fork."""

    request: Message
    path: str
    mark: birth.Mark
    newborn: Newborn
    group: str | None
    groups: Groups | None
    before: int
    since: float = field(default_factory=time.monotonic)

    @property
    def run(self) -> int:
        """The number of the run."""
        return int(self.request["id"])


class Births:
    """Those on their way. `watched` also wakes the spawner when one of them has told."""

    def __init__(self, watched: select.poll) -> None:
        self._watched = watched
        self._by_pid: dict[int, Birth] = {}
        self._look_at = 0.0

    def __len__(self) -> int:
        return len(self._by_pid)

    @property
    def room(self) -> bool:
        """Whether another may begin beside these."""
        recent = time.monotonic() - _LONG
        return sum(one.since > recent for one in self._by_pid.values()) < MOST

    def __contains__(self, pid: int) -> bool:
        return pid in self._by_pid

    def add(self, one: Birth) -> None:
        """Wait for what this one tells."""
        self._by_pid[one.newborn.pid] = one
        self._watched.register(one.newborn.told or 0, select.POLLIN)

    def heard(self) -> Iterator[tuple[Birth, str | None]]:
        """Yield those of which it is known by now what became of them: None if the command runs, else why it cannot."""
        if not self._by_pid:
            return
        ready = {descriptor for descriptor, _ in self._watched.poll(0)}
        late = time.monotonic() >= self._look_at
        if late:
            self._look_at = time.monotonic() + LOOK_AFTER_MS / 1000
        for pid, one in list(self._by_pid.items()):
            if one.newborn.told in ready:
                yield self.settle(pid)
            elif late and another.end_if_stopped(pid):
                yield self.settle(pid, stopped=True)
            elif late and time.monotonic() - one.since > LONGEST:
                yield self._give_up(pid)

    def settle(self, pid: int, *, stopped: bool = False) -> tuple[Birth, str | None]:
        """Return the start with this pid, which has told, ended, or was `stopped`, and why it failed if it did."""
        one = self._take_out(pid)
        try:
            another.settle(one.newborn, stopped=stopped)
        except Unstartable as error:
            return one, str(error)
        return one, None

    def _give_up(self, pid: int) -> tuple[Birth, str]:
        one = self._take_out(pid)
        another.give_up(one.newborn)
        return one, (
            f"it did not begin within {LONGEST:g} s; see whether its working directory and the paths it declares answer"
        )

    def _take_out(self, pid: int) -> Birth:
        one = self._by_pid.pop(pid)
        self._watched.unregister(one.newborn.told or 0)
        return one
