"""Write changes that SQL has committed into the live picture, and make the whole picture anew from SQL.

Decided here: what one change writes, and when a picture counts as whole. What changed, who may hear it and when a
rebuild is due is left to the relay. The newest revision wins whatever the order of arrival; repeating a change is
harmless, so a relay that did not hear an answer sends again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from redis.asyncio import Redis

from scheduler_daemon.contract.events import Event
from scheduler_daemon.live import keys
from scheduler_daemon.live.documents import encode, execution_index, job_index, samples
from scheduler_daemon.live.errors import LiveError
from scheduler_daemon.live.functions import call
from scheduler_daemon.live.indexes import has_indexes

RUNS_KEPT = 200
"""Executions of each job in the picture; SQL has them all."""

PictureState = Literal["ready", "absent", "doubtful"]
"""`doubtful`: the server restarted since the picture was checked and may have lost its last second."""


@dataclass(frozen=True, slots=True)
class Change:
    """An event and the channels that hear it (full names, as `contract.channels` makes them)."""

    event: Event
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a batch: how many were written, how many were older than the picture, what was refused."""

    written: int
    older: int
    refused: tuple[tuple[Event, str], ...]
    """Events the server would not take, with its reason; they never stop the others."""


Changes = AsyncIterable[Change] | Iterable[Change]


async def project(client: Redis, changes: Sequence[Change], *, keep: int = RUNS_KEPT) -> Applied:
    """Write a batch of committed changes and tell their listeners, in one round trip.

    Of several changes to one document in the batch only the newest is written and heard: it carries all of it.
    Raises PictureMissing while there is no picture: keep the changes, rebuild, then send them again.
    """
    if not changes:
        return Applied(0, 0, ())
    newest = _newest(changes)
    return _applied(newest, await call(client, "cs1_project", "", keep, *_spelled(newest)))


async def picture_state(client: Redis) -> PictureState:
    """Tell whether the picture can be trusted. `absent` asks for a rebuild, `doubtful` for a reconcile."""
    epoch, run, schema = await client.mget(keys.EPOCH, keys.RUN, keys.SCHEMA_KEY)
    if epoch is None or schema != str(keys.SCHEMA) or not await has_indexes(client):
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
    batch: int = 200,
) -> set[str]:
    """Write documents and samples during a rebuild, unheard and whatever their revision; return their keys."""
    written: set[str] = set()
    sending: asyncio.Task[None] | None = None
    try:
        async for part in batches(changes, batch):
            words = _spelled(part)  # while the server still works on the part before
            if sending is not None:
                await sending
            sending = asyncio.create_task(_load(client, token, part, words, keep))
            await asyncio.sleep(0)
            written.update(_key(change.event) for change in part)
        if sending is not None:
            await sending
    finally:
        if sending is not None and not sending.done():
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
    return written


async def _load(client: Redis, token: str, part: Sequence[Change], words: list[str | bytes], keep: int) -> None:
    applied = _applied(part, await call(client, "cs1_project", token, keep, *words))
    if applied.refused:
        event, reason = applied.refused[0]
        raise LiveError(f"{event.kind} {event.id} cannot be written: {reason}")


def _spelled(changes: Sequence[Change]) -> list[str | bytes]:
    return [word for change in changes for word in _arguments(change)]


def _applied(changes: Sequence[Change], answers: Sequence[int | str]) -> Applied:
    pairs = zip(changes, answers, strict=True)
    refused = tuple((change.event, str(answer)) for change, answer in pairs if answer not in (0, 1))
    return Applied(written=answers.count(1), older=answers.count(0), refused=refused)


def _newest(changes: Sequence[Change]) -> list[Change]:
    """Keep the newest change of each document, in the order of those; notes are all kept."""
    newest: dict[tuple[str, str], int] = {}
    for position, change in enumerate(changes):
        key = _subject(change.event)
        if key not in newest or change.event.version >= changes[newest[key]].event.version:
            newest[key] = position
    return [
        change
        for position, change in enumerate(changes)
        if change.event.kind == "note" or newest[_subject(change.event)] == position
    ]


def _subject(event: Event) -> tuple[str, str]:
    return event.kind.removesuffix("_deleted"), event.id


def _arguments(change: Change) -> tuple[str | bytes, ...]:
    """Spell a change as the nine words of `cs1_project`."""
    event = change.event
    head = encode({"kind": event.kind, "id": event.id, "version": event.version, "at": event.at.isoformat()})[1:-1]
    document = b"" if event.doc is None else encode(event.doc)
    index, measured, job = b"", "", ""
    if event.kind == "job" and event.doc is not None:
        index = encode(job_index(event.doc, change.channels))
    elif event.kind == "execution" and event.doc is not None:
        index = encode(execution_index(event.doc, change.channels))
        measured, job = _measured(event.doc), str(event.doc["job_id"])
    return event.kind, event.id, str(event.version), document, index, head, " ".join(change.channels), measured, job


def _measured(doc: dict[str, Any]) -> str:
    found = samples(doc)
    if found is None:
        return ""
    ended, values = found
    return " ".join((str(ended), *(f"{name} {keys.METRICS[name]} {value}" for name, value in values.items())))


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
