"""Made-up jobs and runs as the live picture takes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from scheduler_daemon.contract import channels
from scheduler_daemon.contract.events import Event
from scheduler_daemon.live.spelling import Change

EPOCH_START = datetime(2026, 5, 4, 12, tzinfo=UTC)
EVERYONE = (channels.ALL,)


def job_change(job_id: str, *, version: int = 1, heard_by: tuple[str, ...] = EVERYONE, **fields: Any) -> Change:
    """A job as the services show it."""
    name = fields.pop("name", f"job {job_id}")
    doc: dict[str, Any] = {
        "id": job_id,
        "version": 1,
        "revision": version,
        "name": name,
        "spec": {"name": name, "command": fields.pop("command", "true"), "tags": fields.pop("tags", [])},
        "paused": False,
        "owner": "ada",
        "words": "every minute",
        "schedule": "* * * * *",
        "next_fire_at": (EPOCH_START + timedelta(minutes=1)).isoformat(),
        "last": None,
        "active": 0,
        **fields,
    }
    return Change(Event(kind="job", id=job_id, version=version, at=EPOCH_START, doc=doc), heard_by)


def job_deleted(job_id: str, *, version: int) -> Change:
    """The end of a job."""
    return Change(Event(kind="job_deleted", id=job_id, version=version, at=EPOCH_START), EVERYONE)


def run_change(
    run_id: int,
    job_id: str,
    *,
    version: int = 3,
    state: str = "succeeded",
    at: datetime = EPOCH_START,
    duration_ms: int = 1500,
    heard_by: tuple[str, ...] = EVERYONE,
    **fields: Any,
) -> Change:
    """A run that fired at `at` and, if its state is final, ended `duration_ms` later."""
    ended = state in ("succeeded", "failed", "cancelled")
    doc: dict[str, Any] = {
        "id": run_id,
        "job": f"job {job_id}",
        "job_id": job_id,
        "version": version,
        "state": state,
        "outcome": {"succeeded": "ok", "failed": "exit_code", "cancelled": "cancelled"}.get(state),
        "reason": "",
        "fire_at": at.isoformat(),
        "queued_at": at.isoformat(),
        "started_at": at.isoformat(),
        "ended_at": (at + timedelta(milliseconds=duration_ms)).isoformat() if ended else None,
        "duration_ms": duration_ms if ended else None,
        "attempt": 0,
        "exit_code": 0 if state == "succeeded" else None,
        "signal": None,
        "trigger": "schedule",
        "actor": "scheduler",
        "host": "here",
        "usage": {"cpu_ms": 20, "max_rss_bytes": 3_000_000, "output_bytes": 12},
        **fields,
    }
    return Change(Event(kind="execution", id=str(run_id), version=version, at=at, doc=doc), heard_by)
