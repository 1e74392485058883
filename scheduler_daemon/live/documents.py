"""What of a job is searched and of a run is measured. Pure: from the document that everyone reads to typed values.

A value of a wrong type would silently drop a document out of the index, so nothing goes there but what is made here.
Instants are integer milliseconds since 1970; text is cut into lower-case words the same way as a query is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic_core import to_json

from scheduler_daemon.contract.job_lines import KPI
from scheduler_daemon.live.keys import METRICS

NEVER_MS = 2**53 - 1
"""Stands for "no next fire": later than every instant, and still exact as a double."""

_WORD = re.compile(r"\w+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MAX_WORDS = 400
_OWN = ("idx", "rev")


def words(text: str) -> list[str]:
    """Cut text into lower-case words; `a_b` is `a_b`, `a` and `b`."""
    found: dict[str, None] = {}
    for word in _WORD.findall(text.casefold()):
        found[word] = None
        if "_" in word:
            found.update(dict.fromkeys(part for part in word.split("_") if part))
    return list(found)


def instant_ms(value: Any) -> int | None:
    """Read an instant, ISO text with an offset, a datetime or integer ms, as ms since 1970."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"an instant without a zone: {value!r}")
        return round(value.timestamp() * 1000)
    return None if value is None or isinstance(value, bool) else int(value)


def job_index(doc: Mapping[str, Any], channels: Sequence[str]) -> dict[str, Any]:
    """Return what of a job is searched."""
    return {**job_words(doc, channels), **job_times(doc)}


def job_words(doc: Mapping[str, Any], channels: Sequence[str]) -> dict[str, Any]:
    """Return what is searched of that which changes only when somebody saves the job."""
    spec = _mapping(doc.get("spec"))
    tags = _tags(doc.get("tags") or spec.get("tags"))
    name = _text(doc.get("name"))
    command = _text(doc.get("command") or spec.get("command"))
    description = _text(doc.get("description") or spec.get("description"))
    return {
        "name": " ".join(words(name)),
        **_name_order(name),
        "text": " ".join(words(" ".join((command, description, " ".join(tags))))[:_MAX_WORDS]),
        "tags": tags,
        "owner": _tag(doc.get("owner")),
        "seen": list(channels),
    }


def job_times(doc: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is searched of that which changes with each run."""
    last = _mapping(doc.get("last"))
    state, outcome = _last_state(doc, last)
    next_ms = instant_ms(doc.get("next_fire_ms", doc.get("next_fire_at")))
    last_ms = instant_ms(last.get("ended_at") or last.get("fire_at") or doc.get("last_at"))
    paused = bool(doc.get("paused"))
    return {
        "status": _status(state, outcome, "paused" if paused else "enabled", "running" if doc.get("active") else ""),
        "next_ms": NEVER_MS if next_ms is None or paused else next_ms,
        "last_ms": last_ms or 0,
    }


def samples(doc: Mapping[str, Any]) -> tuple[int, dict[str, int | float]] | None:
    """Return when a run ended (ms), and what was measured of it or said by it.

    None if it did not run, goes on, or is the handler of another.
    """
    ended, started, due = (instant_ms(doc.get(name)) for name in ("ended_at", "started_at", "fire_at"))
    if ended is None or started is None or doc.get("parent_id") is not None:
        return None
    usage = _mapping(doc.get("usage"))
    measured = {
        "duration_ms": doc.get("duration_ms"),
        "ok": None if doc.get("state") == "cancelled" else int(doc.get("state") == "succeeded"),
        "delay_ms": None if due is None or doc.get("trigger") == "backfill" else max(0, started - due),
        **{name: usage.get(name) for name in ("cpu_ms", "max_rss_bytes", "output_bytes")},
    }
    found: dict[str, int | float] = {name: int(value) for name in METRICS if (value := measured[name]) is not None}
    return ended, found | {KPI + kpi["name"]: kpi["value"] for kpi in doc.get("kpis") or ()}


def encode(value: Any) -> bytes:
    """Write JSON as Redis takes it: compact UTF-8, lone surrogates replaced, null for what is no number."""
    try:
        return to_json(value, inf_nan_mode="null")
    except ValueError:  # a lone surrogate somewhere
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "replace")


def shown(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored document as it was given, without what we added to search and to compare it."""
    return {name: value for name, value in stored.items() if name not in _OWN}


def _name_order(name: str) -> dict[str, str | int]:
    """Return the text names are sorted by, and its first six bytes as a number that never falls along it."""
    key = _CONTROL.sub("", name.casefold())
    head = key.encode("utf-8", "replace")[:6].ljust(6, b"\0")
    return {"name_key": key, "name_rank": int.from_bytes(head, "big")}


def _last_state(doc: Mapping[str, Any], last: Mapping[str, Any]) -> tuple[str, str]:
    return _text(last.get("state") or doc.get("last_state")), _text(last.get("outcome") or doc.get("last_outcome"))


def _status(*values: str) -> list[str]:
    return sorted({value.casefold() for value in values if value})


def _tags(value: Any) -> list[str]:
    return [_tag(tag) for tag in value if tag] if isinstance(value, (list, tuple)) else []


def _tag(value: Any) -> str:
    return _CONTROL.sub("", _text(value)).casefold()


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
