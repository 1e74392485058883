"""How much and for how long, as one types it: sizes, limits of a run, bounds of what is kept. Reads and writes it."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from chronos_tui.format import length_text, parse_duration_ms

_SIZE = re.compile(r"([0-9]{1,15})([KMGT]?)(?:IB|B)?\Z", re.ASCII)
_UNITS = {"T": 1 << 40, "G": 1 << 30, "M": 1 << 20, "K": 1 << 10, "": 1}
_SHARE = re.compile(r"[0-9]{1,4}(\.[0-9]{1,3})?\Z", re.ASCII)
_DAYS = re.compile(r"([0-9]{1,5}(?:\.[0-9]{1,3})?)d\Z", re.ASCII)


def size_of(text: str) -> int:
    """Read a size such as 512M, in bytes. Raises ValueError."""
    found = _SIZE.match(text.upper())
    if not found:
        raise ValueError(f"{text!r} is no size; write one such as 512M or 2G")
    return int(found[1]) * _UNITS[found[2]]


def size_text(count: int) -> str:
    """Return a number of bytes as one types it, exactly."""
    unit = next(unit for unit, worth in _UNITS.items() if count % worth == 0)
    return f"{count // _UNITS[unit]}{unit}"


def count_of(text: str) -> int:
    """Read a whole number. Raises ValueError."""
    if not text.isascii() or not text.isdigit() or len(text) > 10:
        raise ValueError(f"{text!r} is no number; write one such as 64")
    return int(text)


def share_of(text: str) -> float:
    """Read a number of processors. Raises ValueError."""
    if not _SHARE.match(text):
        raise ValueError(f"{text!r} is no number of processors; write one such as 0.5 or 2")
    return float(text)


_Ways = tuple[str, Callable[[str], Any], Callable[[Any], str]]
LIMITS: dict[str, _Ways] = {
    "memory": ("memory_bytes", size_of, size_text),
    "processes": ("processes", count_of, str),
    "cpus": ("cpus", share_of, "{:g}".format),
    "cpu-time": ("cpu_ms", parse_duration_ms, length_text),
    "open-files": ("open_files", count_of, str),
    "file-size": ("file_bytes", size_of, size_text),
    "scratch": ("scratch_bytes", size_of, size_text),
}
"""By the word for each limit: its field, how it is read, and how it is written."""


def limits_of(text: str) -> dict[str, Any]:
    """Read limits such as `memory=512M cpus=0.5`: every field, None where nothing is said. Raises ValueError."""
    found: dict[str, Any] = {field: None for field, _, _ in LIMITS.values()}
    for word in text.split():
        name, equals, value = word.partition("=")
        if name not in LIMITS or not equals:
            raise ValueError(f"{word!r} is no limit; write one such as memory=512M, of {', '.join(LIMITS)}")
        field, read, _ = LIMITS[name]
        found[field] = read(value)
    return found


def limits_text(limits: Mapping[str, Any]) -> str:
    """Write limits as one types them."""
    return " ".join(
        f"{word}={write(limits[field])}" for word, (field, _, write) in LIMITS.items() if limits.get(field) is not None
    )


def bound_of(text: str) -> tuple[str, float]:
    """Read one bound of what is kept: days as 30d, runs as 100, a size as 2G. Raises ValueError."""
    if days := _DAYS.match(text):
        number = float(days[1])
        return "days", int(number) if number.is_integer() else number
    if text.isascii() and text.isdigit() and len(text) < 10:
        return "runs", int(text)
    try:
        return "bytes", size_of(text)
    except ValueError:
        raise ValueError(f"{text!r} is no bound; write days such as 30d, runs such as 100, a size such as 2G") from None


def kept_of(text: str) -> dict[str, Any] | None:
    """Read bounds such as `30d 100 2G`: every field; None where nothing is said. Raises ValueError."""
    said = dict(bound_of(word) for word in text.split())
    return dict.fromkeys(("days", "runs", "bytes")) | said if said else None


def kept_text(bounds: Mapping[str, Any] | None) -> str:
    """Write bounds as one types them."""
    found = bounds or {}
    days, runs, most = (found.get(name) for name in ("days", "runs", "bytes"))
    parts = [f"{days:g}d" if days else "", f"{runs}" if runs else "", _size_with_unit(most) if most else ""]
    return " ".join(filter(None, parts))


def _size_with_unit(count: int) -> str:
    """Return a size that is not taken for a number of runs."""
    text = size_text(count)
    return f"{text}B" if text.isdigit() else text
