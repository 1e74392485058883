"""Drop what need not be kept for ever: projected events, answers to repeated requests, questions, and old output."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from scheduler_daemon.domain.errors import ChronosError
from scheduler_daemon.storage import artifacts, claude, events, meta, retention, snapshots
from scheduler_daemon.storage.jobs import slices
from scheduler_daemon.storage.retention import Kept
from scheduler_daemon.storage.session import Database

log = logging.getLogger(__name__)

PERIOD = 3600.0
"""Seconds between rounds."""
ANSWERS_KEPT = timedelta(hours=24)
QUESTIONS_KEPT = timedelta(days=90)
"""To Claude, with their answers; the budget counts by the day."""
MOST_A_ROUND = 100_000
"""Runs whose output goes in one round."""
SNAPSHOTS_KEPT = 20_000
"""Of how the machine was at failures, a few KB each."""
AT_ONCE = 100
"""Runs whose output goes in one transaction: others write between them."""


class Reaper:
    """Makes a round each hour."""

    def __init__(
        self,
        database: Database,
        now: Callable[[], datetime],
        events_kept: timedelta,
        output_kept: Kept,
        sweep: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`sweep` removes the files of runs that the database has let go."""
        self._sweep = sweep
        self._database = database
        self._now = now
        self._events_kept = events_kept
        self._output_kept = output_kept

    async def step(self) -> None:
        """Make one round."""
        now = self._now()
        await self._database.write(lambda db: events.prune(db, now - self._events_kept))
        await self._database.write(lambda db: meta.prune_answers(db, now - ANSWERS_KEPT))
        await self._database.write(lambda db: claude.prune(db, now - QUESTIONS_KEPT))
        oldest = None if self._output_kept.age is None else now - self._output_kept.age
        await self._database.write(lambda db: snapshots.prune(db, oldest, SNAPSHOTS_KEPT))
        excess = await self._database.read(lambda db: retention.excess(db, self._output_kept, now, MOST_A_ROUND))
        for part in slices(excess, AT_ONCE):
            await self._database.write(lambda db, part=part: retention.remove(db, part, now))  # type: ignore[misc]  # mypy cannot type the default
        stale = await self._database.read(lambda db: artifacts.excess(db, self._output_kept, now, MOST_A_ROUND))
        for part in slices(stale, AT_ONCE):
            await self._database.write(lambda db, part=part: artifacts.remove(db, part, now))  # type: ignore[misc]  # as above
        if self._sweep is not None:
            await self._sweep()
        if excess:
            log.info("the output of %d runs was removed, older or more than is kept", len(excess))

    async def run(self) -> None:
        """Make rounds for ever."""
        while True:
            try:
                await self.step()
            except ChronosError as error:
                log.warning("what is old stays for now: %s", error.message)
            await asyncio.sleep(PERIOD)
