"""Queries on the runs that follow runs: which jobs have handlers, and what followed what."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, or_, select

from scheduler_daemon.contract.handlers import HandlerKind
from scheduler_daemon.storage import executions
from scheduler_daemon.storage.bulk import InsertNew, among
from scheduler_daemon.storage.executions import EXECUTIONS, VIEW, Record
from scheduler_daemon.storage.jobs import VERSIONS

_COLUMNS = (*executions.NEW, "parent_id", "handler")
_INSERT = InsertNew(EXECUTIONS, _COLUMNS, returning=("id",))
_HAS_ONE = or_(*(VERSIONS.c.spec[kind.value].as_string().is_not(None) for kind in HandlerKind))


def specs(db: Connection, keys: Collection[tuple[str, int]]) -> dict[tuple[str, int], dict[str, Any]]:
    """Return the specs of those (job id, version) pairs that have any handler."""
    if not keys:
        return {}
    query = select(VERSIONS.c.job_id, VERSIONS.c.version, VERSIONS.c.spec).where(
        among(db, VERSIONS.c.job_id, {job_id for job_id, _ in keys}),
        among(db, VERSIONS.c.version, {version for _, version in keys}),
        _HAS_ONE,
    )
    return {(row.job_id, row.version): row.spec for row in db.execute(query) if (row.job_id, row.version) in keys}


def insert(db: Connection, row: Mapping[str, Any]) -> int | None:
    """Insert what follows a run; return its id, None where the run is followed or the instant taken already."""
    made = _INSERT.run(db, [{key: row[key] for key in _COLUMNS}])
    return int(made[0].id) if made else None


def following(db: Connection, ids: Collection[int]) -> Sequence[Record]:
    """Return what followed these runs, oldest first."""
    return db.execute(VIEW.where(among(db, EXECUTIONS.c.parent_id, ids)).order_by(EXECUTIONS.c.id)).all()
