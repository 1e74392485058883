"""A change is written once, newest wins, and nothing is written into half a picture."""

import asyncio

import pytest
from pydantic_core import from_json
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import ResponseError

from scheduler_daemon.contract import channels
from scheduler_daemon.contract.events import Event, FeedMessage, parse_message
from scheduler_daemon.live import keys
from scheduler_daemon.live.client import command
from scheduler_daemon.live.documents import shown
from scheduler_daemon.live.embedded import RedisServer
from scheduler_daemon.live.errors import PictureMissing
from scheduler_daemon.live.projection import AT_ONCE, confirm, picture_state, project
from scheduler_daemon.live.rebuild import rebuild
from scheduler_daemon.live.spelling import Change, JobSpeller, spell
from tests.support.changes import EPOCH_START, job_change, job_deleted, run_change


@pytest.fixture
async def picture(redis: Redis) -> Redis:
    """An empty but whole picture."""
    await rebuild(redis, [], [])
    return redis


async def stored(redis: Redis, key: str) -> dict | None:
    document = await redis.json().get(key)
    return document if document is None else shown(document)


async def test_a_document_is_kept_as_it_was_given(picture: Redis) -> None:
    change = job_change("j1", name="nächtlicher Bericht", env={}, tags=[], big=2**53 + 1, text='"\\\n\u2028')

    await project(picture, [change])

    assert await stored(picture, "cs:job:j1") == change.event.doc


async def test_older_news_never_overwrite_newer(picture: Redis) -> None:
    await project(picture, [job_change("j1", version=5, name="new")])

    applied = await project(picture, [job_change("j1", version=4, name="old")])

    assert (applied.written, applied.older) == (0, 1)
    assert (await stored(picture, "cs:job:j1") or {})["name"] == "new"


async def test_the_same_version_sent_again_changes_nothing(picture: Redis) -> None:
    run = run_change(1, "j1")
    await project(picture, [run])

    await project(picture, [run])

    assert await stored(picture, "cs:exec:1") == run.event.doc
    assert await command(picture, "TS.RANGE", keys.series("duration_ms", "j1"), "-", "+") == [[1777896001500, 1500.0]]


async def test_late_news_of_a_deleted_job_do_not_bring_it_back(picture: Redis) -> None:
    await project(picture, [job_change("j1", version=2), run_change(1, "j1", state="running", version=2)])
    await project(picture, [job_deleted("j1", version=3)])

    await project(picture, [job_change("j1", version=2), run_change(1, "j1", version=3)])

    assert await stored(picture, "cs:job:j1") is None
    assert await stored(picture, "cs:exec:1") is None


async def test_a_restored_job_comes_back(picture: Redis) -> None:
    await project(picture, [job_change("j1", version=1)])
    await project(picture, [job_deleted("j1", version=2)])

    await project(picture, [job_change("j1", version=3)])

    assert await stored(picture, "cs:job:j1") is not None


async def test_of_several_changes_in_a_batch_the_newest_is_written_and_heard(picture: Redis) -> None:
    states = [run_change(7, "j1", version=number, state=state) for number, state in enumerate(("queued", "running"), 1)]

    applied = await project(picture, [*states, run_change(7, "j1", version=3)])

    assert applied.written == 1
    assert (await stored(picture, "cs:exec:7") or {})["state"] == "succeeded"
    assert await picture.get("cs:seq:all") == "1"


async def test_nothing_is_written_without_an_epoch(redis: Redis) -> None:
    with pytest.raises(PictureMissing):
        await project(redis, [job_change("j1")])

    assert await redis.dbsize() == 0


async def test_lost_functions_are_loaded_again(picture: Redis) -> None:
    await command(picture, "FUNCTION", "FLUSH")

    applied = await project(picture, [job_change("j1")])

    assert applied.written == 1


async def test_one_document_redis_refuses_does_not_stop_the_others(picture: Redis) -> None:
    await picture.set("cs:exec:2", "somebody's string")

    applied = await project(picture, [run_change(1, "j1"), run_change(2, "j1"), run_change(3, "j1")])

    assert applied.written == 2
    assert [event.id for event, _ in applied.refused] == ["2"]
    assert "wrong" in applied.refused[0][1].lower()


async def test_only_the_last_runs_of_a_job_are_kept(picture: Redis) -> None:
    runs = [run_change(number, "j1") for number in (3, 1, 4, 5, 2)]

    await project(picture, runs, keep=3)

    kept = sorted([key async for key in picture.scan_iter(match="cs:exec:*")])
    assert kept == ["cs:exec:3", "cs:exec:4", "cs:exec:5"]


