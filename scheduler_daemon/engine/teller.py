"""Tell what running jobs say of themselves, twice a second at most: what is kept is told to those who look."""

import asyncio
import logging
from collections.abc import Callable, Collection
from datetime import datetime

from scheduler_daemon.domain.errors import ChronosError
from scheduler_daemon.services import said
from scheduler_daemon.storage.jobs import slices
from scheduler_daemon.storage.session import Database

log = logging.getLogger(__name__)

PAUSE = 0.5
"""Seconds between two announcements: a job that counts to a million makes two a second."""
AT_ONCE = 500


class Teller:
    """Gathers the runs that have news."""

    def __init__(self, database: Database, recorded: Callable[[], None], now: Callable[[], datetime]) -> None:
        self._database = database
        self._recorded = recorded
        self._now = now
        self._news: dict[int, None] = {}
        self._come = asyncio.Event()

    def heard(self, ids: Collection[int]) -> None:
        """These have said something, and it is kept."""
        self._news.update(dict.fromkeys(ids))
        self._come.set()

    async def step(self) -> None:
        """Tell all of it. Raises Unavailable, and nothing is lost."""
        for part in list(slices(list(self._news), AT_ONCE)):
            now = self._now()
            await self._database.write(lambda db, part=part, now=now: said.announce(db, part, now))  # type: ignore[misc]  # mypy cannot type the default
            for number in part:
                self._news.pop(number, None)
        self._recorded()

    async def run(self) -> None:
        """Tell for ever."""
        while True:
            await self._come.wait()
            self._come.clear()
            try:
                await self.step()
            except ChronosError as error:
                log.warning("what runs say of themselves is told later: %s", error.message)
                self._come.set()
            await asyncio.sleep(PAUSE)
