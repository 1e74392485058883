"""What happened: written with the change, read by the relay until projected, kept for a while for `events`."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, select, text, update

from scheduler_daemon.storage.jobs import slices
from scheduler_daemon.storage.tables import metadata

EVENTS = metadata.tables["events"]

Record = Row[*tuple[Any, ...]]


_IS_PENDING = text("events.pending")
"""In the words of the partial index: SQLite does not see that `pending = 1` means the same."""


def add(db: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Write events. Keys: at, kind, subject, version, owner_id, doc."""
    if rows:
        db.execute(EVENTS.insert(), [{**row, "pending": True} for row in rows])


def pending(db: Connection, limit: int) -> list[Record]:
    """Return the oldest events no relay has projected; two daemons may both show one, and the newest version wins."""
    return list(db.execute(select(EVENTS).where(_IS_PENDING).order_by(EVENTS.c.id).limit(limit)))


def done(db: Connection, ids: Collection[int]) -> None:
    """Mark events as projected. By id, never by a watermark: ids commit out of order on Postgres."""
    for part in slices(list(ids)):
        db.execute(update(EVENTS).where(EVENTS.c.id.in_(part)).values(pending=False))


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
