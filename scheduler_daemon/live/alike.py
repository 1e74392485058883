"""Failures by what they were about: kept as vectors, so that the nearest of many are found at once.

SQL has them all, and says who may see which; here are the latest, and what is missing is put in when somebody asks.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from redis.asyncio import Redis

from scheduler_daemon.live import keys
from scheduler_daemon.live.client import command

KEPT = 10_000
"""The latest failures; about 20 MB."""


class Failure(NamedTuple):
    """What a failed run was about."""

    run: int
    pattern: str
    owner: int
    vector: bytes
    """A signed byte for each number."""


async def kept(client: Redis) -> set[int]:
    """Return the runs that are known here."""
    return {int(run) for run in await command(client, "ZRANGE", keys.FAILURES, 0, -1)}


async def keep(client: Redis, failures: Sequence[Failure]) -> None:
    """Put failures in."""
    async with client.pipeline(transaction=True) as together:
        for each in failures:
            values: dict[Any, Any] = {
                "run": each.run,
                "pattern": each.pattern,
                "owner": each.owner,
                "vector": _floats(each.vector),
            }
            together.hset(keys.failure(each.run), mapping=values)
            together.zadd(keys.FAILURES, {str(each.run): each.run})
        await together.execute()


async def forget(client: Redis, runs: Collection[int]) -> None:
    """Take failures out."""
    if runs:
        async with client.pipeline(transaction=True) as together:
            together.delete(*map(keys.failure, runs))
            together.zrem(keys.FAILURES, *map(str, runs))
            await together.execute()


async def nearest(client: Redis, one: Failure, *, seen_by: int | None, most: int) -> list[tuple[int, float]]:
    """Return earlier failures of other patterns that are most like one, with their cosine, best first.

    `seen_by` limits them to an owner's; None is all. What says nothing is like nothing.
    """
    if not any(one.vector):
        return []
    wanted = f"-@pattern:{{$pattern}} @run:[-inf ({one.run}]"
    params: list[str | bytes] = ["pattern", one.pattern, "vector", _floats(one.vector)]
    if seen_by is not None:
        wanted += " @owner:{$owner}"
        params += ["owner", str(seen_by)]
    answer = await command(
        client, "FT.SEARCH", keys.FAILURE_INDEX, f"({wanted})=>[KNN {most} @vector $vector AS far]",
        "RETURN", 1, "far", "SORTBY", "far", "ASC", "LIMIT", 0, most, "PARAMS", len(params), *params, "DIALECT", 2,
    )  # fmt: skip
    rows = [(row["id"].removeprefix(keys.FAILURE), row["extra_attributes"]["far"]) for row in answer["results"]]
    return [(int(run), 1 - float(far)) for run, far in rows]


def _floats(vector: bytes) -> bytes:
    return array("f", array("b", vector)).tobytes()
