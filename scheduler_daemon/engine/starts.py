"""Starts go first: who can wait asks here whether jobs are being started now, and lets them have the processor."""

import asyncio
from collections.abc import Collection

LONGEST = 1.0
"""Seconds others wait at most, from a burst's instant on: a launcher that does not answer, or jobs without end, must
not hold them up for ever."""
BURST = 50
"""So many starts that wait for their instant are a burst, before which others rest too."""


class Starts:
    """The runs that have been handed to the launcher and have not begun."""

    def __init__(self) -> None:
        self._open: set[int] = set()
        self._waiting: set[int] = set()
        self._instant = 0.0
        """When the last burst is to begin, by the event loop's clock."""
        self._calm = asyncio.Event()
        self._calm.set()

    def add(self, ids: Collection[int], delay: float = 0) -> None:
        """These are being started, in `delay` seconds."""
        if delay > LONGEST or (delay > 0 and len(ids) + len(self._waiting) < BURST):
            self._waiting.update(ids)
            asyncio.get_running_loop().call_later(delay, self._begin, ids)
        else:
            self._open.update(ids)
            self._instant = max(self._instant, asyncio.get_running_loop().time() + delay)
        if self._open:
            self._calm.clear()

    def _begin(self, ids: Collection[int]) -> None:
        self._open.update(self._waiting.intersection(ids))
        self._waiting.difference_update(ids)
        if self._open:
            self._calm.clear()

    def done(self, execution_id: int) -> None:
        """This one has begun, or never will."""
        self._waiting.discard(execution_id)
        self._open.discard(execution_id)
        if not self._open:
            self._calm.set()

    async def calm(self) -> None:
        """Return when nothing is being started, or after LONGEST."""
        if self._calm.is_set():
            return
        now = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(max(now, self._instant) + LONGEST):
                await self._calm.wait()
        except TimeoutError:
            return
