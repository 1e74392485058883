"""Queries on questions to Claude: the queue, and the ledger."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, delete, func, select, update

from scheduler_daemon.storage.tables import metadata

CALLS = metadata.tables["claude_calls"]

Record = Row[*tuple[Any, ...]]

_C = CALLS.c


class Spent(NamedTuple):
    """Tokens, and millionths of a dollar."""

    tokens: int
    micros: int


def add(db: Connection, values: Mapping[str, Any]) -> int:
    """Write a question down and return its number."""
    return int(db.execute(CALLS.insert().values(**values).returning(_C.id)).scalar_one())


def find(db: Connection, call_id: int) -> Record | None:
    """Return a question."""
    return db.execute(select(CALLS).where(_C.id == call_id)).one_or_none()


def latest(db: Connection, purpose: str, subject: str, user_id: int | None) -> Record | None:
    """Return the newest question about a thing; of one account, where one is named."""
    query = select(CALLS).where(_C.purpose == purpose, _C.subject == subject)
    if user_id is not None:
        query = query.where(_C.user_id == user_id)
    return db.execute(query.order_by(_C.id.desc()).limit(1)).one_or_none()


def same(db: Connection, digest: str, model: str, since: datetime, user_id: int | None = None) -> Record | None:
    """Return the newest question with these words that was answered since then; of an account also one not over."""
    query = select(CALLS).where(_C.digest == digest, _C.model == model, _C.at >= since)
    answered = _C.outcome.in_(("answered", "cached"))
    if user_id is None:
        query = query.where(answered)
    else:
        query = query.where(_C.user_id == user_id, answered | (_C.state != "done"))
    return db.execute(query.order_by(_C.id.desc()).limit(1)).one_or_none()


def page(db: Connection, *, user_id: int | None, before: int | None, limit: int) -> list[Record]:
    """Return questions, newest first."""
    query = select(CALLS).order_by(_C.id.desc()).limit(limit)
    if user_id is not None:
        query = query.where(_C.user_id == user_id)
    return list(db.execute(query if before is None else query.where(_C.id < before)))


def prune(db: Connection, before: datetime) -> None:
    """Remove questions from before an instant that are over. What each cost stays in the audit."""
    db.execute(delete(CALLS).where(_C.at < before, _C.state == "done"))


def next_queued(db: Connection) -> Record | None:
    """Return the oldest question that waits; nobody else takes it before we are done."""
    query = select(CALLS).where(_C.state == "queued").order_by(_C.id).limit(1)
    return db.execute(query.with_for_update(skip_locked=True)).one_or_none()


def save(db: Connection, call_id: int, **values: Any) -> None:
    """Write new values of a question."""
    db.execute(update(CALLS).where(_C.id == call_id).values(**values))


def left_behind(db: Connection, before: datetime) -> list[Record]:
    """Return questions that somebody began to ask before then and never ended."""
    return list(db.execute(select(CALLS).where(_C.state == "asking", _C.at < before)))


def spent(db: Connection, since: datetime, user_id: int | None = None) -> Spent:
    """Return what was spent since then, and what may be by what is being asked now; by one account, if one is named."""
    sums = func.coalesce(func.sum(_C.tokens), 0), func.coalesce(func.sum(_C.cost_micros), 0)
    query = select(*sums).where(_C.at >= since)
    if user_id is not None:
        query = query.where(_C.user_id == user_id)
    return Spent(*map(int, db.execute(query).one()))
