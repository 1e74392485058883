"""The feed knows when something was missed; a log comes whole, whatever happens to the connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from statistics import median
from typing import Literal

import pytest

from chronos_tui.client.live import LiveClient
from chronos_tui.feed import Feed, Link
from chronos_tui.feed.follow import LogFollower
from chronos_tui.feed.sequence import Sequence
from chronos_tui.settings import load
from scheduler_daemon.contract.events import Event, FeedMessage, Heartbeat
from tests.support.daemon import DaemonHandle

T0 = datetime(2026, 5, 1, tzinfo=UTC)
LINES = 3000


def message(seq: int, epoch: str = "e") -> FeedMessage:
    return FeedMessage(kind="note", id="1", version=1, at=T0, epoch=epoch, seq=seq, channel="cs:ch:all")


def heartbeat(seq: int, epoch: str = "e") -> Heartbeat:
    return Heartbeat(kind="heartbeat", epoch=epoch, seq=seq, channel="cs:ch:all", at=T0)


@pytest.mark.parametrize(
    ("heard", "complete"),
    [
        ([message(7), message(8), heartbeat(8), message(9)], [True, True, True, True]),
        ([message(7), message(9)], [True, False]),
        ([message(7), heartbeat(8), message(9)], [True, False, True]),
        ([heartbeat(3), message(4)], [True, True]),
        ([message(7), message(1, "f"), message(2, "f")], [True, False, True]),
        ([message(7), message(8), message(8)], [True, True, True]),
    ],
    ids=["in order", "a hole", "a lost tail", "first a heartbeat", "rebuilt", "twice"],
)
def test_a_missed_message_is_noticed(heard: list[FeedMessage | Heartbeat], complete: list[bool]) -> None:
    sequence = Sequence()

    assert [sequence.complete(each) for each in heard] == complete


class Ear:
    """Remembers what the feed tells."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.kinds: list[str] = []
        self.snapshots = 0

    def heard(self, event: Event) -> None:
        self.events.append(event)

    def link_changed(self, link: Link) -> None:
        self.kinds.append(link.kind)

    async def snapshot(self) -> None:
        self.snapshots += 1

    async def until(self, kind: Literal["live"], times: int) -> None:
        async with asyncio.timeout(20):
            while len([each for each in self.kinds if each == kind]) < times:
                await asyncio.sleep(0.02)


async def test_a_log_is_followed_without_a_hole_or_a_double_through_lost_connections(
    shared_daemon: DaemonHandle,
) -> None:
    talk = f"for n in $(seq 1 {LINES}); do echo line $n; [ $((n % 100)) -ne 0 ] || sleep 0.05; done"
    shared_daemon.chronos("job", "add", "talker", "--", talk)
    settings = load(str(shared_daemon.state), None, {"HOME": "/"})
    ear, numbers, texts = Ear(), [], []

    async with LiveClient(settings.server) as client:
        feed = Feed(client, ear)
        hearing = asyncio.create_task(feed.run())
        await ear.until("live", 1)
        run = await client.run_job("talker")
        async with asyncio.timeout(30):
            async for batch in LogFollower(feed, run.id).batches():
                numbers += [line.number for line in batch.lines]
                texts += [line.text for line in batch.lines]
                if len(numbers) // 700 > len(ear.kinds) // 3:
                    feed.reconnect()
        hearing.cancel()

    assert numbers == list(range(1, LINES + 1))
    assert texts == [f"line {n}" for n in range(1, LINES + 1)]


async def test_a_new_connection_reads_a_snapshot_and_hears_what_follows(shared_daemon: DaemonHandle) -> None:
    settings = load(str(shared_daemon.state), None, {"HOME": "/"})
    ear = Ear()

    async with LiveClient(settings.server) as client:
        feed = Feed(client, ear)
        hearing = asyncio.create_task(feed.run())
        await ear.until("live", 1)
        before = ear.snapshots
        feed.reconnect()
        await ear.until("live", 2)
        shared_daemon.chronos("job", "add", "heard-later", "--", "true")
        async with asyncio.timeout(10):
            while not any(event.doc and event.doc.get("name") == "heard-later" for event in ear.events):
                await asyncio.sleep(0.02)
        hearing.cancel()

    assert ear.snapshots > before


@asynccontextmanager
async def hearing(handle: DaemonHandle) -> AsyncIterator[tuple[Feed, Ear]]:
    """A feed that is live."""
    ear = Ear()
    async with LiveClient(load(str(handle.state), None, {"HOME": "/"}).server) as client:
        feed = Feed(client, ear)
        running = asyncio.create_task(feed.run())
        await ear.until("live", 1)
        yield feed, ear
        running.cancel()


async def lateness(feed: Feed, run: int, lines: int) -> list[float]:
    """Return how many seconds after they were read by the daemon the next lines of a run arrive."""
    late: list[float] = []
    async for batch in LogFollower(feed, run).batches():
        now = datetime.now(UTC)
        late += [(now - line.at).total_seconds() for line in batch.lines]
        if len(late) >= lines:
            break
    return late


async def test_a_log_is_heard_at_once_again_after_a_lost_connection(shared_daemon: DaemonHandle) -> None:
    shared_daemon.chronos("job", "add", "steady-talker", "--", "for n in $(seq 1 90); do echo $n; sleep 0.1; done")

    async with hearing(shared_daemon) as (feed, ear):
        run = await feed.client.run_job("steady-talker")
        following = asyncio.create_task(lateness(feed, run.id, 60))
        await asyncio.sleep(0.5)
        feed.reconnect()
        await ear.until("live", 2)
        late = await following
        await feed.client.cancel(run.id)

    assert median(late[-30:]) < 0.5


async def test_two_may_follow_one_log_and_the_one_that_stays_hears_on(shared_daemon: DaemonHandle) -> None:
    shared_daemon.chronos("job", "add", "heard-twice", "--", "for n in $(seq 1 90); do echo $n; sleep 0.1; done")

    async with hearing(shared_daemon) as (feed, _):
        run = await feed.client.run_job("heard-twice")
        stays = asyncio.create_task(lateness(feed, run.id, 50))
        await asyncio.sleep(0.3)
        await lateness(feed, run.id, 5)
        late = await stays
        await feed.client.cancel(run.id)

    assert median(late[-30:]) < 0.5
