"""Find jobs by what a user types after `/`: words and `key:value` filters, a window at a time.

The language: every word must begin a word of the name, command, description or tags; `status:failed tag:db owner:ada
since:2d next:1h`; a comma is "or", a leading `-` is "not". What is no filter is a word. User text never reaches the
query language: words are `\\w+` tokens and tag values travel as parameters.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from scheduler_daemon.live import keys
from scheduler_daemon.live.client import command
from scheduler_daemon.live.documents import words
from scheduler_daemon.live.errors import LiveError

WINDOW = 200
_MAX_WORDS = 16
_MAX_VALUES = 32
_TAG_FILTERS = {"status": "status", "state": "status", "outcome": "status", "tag": "tags", "owner": "owner"}
_SPAN_FILTERS = {"since": "last_ms", "next": "next_ms"}
SORTS = {"name": ("name_key", "name_rank"), "next": ("next_ms", "next_ms"), "last": ("last_ms", "last_ms")}
"""Names a caller may sort by: the column that orders, and a number never falling along it, to page by."""
_FILTER = re.compile(r"(-?)([a-z]+):(\S+)\Z", re.IGNORECASE)
_SPAN = re.compile(r"(\d{1,6})(s|m|h|d|w)\Z")
_SPAN_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


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
    number: str
    """Never falls along `column`."""
    descending: bool
    skip: int
    limit: int

    def since(self, value: int) -> str:
        """The clause for rows at or after `value` in this order."""
        return f"@{self.number}:[-inf {value}]" if self.descending else f"@{self.number}:[{value} +inf]"


def parse_query(text: str, now_ms: int, seen_by: Sequence[str] | None = None) -> Query:
    """Turn what a user typed into a safe query. `seen_by` limits to documents these channels hear; None is all."""
    query = Query()
    if seen_by is not None:
        query.clauses.append(_any_tag(query, "seen", seen_by))
    plain: list[str] = []
    for piece in text.split():
        clause = _filter_clause(query, piece, now_ms)
        if clause is None:
            plain += words(piece)
        else:
            query.clauses.append(clause)
    query.clauses += [f"({query.param(word)}*)" for word in plain[:_MAX_WORDS]]
    return query


async def search(
    client: Redis,
    text: str,
    *,
    now_ms: int,
    sort: str = "",
    descending: bool = False,
    limit: int = WINDOW,
    after: str | None = None,
    seen_by: Sequence[str] | None = None,
) -> Found:
    """Return a window of the ids that match, sorted by one of SORTS (by name if empty).

    `after` is the `next` of the window before. Raises ValueError for an unknown sort or a spoilt cursor, LiveError if
    the server gave up half way: half an answer is never shown as a whole one.
    """
    sort = sort or "name"
    if sort not in SORTS:
        raise ValueError(f"cannot sort jobs by {sort!r}; choose one of {', '.join(SORTS)}")
    query = parse_query(text, now_ms, seen_by)
    value, skip = _read_cursor(after)
    order = _Order(*SORTS[sort], descending, skip, max(1, min(limit, WINDOW)))
    if value is None:
        rows, total = await _run(client, query, order)
    else:
        total = await _count(client, query)
        query.clauses.append(order.since(value))
        rows, _ = await _run(client, query, order)
    ids = tuple(key.removeprefix(keys.JOB) for key, _ in rows)
    return Found(ids, total, _write_cursor(rows, value, skip) if len(rows) == order.limit else None)


def _filter_clause(query: Query, piece: str, now_ms: int) -> str | None:
    matched = _FILTER.match(piece)
    if matched is None:
        return None
    negated, key, value = matched[1], matched[2].casefold(), matched[3].casefold()
    if key in _TAG_FILTERS:
        values = [part for part in value.split(",") if part]
        return negated + _any_tag(query, _TAG_FILTERS[key], values) if values else None
    span = _SPAN.match(value)
    if key not in _SPAN_FILTERS or span is None:
        return None
    column, length = _SPAN_FILTERS[key], int(span[1]) * _SPAN_MS[span[2]]
    bounds = f"{now_ms - length} +inf" if key == "since" else f"-inf {now_ms + length}"
    return f"{negated}@{column}:[{bounds}]"


def _any_tag(query: Query, column: str, values: Sequence[str]) -> str:
    """Match any of the values; no value matches nothing."""
    names = [query.param(value) for value in values[:_MAX_VALUES]] or [query.param("nobody hears this")]
    return f"@{column}:{{{'|'.join(names)}}}"


async def _count(client: Redis, query: Query) -> int:
    return int((await _ask(client, query, "LIMIT", 0, 0))["total_results"])


async def _run(client: Redis, query: Query, order: _Order) -> tuple[list[tuple[str, int]], int]:
    """Return keys with the number they are paged by, and how many rows match."""
    direction = "DESC" if order.descending else "ASC"
    window = ("SORTBY", order.column, direction, "LIMIT", order.skip, order.limit)
    answer = await _ask(client, query, "RETURN", 1, order.number, *window)
    rows = [(row["id"], _number(row, order)) for row in answer["results"]]
    return rows, int(answer["total_results"])


async def _ask(client: Redis, query: Query, *options: str | int) -> dict[str, Any]:
    """Send a query in dialect 2. Dialect 4 would sort faster, but its optimizer brings Redis Stack 7.4 down."""
    params = [word for pair in query.params.items() for word in pair]
    given: list[str | int] = ["PARAMS", len(params), *params] if params else []
    try:
        answer = await command(client, "FT.SEARCH", keys.JOB_INDEX, query.text, *options, *given, "DIALECT", 2)
    except RedisError as error:
        raise LiveError(f"the search failed: {error}") from error
    if answer.get("warning"):
        raise LiveError(f"the search is incomplete: {answer['warning']}")
    return dict(answer)


def _number(row: dict[str, Any], order: _Order) -> int:
    """Return the number a row is paged by."""
    return int(row["extra_attributes"][order.number])


def _read_cursor(cursor: str | None) -> tuple[int | None, int]:
    """Return the number to go on from (None: from the start) and how many rows to skip there: `~400` skips 400."""
    if not cursor:
        return None, 0
    matched = re.fullmatch(r"(-?\d{1,17})?~(\d{1,7})", cursor)
    if matched is None:
        raise ValueError("not a cursor of this list")
    return (None if matched[1] is None else int(matched[1])), int(matched[2])


def _write_cursor(rows: list[tuple[str, int]], value: int | None, skip: int) -> str:
    last = rows[-1][1]
    same = sum(number == last for _, number in rows)
    return f"{last}~{same + (skip if value == last else 0)}"
