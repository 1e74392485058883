"""What was collected of runs. The contents lie in a file for each run, in the folder of the daemon that ran it."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, case, delete, false, func, insert, or_, select, update

from scheduler_daemon.contract.artifacts import Artifact, Artifacts
from scheduler_daemon.contract.executions import State
from scheduler_daemon.storage.bulk import among
from scheduler_daemon.storage.executions import EXECUTIONS, OWN
from scheduler_daemon.storage.retention import Kept
from scheduler_daemon.storage.tables import metadata

_PACKS = metadata.tables["artifact_packs"]
_FILES = metadata.tables["artifacts"]


class Place(NamedTuple):
    """Where a file lies in the pack of its run, in bytes."""

    start: int
    size: int


def put(
    db: Connection, execution_id: int, files: Sequence[Mapping[str, Any]], notes: Sequence[str], now: datetime
) -> None:
    """Note what was collected of a run; what was noted of it before is forgotten. Keys: name, start, size, sha256."""
    db.execute(delete(_FILES).where(_FILES.c.execution_id == execution_id))
    db.execute(delete(_PACKS).where(_PACKS.c.execution_id == execution_id))
    size = sum(file["size"] for file in files)
    db.execute(insert(_PACKS).values(execution_id=execution_id, at=now, size=size, notes=list(notes)))
    if files:
        db.execute(insert(_FILES), [{**file, "execution_id": execution_id} for file in files])


def of_run(db: Connection, execution_id: int) -> Artifacts:
    """Return what is kept of a run."""
    pack = db.execute(select(_PACKS).where(_PACKS.c.execution_id == execution_id)).one_or_none()
    if pack is None:
        return Artifacts()
    found = db.execute(select(_FILES).where(_FILES.c.execution_id == execution_id).order_by(_FILES.c.name))
    items = tuple(Artifact(name=row.name, size=row.size, sha256=row.sha256) for row in found)
    return Artifacts(items=items, notes=tuple(pack.notes), collected_at=pack.at, removed_at=pack.removed_at)


def find(db: Connection, execution_id: int, name: str) -> Place | None:
    """Return where a file lies, None if there is none of that name."""
    query = select(_FILES.c.start, _FILES.c.size).where(_FILES.c.execution_id == execution_id, _FILES.c.name == name)
    row = db.execute(query).one_or_none()
    return None if row is None else Place(row.start, row.size)


def excess(db: Connection, kept: Kept, now: datetime, limit: int) -> list[int]:
    """Return up to `limit` runs whose artifacts are more than is kept, oldest first; never those of a last failure."""
    newest_first = EXECUTIONS.c.id.desc()
    failed = case((and_(EXECUTIONS.c.state == State.FAILED, OWN), EXECUTIONS.c.id))
    kept_of = (
        select(
            EXECUTIONS.c.id,
            EXECUTIONS.c.ended_at,
            func.row_number().over(partition_by=EXECUTIONS.c.job_id, order_by=newest_first).label("place"),
            func.sum(_PACKS.c.size).over(order_by=newest_first).label("size"),
            func.max(failed).over(partition_by=EXECUTIONS.c.job_id).label("last_failure"),
        )
        .join(_PACKS, _PACKS.c.execution_id == EXECUTIONS.c.id)
        .where(EXECUTIONS.c.ended_at.is_not(None), _PACKS.c.removed_at.is_(None))
        .subquery()
    )
    found = kept_of.c
    bounds: list[ColumnElement[bool]] = [false()]
    if kept.age is not None:
        bounds.append(found.ended_at < now - kept.age)
    if kept.runs is not None:
        bounds.append(found.place > kept.runs)
    if kept.size is not None:
        bounds.append(found.size > kept.size)
    not_the_last_failure = or_(found.last_failure.is_(None), found.id != found.last_failure)
    query = select(found.id).where(or_(*bounds), not_the_last_failure).order_by(found.id)
    return list(db.execute(query.limit(limit)).scalars())


def remove(db: Connection, ids: Collection[int], now: datetime) -> None:
    """Forget the artifacts of these runs, and note when."""
    db.execute(delete(_FILES).where(among(db, _FILES.c.execution_id, ids)))
    db.execute(update(_PACKS).where(among(db, _PACKS.c.execution_id, ids)).values(removed_at=now, size=0))


def wanted(db: Connection, ids: Collection[int]) -> set[int]:
    """Return which of these runs have artifacts that are kept."""
    query = select(_PACKS.c.execution_id).where(among(db, _PACKS.c.execution_id, ids), _PACKS.c.removed_at.is_(None))
    return set(db.execute(query).scalars())
