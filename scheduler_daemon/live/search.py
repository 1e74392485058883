"""Find jobs and runs by what a user types after `/`: words and `key:value` filters, a window at a time.

The language: every word must begin a word of the name, command, description or tags; `status:failed tag:db owner:ada
since:2d next:1h trigger:manual host:h job:ID`; a comma is "or", a leading `-` is "not". What is no filter is a word.
User text never reaches the query language: words are `\\w+` tokens and tag values travel as parameters.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from scheduler_daemon.live import keys
from scheduler_daemon.live.client import command
from scheduler_daemon.live.documents import words
from scheduler_daemon.live.errors import LiveError

log = logging.getLogger(__name__)

Kind = Literal["jobs", "executions"]
WINDOW = 200
_MAX_WORDS = 16
_MAX_VALUES = 32
_INDEX = {"jobs": keys.JOB_INDEX, "executions": keys.EXECUTION_INDEX}
_PREFIX = {"jobs": keys.JOB, "executions": keys.EXECUTION}
_TAG_FILTERS: dict[Kind, dict[str, str]] = {
    "jobs": {"status": "status", "state": "status", "outcome": "status", "tag": "tags", "owner": "owner"},
    "executions": {
        "status": "status", "state": "status", "outcome": "status", "tag": "tags", "owner": "owner",
        "trigger": "trigger", "actor": "actor", "host": "host", "job": "job",
    },
}  # fmt: skip
_SPAN_FILTERS: dict[Kind, dict[str, str]] = {
    "jobs": {"since": "last_ms", "next": "next_ms"},
    "executions": {"since": "fire_ms"},
}
SORTS: dict[Kind, dict[str, str]] = {
    "jobs": {"name": "name_key", "next": "next_ms", "last": "last_ms"},
    "executions": {"id": "id", "fire": "fire_ms", "duration": "duration_ms", "name": "name_key"},
}
"""Names a caller may sort by. All but `name` page by value; `name` pages by offset."""

_FILTER = re.compile(r"(-?)([a-z]+):(\S+)\Z", re.IGNORECASE)
_SPAN = re.compile(r"(\d{1,6})(s|m|h|d|w)\Z")
_SPAN_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_TEXT = ("name", "TEXT", "NOSTEM", "WEIGHT", 5), ("text", "TEXT", "NOSTEM")
_SCHEMA: dict[Kind, tuple[tuple[str | int, ...], ...]] = {
    "jobs": (
        *_TEXT, ("name_key", "TAG", "SORTABLE", "UNF"), ("tags[*]", "TAG"), ("owner", "TAG"), ("status[*]", "TAG"),
        ("seen[*]", "TAG"), ("next_ms", "NUMERIC", "SORTABLE"), ("last_ms", "NUMERIC", "SORTABLE"),
    ),
    "executions": (
        *_TEXT, ("name_key", "TAG", "SORTABLE", "UNF"), ("tags[*]", "TAG"), ("owner", "TAG"), ("status[*]", "TAG"),
        ("seen[*]", "TAG"), ("trigger", "TAG"), ("actor", "TAG"), ("host", "TAG"), ("job", "TAG"),
        ("id", "NUMERIC", "SORTABLE"), ("fire_ms", "NUMERIC", "SORTABLE"), ("duration_ms", "NUMERIC", "SORTABLE"),
    ),
}  # fmt: skip


@dataclass(slots=True)
class Query:
    """A query in RediSearch's language that holds none of the user's text, and the parameters that do."""

    clauses: list[str] = field(default_factory=list)
    params: dict[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The whole query; `*` when nothing is asked for."""
        return " ".join(self.clauses) or "*"

    def param(self, value: str) -> str:
        """Keep a value as a parameter and return its name with the `$`."""
        name = f"p{len(self.params)}"
        self.params[name] = value
        return "$" + name


@dataclass(frozen=True, slots=True)
class Found:
    """A window of ids in order, how many match in all, and where the next window begins (None at the end)."""

    ids: tuple[str, ...]
    total: int
    next: str | None


