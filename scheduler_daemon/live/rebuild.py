"""Make the live picture anew from SQL, or compare the two and mend what differs.

One daemon rebuilds at a time; `cs:epoch` is taken away first and written last, so nobody trusts half a picture.
Reading SQL, and choosing when, is left to the caller.
"""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from redis.asyncio import Redis

from scheduler_daemon.live import keys
from scheduler_daemon.live.client import command
from scheduler_daemon.live.documents import shown
from scheduler_daemon.live.errors import RebuildInProgress
from scheduler_daemon.live.functions import load_functions
from scheduler_daemon.live.indexes import ensure_index, wait_until_indexed
from scheduler_daemon.live.projection import RUNS_KEPT, Changes, batches, confirm, write_all
from scheduler_daemon.live.spelling import Change

_REBUILD_MS = 60_000
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A finished rebuild."""

    epoch: str
    jobs: int
    executions: int
    removed: int
    """Keys of things SQL no longer has."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Redis and SQL disagree about one document."""

    kind: Literal["job", "execution"]
    id: str
    what: Literal["missing", "extra", "different"]
    fields: tuple[str, ...] = ()
    """Top-level fields that differ."""


async def rebuild(client: Redis, jobs: Changes, executions: Changes, *, keep: int = RUNS_KEPT) -> Rebuilt:
    """Make the picture equal to these changes: every job, and of each job at least the last `keep` executions.

    They are gone through while nothing can be projected, so give what is read only then: what was read before might be
    older than what another daemon has shown meanwhile. Samples come from every execution given, so give what the charts
    shall show. Raises RebuildInProgress if another daemon is at it.
    """
    token = secrets.token_hex(8)
    if not await client.set(keys.REBUILD, token, nx=True, px=_REBUILD_MS):
        raise RebuildInProgress("Another daemon is rebuilding the live picture.")
    try:
        await client.delete(keys.EPOCH)
        await load_functions(client)
        await ensure_index(client)
        await _unlink(client, keys.RUNS, keys.GONE, keys.KPIS)
        job_keys = await write_all(client, token, jobs, keep=keep)
        execution_keys = await write_all(client, token, executions, keep=keep)
        removed = await _remove_stale(client, job_keys, execution_keys)
        await wait_until_indexed(client)
        epoch = secrets.token_hex(6)
        await confirm(client)
        await client.mset({keys.SCHEMA_KEY: keys.SCHEMA, keys.EPOCH: epoch})
    finally:
        if await client.get(keys.REBUILD) == token:
            await client.delete(keys.REBUILD)
    return Rebuilt(epoch, len(job_keys), len(execution_keys), removed)


async def differences(client: Redis, jobs: Changes, executions: Changes) -> list[Difference]:
    """Compare the picture with what SQL says: every job, and of each as many executions as are kept."""
    wanted: set[str] = set()
    found: list[Difference] = []
    for source, key_of in ((jobs, keys.job), (executions, keys.execution)):
        async for part in batches(source, _PAGE):
            names = [key_of(change.event.id) for change in part]
            wanted.update(names)
            stored = await command(client, "JSON.MGET", *names, ".")
            compared = (_compare(change, text) for change, text in zip(part, stored, strict=True))
            found += [difference for difference in compared if difference is not None]
    async for key in _scan(client, keys.JOB, keys.EXECUTION):
        if key not in wanted:
            kind: Literal["job", "execution"] = "job" if key.startswith(keys.JOB) else "execution"
            found.append(Difference(kind, key.rpartition(":")[2], "extra"))
    return found


async def repair(client: Redis, jobs: Changes, executions: Changes, *, keep: int = RUNS_KEPT) -> list[Difference]:
    """Make the picture equal to SQL if it differs, by a rebuild; return what differed before.

    Both are gone through twice.
    """
    found = await differences(client, jobs, executions)
    if found or await client.get(keys.EPOCH) is None:
        await rebuild(client, jobs, executions, keep=keep)
    else:
        await confirm(client)
    return found


def _compare(change: Change, stored: str | Mapping[str, Any] | None) -> Difference | None:
    kind: Literal["job", "execution"] = "job" if change.event.kind == "job" else "execution"
    if stored is None:
        return Difference(kind, change.event.id, "missing")
    document = json.loads(stored) if isinstance(stored, str) else stored  # a client that used JSON before decodes
    here, there = shown(document), change.event.doc or {}
    fields = tuple(sorted(name for name in here.keys() | there.keys() if not _same(here.get(name), there.get(name))))
    if document.get("rev") != change.event.version:
        fields += ("rev",)
    return Difference(kind, change.event.id, "different", fields) if fields else None


def _same(left: Any, right: Any) -> bool:
    """Compare JSON values; floats may differ by the last digits, which Redis does not keep."""
    if isinstance(left, float) or isinstance(right, float):
        numbers = isinstance(left, (int, float)) and isinstance(right, (int, float))
        return numbers and math.isclose(left, right, rel_tol=1e-12)
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(_same(left[name], right[name]) for name in left)
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        return len(left) == len(right) and all(map(_same, left, right))
    return bool(left == right)


async def _remove_stale(client: Redis, job_keys: set[str], execution_keys: set[str]) -> int:
    stale: list[str] = []
    removed = 0
    async for key in _scan(client, keys.JOB, keys.EXECUTION, keys.SERIES):
        if not _is_known(key, job_keys, execution_keys):
            stale.append(key)
        if len(stale) >= _PAGE:
            removed += await client.unlink(*stale)
            stale.clear()
    if stale:
        removed += await client.unlink(*stale)
    return removed


def _is_known(key: str, job_keys: set[str], execution_keys: set[str]) -> bool:
    if key.startswith(keys.SERIES):
        return keys.job(key.removeprefix(keys.SERIES).split(":")[1]) in job_keys
    return key in job_keys or key in execution_keys


async def _unlink(client: Redis, *prefixes: str) -> None:
    part: list[str] = []
    async for key in _scan(client, *prefixes):
        part.append(key)
        if len(part) >= _PAGE:
            await client.unlink(*part)
            part.clear()
    if part:
        await client.unlink(*part)


async def _scan(client: Redis, *prefixes: str) -> AsyncIterator[str]:
    for prefix in prefixes:
        async for key in client.scan_iter(match=prefix + "*", count=1000):
            yield key
