"""Queries on accounts and on the record of their acts."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from scheduler_daemon.storage.tables import metadata

USERS = metadata.tables["users"]
AUDIT = metadata.tables["audit"]

Record = Row[Any]


def by_uid(db: Connection, uid: int) -> Record | None:
    """Return the account that signs in with a Unix uid."""
    return db.execute(select(USERS).where(USERS.c.uid == uid, USERS.c.disabled.is_(False))).one_or_none()


def all_users(db: Connection) -> list[Record]:
    """Return every account, by name."""
    return list(db.execute(select(USERS).order_by(USERS.c.name)))


def add_user(db: Connection, *, name: str, role: str, uid: int | None, now: datetime) -> int:
    """Make an account and return its id."""
    made = db.execute(USERS.insert().values(name=name, role=role, uid=uid, disabled=False, created_at=now))
    return int(made.inserted_primary_key[0])


def audit(db: Connection, rows: list[dict[str, Any]]) -> None:
    """Record acts in the transaction that does them. Keys: at, actor, verb, subject, detail."""
    if rows:
        db.execute(AUDIT.insert(), rows)


def acts(db: Connection, subject: str, limit: int = 100) -> list[Record]:
    """Return the latest acts on a subject, newest first."""
    query = select(AUDIT).where(AUDIT.c.subject == subject).order_by(AUDIT.c.id.desc()).limit(limit)
    return list(db.execute(query))
