"""What runs measured can be read raw, by the minute and by the hour."""

from datetime import timedelta

import pytest
from redis.asyncio import Redis

from scheduler_daemon.live import keys
from scheduler_daemon.live.client import command
from scheduler_daemon.live.projection import project
from scheduler_daemon.live.rebuild import rebuild
from scheduler_daemon.live.timeseries import latest, many, series
from tests.support.changes import EPOCH_START, run_change

START = round(EPOCH_START.timestamp() * 1000)
HOUR = 3_600_000


@pytest.fixture
async def measured(redis: Redis) -> Redis:
    """Three hours of a run every 20 seconds that takes 1, 2, 3 s in turn; every sixth fails."""
    await rebuild(redis, [], [])
    runs = [
        run_change(
            number,
            "j1",
            at=EPOCH_START + timedelta(seconds=20 * number),
            duration_ms=1000 * (number % 3 + 1),
            state="failed" if number % 6 == 0 else "succeeded",
        )
        for number in range(540)
    ]
    for start in range(0, len(runs), 100):
        await project(redis, runs[start : start + 100])
    return redis


async def test_every_series_says_what_it_is(measured: Redis) -> None:
    info = await command(measured, "TS.INFO", keys.series("duration_ms", "j1"))
    condensed = await command(measured, "TS.INFO", keys.series("duration_ms", "j1", "1h"))

    assert info["labels"] == {"job": "j1", "metric": "duration_ms", "agg": "raw"}
    assert info["retentionTime"] == keys.RAW_RETENTION_MS
    assert info["duplicatePolicy"] == "last"
    assert condensed["labels"]["agg"] == "avg:1h"
    assert condensed["sourceKey"] == keys.series("duration_ms", "j1")


async def test_a_fine_chart_comes_from_the_samples(measured: Redis) -> None:
    points = await series(
        measured, "j1", "duration_ms", start_ms=START, end_ms=START + 60_000, buckets=3, now_ms=START + HOUR
    )

    assert points == [(START, 1000.0), (START + 20_000, 2000.0), (START + 40_000, 3000.0)]


async def test_a_wide_chart_comes_from_condensed_hours_with_the_open_one(measured: Redis) -> None:
    points = await series(
        measured, "j1", "ok", start_ms=START, end_ms=START + 30 * HOUR, buckets=3, now_ms=START + 30 * HOUR
    )

    assert [at for at, _ in points] == [START]
    assert points[0][1] == pytest.approx(5 / 6)


async def test_minutes_are_condensed_as_the_raw_samples_say(measured: Redis) -> None:
    condensed = await command(measured, "TS.RANGE", keys.series("max_rss_bytes", "j1", "1m"), "-", "+")

    assert len(condensed) >= 179
    assert {value for _, value in condensed} == {3_000_000.0}


async def test_the_last_samples_of_many_jobs_take_one_question(measured: Redis) -> None:
    found = await many(measured, ["j1", "never ran"], "duration_ms", 2)

    assert found["never ran"] == []
    assert [value for _, value in found["j1"]] == [2000.0, 3000.0]
    assert await latest(measured, "j1", "duration_ms", 2) == found["j1"]


async def test_a_sample_older_than_the_retention_is_left_out_without_an_error(measured: Redis) -> None:
    applied = await project(measured, [run_change(9999, "j1", at=EPOCH_START - timedelta(days=30))])

    assert applied.written == 1
    assert await measured.json().get("cs:exec:9999") is not None


async def test_a_run_that_never_ran_measures_nothing(measured: Redis) -> None:
    await project(measured, [run_change(1, "j2", state="skipped", started_at=None)])

    assert await many(measured, ["j2"], "duration_ms", 5) == {"j2": []}


async def test_a_cancelled_run_is_neither_success_nor_failure(measured: Redis) -> None:
    await project(measured, [run_change(1, "j3", state="cancelled")])

    assert await latest(measured, "j3", "ok", 5) == []
    assert len(await latest(measured, "j3", "duration_ms", 5)) == 1


async def test_a_run_of_which_nothing_was_measured_is_kept_all_the_same(measured: Redis) -> None:
    bare = run_change(1, "j4", state="cancelled", duration_ms=5, usage={}, fire_at=None)
    assert bare.event.doc is not None
    bare.event.doc["duration_ms"] = None

    applied = await project(measured, [bare])

    assert applied.refused == ()
    assert await measured.json().get("cs:exec:1") is not None