@dataclass(frozen=True, slots=True)
class _Order:
    """How to sort, and which rows to return."""

    column: str
    descending: bool
    skip: int
    limit: int

    def beyond(self, value: int) -> str:
        """The clause for rows at or after `value` in this order."""
        return f"@{self.column}:[-inf {value}]" if self.descending else f"@{self.column}:[{value} +inf]"


def parse_query(kind: Kind, text: str, now_ms: int, seen_by: Sequence[str] | None = None) -> Query:
    """Turn what a user typed into a safe query. `seen_by` limits to documents these channels hear; None is all."""
    query = Query()
    if seen_by is not None:
        query.clauses.append(_any_tag(query, "seen", seen_by))
    plain: list[str] = []
    for piece in text.split():
        clause = _filter_clause(query, kind, piece, now_ms)
        if clause is None:
            plain += words(piece)
        else:
            query.clauses.append(clause)
    query.clauses += [f"({query.param(word)}*)" for word in plain[:_MAX_WORDS]]
    return query


async def search(
    client: Redis,
    kind: Kind,
    text: str,
    *,
    now_ms: int,
    sort: str = "",
    descending: bool = False,
    limit: int = WINDOW,
    after: str | None = None,
    seen_by: Sequence[str] | None = None,
) -> Found:
    """Return a window of the ids that match, sorted by one of SORTS (jobs by name, executions by id if empty).

    `after` is the `next` of the window before. Raises ValueError for an unknown sort or a spoilt cursor, LiveError if
    the server gave up half way: half an answer is never shown as a whole one.
    """
    sort = sort or ("name" if kind == "jobs" else "id")
    if sort not in SORTS[kind]:
        raise ValueError(f"cannot sort {kind} by {sort!r}; choose one of {', '.join(SORTS[kind])}")
    query = parse_query(kind, text, now_ms, seen_by)
    value, skip = _read_cursor(after)
    order = _Order(SORTS[kind][sort], descending, skip, max(1, min(limit, WINDOW)))
    windowed = query.text if value is None else " ".join([*query.clauses, order.beyond(value)])
    rows, total = await _run(client, kind, windowed, query, order)
    if value is not None:
        _, total = await _run(client, kind, query.text, query, replace(order, skip=0, limit=0))
    ids = tuple(key.removeprefix(_PREFIX[kind]) for key, _ in rows)
    following = _write_cursor(rows, sort, value, skip) if len(rows) == order.limit else None
    return Found(ids, total, following)


async def ensure_indexes(client: Redis) -> None:
    """Make the indexes that are missing, and anew those of another schema."""
    await _configure(client)
    existing = set(await command(client, "FT._LIST"))
    outdated = await client.get(keys.SCHEMA_KEY) not in (None, str(keys.SCHEMA))
    for kind, index in _INDEX.items():
        if index in existing and outdated:
            await command(client, "FT.DROPINDEX", index)
        if index not in existing or outdated:
            await command(client, "FT.CREATE", index, "ON", "JSON", "PREFIX", 1, _PREFIX[kind], "STOPWORDS", 0,
                          "SCHEMA", *_columns(kind))  # fmt: skip


async def has_indexes(client: Redis) -> bool:
    """Tell whether every index is there."""
    return set(_INDEX.values()) <= set(await command(client, "FT._LIST"))


async def wait_until_indexed(client: Redis, seconds: float = 120.0) -> None:
    """Wait until every document is in its index. Raises LiveError after `seconds`."""
    deadline = time.monotonic() + seconds
    for index in _INDEX.values():
        while int((await command(client, "FT.INFO", index))["indexing"]):
            if time.monotonic() > deadline:
                raise LiveError(f"the search index {index} is not ready after {seconds:.0f} s")
            await asyncio.sleep(0.02)


