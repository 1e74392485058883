"""Small lasting facts, and the answers to requests that may be sent again."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select, update

from scheduler_daemon.storage.tables import metadata

META = metadata.tables["meta"]
IDEMPOTENCY = metadata.tables["idempotency"]


def get(db: Connection, key: str) -> str | None:
    """Return a fact, or None."""
    return db.execute(select(META.c.value).where(META.c.key == key)).scalar_one_or_none()


def put(db: Connection, key: str, value: str) -> None:
    """Write a fact."""
    if not db.execute(update(META).where(META.c.key == key).values(value=value)).rowcount:
        db.execute(META.insert().values(key=key, value=value))


def take_lease(db: Connection, key: str, holder: str, now: datetime, until: datetime) -> bool:
    """Have a lease until an instant, if it is ours or nobody's; tell whether we have it.

    A holder whose clock is wrong may share it for a while, so what it guards must bear that.
    """
    kept = db.execute(select(META.c.value).where(META.c.key == key).with_for_update()).scalar_one_or_none()
    if kept is not None:
        other, _, end = kept.partition(" ")
        if other != holder and datetime.fromisoformat(end) > now:
            return False
    put(db, key, f"{holder} {until.isoformat()}")
    return True


def answer(db: Connection, actor: str, key: str) -> tuple[str, int, dict[str, Any]] | None:
    """Return (digest of the request, status, body) of a request that was answered, or None."""
    query = select(IDEMPOTENCY.c.digest, IDEMPOTENCY.c.status, IDEMPOTENCY.c.body)
    found = db.execute(query.where(IDEMPOTENCY.c.actor == actor, IDEMPOTENCY.c.key == key)).one_or_none()
    return tuple(found) if found else None


def keep_answer(
    db: Connection, *, actor: str, key: str, digest: str, status: int, body: dict[str, Any], at: datetime
) -> None:
    """Keep an answer with the change it reports."""
    db.execute(IDEMPOTENCY.insert().values(actor=actor, key=key, digest=digest, status=status, body=body, at=at))


def prune_answers(db: Connection, before: datetime) -> None:
    """Forget answers older than `before`."""
    db.execute(delete(IDEMPOTENCY).where(IDEMPOTENCY.c.at < before))
