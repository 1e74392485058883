"""What running processes use, look by look: three short series for each run, which go a day after its last look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from scheduler_daemon.live import keys
from scheduler_daemon.live.client import command

Point = tuple[int, float]


async def add(client: Redis, at_ms: int, looks: Mapping[int, Mapping[str, float]]) -> None:
    """Add one look at each of these runs: a value for each of `keys.USES`, by run."""
    pipe: Any = client.pipeline(transaction=False)
    made = ("RETENTION", keys.USE_RETENTION_MS, "CHUNK_SIZE", 128, "ON_DUPLICATE", "LAST")
    for run, look in looks.items():
        for metric, value in look.items():
            key = keys.use(run, metric)
            pipe.execute_command("TS.ADD", key, at_ms, value, *made, "LABELS", "run", run, "metric", metric)
            pipe.execute_command("PEXPIRE", key, keys.USE_RETENTION_MS)
    await pipe.execute(raise_on_error=False)


async def series(client: Redis, run: int, metric: str, *, start_ms: int, end_ms: int, buckets: int) -> list[Point]:
    """Return the greatest value of each bucket in [start, end), oldest first; none for a run that is not looked at.

    Raises KeyError for an unknown metric.
    """
    width = max(1, -(-(end_ms - start_ms) // buckets))
    condense = ("ALIGN", start_ms, "AGGREGATION", "max", width)
    try:
        found = await command(client, "TS.RANGE", keys.use(run, metric), start_ms, max(start_ms, end_ms - 1), *condense)
    except ResponseError as error:
        if "does not exist" in str(error):
            return []
        raise
    return [(int(at), float(value)) for at, value in found]
