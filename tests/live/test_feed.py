"""A session hears its own channels, all of them and nothing else, until it ends."""

import asyncio
from datetime import timedelta

import pytest
from pydantic import ValidationError
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, RedisError, ResponseError

from scheduler_daemon.contract import channels
from scheduler_daemon.contract.events import FeedMessage, Heartbeat, LogMessage, parse_message
from scheduler_daemon.live import feed, keys, logs
from scheduler_daemon.live.client import command, connect
from scheduler_daemon.live.embedded import RedisServer
from scheduler_daemon.live.feed import Session
from scheduler_daemon.live.projection import project
from scheduler_daemon.live.rebuild import rebuild
from tests.support.changes import EPOCH_START, job_change, job_deleted, run_change
from tests.support.subscriber import listening

ADA, BOB = channels.user("ada"), channels.user("bob")
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def picture(redis: Redis) -> Redis:
    await rebuild(redis, [], [])
    return redis


def login(server: RedisServer, session: Session) -> Redis:
    return connect(server.url, username=session.username, password=session.password)


async def test_a_session_hears_whole_documents_of_its_channels_only(redis_server: RedisServer, picture: Redis) -> None:
    session = await feed.open_session(picture, [ADA], MINUTE)

    async with listening(redis_server.url, session) as subscriber:
        await project(
            picture, [job_change("x", heard_by=(BOB,)), job_change("j1", heard_by=(ADA, BOB), name="ünïcode")]
        )
        await subscriber.until(lambda: len(subscriber.heard) == 1)

    message = subscriber.heard[0]
    assert isinstance(message, FeedMessage)
    assert message.doc == job_change("j1", name="ünïcode").event.doc
    assert (message.kind, message.id, message.version, message.channel, message.seq) == ("job", "j1", 1, ADA, 1)
    assert message.epoch == await picture.get(keys.EPOCH)


async def test_numbers_have_no_gap_over_all_kinds_of_messages(redis_server: RedisServer, picture: Redis) -> None:
    session = await feed.open_session(picture, [ADA, BOB], MINUTE)

    async with listening(redis_server.url, session) as subscriber:
        for number in range(1, 60):
            heard_by = (ADA,) if number % 3 else (ADA, BOB)
            await project(
                picture,
                [run_change(number, "j1", heard_by=heard_by), job_change("j1", version=number, heard_by=(ADA,))],
            )
        await project(picture, [job_deleted("j1", version=99)])
        await subscriber.until(lambda: len(subscriber.numbers(ADA)) == 118)

    assert subscriber.numbers(ADA) == list(range(1, 119))
    assert subscriber.numbers(BOB) == list(range(1, 20))


async def test_a_heartbeat_repeats_epoch_and_last_number_where_someone_listens(
    redis_server: RedisServer, picture: Redis
) -> None:
    await project(picture, [job_change("j1"), job_change("j2")])
    session = await feed.open_session(picture, [channels.ALL, ADA], MINUTE)

    async with listening(redis_server.url, session) as subscriber:
        listened = await feed.beat(picture, EPOCH_START)
        await subscriber.until(lambda: len(subscriber.heard) == 2)

    epoch = await picture.get(keys.EPOCH)
    assert listened == 2
    assert sorted(subscriber.heard, key=lambda message: message.channel) == [
        Heartbeat(kind="heartbeat", epoch=epoch, seq=2, channel=channels.ALL, at=EPOCH_START),
        Heartbeat(kind="heartbeat", epoch=epoch, seq=0, channel=ADA, at=EPOCH_START),
    ]
    assert await feed.beat(picture, EPOCH_START) == 0


async def test_a_heartbeat_of_a_lost_picture_has_no_epoch(redis_server: RedisServer, picture: Redis) -> None:
    session = await feed.open_session(picture, [ADA], MINUTE)

    async with listening(redis_server.url, session) as subscriber:
        await picture.delete(keys.EPOCH)
        await feed.beat(picture, EPOCH_START)
        await subscriber.until(lambda: len(subscriber.heard) == 1)

    assert subscriber.heard[0].epoch == ""


