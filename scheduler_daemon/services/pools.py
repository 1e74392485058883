"""Pools: make, see, change, delete. Everyone may use and see one; its owner and admins may change it."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from scheduler_daemon.contract.people import Actor
from scheduler_daemon.contract.pools import PoolPut, PoolView
from scheduler_daemon.domain import access
from scheduler_daemon.domain.access import Verb
from scheduler_daemon.domain.errors import Conflict, Invalid, NotFound
from scheduler_daemon.services import record
from scheduler_daemon.storage import pools

_NAMED = 10
"""Jobs named in a refusal at most."""


def require(db: Connection, names: Iterable[str | None]) -> None:
    """Raise Invalid for a pool that does not exist; nobody deletes the others before the transaction ends."""
    wanted = {name for name in names if name is not None}
    missing = sorted(wanted - pools.slots(db, wanted, hold=True).keys()) if wanted else []
    if missing:
        raise Invalid(
            f"there is no pool {missing[0]!r}; make it with `chronos pool set {missing[0]} SLOTS`, "
            "or see them all with `chronos pool list`",
            field="pool",
        )


def page(db: Connection, actor: Actor) -> list[PoolView]:
    """Return every pool, by name."""
    users, counts = pools.users(db), pools.counts(db)
    return [_view(actor, row, users, counts) for row in pools.all_of_them(db)]


def show(db: Connection, actor: Actor, name: str) -> PoolView:
    """Return a pool. Raises NotFound."""
    row = pools.find(db, name)
    if row is None:
        raise _unknown(name)
    return _view(actor, row, pools.users(db, name), pools.counts(db, [name]))


def put(db: Connection, actor: Actor, name: str, request: PoolPut, now: datetime) -> PoolView:
    """Make a pool or change its slots: what runs in it runs on. Raises NotAllowed."""
    row = pools.find(db, name, lock=True)
    access.require(actor, Verb.EDIT, row.owner_id if row else actor.id)
    if row is None:
        values = {"name": name, "slots": request.slots, "owner_id": actor.id, "created_at": now, "updated_at": now}
        pools.insert(db, values)
    elif row.slots != request.slots:
        pools.save(db, name, request.slots, now)
    record.act(db, actor, "pool.put", [(name, {"slots": request.slots})], now)
    return show(db, actor, name)


def delete(db: Connection, actor: Actor, name: str, now: datetime) -> None:
    """Delete a pool that no job names. Raises NotFound, NotAllowed, Conflict naming the jobs."""
    row = pools.find(db, name, lock=True)
    if row is None:
        raise _unknown(name)
    access.require(actor, Verb.EDIT, row.owner_id)
    users = pools.users(db, name).get(name, [])
    if users:
        seen = [repr(job.name) for job in users if access.can(actor, Verb.VIEW, job.owner_id)][:_NAMED]
        more = [f"{len(users) - len(seen)} more"] if len(users) > len(seen) else []
        raise Conflict(f"pool {name!r} is used by {', '.join(seen + more)}; take it out of these jobs first")
    pools.remove(db, name)
    record.act(db, actor, "pool.delete", [(name, {"slots": row.slots})], now)


def _view(
    actor: Actor, row: Any, users: Mapping[str, Iterable[Any]], counts: Mapping[str, tuple[int, int]]
) -> PoolView:
    running, waiting = counts.get(row.name, (0, 0))
    return PoolView(
        name=row.name,
        slots=row.slots,
        running=running,
        waiting=waiting,
        owner=row.owner,
        used_by=tuple(job.name for job in users.get(row.name, ()) if access.can(actor, Verb.VIEW, job.owner_id)),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _unknown(name: str) -> NotFound:
    return NotFound(f"there is no pool {name!r}; `chronos pool list` shows all")
