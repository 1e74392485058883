"""Queries on what was learnt about retries, and on the ends that it is learnt from."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from scheduler_daemon.storage.bulk import among
from scheduler_daemon.storage.executions import EXECUTIONS, OWN, Record
from scheduler_daemon.storage.tables import metadata

ADVICE = metadata.tables["retry_advice"]
SAID = metadata.tables["failures"]
EVERY_JOB = ""


def of_jobs(db: Connection, job_ids: Collection[str]) -> dict[tuple[str, str, str, bool], Record]:
    """Return what was learnt of these jobs, and of all together, by (job id, code, pattern, again)."""
    found = db.execute(select(ADVICE).where(among(db, ADVICE.c.job_id, [EVERY_JOB, *job_ids])))
    return {(row.job_id, row.code, row.pattern_id, row.again): row for row in found}


def said(db: Connection, execution_ids: Collection[int]) -> dict[int, str]:
    """Return the pattern of what each of these attempts wrote, of those of which it is known."""
    found = db.execute(
        select(SAID.c.execution_id, SAID.c.pattern_id).where(among(db, SAID.c.execution_id, execution_ids))
    )
    return {row.execution_id: row.pattern_id for row in found}


def replace(db: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Put what was learnt into the place of all that was known before."""
    db.execute(delete(ADVICE))
    if rows:
        db.execute(insert(ADVICE), list(rows))


def run_before(db: Connection, job_id: str, fire_at: datetime) -> Record | None:
    """Return how the last attempt for the fire before this one ended, None if there is none that began."""
    e = EXECUTIONS.c
    query = (
        select(e.state, e.outcome, e.exit_code, e.signal)
        .where(OWN, e.job_id == job_id, e.fire_at < fire_at, e.started_at.is_not(None), e.ended_at.is_not(None))
        .order_by(e.fire_at.desc(), e.attempt.desc())
        .limit(1)
    )
    return db.execute(query).one_or_none()
