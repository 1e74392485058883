"""Queries on insights. A change names the version it was made to; those of deleted jobs are not seen."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from scheduler_daemon.storage.jobs import JOBS
from scheduler_daemon.storage.tables import metadata

INSIGHTS = metadata.tables["insights"]

Record = Row[*tuple[Any, ...]]

_SEEN = or_(INSIGHTS.c.job_id.is_(None), JOBS.c.deleted_at.is_(None))
_VIEW = (
    select(INSIGHTS, JOBS.c.name.label("job"), JOBS.c.owner_id)
    .select_from(INSIGHTS.outerjoin(JOBS, JOBS.c.id == INSIGHTS.c.job_id))
    .where(_SEEN)
)


def insert(db: Connection, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Insert insights and return the ids of those that were not there. Keys: every column."""
    statement = (sqlite if db.dialect.name == "sqlite" else postgresql).insert(INSIGHTS).values(list(rows))
    return list(db.execute(statement.on_conflict_do_nothing().returning(INSIGHTS.c.id)).scalars())


def by_ids(db: Connection, ids: Collection[str]) -> list[Record]:
    """Return these with their jobs' names and owners, oldest first."""
    return list(db.execute(_VIEW.where(INSIGHTS.c.id.in_(sorted(ids))).order_by(INSIGHTS.c.at, INSIGHTS.c.id)))


def find(db: Connection, insight_id: str, *, lock: bool = False) -> Record | None:
    """Return one with its job's name and owner; nobody else changes a locked one before we are done."""
    query = _VIEW.where(INSIGHTS.c.id == insight_id)
    return db.execute(query.with_for_update(of=INSIGHTS) if lock else query).one_or_none()


def beginning(db: Connection, start: str, limit: int) -> list[str]:
    """Return ids that begin so."""
    return list(db.execute(select(INSIGHTS.c.id).where(INSIGHTS.c.id.startswith(start)).limit(limit)).scalars())


def page(
    db: Connection,
    *,
    states: Collection[str] = (),
    job_id: str | None = None,
    kind: str | None = None,
    severity: str | None = None,
    before: tuple[datetime, str] | None = None,
    limit: int = 100,
    owner_id: int | None = None,
) -> list[Record]:
    """Return insights newest first, those before (at, id); of one owner's jobs, where one is named."""
    query = _VIEW
    if owner_id is not None:
        query = query.where(JOBS.c.owner_id == owner_id)
    if states:
        query = query.where(INSIGHTS.c.state.in_(sorted(states)))
    for column, value in ((INSIGHTS.c.job_id, job_id), (INSIGHTS.c.kind, kind), (INSIGHTS.c.severity, severity)):
        if value is not None:
            query = query.where(column == value)
    if before is not None:
        at, last = before
        query = query.where(or_(INSIGHTS.c.at < at, and_(INSIGHTS.c.at == at, INSIGHTS.c.id < last)))
    return list(db.execute(query.order_by(INSIGHTS.c.at.desc(), INSIGHTS.c.id.desc()).limit(limit)))


def save(db: Connection, insight_id: str, version: int, values: Mapping[str, Any]) -> bool:
    """Write new values of an insight; False if it was changed since it was at `version`."""
    changed = update(INSIGHTS).where(INSIGHTS.c.id == insight_id, INSIGHTS.c.version == version)
    return bool(db.execute(changed.values(version=version + 1, **values)).rowcount)


def overdue(db: Connection, now: datetime, limit: int) -> list[Record]:
    """Return those that wait and whose time is over, and snoozed ones whose time has come."""
    over = and_(INSIGHTS.c.state.in_(("open", "snoozed", "accepted")), INSIGHTS.c.expires <= now)
    awake = and_(INSIGHTS.c.state == "snoozed", INSIGHTS.c.snoozed_until <= now)
    return list(db.execute(_VIEW.where(or_(over, awake)).limit(limit)))


def judged(db: Connection, after: tuple[datetime, str], limit: int) -> list[Record]:
    """Return id, job, kind, state, and when and how it was decided, of those decided after (instant, id)."""
    at, last = after
    columns = (getattr(INSIGHTS.c, name) for name in ("id", "job_id", "kind", "state", "decided_at", "expected"))
    decided = INSIGHTS.c.decided_at
    query = select(*columns).where(or_(decided > at, and_(decided == at, INSIGHTS.c.id > last)))
    return list(db.execute(query.order_by(decided, INSIGHTS.c.id).limit(limit)))


def open_counts(db: Connection, owner_id: int | None = None) -> dict[str, int]:
    """Return how many are open, by severity; of one owner's jobs, where one is named."""
    query = select(INSIGHTS.c.severity, func.count()).select_from(
        INSIGHTS.outerjoin(JOBS, JOBS.c.id == INSIGHTS.c.job_id)
    )
    query = query.where(INSIGHTS.c.state == "open", _SEEN)
    if owner_id is not None:
        query = query.where(JOBS.c.owner_id == owner_id)
    return {row[0]: row[1] for row in db.execute(query.group_by(INSIGHTS.c.severity))}


def said(db: Connection, kinds: Collection[str], job_ids: Collection[str | None], since: datetime) -> list[Record]:
    """Return (job_id, kind, state, decided_at) of what people made of insights of these kinds and jobs, in order."""
    i = INSIGHTS.c
    jobs = or_(i.job_id.in_(sorted(job for job in job_ids if job)), i.job_id.is_(None))
    query = select(i.job_id, i.kind, i.state, i.decided_at).where(i.kind.in_(sorted(kinds)), i.at >= since, jobs)
    return list(db.execute(query.where(i.decided_at.is_not(None)).order_by(i.decided_at)))


def outcomes(db: Connection, since: datetime, kinds: Collection[str] | None = None) -> list[Record]:
    """Return (kind, state, confidence, decided_by, measured) of the insights since an instant, of some kinds or all."""
    i = INSIGHTS.c
    query = select(i.kind, i.state, i.confidence, i.decided_by, i.measured).where(i.at >= since)
    return list(db.execute(query if kinds is None else query.where(i.kind.in_(sorted(kinds)))))


def to_measure(db: Connection, since: datetime, limit: int) -> list[Record]:
    """Return insights that foretell something, oldest first: applied since, or found since and not measured yet."""
    i = INSIGHTS.c
    applied = and_(i.state == "applied", i.decided_at >= since)
    foretold = and_(i.at >= since, i.action.is_(None), i.measured.is_(None))
    query = _VIEW.where(i.prediction.is_not(None), or_(applied, foretold))
    return list(db.execute(query.order_by(i.at, i.id).limit(limit)))
