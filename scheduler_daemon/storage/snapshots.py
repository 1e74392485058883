"""How the machine was when runs failed: one row for the failures of a second, and which run has which."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from scheduler_daemon.storage.bulk import among
from scheduler_daemon.storage.executions import EXECUTIONS
from scheduler_daemon.storage.tables import metadata

_SNAPSHOTS = metadata.tables["host_snapshots"]


def add(db: Connection, at: datetime, facts: dict[str, Any]) -> int:
    """Keep one; return its id."""
    return int(db.execute(insert(_SNAPSHOTS).values(at=at, facts=facts).returning(_SNAPSHOTS.c.id)).scalar_one())


def attach(db: Connection, snapshot_id: int, ids: Collection[int]) -> None:
    """Let these runs have it, unless they have one."""
    wanted = update(EXECUTIONS).where(among(db, EXECUTIONS.c.id, ids), EXECUTIONS.c.snapshot_id.is_(None))
    db.execute(wanted.values(snapshot_id=snapshot_id))


def find(db: Connection, snapshot_id: int) -> dict[str, Any] | None:
    """Return one, None if it is not kept any more."""
    return db.execute(select(_SNAPSHOTS.c.facts).where(_SNAPSHOTS.c.id == snapshot_id)).scalar_one_or_none()


def prune(db: Connection, before: datetime | None, most: int) -> None:
    """Drop those older than `before`, and all but the newest `most`."""
    if before is not None:
        db.execute(delete(_SNAPSHOTS).where(_SNAPSHOTS.c.at < before))
    beyond = db.execute(select(_SNAPSHOTS.c.id).order_by(_SNAPSHOTS.c.id.desc()).offset(most).limit(1)).scalar()
    if beyond is not None:
        db.execute(delete(_SNAPSHOTS).where(_SNAPSHOTS.c.id <= beyond))
