"""Wake the dispatcher when the time of an attempt that waits has come: to try again, or to start not before it.

What waits and until when stands in the database, so that neither a restart nor a kill loses or doubles an attempt, and
of daemons that share a database whichever comes first starts it. The instants are the wall clock's: if that is set
forward an attempt begins sooner, if it is set back no attempt waits longer than it was to from the beginning.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from scheduler_daemon.domain.errors import ChronosError
from scheduler_daemon.services import retries
from scheduler_daemon.storage import attempts, executions
from scheduler_daemon.storage.session import Database

log = logging.getLogger(__name__)

LONGEST_SLEEP = 30.0
"""Seconds. The wall clock may be set while we sleep, and another daemon may have left attempts behind."""
SET_BACK = timedelta(seconds=5)
"""By so much the clock was set back at least where an attempt was written down in the future; clocks of two machines
differ by less.
"""
RETRY = 1.0
"""Seconds until the database is asked again that did not answer."""


class Waits:
    """Knows the next instant that an attempt waits for; `begin` is called when it has come."""

    def __init__(self, database: Database, begin: Callable[[], None], now: Callable[[], datetime]) -> None:
        self._database = database
        self._begin = begin
        self._now = now
        self._next: datetime | None = None
        self._changed = asyncio.Event()

    def expect(self, instants: Sequence[datetime]) -> None:
        """Attempts have been written down that wait for these instants."""
        if not instants:
            return
        self._next = min(instants) if self._next is None else min(self._next, *instants)
        self._changed.set()

    async def step(self) -> float:
        """Start what may begin; return how many seconds nothing can come up."""
        now = self._now()
        # Asked of the database, not of what we expected: others write attempts too, and some come up while we sleep.
        if await self._database.read(lambda db: executions.any_queued(db, now)):
            self._begin()
        if await self._database.read(lambda db: attempts.from_the_future(db, now + SET_BACK)):
            await self._database.write(lambda db: retries.set_back(db, now, SET_BACK))
        self._next = await self._database.read(lambda db: attempts.next_start(db, now))
        wait = LONGEST_SLEEP if self._next is None else (self._next - self._now()).total_seconds()
        return min(wait, LONGEST_SLEEP)

    async def run(self) -> None:
        """Wake the dispatcher for ever."""
        self._begin()  # what came up while nobody looked
        while True:
            self._changed.clear()
            try:
                wait = await self.step()
            except ChronosError as error:
                log.error("%s; attempts that wait are looked for again in %g s", error.message, RETRY)
                wait = RETRY
            try:
                async with asyncio.timeout(max(0.0, wait)):
                    await self._changed.wait()
            except TimeoutError:
                continue
