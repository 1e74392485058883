"""The search indexes: which typed values of a document they hold, and that they are there and whole.

Asking them is left to `search`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Literal

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from scheduler_daemon.live import keys
from scheduler_daemon.live.client import command
from scheduler_daemon.live.errors import LiveError

log = logging.getLogger(__name__)

Kind = Literal["jobs", "executions"]
INDEX: dict[Kind, str] = {"jobs": keys.JOB_INDEX, "executions": keys.EXECUTION_INDEX}
PREFIX: dict[Kind, str] = {"jobs": keys.JOB, "executions": keys.EXECUTION}
_SHARED: tuple[tuple[str | int, ...], ...] = (
    ("name", "TEXT", "NOSTEM", "WEIGHT", 5),
    ("text", "TEXT", "NOSTEM"),
    ("name_key", "TAG", "SORTABLE", "UNF"),
    ("name_rank", "NUMERIC", "SORTABLE"),
    *((tag, "TAG") for tag in ("tags[*]", "owner", "status[*]", "seen[*]")),
)
_SCHEMA: dict[Kind, tuple[tuple[str | int, ...], ...]] = {
    "jobs": (*_SHARED, *((number, "NUMERIC", "SORTABLE") for number in ("next_ms", "last_ms"))),
    "executions": (
        *_SHARED,
        *((tag, "TAG") for tag in ("trigger", "actor", "host", "job")),
        *((number, "NUMERIC", "SORTABLE") for number in ("id", "fire_ms", "duration_ms")),
    ),
}


async def ensure_indexes(client: Redis) -> None:
    """Make the indexes that are missing, and anew those of another schema."""
    await _configure(client)
    existing = set(await command(client, "FT._LIST"))
    outdated = await client.get(keys.SCHEMA_KEY) not in (None, str(keys.SCHEMA))
    for kind, index in INDEX.items():
        if index in existing and outdated:
            await command(client, "FT.DROPINDEX", index)
        if index not in existing or outdated:
            await command(client, "FT.CREATE", index, "ON", "JSON", "PREFIX", 1, PREFIX[kind], "STOPWORDS", 0,
                          "SCHEMA", *_columns(kind))  # fmt: skip


async def has_indexes(client: Redis) -> bool:
    """Tell whether every index is there."""
    return set(INDEX.values()) <= set(await command(client, "FT._LIST"))


async def wait_until_indexed(client: Redis, seconds: float = 120.0) -> None:
    """Wait until every document is in its index. Raises LiveError after `seconds`."""
    deadline = time.monotonic() + seconds
    for index in INDEX.values():
        while int((await command(client, "FT.INFO", index))["indexing"]):
            if time.monotonic() > deadline:
                raise LiveError(f"the search index {index} is not ready after {seconds:.0f} s")
            await asyncio.sleep(0.02)


async def indexing_failures(client: Redis) -> int:
    """Return how many documents an index refused; anything but 0 is a fault of ours and worth an alarm."""
    answers = [await command(client, "FT.INFO", index) for index in INDEX.values()]
    return sum(int(answer["hash_indexing_failures"]) for answer in answers)


def _columns(kind: Kind) -> list[str | int]:
    columns: list[str | int] = []
    for path, *definition in _SCHEMA[kind]:
        columns += [f"$.idx.{path}", "AS", str(path).removesuffix("[*]"), *definition]
    return columns


async def _configure(client: Redis) -> None:
    """Let one letter find something, and never let a slow query pass for a whole answer."""
    for name, value in (("MINPREFIX", 1), ("MAXPREFIXEXPANSIONS", 100_000), ("TIMEOUT", 3000), ("ON_TIMEOUT", "fail")):
        try:
            await command(client, "FT.CONFIG", "SET", name, value)
        except ResponseError as error:
            log.warning("search setting %s could not be set: %s", name, error)