async def test_a_log_channel_is_heard_once_it_is_granted(redis_server: RedisServer, picture: Redis) -> None:
    session = await feed.open_session(picture, [ADA], MINUTE)
    other = login(redis_server, session)
    pubsub = other.pubsub()
    await pubsub.subscribe(channels.log(7))
    with pytest.raises(NoPermissionError):
        await pubsub.get_message(timeout=1)

    await feed.grant(picture, session.username, channels.log(7))

    granted = Session(session.username, session.password, (channels.log(7),), MINUTE)
    lines = [{"number": 1, "text": "a\tb"}, {"number": 2, "text": "c"}]
    async with listening(redis_server.url, granted) as subscriber:
        await logs.append(picture, 7, lines)
        await subscriber.until(lambda: len(subscriber.heard) == 1)
    message = subscriber.heard[0]
    assert isinstance(message, LogMessage)
    assert (message.id, message.first, message.last, message.lines, message.seq) == ("7", 1, 2, lines, 1)
    await pubsub.aclose()
    await other.aclose()


async def test_a_grant_does_not_disconnect_who_listens(redis_server: RedisServer, picture: Redis) -> None:
    session = await feed.open_session(picture, [ADA], MINUTE)

    async with listening(redis_server.url, session) as subscriber:
        await feed.grant(picture, session.username, channels.log(7))
        await project(picture, [job_change("j1", heard_by=(ADA,))])
        await subscriber.until(lambda: len(subscriber.heard) == 1)

    assert subscriber.lost is None


FORBIDDEN = [
    "GET cs:epoch", "SET x 1", "DEL cs:epoch", "MGET cs:epoch cs:run", "KEYS *", "SCAN 0", "DBSIZE", "RANDOMKEY",
    "TYPE cs:epoch", "DUMP cs:epoch", "FLUSHALL", "FLUSHDB", "CONFIG GET *", "CONFIG SET requirepass x", "ACL WHOAMI",
    "ACL LIST", "ACL SETUSER me on", "CLIENT LIST", "CLIENT KILL ID 1", "CLIENT ID", "CLIENT NO-EVICT on", "INFO",
    "MONITOR", "DEBUG SLEEP 0", "PSUBSCRIBE *", "PSUBSCRIBE cs:ch:*", "SSUBSCRIBE cs:ch:all",
    "PUBLISH cs:ch:user:ada hello", "PUBSUB CHANNELS", "EVAL return(1) 0", "FCALL cs1_beat 0 now cs:ch:all",
    "FUNCTION LIST", "SCRIPT FLUSH", "JSON.GET cs:job:j1", "FT.SEARCH cs:idx:job *", "FT._LIST",
    "TS.RANGE cs:ts:ok:j1 - +", "TS.MRANGE - + FILTER job=j1", "XRANGE cs:log:7 - +", "MODULE LIST",
    "SHUTDOWN NOSAVE", "SAVE", "REPLICAOF NO ONE", "SYNC", "MULTI", "SELECT 1", "SWAPDB 0 1", "MIGRATE h 1 k 0 1",
    "OBJECT ENCODING cs:epoch", "COMMAND", "WAIT 0 0", "LATENCY RESET", "SLOWLOG GET", "MEMORY USAGE cs:epoch",
    "SUBSCRIBE cs:ch:user:bob", "SUBSCRIBE cs:ch:all", "SUBSCRIBE cs:ch:log:8", "SUBSCRIBE __keyspace@0__:x",
    "AUTH default x", "AUTH chronos x", "HELLO 3 AUTH chronos guess",
]  # fmt: skip


async def test_every_other_command_is_refused(redis_server: RedisServer, picture: Redis) -> None:
    session = await feed.open_session(picture, [ADA], MINUTE)
    client = login(redis_server, session)
    allowed: list[str] = []

    for line in FORBIDDEN:
        try:
            await command(client, *line.split())
        except (NoPermissionError, RedisError) as error:
            if not any(sign in str(error) for sign in ("permission", "not allowed", "username-password")):
                allowed.append(f"{line}: {error}")
        else:
            allowed.append(line)

    assert allowed == []
    assert await client.ping()
    await client.aclose()


