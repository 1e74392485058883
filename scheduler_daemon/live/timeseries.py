"""Read what the runs of a job measured over time, in as many points as a chart can show.

Writing is part of the projection. A point is (start of its bucket in ms since 1970, value); empty buckets are absent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from scheduler_daemon.live import keys
from scheduler_daemon.live.client import command

Point = tuple[int, float]

_FINE = (("", keys.RAW_RETENTION_MS, 600_000), ("1m", keys.MINUTE_RETENTION_MS, 36_000_000))
"""Series finer than an hour: how long they last, and the bucket width from which the next one is fine enough."""


async def series(
    client: Redis, job_id: str, metric: str, *, start_ms: int, end_ms: int, buckets: int, now_ms: int
) -> list[Point]:
    """Return at most `buckets` points of one metric of one job in [start, end), oldest first; none for a job unknown.

    Wide buckets are made of condensed minutes or hours, where an average weighs each of those the same. Raises
    KeyError for an unknown metric, ValueError for an empty span.
    """
    if end_ms <= start_ms or buckets < 1:
        raise ValueError("a series needs a span and at least one bucket")
    width = -(-(end_ms - start_ms) // buckets)
    step = _step(width, now_ms - start_ms)
    open_bucket = ("LATEST",) if step else ()
    condense = ("ALIGN", start_ms, "AGGREGATION", keys.aggregation(metric), width)
    return await _query(
        client, "TS.RANGE", keys.series(metric, job_id, step), start_ms, end_ms - 1, *open_bucket, *condense
    )


async def latest(client: Redis, job_id: str, metric: str, count: int) -> list[Point]:
    """Return the last `count` samples as (end of the run in ms, value), oldest first."""
    found = await _query(client, "TS.REVRANGE", keys.series(metric, job_id), "-", "+", "COUNT", count)
    return found[::-1]


async def many(client: Redis, job_ids: Sequence[str], metric: str, count: int) -> dict[str, list[Point]]:
    """Return the last `count` samples of many jobs in one round trip: the sparklines of a window of rows."""
    pipe: Any = client.pipeline(transaction=False)
    for job_id in job_ids:
        pipe.execute_command("TS.REVRANGE", keys.series(metric, job_id), "-", "+", "COUNT", count)
    answers = await pipe.execute(raise_on_error=False)
    return {job_id: _points(answer)[::-1] for job_id, answer in zip(job_ids, answers, strict=True)}


def _step(width_ms: int, age_ms: int) -> str:
    """Choose the finest series that still holds the start, unless the buckets are wide enough for a coarser one."""
    for step, kept, wide in _FINE:
        if age_ms <= kept and width_ms < wide:
            return step
    return "1h"


async def _query(client: Redis, *words: str | int) -> list[Point]:
    try:
        return _points(await command(client, *words))
    except ResponseError as error:
        return _points(error)


def _points(answer: Any) -> list[Point]:
    if isinstance(answer, ResponseError) and "does not exist" in str(answer):
        return []
    if isinstance(answer, Exception):
        raise answer
    return [(int(at), float(value)) for at, value in answer]
