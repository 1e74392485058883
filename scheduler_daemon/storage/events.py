"""What happened: written with the change, read by the relay until projected, kept for a while for `events`."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update

from scheduler_daemon.storage.jobs import slices
from scheduler_daemon.storage.tables import metadata

EVENTS = metadata.tables["events"]

Record = Row[*tuple[Any, ...]]


def add(db: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Write events. Keys: at, kind, subject, version, owner_id, doc."""
    if rows:
        db.execute(EVENTS.insert(), [{**row, "pending": True} for row in rows])


def pending(db: Connection, limit: int) -> list[Record]:
    """Return the oldest events the relay has not projected, locked against other daemons."""
    query = select(EVENTS).where(EVENTS.c.pending).order_by(EVENTS.c.id).limit(limit)
    return list(db.execute(query.with_for_update(skip_locked=True)))


def done(db: Connection, ids: Collection[int]) -> None:
    """Mark events as projected. By id, never by a watermark: ids commit out of order on Postgres."""
    for part in slices(list(ids)):
        db.execute(update(EVENTS).where(EVENTS.c.id.in_(part)).values(pending=False))


def done_all(db: Connection, up_to: int) -> None:
    """Mark every event visible now and not above `up_to` as projected: a rebuild has just shown their effect."""
    db.execute(update(EVENTS).where(EVENTS.c.pending, EVENTS.c.id <= up_to).values(pending=False))


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
