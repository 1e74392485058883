"""Read from SQL what the picture is to show: all of it, or what waiting events tell.

Of a run the event itself has the document, as it was at that change. Of a job it has none: the job is read when it is
shown, and only what a run may have changed of it, as long as nobody saves it.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic_core import from_json
from sqlalchemy import Connection

from scheduler_daemon.contract import channels
from scheduler_daemon.contract.events import Event
from scheduler_daemon.live.spelling import Change, JobSpeller, Spelled, spell_run
from scheduler_daemon.services import views
from scheduler_daemon.storage import executions, job_states, jobs
from scheduler_daemon.storage.session import Database

JOBS_AT_ONCE = 500
"""Jobs read at once for the whole picture; their runs are read of a tenth as many."""
JOBS_KNOWN = 20_000
"""Jobs of which it is remembered what somebody saved, about 2 KB each."""


class Told:
    """What waiting events tell."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, tuple[int, JobSpeller]] = {}
        """The revision that somebody saved last."""

    def forget(self) -> None:
        """Read every job anew."""
        self._known = {}

    async def changes(self, rows: Sequence[Any]) -> list[Change | Spelled]:
        """Return the changes these events tell of, oldest first, the jobs last."""
        changes: list[Change | Spelled] = []
        touched: set[str] = set()
        ran: set[str] = set()
        for row in _newest(rows):
            if row.kind == "execution":
                text = row.text.encode()
                doc = from_json(text)
                ran.add(doc["job_id"])
                changes.append(spell_run(row.subject, row.version, row.at, text, doc, _audience(row.owner_id)))
            elif row.kind == "job":
                touched.add(row.subject)
            else:
                doc = from_json(row.text) if row.kind == "insight" else None
                changes.append(_change(row.kind, row.subject, row.version, row.at, doc, row.owner_id))
        return [*changes, *await self._touched(touched | ran, ran)]

    async def _touched(self, ids: set[str], ran: set[str]) -> list[Spelled]:
        """Spell jobs as they are now. Those that ran are remembered, for they will run again."""
        if not ids:
            return []
        known = self._known
        moves, saved = await self._database.read(lambda db: _moved(db, ids, known))
        if len(known) + len(saved) > JOBS_KNOWN:
            known = self._known = {row.id: known[row.id] for row in moves if row.id in known}
        spellers = {row.id: (row.revision, _speller(row)) for row in saved}
        known.update({job_id: spellers[job_id] for job_id in spellers.keys() & ran})
        return [
            (spellers.get(row.id) or known[row.id])[1].spell(row.whole_revision, views.job_moves(row, views.as_instant))
            for row in moves
        ]


def _moved(db: Connection, ids: set[str], known: Mapping[str, tuple[int, JobSpeller]]) -> tuple[list[Any], list[Any]]:
    """Return where jobs stand, and the whole rows of those that are not known as they are saved now."""
    moves = job_states.moves(db, ids)
    changed = [row.id for row in moves if row.id not in known or known[row.id][0] != row.saved]
    return moves, jobs.by_ids(db, changed) if changed else []


def _newest(rows: Sequence[Any]) -> list[Any]:
    """Of several events of one document keep the newest: it tells all of it."""
    newest: dict[tuple[str, str], Any] = {}
    for row in rows:
        key = row.kind, row.subject
        if key not in newest or row.version >= newest[key].version:
            newest[key] = row
    return list(newest.values())


def _speller(row: Any) -> JobSpeller:
    return JobSpeller(row.id, row.updated_at, views.job_saved(row), _audience(row.owner_id))


def _audience(owner_id: int) -> tuple[str, ...]:
    return channels.ALL, channels.user(owner_id)


def _change(kind: Any, subject: str, version: int, at: datetime, doc: dict[str, Any] | None, owner_id: int) -> Change:
    return Change(Event(kind=kind, id=subject, version=version, at=at, doc=doc), _audience(owner_id))


def _job_change(row: Any) -> Change:
    return _change("job", row.id, row.whole_revision, row.updated_at, views.job_document(row), row.owner_id)


def _execution_change(row: Any) -> Change:
    document = views.execution_document(row, row.job)
    return _change("execution", str(row.id), row.version, row.ended_at or row.queued_at, document, row.owner_id)


class Jobs:
    """Every living job, a page at a time: there may be 100,000. May be gone through again, and reads anew then."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def __aiter__(self) -> AsyncIterator[Change]:
        last = ""
        while rows := await self._database.read(lambda db, last=last: jobs.living_after(db, last, JOBS_AT_ONCE)):  # type: ignore[misc]  # mypy cannot type the default
            for row in rows:
                yield _job_change(row)
            last = rows[-1].id


class Runs:
    """The last runs of every living job, in the same way."""

    def __init__(self, database: Database, keep: int) -> None:
        self._database = database
        self._keep = keep

    async def __aiter__(self) -> AsyncIterator[Change]:
        ids = [change.event.id async for change in Jobs(self._database)]
        for part in jobs.slices(ids, JOBS_AT_ONCE // 10):
            rows = await self._database.read(lambda db, part=part: executions.latest_of(db, part, self._keep))  # type: ignore[misc]  # as above
            for row in rows:
                yield _execution_change(row)
