"""Live lines are numbered, kept once, capped and forgotten in time."""

from datetime import timedelta

import pytest
from redis.asyncio import Redis

from scheduler_daemon.live import logs
from scheduler_daemon.live.client import command
from scheduler_daemon.live.errors import PictureMissing
from scheduler_daemon.live.rebuild import rebuild


def lines(first: int, last: int) -> list[dict]:
    return [
        {"number": number, "stream": "stdout", "text": f"line {number}\t\x1b[31mü"} for number in range(first, last + 1)
    ]


@pytest.fixture
async def picture(redis: Redis) -> Redis:
    await rebuild(redis, [], [])
    return redis


async def test_lines_come_back_as_they_went(picture: Redis) -> None:
    await logs.append(picture, 7, lines(1, 3))
    await logs.append(picture, 7, lines(4, 5))

    assert await logs.read(picture, 7) == lines(1, 5)


async def test_reading_goes_on_after_any_line(picture: Redis) -> None:
    await logs.append(picture, 7, lines(1, 30))
    await logs.append(picture, 7, lines(31, 40))

    assert await logs.read(picture, 7, after_line=28, count=4) == lines(29, 32)
    assert await logs.read(picture, 7, after_line=40) == []


async def test_many_small_batches_are_read_over_several_pages(picture: Redis) -> None:
    for number in range(1, 121):
        await logs.append(picture, 7, lines(number, number))

    assert await logs.read(picture, 7, count=110) == lines(1, 110)


async def test_a_batch_sent_again_is_kept_once(picture: Redis) -> None:
    first = await logs.append(picture, 7, lines(1, 3))

    again = await logs.append(picture, 7, lines(1, 3))

    assert (first, again) == (True, False)
    assert await logs.read(picture, 7) == lines(1, 3)
    assert await picture.get("cs:seq:log:7") == "1"


async def test_old_lines_make_room(picture: Redis) -> None:
    for number in range(1, 3000, 5):
        await logs.append(picture, 7, lines(number, number + 4), keep=100)

    kept = await logs.read(picture, 7, count=10_000)

    assert kept[-1]["number"] == 3000
    assert 100 <= len(kept) <= 1000  # whole nodes of the stream are dropped at a time


async def test_a_log_has_a_lifetime(picture: Redis) -> None:
    await logs.append(picture, 7, lines(1, 1), lifetime=timedelta(seconds=30))

    assert 0 < await picture.pttl("cs:log:7") <= 30_000
    assert 0 < await picture.pttl("cs:seq:log:7") <= 30_000


async def test_without_a_picture_lines_are_refused(redis: Redis) -> None:
    with pytest.raises(PictureMissing):
        await logs.append(redis, 7, lines(1, 1))

    assert await command(redis, "EXISTS", "cs:log:7") == 0