async def test_reset_leads_nowhere(redis_server: RedisServer, picture: Redis) -> None:
    session = await feed.open_session(picture, [ADA], MINUTE)
    reader, writer = await asyncio.open_unix_connection(redis_server.url.removeprefix("unix://"))

    writer.write(f"AUTH {session.username} {session.password}\r\nRESET\r\nGET cs:epoch\r\n".encode())
    answers = [await reader.readline() for _ in range(3)]

    assert answers[0] == b"+OK\r\n"
    assert answers[2].startswith((b"-NOAUTH", b"-NOPERM"))
    writer.close()
    await writer.wait_closed()


async def test_closing_a_session_ends_its_listening_at_once(redis_server: RedisServer, picture: Redis) -> None:
    session = await feed.open_session(picture, [ADA], MINUTE)

    async with listening(redis_server.url, session) as subscriber:
        await feed.close_session(picture, session.username)
        await subscriber.until(lambda: subscriber.lost is not None, seconds=1)

    assert not await feed.is_open(picture, session.username)
    assert not await feed.touch_session(picture, session.username, MINUTE)


async def test_a_session_nobody_touches_is_reaped_and_a_touched_one_is_not(picture: Redis) -> None:
    kept = await feed.open_session(picture, [ADA], timedelta(milliseconds=80))
    stale = await feed.open_session(picture, [ADA], timedelta(milliseconds=80))
    assert await feed.touch_session(picture, kept.username, MINUTE)
    while await picture.exists(keys.SESSION + stale.username):
        await asyncio.sleep(0.01)

    reaped = await feed.reap_sessions(picture)

    assert reaped == 1
    assert await feed.is_open(picture, kept.username)
    assert not await feed.is_open(picture, stale.username)


@pytest.mark.parametrize("channel", ["*", "cs:ch:*", "cs:ch:user:*", "cs:ch:user:a b", "__keyspace@0__:*", ""])
async def test_only_literal_channels_can_be_given(picture: Redis, channel: str) -> None:
    with pytest.raises(ValueError, match="not a channel"):
        await feed.open_session(picture, [channel], MINUTE)

    assert not [name for name in await command(picture, "ACL", "USERS") if name.startswith(keys.SESSION_USER)]


async def test_a_session_that_is_gone_is_granted_nothing(picture: Redis) -> None:
    with pytest.raises(ValueError, match="no such session"):
        await feed.grant(picture, "cs-s-0000", ADA)

    with pytest.raises(ValueError, match="no such session"):
        await feed.grant(picture, "chronos", ADA)


async def test_the_daemons_own_user_cannot_be_closed_as_a_session(picture: Redis) -> None:
    await feed.close_session(picture, "chronos")

    assert await picture.ping()


async def test_what_was_refused_is_there_for_the_audit_log(redis_server: RedisServer, picture: Redis) -> None:
    session = await feed.open_session(picture, [ADA], MINUTE)
    client = login(redis_server, session)
    with pytest.raises(ResponseError):
        await client.get("cs:epoch")

    denied = await feed.take_denied(picture)

    assert [(one.username, one.reason, one.what) for one in denied] == [(session.username, "command", "get")]
    assert await feed.take_denied(picture) == []
    await client.aclose()


def test_a_session_does_not_print_its_password() -> None:
    assert "hush" not in repr(Session("u", "hush", (), MINUTE))


@pytest.mark.parametrize(
    "raw", ["", "{}", "[]", '{"kind":"job"}', '{"kind":"shutdown","epoch":"e","seq":1,"channel":"c"}']
)
def test_what_is_no_message_of_ours_is_refused(raw: str) -> None:
    with pytest.raises(ValidationError):
        parse_message(raw)
