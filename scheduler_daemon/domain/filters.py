"""Read the terminal's filter language for SQL, which answers it while the search index cannot.

Words, and `key:value` for status, tag, owner and since; a comma is "or", a leading `-` is "not".
"""

import re
from dataclasses import dataclass
from datetime import timedelta

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SPAN = re.compile(r"(\d{1,6})([smhdw])\Z")
_CLAUSE = re.compile(r"(-?)(state|status|tag|owner|since):(\S+)\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Clause:
    """One `key:value`: any of the values will do, or none of them if negated."""

    key: str
    values: tuple[str, ...]
    negated: bool


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Everything in it must hold. `since` clauses have no values but a span."""

    words: tuple[str, ...] = ()
    clauses: tuple[Clause, ...] = ()
    since: timedelta | None = None


def parse_filter(text: str) -> JobFilter:
    """Read a filter. What is no clause is a word: `http://x` is text."""
    words: list[str] = []
    clauses: list[Clause] = []
    since = None
    for part in text.split():
        matched = _CLAUSE.match(part)
        span = _SPAN.match(matched[3].lower()) if matched else None
        if matched is None or (matched[2].lower() == "since" and span is None):
            words.append(part)
        elif span and matched[2].lower() == "since":
            since = timedelta(seconds=int(span[1]) * _UNITS[span[2]])
        else:
            values = tuple(value for value in matched[3].split(",") if value)
            key = {"status": "state"}.get(matched[2].lower(), matched[2].lower())
            clauses.append(Clause(key, values, bool(matched[1])))
    return JobFilter(tuple(words), tuple(clauses), since)
