"""Starts go first: who can wait asks here whether jobs are being started now, and lets them have the processor."""

import asyncio
from collections.abc import Iterable

LONGEST = 1.0
"""Seconds others wait at most: a launcher that does not answer, or jobs without end, must not hold them up for ever."""


class Starts:
    """The runs that have been handed to the launcher and have not begun."""

    def __init__(self) -> None:
        self._open: set[int] = set()
        self._calm = asyncio.Event()
        self._calm.set()

    def add(self, ids: Iterable[int]) -> None:
        """These are being started."""
        self._open.update(ids)
        if self._open:
            self._calm.clear()

    def done(self, execution_id: int) -> None:
        """This one has begun, or never will."""
        self._open.discard(execution_id)
        if not self._open:
            self._calm.set()

    async def calm(self) -> None:
        """Return when nothing is being started, or after LONGEST."""
        try:
            async with asyncio.timeout(LONGEST):
                await self._calm.wait()
        except TimeoutError:
            return
