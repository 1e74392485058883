"""Write changes that SQL has committed into the live picture, and make the whole picture anew from SQL.

Decided here: what one change writes, and when a picture counts as whole. What changed, who may hear it and when a
rebuild is due is left to the relay. The newest revision wins whatever the order of arrival; repeating a change is
harmless, so a relay that did not hear an answer sends again.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from scheduler_daemon.contract.events import Event
from scheduler_daemon.live import keys
from scheduler_daemon.live.client import command
from scheduler_daemon.live.documents import encode, execution_index, job_index, samples
from scheduler_daemon.live.errors import LiveError, PictureMissing, RebuildInProgress
from scheduler_daemon.live.search import has_indexes

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


async def load_functions(client: Redis) -> None:
    """Put our functions on the server, replacing the same version of them."""
    source = files(__package__).joinpath("functions.lua").read_text(encoding="utf-8")
    await command(client, "FUNCTION", "LOAD", "REPLACE", source)


async def call(client: Redis, function: str, *args: str | bytes | int) -> Any:
    """Call one of our functions, loading them first where they are missing.

    Raises PictureMissing while the picture is absent, RebuildInProgress if a rebuild was taken over.
    """
    for attempt in (1, 2):
        try:
            return await command(client, "FCALL", function, 0, *args)
        except ResponseError as error:
            said = str(error)
            if "NOEPOCH" in said:
                raise PictureMissing(said.partition("NOEPOCH ")[2]) from error
            if "NOTOKEN" in said:
                raise RebuildInProgress(said.partition("NOTOKEN ")[2]) from error
            if attempt == 2 or "Function not found" not in said:
                raise
            await load_functions(client)
    raise AssertionError  # both rounds return or raise


async def project(client: Redis, changes: Sequence[Change], *, keep: int = RUNS_KEPT) -> Applied:
    """Write a batch of committed changes and tell their listeners, in one round trip.

    Of several changes to one document in the batch only the newest is written and heard: it carries all of it.
    Raises PictureMissing while there is no picture: keep the changes, rebuild, then send them again.
    """
    return await _send(client, "", _newest(changes), keep)


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
    changes: AsyncIterable[Change] | Iterable[Change],
    *,
    keep: int = RUNS_KEPT,
    batch: int = 200,
) -> set[str]:
    """Write documents and samples during a rebuild, unheard and whatever their revision; return their keys."""
    written: set[str] = set()
    async for part in _batches(changes, batch):
        applied = await _send(client, token, part, keep)
        if applied.refused:
            event, reason = applied.refused[0]
            raise LiveError(f"{event.kind} {event.id} cannot be written: {reason}")
        written.update(_key(change.event) for change in part)
    return written


async def _send(client: Redis, token: str, changes: Sequence[Change], keep: int) -> Applied:
    if not changes:
        return Applied(0, 0, ())
    arguments: list[str | bytes] = [token, str(keep)]
    for change in changes:
        arguments += _arguments(change)
    answers = await call(client, "cs1_project", *arguments)
    refused = tuple(
        (change.event, str(answer)) for change, answer in zip(changes, answers, strict=True) if answer not in (0, 1)
    )
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


async def _batches(changes: AsyncIterable[Change] | Iterable[Change], size: int) -> AsyncIterator[list[Change]]:
    part: list[Change] = []
    async for change in _each(changes):
        part.append(change)
        if len(part) >= size:
            yield part
            part = []
    if part:
        yield part


async def _each(changes: AsyncIterable[Change] | Iterable[Change]) -> AsyncIterator[Change]:
    if isinstance(changes, AsyncIterable):
        async for change in changes:
            yield change
    else:
        for change in changes:
            yield change
