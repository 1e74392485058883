"""The latest output of a run, for those who watch it: a capped stream and a message to the listeners of its channel.

The lasting copy is in SQL; whoever needs a line that is no longer here reads it there. An entry's id is the number of
its last line, so that a batch sent twice is kept once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from redis.asyncio import Redis

from scheduler_daemon.live import keys
from scheduler_daemon.live.client import command
from scheduler_daemon.live.documents import encode
from scheduler_daemon.live.functions import call

LINES_KEPT = 10_000
LOG_LIFETIME = timedelta(hours=24)


async def append(
    client: Redis, execution_id: int, lines: Sequence[Mapping[str, Any]], *,
    keep: int = LINES_KEPT, lifetime: timedelta = LOG_LIFETIME,
) -> bool:  # fmt: skip
    """Append a batch of lines (each with its `number`, rising) and tell the listeners. False if they are here already.

    Raises PictureMissing while there is no live picture; the lines are safe in SQL then, and listeners see the gap.
    """
    return await append_all(client, {execution_id: lines}, keep=keep, lifetime=lifetime) == 1


async def append_all(
    client: Redis, news: Mapping[int, Sequence[Mapping[str, Any]]], *,
    keep: int = LINES_KEPT, lifetime: timedelta = LOG_LIFETIME,
) -> int:  # fmt: skip
    """Append batches of lines, by run, in one round trip; return how many of them were new. Raises as `append`."""
    words: list[int | bytes] = [keep, int(lifetime.total_seconds() * 1000)]
    for execution_id, lines in news.items():
        if lines:
            first, last = int(lines[0]["number"]), int(lines[-1]["number"])
            words += [execution_id, first, last, encode([dict(line) for line in lines])]
    return int(await call(client, "cs2_log", *words)) if len(words) > 2 else 0


async def read(client: Redis, execution_id: int, after_line: int = 0, count: int = 1000) -> list[dict[str, Any]]:
    """Return up to `count` live lines numbered above `after_line`, oldest first; they may begin later than that."""
    lines: list[dict[str, Any]] = []
    position = f"{after_line + 1}"
    while len(lines) < count:
        entries = await command(client, "XRANGE", keys.log(execution_id), position, "+", "COUNT", 50)
        for _, fields in entries:
            lines += [line for line in json.loads(_field(fields, "lines")) if line["number"] > after_line]
        if len(entries) < 50:
            break
        position = f"({entries[-1][0]}"
    return lines[:count]


async def forget(client: Redis, execution_id: int) -> None:
    """Drop the live log of a run."""
    await client.unlink(keys.log(execution_id))


def _field(fields: Any, name: str) -> str:
    """Return a field of a stream entry, which clients give as a mapping or as a flat list."""
    if isinstance(fields, Mapping):
        return str(fields[name])
    return str(fields[list(fields).index(name) + 1])
