"""Listeners of the live feed: cut off again and again they miss no end, and they can do nothing but hear."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, RedisError

from chronos_tui.client import calls
from chronos_tui.client.live import LiveClient
from chronos_tui.feed.feed import Feed
from chronos_tui.feed.link import Link
from scheduler_daemon.contract import channels
from scheduler_daemon.contract.events import Event
from scheduler_daemon.live.client import command, connect
from scheduler_daemon.live.embedded import Home
from tests.support.api import ACTIVE_STATES, Api, Doc
from tests.support.daemon import DaemonHandle

CUTS = 50
FORBIDDEN = (
    "GET cs:epoch",
    "SET x 1",
    "DEL cs:epoch",
    "KEYS *",
    "SCAN 0",
    "FLUSHALL",
    "FLUSHDB",
    "CONFIG GET *",
    "CONFIG SET appendonly no",
    "ACL LIST",
    "ACL WHOAMI",
    "ACL SETUSER default on nopass +@all",
    "CLIENT LIST",
    "CLIENT KILL TYPE normal",
    "SHUTDOWN NOSAVE",
    "MODULE LIST",
    "EVAL return 1",
    "FCALL cs1_project 0",
    "FUNCTION LIST",
    "JSON.GET cs:job:x",
    "FT.SEARCH cs:idx:job *",
    "FT._LIST",
    "TS.MRANGE - + FILTER agg=raw",
    "TS.RANGE cs:ts:x - +",
    "XRANGE cs:log:1 - +",
    "PUBLISH cs:ch:all x",
    "PSUBSCRIBE *",
    "SSUBSCRIBE cs:ch:all",
    "PUBSUB CHANNELS",
    "MONITOR",
    "INFO",
    "REPLICAOF NO ONE",
    "SELECT 1",
    "MULTI",
    "SAVE",
)


@dataclass
class Screen:
    """What a listener knows of runs: the newest document of each, as the terminal's board keeps them."""

    client: LiveClient
    job: str
    runs: dict[str, tuple[int, str]] = field(default_factory=dict)
    snapshots: int = 0
    link: str = ""

    def heard(self, event: Event) -> None:
        """Keep an event's document if it is newer."""
        if event.kind == "execution" and event.doc is not None:
            self._take(event.id, event.version, str(event.doc["state"]))

    def link_changed(self, link: Link) -> None:
        """Note how the daemon is heard."""
        self.link = link.kind

    async def snapshot(self) -> None:
        """Read the latest runs, far fewer than there are in all."""
        for run in (await self.client.executions(job=self.job, limit=20)).items:
            self._take(str(run.id), run.version, run.state)
        self.snapshots += 1

    def _take(self, run: str, version: int, state: str) -> None:
        if version >= self.runs.get(run, (0, ""))[0]:
            self.runs[run] = (version, state)


async def _until(condition: object, seconds: float = 20.0) -> None:
    assert callable(condition)
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def _administrator(daemon: DaemonHandle) -> AsyncIterator[Redis]:
    client = Home.of(daemon.state).client()
    try:
        yield client
    finally:
        await client.aclose()


async def test_a_listener_cut_fifty_times_misses_no_end_of_a_run(daemon: DaemonHandle, api: Api) -> None:
    job = api.create("true", concurrency="allow")["id"]
    stop = asyncio.Event()
    asked: list[str] = []

    async def keep_running(client: LiveClient) -> None:
        while not stop.is_set():
            await client.run_job(job)
            asked.append(job)
            await asyncio.sleep(0.02)

    async with LiveClient(api.address) as client, _administrator(daemon) as redis:
        screen = Screen(client, job)
        feed = Feed(client, screen)
        tasks = [asyncio.create_task(feed.run()), asyncio.create_task(keep_running(client))]
        for _ in range(CUTS):
            await _until(lambda: screen.link == "live")
            await command(redis, "CLIENT", "KILL", "TYPE", "pubsub")
            await _until(lambda: screen.link != "live")
            feed.reconnect()
        await _until(lambda: len(asked) > 100)  # a quick machine is through with its cuts before
        stop.set()
        await tasks[1]
        truth = await asyncio.to_thread(_ended_runs, api, job)
        try:
            await _until(lambda: truth == {run: state for run, (_, state) in screen.runs.items()})
        finally:
            tasks[0].cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    assert len(truth) > 100
    assert screen.snapshots >= CUTS


def _ended_runs(api: Api, job: str) -> dict[str, str]:
    for run in api.executions(job):
        api.until_final(run["id"])
    return {str(run["id"]): run["state"] for run in api.executions(job)}


async def test_a_session_may_do_nothing_but_hear_its_own_channels(daemon: DaemonHandle, api: Api) -> None:
    run = api.run("sleep 0.2; echo heard")
    session: Doc = api.ask(calls.open_session())
    client = connect(session["redis_url"], username=session["username"], password=session["password"])
    try:
        for words in FORBIDDEN:
            with pytest.raises(RedisError, match=r"(?i)no permissions|NOPERM"):
                await command(client, *words.split())
        for channel in ("cs:ch:user:99", channels.log(run), "cs:ch:team:1", "__keyspace@0__:cs:epoch"):
            with pytest.raises(NoPermissionError):
                await command(client, "SUBSCRIBE", channel)
        assert await client.ping()

        followed = api.ask(calls.follow_log(run, session["id"]))
        pubsub = client.pubsub()
        await pubsub.subscribe(followed["channel"], *session["channels"])
        assert (await pubsub.get_message(timeout=2))["type"] == "subscribe"
        await pubsub.aclose()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped

        api.ask(calls.close_session(session["id"]))
        with pytest.raises(RedisError):
            await client.ping()
    finally:
        await client.aclose()


def test_one_session_cannot_be_widened_with_the_name_of_another_user(api: Api) -> None:
    from chronos_tui.client import ServerError

    run = api.run("true")

    with pytest.raises(ServerError) as refused:
        api.ask(calls.follow_log(run, "chronos"))

    assert refused.value.status == 404
    assert api.until_final(run)["state"] not in ACTIVE_STATES
