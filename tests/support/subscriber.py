"""A listener of the live feed for tests: hears with a session's own login and remembers every message."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from scheduler_daemon.contract.events import WireMessage, parse_message
from scheduler_daemon.live.client import connect
from scheduler_daemon.live.feed import Session


class Subscriber:
    """Everything one session heard, in order."""

    def __init__(self, client: Redis) -> None:
        self.client = client
        self.heard: list[WireMessage] = []
        self.lost: Exception | None = None

    def numbers(self, channel: str) -> list[int]:
        """The sequence numbers heard on one channel, heartbeats left out."""
        return [message.seq for message in self.heard if message.channel == channel and message.kind != "heartbeat"]

    async def until(self, condition: Callable[[], bool], seconds: float = 5.0) -> None:
        """Wait until the condition holds. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"heard only {len(self.heard)} messages, lost: {self.lost}")
            await asyncio.sleep(0.005)


@asynccontextmanager
async def listening(url: str, session: Session) -> AsyncIterator[Subscriber]:
    """Subscribe to the session's channels and listen until the block ends."""
    client = connect(url, username=session.username, password=session.password)
    subscriber = Subscriber(client)
    pubsub = client.pubsub(ignore_subscribe_messages=True)
    await pubsub.subscribe(*session.channels)

    async def listen() -> None:
        try:
            while True:
                message = await pubsub.get_message(timeout=1.0)
                if message is not None:
                    subscriber.heard.append(parse_message(message["data"]))
        except Exception as error:  # noqa: BLE001 - whatever ended the listening is what a test asks about
            subscriber.lost = error

    task = asyncio.create_task(listen())
    await asyncio.sleep(0)
    try:
        yield subscriber
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await pubsub.aclose()  # type: ignore[no-untyped-call]
        await client.aclose()
