"""The picture made from SQL equals the one that grew, and differences are found and mended."""

import asyncio
import random
from datetime import timedelta
from typing import Any

import pytest
from redis.asyncio import Redis

from scheduler_daemon.live import keys
from scheduler_daemon.live.client import command
from scheduler_daemon.live.errors import PictureMissing, RebuildInProgress
from scheduler_daemon.live.projection import picture_state, project
from scheduler_daemon.live.rebuild import differences, rebuild, repair
from scheduler_daemon.live.search import search
from scheduler_daemon.live.spelling import Change
from tests.support.changes import EPOCH_START, job_change, run_change

JOBS = [job_change(f"j{number}", version=number + 1, tags=["even"] if number % 2 == 0 else []) for number in range(12)]
RUNS = [
    run_change(
        number,
        f"j{number % 12}",
        state=("succeeded", "failed", "running")[number % 3],
        at=EPOCH_START + timedelta(seconds=37 * number),
        duration_ms=number * 11,
    )
    for number in range(1, 241)
]


async def everything(redis: Redis) -> dict[str, Any]:
    """All documents, samples and answers of the picture."""
    found: dict[str, Any] = {}
    for prefix in (keys.JOB, keys.EXECUTION):
        async for key in redis.scan_iter(match=prefix + "*"):
            found[key] = await redis.json().get(key)
    async for key in redis.scan_iter(match=keys.SERIES + "*"):
        found[key] = await command(redis, "TS.RANGE", key, "-", "+")
    for text in ("", "j3", "tag:even", "status:failed", "job 1"):
        found[f"jobs {text}"] = await search(redis, text, now_ms=0)
    return found


async def grown(redis: Redis) -> dict[str, Any]:
    await rebuild(redis, [], [])
    for start in range(0, len(RUNS), 20):
        await project(redis, [*JOBS, *RUNS[start : start + 20]])
    return await everything(redis)


async def test_after_flushall_a_rebuild_gives_the_same_answers(redis: Redis) -> None:
    before = await grown(redis)
    await command(redis, "FLUSHALL")

    await rebuild(redis, JOBS, RUNS)

    assert await everything(redis) == before
    assert await picture_state(redis) == "ready"


async def test_a_rebuild_takes_rows_in_any_order_as_they_come(redis: Redis) -> None:
    async def rows(changes: list[Change]) -> Any:
        for change in changes:
            await asyncio.sleep(0)
            yield change

    before = await grown(redis)
    shuffled = RUNS.copy()
    random.Random(7).shuffle(shuffled)

    await rebuild(redis, rows(JOBS), rows(shuffled))

    assert await everything(redis) == before


async def test_what_sql_no_longer_has_is_removed_and_strangers_keys_are_not(redis: Redis) -> None:
    await grown(redis)
    await redis.set("theirs", "kept")

    rebuilt = await rebuild(redis, JOBS[:1], [run for run in RUNS if run.event.doc and run.event.doc["job_id"] == "j0"])

    left = {key async for key in redis.scan_iter(match="cs:job:*")}
    series = {key async for key in redis.scan_iter(match="cs:ts:*")}
    assert left == {"cs:job:j0"}
    assert {key.split(":")[3] for key in series} == {"j0"}
    assert rebuilt.removed > 11
    assert await redis.get("theirs") == "kept"


async def test_a_rebuild_overwrites_a_document_that_claims_to_be_newer(redis: Redis) -> None:
    await rebuild(redis, [job_change("j1", version=9, name="from another database")], [])

    await rebuild(redis, [job_change("j1", version=1, name="true")], [])

    assert (await redis.json().get("cs:job:j1"))["name"] == "true"


async def test_each_rebuild_has_an_epoch_of_its_own(redis: Redis) -> None:
    first = await rebuild(redis, [], [])

    second = await rebuild(redis, [], [])

    assert first.epoch != second.epoch == await redis.get(keys.EPOCH)


async def test_two_rebuilds_at_once_are_one(redis: Redis) -> None:
    results = await asyncio.gather(*(rebuild(redis, JOBS, RUNS) for _ in range(2)), return_exceptions=True)

    assert sorted(type(result).__name__ for result in results) == ["RebuildInProgress", "Rebuilt"]


async def test_a_rebuild_that_was_taken_over_stops_and_nobody_trusts_half_of_it(redis: Redis) -> None:
    async def rows() -> Any:
        yield JOBS[0]
        await redis.set(keys.REBUILD, "another daemon")
        yield JOBS[1]

    with pytest.raises(RebuildInProgress):
        await rebuild(redis, rows(), [])

    assert await redis.get(keys.REBUILD) == "another daemon"
    with pytest.raises(PictureMissing):
        await project(redis, [JOBS[0]])


async def test_equal_pictures_have_no_differences(redis: Redis) -> None:
    await grown(redis)

    assert await differences(redis, JOBS, RUNS) == []


async def test_every_kind_of_difference_is_found_and_repaired(redis: Redis) -> None:
    await grown(redis)
    await redis.delete("cs:job:j1", "cs:exec:5")
    await redis.json().set("cs:job:j2", "$.name", "tampered")
    await redis.json().set("cs:exec:7", "$.rev", 99)
    await redis.json().set("cs:job:ghost", "$", {"id": "ghost"})

    found = await repair(redis, JOBS, RUNS)

    assert {(one.kind, one.id, one.what, one.fields) for one in found} == {
        ("job", "j1", "missing", ()),
        ("execution", "5", "missing", ()),
        ("job", "j2", "different", ("name",)),
        ("execution", "7", "different", ("rev",)),
        ("job", "ghost", "extra", ()),
    }
    assert await differences(redis, JOBS, RUNS) == []
