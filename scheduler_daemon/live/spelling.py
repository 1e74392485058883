"""Spell changes as `cs2_project` takes them: a line of words, and the document in the bytes that are stored.

`spell` takes a change as everyone else knows it. A relay that projects thousands of runs in a second has most of the
bytes already: it gives a run's document as SQL keeps it, and of a job only what a run has changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from scheduler_daemon.contract.events import Event, EventKind
from scheduler_daemon.contract.job_lines import KPI
from scheduler_daemon.live.documents import encode, job_index, job_times, job_words, samples
from scheduler_daemon.live.keys import METRICS


@dataclass(frozen=True, slots=True)
class Change:
    """An event and the channels that hear it (full names, as `contract.channels` makes them)."""

    event: Event
    channels: tuple[str, ...]


class Spelled(NamedTuple):
    """A change as the server takes it."""

    kind: EventKind
    id: str
    version: int
    line: str
    """What the server reads, a word between newlines each: see `_line`."""
    stored: bytes
    """The document, with what is searched and compared before its own first member; empty for a deletion."""


def spell(change: Change) -> Spelled:
    """Spell a change of any kind."""
    event, channels = change.event, change.channels
    if event.kind == "job" and event.doc is not None:
        index = encode(job_index(event.doc, channels))
        return _job(event.id, event.version, event.at, index, encode(event.doc), channels)
    if event.kind == "execution" and event.doc is not None:
        return spell_run(event.id, event.version, event.at, encode(event.doc), event.doc, channels)
    line = _line(event.kind, event.id, event.version, event.at, channels, cut=1)
    return Spelled(event.kind, event.id, event.version, line, b"" if event.doc is None else encode(event.doc))


def spell_run(
    run_id: str, version: int, at: datetime, text: bytes, doc: Mapping[str, Any], channels: Sequence[str]
) -> Spelled:
    """Spell a run whose document is `doc`, and `text` as JSON."""
    start = b'{"rev":%d,' % version
    line = _line("execution", run_id, version, at, channels, cut=len(start), job=doc["job_id"], samples=_measured(doc))
    return Spelled("execution", run_id, version, line, start + text[1:])


class JobSpeller:
    """Spells one job again and again, as long as nobody saves it."""

    def __init__(self, job_id: str, at: datetime, doc: Mapping[str, Any], channels: Sequence[str]) -> None:
        """`doc` holds what of the job's document changes only when somebody saves it, at `at`."""
        self._id = job_id
        self._at = at
        self._paused = doc["paused"]
        self._channels = tuple(channels)
        self._words = encode(job_words(doc, channels))[:-1] + b","
        self._doc = encode(doc)[:-1] + b","

    def spell(self, version: int, moves: Mapping[str, Any]) -> Spelled:
        """Spell the job with the rest of its document, as a run has left it."""
        times = encode(job_times({"paused": self._paused, **moves}))
        return _job(self._id, version, self._at, self._words + times[1:], self._doc + encode(moves)[1:], self._channels)


def _job(job_id: str, version: int, at: datetime, index: bytes, text: bytes, channels: Sequence[str]) -> Spelled:
    start = b'{"idx":%b,"rev":%d,' % (index, version)
    line = _line("job", job_id, version, at, channels, cut=len(start))
    return Spelled("job", job_id, version, line, start + text[1:])


def _line(
    kind: EventKind, subject: str, version: int, at: datetime, channels: Sequence[str], *,
    cut: int, job: str = "", samples: str = "",
) -> str:  # fmt: skip
    """Return the words: kind, id, version, when, who hears it, how many bytes come before the document's own; of a run
    its job, when it ended (ms), what was measured in the order of METRICS with `-` for nothing, and its own figures.
    """
    return f"{kind}\n{subject}\n{version}\n{at.isoformat()}\n{' '.join(channels)}\n{cut}\n{job}\n{samples}"


def _measured(doc: Mapping[str, Any]) -> str:
    found = samples(doc)
    if found is None:
        return ""
    ended, values = found
    own = (f"{name}={value!r}" for name, value in values.items() if name.startswith(KPI))
    return " ".join([str(ended), *(str(values.get(name, "-")) for name in METRICS), *own])
