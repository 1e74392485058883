"""End tasks for certain. One cancelling may be swallowed: `asyncio.wait_for`, which libraries use, returns its result
instead where that came at the same moment (Python 3.11), and a loop that hears nothing of it goes on for ever.
"""

import asyncio
from collections.abc import Collection
from typing import Any

AGAIN = 0.1
"""Seconds until a task that goes on is cancelled again."""


async def end(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel tasks until each has ended, whatever way."""
    going_on = set(tasks)
    while going_on:
        for task in going_on:
            task.cancel()
        ended, going_on = await asyncio.wait(going_on, timeout=AGAIN)
        await asyncio.gather(*ended, return_exceptions=True)