async def test_text_that_is_no_unicode_is_stored_readably(picture: Redis) -> None:
    await project(picture, [job_change("j1", name="half \ud800 pair")])

    assert (await stored(picture, "cs:job:j1") or {})["name"] == "half ? pair"


async def test_a_note_is_heard_and_not_kept(picture: Redis) -> None:
    note = Event(kind="note", id="n1", version=0, at=EPOCH_START, doc={"text": "disk is full"})

    await project(picture, [Change(note, (channels.ALL,))])

    assert await picture.get("cs:seq:all") == "1"
    assert [key async for key in picture.scan_iter(match="cs:*n1*")] == []


async def test_a_picture_is_doubtful_after_a_restart_until_it_was_checked(picture: Redis) -> None:
    before = await picture_state(picture)
    await picture.set(keys.RUN, "another run")

    after = await picture_state(picture)

    await confirm(picture)
    assert (before, after, await picture_state(picture)) == ("ready", "doubtful", "ready")


async def test_a_flushed_picture_is_absent(redis_server: RedisServer) -> None:
    await rebuild(redis_server.client, [], [])
    await command(redis_server.client, "FLUSHALL")

    assert await picture_state(redis_server.client) == "absent"


async def test_a_picture_without_its_index_is_absent(picture: Redis) -> None:
    await command(picture, "FT.DROPINDEX", keys.JOB_INDEX)

    assert await picture_state(picture) == "absent"


async def test_a_value_with_a_glob_never_becomes_a_series_name(picture: Redis) -> None:
    with pytest.raises(KeyError):
        keys.series("*", "j1")

    with pytest.raises(ResponseError):
        await command(picture, "TS.GET", "cs:ts:*:j1")


async def test_who_comes_late_hears_the_next_number_and_the_whole_document(picture: Redis) -> None:
    await project(picture, [job_change("j1"), job_change("j2")])
    ear = picture.pubsub(ignore_subscribe_messages=True)
    await ear.subscribe(channels.ALL)
    while await command(picture, "PUBSUB", "CHANNELS", channels.ALL) != [channels.ALL]:
        await asyncio.sleep(0.01)

    change = job_change("j1", version=2, text='"\\\n\u2028')
    await project(picture, [change, run_change(7, "j1"), job_deleted("j2", version=3)])

    heard = [parse_message(await next_message(ear)) for _ in range(3)]
    await ear.aclose()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
    assert [message.seq for message in heard] == [3, 4, 5]
    assert isinstance(heard[0], FeedMessage)
    assert Event.model_validate(heard[0].model_dump()) == change.event
    assert isinstance(heard[2], FeedMessage)
    assert heard[2].doc is None


async def test_a_sample_redis_refuses_is_told_and_the_others_are_kept(picture: Redis) -> None:
    await picture.set(keys.series("cpu_ms", "j2"), "somebody's string")

    applied = await project(picture, [run_change(number, f"j{number}") for number in (1, 2, 3)])

    assert [change.id for change, _ in applied.refused] == ["2"]
    for job in ("j1", "j2", "j3"):
        assert len(await command(picture, "TS.RANGE", keys.series("output_bytes", job), "-", "+")) == 1


async def test_more_changes_than_one_call_takes_are_all_written(picture: Redis) -> None:
    runs = [run_change(number, f"j{number % 7}") for number in range(1, 2 * AT_ONCE + 2)]

    applied = await project(picture, runs)

    assert applied.written == len(runs)
    assert await picture.get("cs:seq:all") == str(len(runs))


def test_a_job_spelled_by_halves_is_the_job_spelled_whole() -> None:
    last = {"id": 1, "state": "failed", "outcome": "exit_code", "fire_at": EPOCH_START.isoformat(), "ended_at": None}
    whole = job_change("j1", version=5, tags=["db"], active=1, last=last)
    moving = {"revision", "next_fire_at", "last", "active"}
    doc = whole.event.doc or {}
    saved = {name: value for name, value in doc.items() if name not in moving}

    spelled = JobSpeller("j1", EPOCH_START, saved, whole.channels).spell(5, {name: doc[name] for name in moving})

    assert from_json(spelled.stored) == from_json(spell(whole).stored)
    assert spelled._replace(line="", stored=b"") == spell(whole)._replace(line="", stored=b"")


async def next_message(ear: PubSub) -> str:
    while (message := await ear.get_message(timeout=5)) is None:
        pass
    return str(message["data"])
