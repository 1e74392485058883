"""Drop what need not be kept for ever: projected events and answers to repeated requests."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from scheduler_daemon.domain.errors import ChronosError
from scheduler_daemon.storage import events, meta
from scheduler_daemon.storage.session import Database

log = logging.getLogger(__name__)

PERIOD = 3600.0
"""Seconds between rounds."""
ANSWERS_KEPT = timedelta(hours=24)


class Reaper:
    """Makes a round each hour."""

    def __init__(self, database: Database, now: Callable[[], datetime], events_kept: timedelta) -> None:
        self._database = database
        self._now = now
        self._events_kept = events_kept

    async def step(self) -> None:
        """Make one round."""
        now = self._now()
        await self._database.write(lambda db: events.prune(db, now - self._events_kept))
        await self._database.write(lambda db: meta.prune_answers(db, now - ANSWERS_KEPT))

    async def run(self) -> None:
        """Make rounds for ever."""
        while True:
            try:
                await self.step()
            except ChronosError as error:
                log.warning("old events stay for now: %s", error.message)
            await asyncio.sleep(PERIOD)
