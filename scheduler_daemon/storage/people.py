"""Queries on accounts and on the record of their acts."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from scheduler_daemon.contract.people import Role
from scheduler_daemon.storage.bulk import ForEach
from scheduler_daemon.storage.tables import metadata

USERS = metadata.tables["users"]
AUDIT = metadata.tables["audit"]

Record = Row[*tuple[Any, ...]]


def by_uid(db: Connection, uid: int, *, disabled: bool = False) -> Record | None:
    """Return the account that signs in with a Unix uid; with `disabled` also one that may not any more."""
    query = select(USERS).where(USERS.c.uid == uid)
    return db.execute(query if disabled else query.where(USERS.c.disabled.is_(False))).one_or_none()


def by_id(db: Connection, user_id: int) -> Record | None:
    """Return an account that may sign in."""
    return db.execute(select(USERS).where(USERS.c.id == user_id, USERS.c.disabled.is_(False))).one_or_none()


def role_of(db: Connection, user_id: int) -> Role:
    """Return the role of an account that exists."""
    return Role(db.execute(select(USERS.c.role).where(USERS.c.id == user_id)).scalar_one())


def all_users(db: Connection) -> list[Record]:
    """Return every account, by name."""
    return list(db.execute(select(USERS).order_by(USERS.c.name)))


def add_user(db: Connection, *, name: str, role: str, uid: int | None, now: datetime) -> int:
    """Make an account and return its id."""
    row = USERS.insert().values(name=name, role=role, uid=uid, disabled=False, created_at=now).returning(USERS.c.id)
    return int(db.execute(row).scalar_one())


_INSERT_ACTS = ForEach(AUDIT.insert(), ("at", "actor", "verb", "subject", "detail"))


def audit(db: Connection, rows: list[dict[str, Any]]) -> None:
    """Record acts in the transaction that does them. Keys: at, actor, verb, subject, detail."""
    _INSERT_ACTS.run(db, rows)


def acts(db: Connection, subject: str, limit: int = 100) -> list[Record]:
    """Return the latest acts on a subject, newest first."""
    query = select(AUDIT).where(AUDIT.c.subject == subject).order_by(AUDIT.c.id.desc()).limit(limit)
    return list(db.execute(query))


def first_admin(db: Connection) -> Record | None:
    """Return the oldest admin."""
    query = select(USERS).where(USERS.c.role == "admin", USERS.c.disabled.is_(False))
    return db.execute(query.order_by(USERS.c.id).limit(1)).one_or_none()
