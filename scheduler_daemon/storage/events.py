"""What happened: written with the change, read by the relay until projected, kept for a while for `events`."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Text, bindparam, cast, delete, select, text, update

from scheduler_daemon.storage.bulk import ForEach
from scheduler_daemon.storage.tables import metadata

EVENTS = metadata.tables["events"]

Record = Row[*tuple[Any, ...]]


_IS_PENDING = text("events.pending")
"""In the words of the partial index: SQLite does not see that `pending = 1` means the same."""


_ADD = ForEach(EVENTS.insert().values(pending=True), ("at", "kind", "subject", "version", "owner_id", "doc"))


def add(db: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Write events. Keys: at, kind, subject, version, owner_id, doc."""
    _ADD.run(db, rows)


_PENDING = select(
    EVENTS.c.id,
    EVENTS.c.at,
    EVENTS.c.kind,
    EVENTS.c.subject,
    EVENTS.c.version,
    EVENTS.c.owner_id,
    cast(EVENTS.c.doc, Text).label("text"),
)


def pending(db: Connection, limit: int) -> list[Record]:
    """Return the oldest events no relay has projected, their documents as JSON in `text`.

    Two daemons may both show one, and the newest version wins.
    """
    return list(db.execute(_PENDING.where(_IS_PENDING).order_by(EVENTS.c.id).limit(limit)))


_DONE = update(EVENTS).where(EVENTS.c.id.between(bindparam("first"), bindparam("last"))).values(pending=False)


def done(db: Connection, ids: Collection[int]) -> None:
    """Mark events as projected. These and no others, never by a watermark: ids commit out of order on Postgres."""
    runs: list[dict[str, int]] = []
    for number in sorted(ids):
        if runs and runs[-1]["last"] == number - 1:
            runs[-1]["last"] = number
        else:
            runs.append({"first": number, "last": number})
    if runs:
        db.execute(_DONE, runs)


def page(
    db: Connection, *, after: int = 0, since: datetime | None = None, limit: int = 500, owner_id: int | None = None
) -> list[Record]:
    """Return events oldest first; of one owner's jobs, where one is named."""
    query = select(EVENTS).where(EVENTS.c.id > after)
    if owner_id is not None:
        query = query.where(EVENTS.c.owner_id == owner_id)
    if since:
        query = query.where(EVENTS.c.at >= since)
    return list(db.execute(query.order_by(EVENTS.c.id).limit(limit)))


def prune(db: Connection, before: datetime) -> None:
    """Drop projected events older than `before`."""
    db.execute(delete(EVENTS).where(EVENTS.c.pending.is_(False), EVENTS.c.at < before))
