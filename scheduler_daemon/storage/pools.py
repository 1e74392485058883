"""Queries on pools, the jobs that name them, and the runs that hold their slots or wait for one."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, func, select, text, update

from scheduler_daemon.storage.executions import EXECUTIONS, its_time
from scheduler_daemon.storage.jobs import JOBS, USERS
from scheduler_daemon.storage.tables import metadata

POOLS = metadata.tables["pools"]

Record = Row[*tuple[Any, ...]]

_VIEW = select(POOLS, USERS.c.name.label("owner")).join(USERS, USERS.c.id == POOLS.c.owner_id)
_BEGUN = text("executions.ended_at IS NULL AND executions.state IN ('starting', 'running')")
_ACTIVE = text("executions.ended_at IS NULL AND executions.state IN ('queued', 'starting', 'running')")
"""As literals, so that the partial index is seen to hold them all."""


def all_of_them(db: Connection) -> list[Record]:
    """Return every pool, by name."""
    return list(db.execute(_VIEW.order_by(POOLS.c.name)))


def find(db: Connection, name: str, *, lock: bool = False) -> Record | None:
    """Return a pool; no run takes a slot of a locked one before we are done."""
    query = _VIEW.where(POOLS.c.name == name)
    return db.execute(query.with_for_update(of=POOLS) if lock else query).one_or_none()


def slots(
    db: Connection, names: Collection[str] | None = None, *, lock: bool = False, hold: bool = False
) -> dict[str, int]:
    """Return the slots of every pool, or of those of these that exist.

    Of locked ones nobody else takes a slot, and those on hold nobody deletes, before we are done.
    """
    query = select(POOLS.c.name, POOLS.c.slots).order_by(POOLS.c.name)
    if names is not None:
        query = query.where(POOLS.c.name.in_(sorted(names)))
    if lock or hold:
        query = query.with_for_update(read=hold)
    return {row.name: row.slots for row in db.execute(query)}


def counts(
    db: Connection, names: Collection[str] | None = None, now: datetime | None = None
) -> dict[str, tuple[int, int]]:
    """Return (running, waiting) of each pool, or of these, that has active runs.

    Those whose time has not come `now` wait for no slot yet; without an instant they count too.
    """
    wanted = EXECUTIONS.c.pool.is_not(None) if names is None else EXECUTIONS.c.pool.in_(sorted(names))
    waits = EXECUTIONS.c.state == "queued"
    ready = waits if now is None else and_(waits, its_time(now))
    whole = EXECUTIONS.c.attempt.type
    query = select(EXECUTIONS.c.pool, func.sum(waits.cast(whole)), func.sum(ready.cast(whole)), func.count())
    rows = db.execute(query.where(_ACTIVE, wanted).group_by(EXECUTIONS.c.pool))
    return {name: (total - waiting, here) for name, waiting, here, total in rows}


def taken(db: Connection) -> dict[str, int]:
    """Return how many slots of each pool are taken, where any are."""
    query = select(EXECUTIONS.c.pool, func.count().label("taken")).where(_BEGUN, EXECUTIONS.c.pool.is_not(None))
    return {row.pool: row.taken for row in db.execute(query.group_by(EXECUTIONS.c.pool))}


def insert(db: Connection, values: Mapping[str, Any]) -> None:
    """Insert a pool."""
    db.execute(POOLS.insert(), values)


def save(db: Connection, name: str, wanted: int, now: datetime) -> None:
    """Give a pool another number of slots."""
    db.execute(update(POOLS).where(POOLS.c.name == name).values(slots=wanted, updated_at=now))


def remove(db: Connection, name: str) -> None:
    """Delete a pool."""
    db.execute(delete(POOLS).where(POOLS.c.name == name))


def users(db: Connection, name: str | None = None) -> dict[str, list[Record]]:
    """Return the living jobs that name a pool, or this one: name and owner_id, by name, by the names of the pools."""
    pool = JOBS.c.spec["pool"].as_string()
    wanted = pool.is_not(None) if name is None else pool == name
    query = select(JOBS.c.name, JOBS.c.owner_id, pool.label("pool")).where(JOBS.c.deleted_at.is_(None), wanted)
    found: dict[str, list[Record]] = {}
    for row in db.execute(query.order_by(JOBS.c.name)):
        found.setdefault(row.pool, []).append(row)
    return found
