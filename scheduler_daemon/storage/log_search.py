"""Find a text in the output of all runs, of one job or of all: newest runs first, the lines of a run in order.

There is no index of words: chunks are unpacked and looked through, so much at a time, and a place to go on from is
given back. What a line is, is left to `logs`.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from scheduler_daemon.contract.executions import FoundLine
from scheduler_daemon.domain.lines import Chunk, assemble
from scheduler_daemon.storage import logs
from scheduler_daemon.storage.executions import EXECUTIONS, LOG_STATES
from scheduler_daemon.storage.jobs import JOBS

LOOKED_THROUGH = 16 * 1024 * 1024
"""Bytes of output looked through in one call; readers of one SQLite file are few."""
_RUNS_AT_ONCE = 100


class Place(NamedTuple):
    """Where to go on: at this run, behind this line of it."""

    run: int
    after: int


class Wanted(NamedTuple):
    """What is looked for, and where."""

    text: str
    """Plain, letter case ignored."""
    job_id: str | None = None
    since: datetime | None = None
    """Runs queued before are left out."""
    owner_id: int | None = None
    """Only jobs of this owner; None is everybody's."""


class _Spent(Exception):  # noqa: N818 - no error, only the end of this call
    """So much was looked through that it is enough for now."""


class _Budget:
    """Counts what is looked through."""

    def __init__(self, most: int) -> None:
        self.left = most
        self.through = 0
        """Every line of the present run up to this one was looked at, and is whole."""

    def charge(self, chunks: Iterator[Chunk], after: int) -> Iterator[Chunk]:
        """Yield chunks as long as there is something left, and until one line more is through. Raises _Spent."""
        self.through = after
        for chunk in chunks:
            if self.left <= 0 and self.through > after:
                raise _Spent
            self.left -= len(chunk.data)
            yield chunk
            self.through = max(self.through, chunk.first_line + chunk.data.count(b"\n") - 1)


def find(
    db: Connection, wanted: Wanted, place: Place | None, limit: int, most_bytes: int = LOOKED_THROUGH
) -> tuple[list[FoundLine], Place | None]:
    """Return up to `limit` lines from `place` on (the newest run if None), and the place of what follows, if any may.

    There may be more where no line is returned: enough was looked through for one call.
    """
    found: list[FoundLine] = []
    budget = _Budget(most_bytes)
    for run in _runs(db, wanted, place):
        after = place.after if place is not None and run.id == place.run else 0
        if budget.left <= 0:
            return found, Place(run.id, after)
        try:
            for text in assemble(budget.charge(logs.chunks_after(db, run.id, after, None), after), search=wanted.text):
                if text.number <= after:
                    continue
                if len(found) == limit:
                    return found, Place(run.id, text.number - 1)
                found.append(
                    FoundLine(
                        run=run.id,
                        job=run.job,
                        fire_at=run.fire_at,
                        number=text.number,
                        stream=text.stream,
                        at=text.at,
                        text=text.text,
                    )
                )
        except _Spent:
            return found, Place(run.id, budget.through)
    return found, None


def _runs(db: Connection, wanted: Wanted, place: Place | None) -> Iterator[Any]:
    """Yield the runs whose output is there, newest first."""
    query = (
        select(EXECUTIONS.c.id, EXECUTIONS.c.fire_at, JOBS.c.name.label("job"))
        .join(JOBS, JOBS.c.id == EXECUTIONS.c.job_id)
        .join(LOG_STATES, LOG_STATES.c.execution_id == EXECUTIONS.c.id)
        .where(LOG_STATES.c.lines > 0, LOG_STATES.c.removed_at.is_(None))
        .order_by(EXECUTIONS.c.id.desc())
        .limit(_RUNS_AT_ONCE)
    )
    if wanted.job_id is not None:
        query = query.where(EXECUTIONS.c.job_id == wanted.job_id)
    if wanted.since is not None:
        query = query.where(EXECUTIONS.c.queued_at >= wanted.since)
    if wanted.owner_id is not None:
        query = query.where(JOBS.c.owner_id == wanted.owner_id)
    highest = place.run if place is not None else None
    while True:
        part = db.execute(query if highest is None else query.where(EXECUTIONS.c.id <= highest)).all()
        yield from part
        if len(part) < _RUNS_AT_ONCE:
            return
        highest = part[-1].id - 1
