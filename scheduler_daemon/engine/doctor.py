"""Compare the live picture with SQL from outside the daemon, and make it equal where it is not."""

import asyncio

from scheduler_daemon.engine.relay import Relay
from scheduler_daemon.live.rebuild import Difference
from scheduler_daemon.storage import events
from scheduler_daemon.storage.session import Database

LOOKS = 5
PAUSE = 0.3
"""Seconds between looks: what a running daemon has just committed is on its way, and differs only once."""


async def lasting_differences(relay: Relay, database: Database) -> list[Difference]:
    """Return what differs however often one looks. Raises Unavailable, LiveError, RedisError or OSError."""
    found = await relay.differences()
    for _ in range(LOOKS - 1):
        if not found:
            break
        await asyncio.sleep(PAUSE)
        behind = {row.subject for row in await database.read(lambda db: events.pending(db, 10_000))}
        again = {(each.kind, each.id) for each in await relay.differences()}
        found = [each for each in found if (each.kind, each.id) in again and each.id not in behind]
    return found
