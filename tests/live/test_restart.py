"""What the server's functions wrote is there again after the server was stopped, and nobody gets in as `default`."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.exceptions import RedisError

from scheduler_daemon.live import keys
from scheduler_daemon.live.client import command, connect
from scheduler_daemon.live.embedded import open_redis
from scheduler_daemon.live.projection import project
from scheduler_daemon.live.rebuild import rebuild
from tests.support.changes import job_change, run_change


@pytest.fixture
def state() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="cs-restart-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


async def test_a_projected_picture_survives_a_restart_of_the_server(state: Path) -> None:
    server = await open_redis(state)
    await rebuild(server.client, [], [])
    await project(server.client, [job_change("a"), run_change(1, "a")])
    before = await command(server.client, "DBSIZE")
    await server.stop()

    again = await open_redis(state)

    after = await command(again.client, "DBSIZE")
    found = await again.client.exists(keys.job("a"), keys.execution(1), keys.series("duration_ms", "a"))
    await again.stop()
    assert (found, after) == (3, before)


@pytest.mark.parametrize("words", [("PING",), ("GET", "cs:epoch"), ("AUTH", ""), ("AUTH", "default", ""), ("RESET",)])
async def test_the_default_user_gets_nowhere(state: Path, words: tuple[str, ...]) -> None:
    server = await open_redis(state)
    stranger = connect(server.url)

    async def peek():
        await command(stranger, *words)
        await command(stranger, "GET", "cs:epoch")

    with pytest.raises(RedisError):
        await peek()

    await stranger.aclose()
    await server.stop()
