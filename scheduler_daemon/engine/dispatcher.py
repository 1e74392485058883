"""Start runs: record first, then hand to the launcher, never more at once than the machine is to bear."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple, Protocol

from scheduler_daemon.domain.errors import ChronosError, Unavailable
from scheduler_daemon.engine.launch import request_for
from scheduler_daemon.engine.starts import Starts
from scheduler_daemon.runners.process import LaunchRequest
from scheduler_daemon.services import runs
from scheduler_daemon.services.runs import Due, Holder, Start
from scheduler_daemon.storage.session import Database

log = logging.getLogger(__name__)

RETRY = 1.0
"""Seconds until waiting runs are looked for again that the database could not give."""
BURST = 250
"""Runs handed to the launcher at once, so that the first do not wait for the last to be written down."""


class Untaken(NamedTuple):
    """The jobs whose dues were not recorded: saved since they came due, or to be decided at their instant only."""

    stale: list[str]
    undecided: list[str]


class Runner(Protocol):
    """What runs an execution."""

    async def launch(self, batch: Sequence[LaunchRequest]) -> None:
        """Start these; each is answered by events."""


class Follower(Protocol):
    """What reads the output of a run."""

    def expect(self, execution_id: int, *, limit_bytes: int) -> None:
        """Take note of a run that is about to start."""


class Dispatcher:
    """Gives runs to the runner. Counts what is active, so that a fire needs no query for room."""

    def __init__(
        self,
        database: Database,
        runner: Runner,
        follower: Follower,
        *,
        holder: Holder,
        max_active: int,
        recorded: Callable[[], None],
        now: Callable[[], datetime],
        starts: Starts | None = None,
    ) -> None:
        self._database = database
        self._runner = runner
        self._follower = follower
        self._starts = starts or Starts()
        self._holder = holder
        self._max_active = max_active
        self._recorded = recorded
        self._now = now
        self._active: set[int] = set()
        self._waiting = False
        self._room = asyncio.Event()
        self._claims = asyncio.Lock()
        self._doubtful = False
        """A commit was not confirmed: the database may hold claims of ours that we do not know."""

    @property
    def active(self) -> int:
        """How many runs of ours have been handed out and not ended."""
        return len(self._active)

    @property
    def active_ids(self) -> tuple[int, ...]:
        """The runs counted by `active`."""
        return tuple(self._active)

    def _free(self) -> int:
        return max(0, self._max_active - len(self._active))

    def _wait_for_room(self) -> None:
        """Some runs wait. Room may have come while they were written down, and then nobody else would notice."""
        self._waiting = True
        if self._free():
            self._room.set()

    @asynccontextmanager
    async def _claiming(self) -> AsyncIterator[None]:
        """One claim at a time, so that room is counted right. A failure leaves it open whether the claim was made."""
        async with self._claims:
            try:
                yield
            except Unavailable:
                self._doubtful = True
                self._room.set()
                raise

    async def _start_unknown(self) -> None:
        """Start what we have claimed without hearing that the claim was committed."""
        async with self._claims:
            starts = await self._database.read(lambda db: runs.claimed(db, self._holder, self._active))
            self._doubtful = False
            self._active.update(start.execution_id for start in starts)
        await self.hand_over(starts)

    def adopt(self, ids: Sequence[int], *, waiting: bool) -> None:
        """Count runs that an earlier start of the daemon began; `waiting` tells that some are queued."""
        self._active.update(ids)
        self._waiting = waiting
        self._room.set()

    async def fire(self, dues: Sequence[Due], now: datetime) -> Untaken:
        """Record due instants and start what may start, those to come at their instant; return the jobs left out.

        Raises Unavailable if they could not be recorded; some may have been, and are not again.
        """
        untaken = Untaken([], [])
        for part in (dues[start : start + BURST] for start in range(0, len(dues), BURST)):
            async with self._claiming():
                fired = await self._database.write(
                    partial(runs.fire, dues=part, now=now, holder=self._holder, free=self._free())
                )
                self._active.update(start.execution_id for start in fired.starts)
            untaken.stale.extend(fired.stale)
            untaken.undecided.extend(fired.undecided)
            if sum(len(due.run) for due in part if not due.ahead) > len(fired.starts):
                self._wait_for_room()
            self._recorded()
            await self.hand_over(fired.starts)
        return untaken

    async def request_in(self, work: Callable[[Any, int], tuple[Any, Start | None]]) -> tuple[Any, Start | None]:
        """Run `work(connection, free)`, which may claim a start, in a transaction; count what it claimed."""
        async with self._claiming():
            free = self._free()
            answer, start = await self._database.write(lambda db: work(db, free))
            if start:
                self._active.add(start.execution_id)
        return answer, start

    async def begin(self, start: Start | None) -> None:
        """Start what `request_in` claimed; without a start, it waits for room."""
        self._recorded()
        if start:
            await self.hand_over([start])
        else:
            self._wait_for_room()

    async def hand_over(self, starts: Sequence[Start]) -> None:
        """Give claimed runs to the runner."""
        if not starts:
            return
        self._expect_starts(starts)
        requests = [request_for(start) for start in starts]
        for start in starts:
            self._follower.expect(start.execution_id, limit_bytes=start.spec["output_limit_bytes"])
        await self._runner.launch(requests)

    def _expect_starts(self, starts: Sequence[Start]) -> None:
        now = self._now()
        for instant, group in groupby(starts, key=attrgetter("not_before")):
            delay = 0.0 if instant is None else (instant - now).total_seconds()
            self._starts.add([start.execution_id for start in group], delay)

    def ended(self, ids: Sequence[int]) -> None:
        """Count runs that have ended; what waits may start."""
        self._active.difference_update(ids)
        if self._waiting:
            self._room.set()

    async def step(self) -> None:
        """Start waiting runs as far as there is room."""
        if self._doubtful:
            await self._start_unknown()
        async with self._claiming():
            free = self._free()
            if not free:
                return
            starts = await self._database.write(
                lambda db: runs.start_waiting(db, now=self._now(), holder=self._holder, free=min(free, BURST))
            )
            self._waiting = len(starts) == min(free, BURST)
            self._active.update(start.execution_id for start in starts)
        if starts:
            self._recorded()
            await self.hand_over(starts)

    async def run(self) -> None:
        """Serve what waits, whenever there is room."""
        while True:
            await self._room.wait()
            self._room.clear()
            try:
                await self.step()
            except ChronosError as error:
                log.error("%s; waiting runs are started later", error.message)
                await asyncio.sleep(RETRY)
                self._room.set()
            if self._waiting and self._free():
                self._room.set()