async def indexing_failures(client: Redis) -> int:
    """Return how many documents an index refused; anything but 0 is a fault of ours and worth an alarm."""
    answers = [await command(client, "FT.INFO", index) for index in _INDEX.values()]
    return sum(int(answer["hash_indexing_failures"]) for answer in answers)


def _columns(kind: Kind | str) -> list[str | int]:
    columns: list[str | int] = []
    for path, *definition in _SCHEMA["jobs" if kind == "jobs" else "executions"]:
        columns += [f"$.idx.{path}", "AS", str(path).removesuffix("[*]"), *definition]
    return columns


async def _configure(client: Redis) -> None:
    """Let one letter find something, and never let a slow query pass for a whole answer."""
    for name, value in (("MINPREFIX", 1), ("MAXPREFIXEXPANSIONS", 100_000), ("TIMEOUT", 3000), ("ON_TIMEOUT", "fail")):
        try:
            await command(client, "FT.CONFIG", "SET", name, value)
        except ResponseError as error:
            log.warning("search setting %s could not be set: %s", name, error)


def _filter_clause(query: Query, kind: Kind, piece: str, now_ms: int) -> str | None:
    matched = _FILTER.match(piece)
    if matched is None:
        return None
    negated, key, value = matched[1], matched[2].casefold(), matched[3].casefold()
    if key in _TAG_FILTERS[kind]:
        values = [part for part in value.split(",") if part]
        return negated + _any_tag(query, _TAG_FILTERS[kind][key], values) if values else None
    span = _SPAN.match(value)
    if key not in _SPAN_FILTERS[kind] or span is None:
        return None
    column, length = _SPAN_FILTERS[kind][key], int(span[1]) * _SPAN_MS[span[2]]
    bounds = f"{now_ms - length} +inf" if key == "since" else f"-inf {now_ms + length}"
    return f"{negated}@{column}:[{bounds}]"


def _any_tag(query: Query, column: str, values: Sequence[str]) -> str:
    """Match any of the values; no value matches nothing."""
    names = [query.param(value) for value in values[:_MAX_VALUES]] or [query.param("nobody hears this")]
    return f"@{column}:{{{'|'.join(names)}}}"


async def _run(client: Redis, kind: Kind, text: str, query: Query, order: _Order) -> tuple[list[tuple[str, str]], int]:
    """Return keys with the value they are sorted by, and how many match."""
    words_of_params = [word for pair in query.params.items() for word in pair]
    options: list[str | int] = [
        "RETURN",
        1,
        order.column,
        "SORTBY",
        order.column,
        "DESC" if order.descending else "ASC",
    ]
    options += ["LIMIT", order.skip, order.limit, "DIALECT", 2]
    if words_of_params:
        options += ["PARAMS", len(words_of_params), *words_of_params]
    try:
        answer = await command(client, "FT.SEARCH", _INDEX[kind], text, *options)
    except RedisError as error:
        raise LiveError(f"the search failed: {error}") from error
    if answer.get("warning"):
        raise LiveError(f"the search is incomplete: {answer['warning']}")
    return [(row["id"], _sort_value(row, order.column)) for row in answer["results"]], int(answer["total_results"])


def _sort_value(row: dict[str, Any], column: str) -> str:
    return str(row["extra_attributes"][column])


def _read_cursor(cursor: str | None) -> tuple[int | None, int]:
    """Return the value to go on from (None: by offset) and how many rows to skip there."""
    if not cursor:
        return None, 0
    matched = re.fullmatch(r"(-?\d{1,17})?~(\d{1,7})", cursor)
    if matched is None:
        raise ValueError("not a cursor of this list")
    return (int(matched[1]) if matched[1] else None), int(matched[2])


def _write_cursor(rows: list[tuple[str, str]], sort: str, value: int | None, skip: int) -> str:
    if sort == "name":
        return f"~{skip + len(rows)}"
    last = int(rows[-1][1])
    same = sum(int(found) == last for _, found in rows)
    return f"{last}~{same + (skip if value == last else 0)}"
