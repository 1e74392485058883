"""A session of the live feed is its owner's alone."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scheduler_daemon.contract import channels
from scheduler_daemon.contract.people import Actor, Role
from scheduler_daemon.domain.errors import NotFound
from scheduler_daemon.engine.picture import LivePicture
from scheduler_daemon.engine.relay import Relay
from scheduler_daemon.live import feed
from scheduler_daemon.live.client import command
from scheduler_daemon.live.embedded import RedisServer
from scheduler_daemon.storage.session import open_database
from tests.support.databases import Databases

ADA = Actor(id=1, name="ada", role=Role.USER)
BOB = Actor(id=11, name="bob", role=Role.USER)


@pytest.fixture
async def picture(
    databases: Databases, tmp_path: Path, redis_server: RedisServer, redis_state: Path
) -> AsyncIterator[LivePicture]:
    database = open_database(databases.sqlite(tmp_path / "chronos.db"))
    relay = Relay(database, redis_state, None, keep=10, now=lambda: datetime.now(UTC))
    await relay.open()
    yield LivePicture(relay, database)
    await relay.close(stop_server=False)
    await database.close()


async def test_nobody_widens_or_ends_the_session_of_another(picture: LivePicture, redis_server: RedisServer) -> None:
    session = await picture.open_session(BOB)

    with pytest.raises(NotFound):
        await picture.hear_log(ADA, session.id, 7, 0)
    with pytest.raises(NotFound):
        await picture.close_session(ADA, session.id)

    rights = await command(redis_server.client, "ACL", "GETUSER", session.username)
    assert rights["channels"] == "&" + channels.user(BOB.id)
    assert await feed.is_open(redis_server.client, session.username)


async def test_the_owner_of_a_session_widens_and_ends_it(picture: LivePicture, redis_server: RedisServer) -> None:
    session = await picture.open_session(BOB)

    heard = await picture.hear_log(BOB, session.id, 7, 3)
    rights = await command(redis_server.client, "ACL", "GETUSER", session.username)
    await picture.close_session(BOB, session.id)

    assert (heard.channel, heard.last) == (channels.log(7), 3)
    assert channels.log(7) in rights["channels"]
    assert not await feed.is_open(redis_server.client, session.username)
    with pytest.raises(NotFound):
        await picture.hear_log(BOB, session.id, 7, 3)
