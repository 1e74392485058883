"""Understand what a job says of itself in its output. Pure: lines in, what is known of the run out.

Which lines count stands in `contract.job_lines`. A line that is not exactly one of them is output and nothing else.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from scheduler_daemon.contract.job_lines import LONGEST_WARNING, MOST_KPIS, MOST_WARNINGS, WARNINGS_KEPT, Kpi

LONGEST = 1024
"""Bytes of a line that is looked at; a longer one is output."""
MARK = b"::"

_PROGRESS = re.compile(r"([0-9]{1,3})(?:\.[0-9]{1,6})?\Z", re.ASCII)
_KPI = re.compile(
    r"([A-Za-z][A-Za-z0-9_.-]{0,39})=([+-]?[0-9.]{1,30}(?:[eE][+-]?[0-9]{1,3})?)"
    r"(?:[ \t]+(?:unit=)?([^\s=\x00-\x1f\x7f-\x9f]{1,12}))?\Z",
    re.ASCII,
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Said:
    """What a run has said so far."""

    progress: int | None = None
    """Whole per cent."""
    kpis: tuple[Kpi, ...] = ()
    """By the order in which their names came up."""
    warnings: int = 0
    warned: tuple[str, ...] = ()
    """The first warnings."""
    heard: tuple[int, int] = (0, 0)
    """Up to which byte of stdout and of stderr this is known."""


NOTHING = Said()


class Line(NamedTuple):
    """A whole line that may be meant for us, and where in its stream it ends, in bytes."""

    text: bytes
    end: int


def marked(before: bytes, data: bytes, start: int) -> Iterator[Line]:
    """Yield the whole lines in `data` that begin with the mark; `start` is where in its stream `data` begins.

    `before` is the beginning of its first line, if that came earlier.
    """
    if MARK not in data and not (before[: len(MARK)] + data[: len(MARK)]).startswith(MARK):
        return
    whole = before + data
    shift = start - len(before)
    at = 0 if whole.startswith(MARK) else whole.find(b"\n" + MARK) + 1
    while at or whole.startswith(MARK):
        end = whole.find(b"\n", at)
        if end < 0:
            return
        if end - at <= LONGEST:
            yield Line(whole[at:end], shift + end + 1)
        at = whole.find(b"\n" + MARK, end) + 1
        if not at:
            return


def hear(said: Said, stream: int, line: Line) -> Said:
    """Return what is known after a line of a stream (0 stdout, 1 stderr); the same if it tells nothing new."""
    if line.end <= said.heard[stream]:
        return said
    found = _understood(said, line.text)
    if found is said:
        return said
    heard = (line.end, said.heard[1]) if stream == 0 else (said.heard[0], line.end)
    return replace(found, heard=heard)


def _understood(said: Said, line: bytes) -> Said:
    word, _, rest = line.removesuffix(b"\r").decode("utf-8", "replace").partition(" ")
    rest = rest.strip()
    if word == "::progress":
        return _progress(said, rest)
    if word == "::kpi":
        return _kpi(said, rest)
    if word == "::warning" and rest and said.warnings < MOST_WARNINGS:
        kept = said.warned
        if len(kept) < WARNINGS_KEPT:
            kept = (*kept, _CONTROL.sub(" ", rest)[:LONGEST_WARNING])
        return replace(said, warnings=said.warnings + 1, warned=kept)
    return said


def _progress(said: Said, text: str) -> Said:
    found = _PROGRESS.match(text)
    if not found or float(text) > 100:
        return said
    return said if said.progress == int(found[1]) else replace(said, progress=int(found[1]))


def _kpi(said: Said, text: str) -> Said:
    found = _KPI.match(text)
    if not found:
        return said
    try:
        value = float(found[2])
    except ValueError:
        return said
    if not math.isfinite(value):
        return said
    kpi = Kpi(name=found[1], value=value, unit=found[3] or "")
    names = [each.name for each in said.kpis]
    if kpi.name in names:
        at = names.index(kpi.name)
        return replace(said, kpis=(*said.kpis[:at], kpi, *said.kpis[at + 1 :]))
    return said if len(names) >= MOST_KPIS else replace(said, kpis=(*said.kpis, kpi))


def document(said: Said) -> dict[str, Any]:
    """Return it as JSON-ready values."""
    return {
        "progress": said.progress,
        "kpis": [kpi.model_dump() for kpi in said.kpis],
        "warnings": said.warnings,
        "warned": list(said.warned),
        "heard": list(said.heard),
    }


def from_document(kept: Mapping[str, Any] | None) -> Said:
    """Read what `document` wrote; None is nothing."""
    if kept is None:
        return NOTHING
    return Said(
        progress=kept["progress"],
        kpis=tuple(Kpi.model_validate(kpi) for kpi in kept["kpis"]),
        warnings=kept["warnings"],
        warned=tuple(kept["warned"]),
        heard=(kept["heard"][0], kept["heard"][1]),
    )
