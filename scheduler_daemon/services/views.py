"""Turn rows into what everyone reads: documents (plain, fast, for events and Redis) and contract models."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import pydantic_core
from pydantic_core import PydanticSerializationError, to_json

from scheduler_daemon.contract.executions import ExecutionView
from scheduler_daemon.contract.jobs import JobSpec, JobView
from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.domain.schedule_words import words
from scheduler_daemon.storage.types import Written

_MILLISECOND = timedelta(milliseconds=1)


def iso(instant: datetime | None) -> str | None:
    """Return the instant as the API writes it."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z") if instant else None


def duration_ms(start: datetime | None, end: datetime | None) -> int | None:
    """Return the whole milliseconds between two instants, None if one is not known."""
    return max(0, (end - start) // _MILLISECOND) if start and end else None


def as_instant(instant: datetime | None) -> datetime | None:
    """Return the instant itself, for who writes JSON: `to_json` writes one in UTC as `iso` does, and much faster."""
    return instant


def execution_document(row: Any, job: str, instant: Callable[[datetime | None], Any] = iso) -> dict[str, Any]:
    """Return a run as JSON-ready values: the same fields as ExecutionView, without the cost of validating."""
    return {
        "id": row.id,
        "job": job,
        "job_id": row.job_id,
        "job_version": row.job_version,
        "version": row.version,
        "state": row.state,
        "outcome": row.outcome,
        "reason": row.reason,
        "fire_at": instant(row.fire_at),
        "queued_at": instant(row.queued_at),
        "started_at": instant(row.started_at),
        "ended_at": instant(row.ended_at),
        "duration_ms": duration_ms(row.started_at, row.ended_at),
        "attempt": row.attempt,
        "attempts": row.attempts,
        "first_id": row.first_id or row.id,
        "start_after": instant(row.start_after),
        "exit_code": row.exit_code,
        "signal": row.signal,
        "trigger": row.trigger,
        "actor": row.actor,
        "host": row.host,
        "policy": row.policy,
        "parent_id": row.parent_id,
        "handler": row.handler,
        "usage": {
            "cpu_ms": row.cpu_ms,
            "max_rss_bytes": row.max_rss_bytes,
            "output_bytes": row.output_bytes,
            **(row.used or _UNCOUNTED),
        },
        **(_SILENT if row.said is None else _said(row.said)),
    }


_UNCOUNTED: dict[str, Any] = {
    "read_bytes": None,
    "write_bytes": None,
    "processes": None,
    "source": None,
    "sampled": [],
    "limit_hit": None,
}
_SILENT: dict[str, Any] = {"progress": None, "kpis": [], "warnings": 0, "warned": []}


def _said(said: dict[str, Any]) -> dict[str, Any]:
    return {name: said[name] for name in _SILENT}


def execution_json(row: Any, job: str) -> Any:
    """Return the same as JSON for a column of it; as values where only the slow writer can write them."""
    try:
        return Written(to_json(execution_document(row, job, as_instant)).decode())
    except PydanticSerializationError:
        return execution_document(row, job)


def execution_view(row: Any) -> ExecutionView:
    """Return a run read together with its job's name."""
    return ExecutionView.model_validate(execution_document(row, row.job))


def job_document(row: Any) -> dict[str, Any]:
    """Return a job as JSON-ready values: the same fields as JobView."""
    return {**job_saved(row), **job_moves(row)}


def job_saved(row: Any) -> dict[str, Any]:
    """Return what of a job's document changes only when somebody saves it."""
    spec = row.spec
    return {
        "id": row.id,
        "version": row.version,
        "name": row.name,
        "spec": spec,
        "paused": row.paused,
        "snoozed_until": iso(row.snoozed_until),
        "owner": row.owner,
        "source": row.source,
        "words": _after(spec) or _words(pydantic_core.to_json(spec["schedule"])),
        "schedule": " | ".join(spec["schedule"]["expressions"]),
        "created_at": iso(row.created_at),
        "updated_at": iso(row.updated_at),
    }


def job_moves(row: Any, instant: Callable[[datetime | None], Any] = iso) -> dict[str, Any]:
    """Return what of a job's document changes with each run."""
    return {
        "revision": row.whole_revision,
        "next_fire_at": None if row.paused else instant(row.next_fire_at),
        "last": _last(row, instant),
        "active": row.active,
    }


def job_view(row: Any) -> JobView:
    """Return a job read through storage.jobs."""
    return JobView.model_validate(job_document(row))


def job_documents(rows: Iterable[Any]) -> list[dict[str, Any]]:
    """Return jobs as JSON-ready values."""
    return [job_document(row) for row in rows]


def _last(row: Any, instant: Callable[[datetime | None], Any]) -> dict[str, Any] | None:
    if row.last_id is None:
        return None
    return {
        "id": row.last_id,
        "state": row.last_state,
        "outcome": row.last_outcome,
        "fire_at": instant(row.last_fire_at),
        "ended_at": instant(row.last_ended_at),
        "duration_ms": row.last_duration_ms,
    }


def _after(spec: dict[str, Any]) -> str:
    upstreams = len(spec.get("after", ()))
    return f"after {upstreams} other job{'s' * (upstreams > 1)}" if upstreams else ""


@lru_cache(maxsize=4096)
def _words(schedule: bytes) -> str:
    return words(Schedule.model_validate_json(schedule))


def spec_of(row: Any) -> JobSpec:
    """Return the spec a row holds."""
    return JobSpec.model_validate(row.spec)
