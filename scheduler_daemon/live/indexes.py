"""The search indexes: which typed values of jobs and failures they hold, and that they are there and whole.

Asking them is left to `search`.
"""

from __future__ import annotations

import asyncio
import logging
import time

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from scheduler_daemon.live import keys
from scheduler_daemon.live.client import command
from scheduler_daemon.live.errors import LiveError

VECTOR_SIZE = 256
"""Numbers of what a failure was about."""

log = logging.getLogger(__name__)

_SCHEMA: tuple[tuple[str | int, ...], ...] = (
    ("name", "TEXT", "NOSTEM", "WEIGHT", 5),
    ("text", "TEXT", "NOSTEM"),
    ("name_key", "TAG", "SORTABLE", "UNF"),
    ("name_rank", "NUMERIC", "SORTABLE"),
    *((tag, "TAG") for tag in ("tags[*]", "owner", "status[*]", "seen[*]")),
    *((number, "NUMERIC", "SORTABLE") for number in ("next_ms", "last_ms")),
)

_FAILURE_SCHEMA: tuple[str | int, ...] = (
    *("run", "NUMERIC", "pattern", "TAG", "owner", "TAG"),
    *("vector", "VECTOR", "FLAT", 6, "TYPE", "FLOAT32", "DIM", VECTOR_SIZE, "DISTANCE_METRIC", "COSINE"),
)


async def ensure_index(client: Redis) -> None:
    """Make the indexes that are missing, and anew if they are of another schema, whose other indexes go."""
    await _configure(client)
    existing = {name for name in await command(client, "FT._LIST") if name.startswith(keys.INDEX)}
    if await client.get(keys.SCHEMA_KEY) != str(keys.SCHEMA):
        for name in existing:
            await command(client, "FT.DROPINDEX", name)
        existing.clear()
    if keys.JOB_INDEX not in existing:
        await command(client, "FT.CREATE", keys.JOB_INDEX, "ON", "JSON", "PREFIX", 1, keys.JOB, "STOPWORDS", 0,
                      "SCHEMA", *_columns())  # fmt: skip
    if keys.FAILURE_INDEX not in existing:
        await command(client, "FT.CREATE", keys.FAILURE_INDEX, "ON", "HASH", "PREFIX", 1, keys.FAILURE,
                      "SCHEMA", *_FAILURE_SCHEMA)  # fmt: skip


async def has_index(client: Redis) -> bool:
    """Tell whether the index is there."""
    return keys.JOB_INDEX in await command(client, "FT._LIST")


async def wait_until_indexed(client: Redis, seconds: float = 120.0) -> None:
    """Wait until every document is in its index. Raises LiveError after `seconds`."""
    deadline = time.monotonic() + seconds
    while int((await command(client, "FT.INFO", keys.JOB_INDEX))["indexing"]):
        if time.monotonic() > deadline:
            raise LiveError(f"the search index is not ready after {seconds:.0f} s")
        await asyncio.sleep(0.02)


async def indexing_failures(client: Redis) -> int:
    """Return how many documents the index refused; anything but 0 is a fault of ours and worth an alarm."""
    return int((await command(client, "FT.INFO", keys.JOB_INDEX))["hash_indexing_failures"])


def _columns() -> list[str | int]:
    columns: list[str | int] = []
    for path, *definition in _SCHEMA:
        columns += [f"$.idx.{path}", "AS", str(path).removesuffix("[*]"), *definition]
    return columns


async def _configure(client: Redis) -> None:
    """Let one letter find something, and never let a slow query pass for a whole answer."""
    for name, value in (("MINPREFIX", 1), ("MAXPREFIXEXPANSIONS", 100_000), ("TIMEOUT", 3000), ("ON_TIMEOUT", "fail")):
        try:
            await command(client, "FT.CONFIG", "SET", name, value)
        except ResponseError as error:
            log.warning("search setting %s could not be set: %s", name, error)
