"""A server that is killed under load loses nothing that a check does not bring back."""

import asyncio
import os
import signal
from datetime import timedelta
from pathlib import Path

import pytest
from redis.exceptions import RedisError

from scheduler_daemon.contract import channels
from scheduler_daemon.live import feed
from scheduler_daemon.live.embedded import open_redis
from scheduler_daemon.live.projection import picture_state, project
from scheduler_daemon.live.rebuild import differences, rebuild, repair
from tests.support.changes import job_change, run_change


async def test_after_a_kill_the_picture_is_doubtful_then_checked_and_equal(tmp_path: Path) -> None:
    server = await open_redis(tmp_path / "state")
    assert server.home is not None
    client = server.client
    jobs = [job_change(f"j{number}") for number in range(20)]
    runs = [run_change(number, f"j{number % 20}") for number in range(400)]
    await rebuild(client, jobs, [])
    session = await feed.open_session(client, [channels.ALL], timedelta(minutes=1))

    async def relay() -> None:
        for start in range(0, len(runs), 10):
            await project(client, runs[start : start + 10])

    task = asyncio.create_task(relay())
    await asyncio.sleep(0.02)
    recorded = server.home.recorded()
    assert recorded is not None
    os.kill(recorded[0], signal.SIGKILL)
    with pytest.raises((RedisError, OSError)):
        await task
    while server.home.alive():
        await asyncio.sleep(0.005)
    assert await server.ensure()
    state = await picture_state(client)
    await repair(client, jobs, runs)

    assert state == "doubtful"
    assert await differences(client, jobs, runs) == []
    assert await picture_state(client) == "ready"
    assert not await feed.is_open(client, session.username)  # the terminal opens another one
    await server.stop()
