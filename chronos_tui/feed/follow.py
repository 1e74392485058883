"""The output of one run: what there is, then what comes, every line once and in order.

The live channel is only quick; what SQL holds is true. A hole between them is read from the API, and so is what a
lost connection swallowed: numbers decide, so nothing is missing and nothing comes twice.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple

from chronos_tui.client.errors import ServerError, Unreachable
from chronos_tui.feed.feed import FAILURES, Feed, LogQueue, Lost
from scheduler_daemon.contract import channels
from scheduler_daemon.contract.events import LogMessage
from scheduler_daemon.contract.executions import LogLine, LogPage

FIRST_LINES = 2000
"""Read at the beginning, from the end of what there is."""
PAGE_LINES = 1000
SERVER_FAULT = 500
QUIET_S = 2.0
"""After so long without a line the API is asked whether there is one, or the end."""


class Batch(NamedTuple):
    """Lines that follow the ones before without a hole; the first may be the last before, grown. `ended`: no more."""

    lines: list[LogLine]
    ended: bool
    dropped_bytes: int = 0
    removed_at: datetime | None = None


class LogFollower:
    """Reads one run's output from its last `FIRST_LINES` on."""

    def __init__(self, feed: Feed, run: int) -> None:
        self._feed, self._run = feed, run
        self._next = 1
        self._open: LogLine | None = None
        """The last line, if the job has not ended it: it comes again when it has grown."""
        self._queue: LogQueue = asyncio.Queue()
        self._heard_by = ""
        """The session that hears the channel; after a lost connection there is another, or none yet."""

    async def batches(self) -> AsyncIterator[Batch]:
        """Give batches until the run is over and all is read. Waits out a server that is away or fails.

        Raises ServerError when it refuses, as for a run that is gone.
        """
        async with self._feed.hear(channels.log(self._run)) as self._queue:
            await self._tune_in()
            first = await self._patiently(tail=FIRST_LINES)
            yield Batch(self._fresh(first.lines), first.ended, first.dropped_bytes, first.removed_at)
            ended = first.ended
            while not ended:
                message = await self._hear()
                if message is not None and message.first <= self._next + (self._open is not None):
                    if fresh := self._fresh(LogLine.model_validate(line) for line in message.lines):
                        yield Batch(fresh, ended=False)
                    continue
                async for batch in self._history():
                    ended = batch.ended
                    yield batch

    async def _history(self) -> AsyncIterator[Batch]:
        """Give what SQL has beyond the last line, page by page."""
        while True:
            page = await self._patiently(after=self._next - 1)
            full = len(page.lines) >= PAGE_LINES
            yield Batch(self._fresh(page.lines), page.ended and not full, page.dropped_bytes)
            if not full:
                return

    def _fresh(self, lines: Iterable[LogLine]) -> list[LogLine]:
        """Return the lines that are new, or grown, and remember where they end."""
        fresh = [line for line in lines if line.number >= self._next and line != self._open]
        if fresh:
            self._open = fresh[-1] if fresh[-1].partial else None
            self._next = fresh[-1].number + (self._open is None)
        return fresh

    async def _hear(self) -> LogMessage | None:
        """Return the next live message, or None when it is time to read history."""
        session = self._feed.session
        if session is not None and session.id != self._heard_by and await self._tune_in():
            return None  # what was said before anybody listened
        try:
            return await asyncio.wait_for(self._queue.get(), QUIET_S)
        except TimeoutError:
            return None

    async def _tune_in(self) -> bool:
        """Have the session hear the channel; False if it does not, and history alone is read, every QUIET_S."""
        session = self._feed.session
        if session is None:
            return False
        with suppress(Lost, *FAILURES):
            heard = await self._feed.client.follow_log(self._run, session.id)
            await self._feed.subscribe(heard.channel)
            self._heard_by = session.id
        return self._heard_by == session.id

    async def _patiently(self, *, tail: int | None = None, after: int | None = None) -> LogPage:
        while True:
            try:
                limit = None if tail else PAGE_LINES
                return await self._feed.client.log(self._run, tail=tail, after=after, limit=limit)
            except Unreachable:
                await asyncio.sleep(QUIET_S / 4)
            except ServerError as error:
                if error.status < SERVER_FAULT:
                    raise
                await asyncio.sleep(QUIET_S)
