"""A real Redis for tests: one embedded server per test run, emptied before each test that asks for it.

A conftest imports the fixtures it needs: `from tests.support.redis import redis, redis_server, redis_state`.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from scheduler_daemon.live.client import command
from scheduler_daemon.live.embedded import USER, RedisServer, open_redis


@pytest.fixture(scope="session")
def redis_state() -> Iterator[Path]:
    """The state directory of the test run's Redis server, which is started here and stopped at the end."""
    state = Path(tempfile.mkdtemp(prefix="chronos-redis-"))

    async def start() -> None:
        await (await open_redis(state)).close()

    async def stop() -> None:
        await (await open_redis(state)).stop()

    try:
        asyncio.run(start())
        yield state
    finally:
        asyncio.run(stop())
        shutil.rmtree(state, ignore_errors=True)


@pytest.fixture
async def redis_server(redis_state: Path) -> AsyncIterator[RedisServer]:
    """The test run's server, empty and without sessions, and still ours after the test."""
    server = await open_redis(redis_state)
    await empty(server.client)
    yield server
    await server.close()


@pytest.fixture
async def redis(redis_server: RedisServer) -> Redis:
    """A client with all rights on an empty server."""
    return redis_server.client


async def empty(client: Redis) -> None:
    """Wipe a test server: keys, indexes and every user but the daemon's."""
    await command(client, "FLUSHALL")
    await command(client, "ACL", "LOG", "RESET")
    for name in await command(client, "ACL", "USERS"):
        if name not in ("default", USER):
            await command(client, "ACL", "DELUSER", name)
