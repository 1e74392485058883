"""Write changes that SQL has committed into the live picture, and make the whole picture anew from SQL.

Decided here: what one change writes, and when a picture counts as whole. What changed, who may hear it and when a
rebuild is due is left to the relay. The newest revision wins whatever the order of arrival; repeating a change is
harmless, so a relay that did not hear an answer sends again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from redis.asyncio import Redis

from scheduler_daemon.contract.events import Event
from scheduler_daemon.live import keys
from scheduler_daemon.live.errors import LiveError
from scheduler_daemon.live.functions import call
from scheduler_daemon.live.indexes import has_index
from scheduler_daemon.live.spelling import Change, Spelled, spell

RUNS_KEPT = 200
"""Executions of each job in the picture; SQL has them all."""

PictureState = Literal["ready", "absent", "doubtful"]
"""`doubtful`: the server restarted since the picture was checked and may have lost its last second."""


AT_ONCE = 200
"""Changes in one call: the server does nothing else while it runs, and each takes it about a tenth of a millisecond."""

_METRICS = " ".join(word for metric in keys.METRICS.items() for word in metric)


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a batch: how many were written, how many were older than the picture, what was refused."""

    written: int
    older: int
    refused: tuple[tuple[Spelled, str], ...]
    """Changes the server would not take, with its reason; they never stop the others."""


Changes = AsyncIterable[Change] | Iterable[Change]


async def project(client: Redis, changes: Iterable[Change | Spelled], *, keep: int = RUNS_KEPT) -> Applied:
    """Write committed changes and tell their listeners.

    Of several changes to one document only the newest is written and heard: it carries all of it. Raises PictureMissing
    while there is no picture: keep the changes, rebuild, then send them again.
    """
    newest = _newest([spell(change) if isinstance(change, Change) else change for change in changes])
    parts = [await _send(client, "", newest[at : at + AT_ONCE], keep) for at in range(0, len(newest), AT_ONCE)]
    return Applied(
        written=sum(part.written for part in parts),
        older=sum(part.older for part in parts),
        refused=tuple(refusal for part in parts for refusal in part.refused),
    )


async def picture_state(client: Redis) -> PictureState:
    """Tell whether the picture can be trusted. `absent` asks for a rebuild, `doubtful` for a reconcile."""
    epoch, run, schema = await client.mget(keys.EPOCH, keys.RUN, keys.SCHEMA_KEY)
    if epoch is None or schema != str(keys.SCHEMA) or not await has_index(client):
        return "absent"
    return "ready" if run == await _server_run(client) else "doubtful"


async def confirm(client: Redis) -> None:
    """Record that the picture was checked on the running server: `doubtful` becomes `ready`."""
    await client.set(keys.RUN, await _server_run(client))


async def write_all(
    client: Redis,
    token: str,
    changes: Changes,
    *,
    keep: int = RUNS_KEPT,
    batch: int = AT_ONCE,
) -> set[str]:
    """Write documents and samples during a rebuild, unheard and whatever their revision; return their keys."""
    written: set[str] = set()
    sending: asyncio.Task[None] | None = None
    try:
        async for part in batches(changes, batch):
            spelled = list(map(spell, part))  # while the server still works on the part before
            if sending is not None:
                await sending
            sending = asyncio.create_task(_load(client, token, spelled, keep))
            await asyncio.sleep(0)
            written.update(_key(change.event) for change in part)
        if sending is not None:
            await sending
    finally:
        if sending is not None and not sending.done():
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
    return written


async def _load(client: Redis, token: str, part: Sequence[Spelled], keep: int) -> None:
    applied = await _send(client, token, part, keep)
    if applied.refused:
        change, reason = applied.refused[0]
        raise LiveError(f"{change.kind} {change.id} cannot be written: {reason}")


async def _send(client: Redis, token: str, part: Sequence[Spelled], keep: int) -> Applied:
    words = [word for change in part for word in (change.line, change.stored)]
    answers = await call(client, "cs2_project", token, keep, _METRICS, *words)
    pairs = zip(part, answers, strict=True)
    refused = tuple((change, str(answer)) for change, answer in pairs if answer not in (0, 1))
    return Applied(written=answers.count(1), older=answers.count(0), refused=refused)


def _newest(changes: Sequence[Spelled]) -> list[Spelled]:
    """Keep the newest change of each document, in the order of those; notes are all kept."""
    newest: dict[tuple[str, str], int] = {}
    for position, change in enumerate(changes):
        key = _subject(change)
        if key not in newest or change.version >= changes[newest[key]].version:
            newest[key] = position
    return [
        change
        for position, change in enumerate(changes)
        if change.kind == "note" or newest[_subject(change)] == position
    ]


def _subject(change: Spelled) -> tuple[str, str]:
    return change.kind.removesuffix("_deleted"), change.id


def _key(event: Event) -> str:
    return keys.job(event.id) if event.kind == "job" else keys.execution(event.id)


async def _server_run(client: Redis) -> str:
    return str((await client.info("server"))["run_id"])


async def batches(changes: Changes, size: int) -> AsyncIterator[list[Change]]:
    """Yield changes in lists of at most `size`."""
    part: list[Change] = []
    async for change in _each(changes):
        part.append(change)
        if len(part) >= size:
            yield part
            part = []
    if part:
        yield part


async def _each(changes: Changes) -> AsyncIterator[Change]:
    if isinstance(changes, AsyncIterable):
        async for change in changes:
            yield change
    else:
        for change in changes:
            yield change
