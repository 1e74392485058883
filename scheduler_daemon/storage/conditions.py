"""Queries on what conditions ask of jobs: their last runs, and how many attempts failed of late."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select

from scheduler_daemon.storage.bulk import among
from scheduler_daemon.storage.executions import EXECUTIONS, OWN
from scheduler_daemon.storage.jobs import JOBS, STATES

_FIGURES = ("started_at", "ended_at", "exit_code", "cpu_ms", "max_rss_bytes", "output_bytes")


def last_runs(db: Connection, job_ids: Collection[str]) -> list[Row[*tuple[Any, ...]]]:
    """Return id and last_state of the living ones of these jobs, with the figures of their last runs."""
    jobs = JOBS.join(STATES, STATES.c.job_id == JOBS.c.id).outerjoin(EXECUTIONS, EXECUTIONS.c.id == STATES.c.last_id)
    query = select(JOBS.c.id, STATES.c.last_state, *(EXECUTIONS.c[name] for name in _FIGURES))
    return list(db.execute(query.select_from(jobs).where(JOBS.c.deleted_at.is_(None), among(db, JOBS.c.id, job_ids))))


def failed_since(db: Connection, job_ids: Collection[str], since: datetime) -> dict[str, int]:
    """Return how many attempts of these jobs have failed since an instant; none for a job without any."""
    query = select(EXECUTIONS.c.job_id, func.count()).where(
        OWN, EXECUTIONS.c.ended_at >= since, EXECUTIONS.c.state == "failed", among(db, EXECUTIONS.c.job_id, job_ids)
    )
    return {row[0]: row[1] for row in db.execute(query.group_by(EXECUTIONS.c.job_id))}
