"""Hear every change, or know that one was missed.

Subscribe first, then have everything shown read through the API, then apply what is newer: versions decide, so the
order of arrival does not. A hole in the numbers, another epoch or a new connection has it read again. A heartbeat
that does not come asks the API at once; silence on both sides is called stale within three seconds.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import chain
from typing import Any, NoReturn

from pydantic import ValidationError
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from chronos_tui.client.errors import ServerError, Unreachable
from chronos_tui.client.live import LiveClient
from chronos_tui.feed.link import Link, LinkKind, Listener
from chronos_tui.feed.sequence import Sequence
from scheduler_daemon.contract.events import Event, FeedMessage, LogMessage, parse_message
from scheduler_daemon.contract.system import Session

OVERDUE_S = 2.3
"""Silence after which the API is asked: heartbeats come every two seconds."""
ANSWER_S = 0.5
"""How long a living daemon may take to say so."""
DEAF_S = 4.5
"""Silence after which the feed is given up though the API answers."""
PING_S = 5.0
POLL_S = 2.0
RETRY_S = (0.25, 0.5, 1.0, 2.0)
SUBSCRIBE_S = 5.0

FAILURES = (ServerError, Unreachable, RedisError, OSError, TimeoutError, ValidationError)


LogQueue = asyncio.Queue[LogMessage | None]
QUEUED = 256
"""Log messages that wait for one reader; what is beyond is read from the API, as any hole is."""


class Lost(Exception):  # noqa: N818 - a state of the world, said as such
    """The feed ended; the message says why."""


class Feed:
    """One terminal's ear. `run` never ends on its own; logs are heard through `hear`."""

    def __init__(self, client: LiveClient, listener: Listener) -> None:
        self.client = client
        self.session: Session | None = None
        """While connected."""
        self._listener = listener
        self._link = Link("connecting")
        self._pubsub: PubSub | None = None
        self._confirmed: dict[str, asyncio.Event] = {}
        self._queues: dict[str, set[LogQueue]] = {}
        self._sequence = Sequence()
        self._heard_at = 0.0
        self._failures = 0
        self._bridge: asyncio.Task[None] | None = None
        self._snapshot_wanted = asyncio.Event()
        self._hurry = asyncio.Event()

    @property
    def link(self) -> Link:
        return self._link

    def reconnect(self) -> None:
        """Try again now rather than when the wait is over."""
        self._hurry.set()

    async def run(self) -> None:
        """Connect, hear, and begin again whenever the feed is lost, until cancelled."""
        try:
            while True:
                self._hurry.clear()
                try:
                    await self._hear_once()
                except (Lost, *FAILURES) as error:
                    self._bridge_over(str(error) or type(error).__name__)
                self._failures += 1
                await self._wait(RETRY_S[min(self._failures, len(RETRY_S)) - 1])
        finally:
            self._end_bridge()

    def _bridge_over(self, why: str) -> None:
        """From now until the feed is heard again, show the truth as far as it can be had."""
        if self._link.kind == "live":
            self._say("reconnecting", why=why)
        if self._bridge is None:
            self._bridge = asyncio.create_task(self._ask_again_and_again(why))

    def _end_bridge(self) -> None:
        if self._bridge is not None:
            self._bridge.cancel()
            self._bridge = None

    async def _ask_again_and_again(self, why: str) -> None:
        while True:
            if await self._answers() and await self._snapshot():
                self._say("polling", why=why)
                await asyncio.sleep(POLL_S)
            else:
                self._say("stale", why=why)
                await asyncio.sleep(ANSWER_S)

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), seconds)

    async def _hear_once(self) -> NoReturn:
        self._sequence = Sequence()
        session = await self.client.open_session()
        try:
            async with _subscriber(session) as pubsub:
                self._pubsub, self.session = pubsub, session
                self._heard_at = time.monotonic()
                await _together(self._read(pubsub), self._begin(session), self._watch(), self._hurried())
            raise Lost("the feed ended")
        finally:
            self._pubsub = self.session = None
            self._confirmed.clear()
            for queue in chain.from_iterable(self._queues.values()):
                if not queue.full():  # else its reader finds the hole
                    queue.put_nowait(None)
            await self._give_back(session)

    async def _give_back(self, session: Session) -> None:
        with suppress(*FAILURES):
            await asyncio.wait_for(self.client.close_session(session.id), ANSWER_S)

    async def _begin(self, session: Session) -> None:
        """Subscribe, then keep what is shown true whenever a snapshot is wanted."""
        for channel in session.channels:
            await self.subscribe(channel)
        self._snapshot_wanted.set()
        while True:
            await self._snapshot_wanted.wait()
            self._snapshot_wanted.clear()
            await self._listener.snapshot()
            if self._link.kind != "live":
                self._failures = 0
                self._end_bridge()
                self._say("live")

    async def subscribe(self, channel: str) -> None:
        """Hear a channel, and return when Redis has confirmed it. Raises Lost, RedisError or TimeoutError."""
        if self._pubsub is None:
            raise Lost("not connected")
        confirmed = self._confirmed.setdefault(channel, asyncio.Event())
        self._sequence.forget(channel)
        await self._pubsub.subscribe(channel)
        await asyncio.wait_for(confirmed.wait(), SUBSCRIBE_S)

    @asynccontextmanager
    async def hear(self, channel: str) -> AsyncIterator[LogQueue]:
        """Give the log messages of a channel, once it is subscribed; None says that the connection was lost.

        A channel may have several readers; it is given back when the last one goes.
        """
        queue: LogQueue = asyncio.Queue(QUEUED)
        readers = self._queues.setdefault(channel, set())
        readers.add(queue)
        try:
            yield queue
        finally:
            readers.discard(queue)
            if not readers and self._queues.pop(channel, None) is not None:
                await self._unsubscribe(channel)

    async def _unsubscribe(self, channel: str) -> None:
        self._confirmed.pop(channel, None)
        if self._pubsub is not None:
            with suppress(*FAILURES):
                await self._pubsub.unsubscribe(channel)

    async def _read(self, pubsub: PubSub) -> None:
        while True:
            message = await pubsub.get_message(timeout=None)
            if message is None:
                continue
            if message["type"] == "subscribe":
                self._confirmed.setdefault(str(message["channel"]), asyncio.Event()).set()
            elif message["type"] == "message":
                self._take(message["data"])

    def _take(self, raw: str | bytes) -> None:
        message = parse_message(raw)
        self._heard_at = time.monotonic()
        if isinstance(message, LogMessage):
            for queue in self._queues.get(message.channel, ()):
                if not queue.full():
                    queue.put_nowait(message)
            return
        if message.channel in self._queues:
            return  # a log's heartbeat: its lines carry their own numbers
        if not self._sequence.complete(message):
            self._snapshot_wanted.set()
        if isinstance(message, FeedMessage):
            self._listener.heard(Event.model_construct(**{name: getattr(message, name) for name in Event.model_fields}))
        elif not message.epoch:
            self._snapshot_wanted.set()  # the picture is being rebuilt; what is read comes from SQL

    async def _watch(self) -> None:
        """Ask the API when heartbeats stay away, and now and then how long an answer takes."""
        asked = time.monotonic()
        while True:
            await asyncio.sleep(0.1)
            now = time.monotonic()
            silence = now - self._heard_at
            if now - asked > (ANSWER_S if silence > OVERDUE_S else PING_S):
                asked = now
                if not await self._answers():
                    self._say("stale", why="the server does not answer")
                    raise Lost("the server does not answer")
                if self._link.kind == "live":
                    self._say("live", delay_ms=(time.monotonic() - now) * 1000)
            if silence > DEAF_S:
                raise Lost("Redis is silent")

    async def _hurried(self) -> None:
        await self._hurry.wait()
        raise Lost("asked to connect again")

    async def _answers(self) -> bool:
        try:
            await asyncio.wait_for(self.client.whoami(), ANSWER_S)
        except ServerError:
            return True
        except (Unreachable, TimeoutError):
            return False
        return True

    async def _snapshot(self) -> bool:
        try:
            await self._listener.snapshot()
        except (ServerError, Unreachable):
            return False
        return True

    def _say(self, kind: LinkKind, *, delay_ms: float | None = None, why: str = "") -> None:
        link = Link(kind, delay_ms, why)
        if link != self._link:
            self._link = link
            self._listener.link_changed(link)


@asynccontextmanager
async def _subscriber(session: Session) -> AsyncIterator[PubSub]:
    client: Redis = Redis.from_url(
        session.redis_url,
        username=session.username,
        password=session.password,
        protocol=3,
        decode_responses=True,
        encoding_errors="replace",
        socket_connect_timeout=SUBSCRIBE_S,
        socket_timeout=None,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )
    pubsub = client.pubsub()
    try:
        await pubsub.connect()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        yield pubsub
    finally:
        with suppress(RedisError, OSError):
            await pubsub.aclose()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
            await client.aclose()


async def _together(*parts: Any) -> None:
    """Run all until one ends or fails; raise its failure."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
