"""Turn a run as SQL keeps it into what the engines are told."""

from typing import Any

from scheduler_daemon.contract.executions import State
from scheduler_daemon.insights.observation import Observation

RAN = frozenset({State.SUCCEEDED, State.FAILED})
"""Ends that tell something of the job; a run that was cancelled or never began tells nothing."""
_DUE = frozenset({"schedule", "catch_up"})


def observation(row: Any, *, parent_failed: bool = False) -> Observation | None:
    """Return what is observed of a run of `storage.ended`; None of one that did not run to an end of its own."""
    if row.state not in RAN or row.started_at is None or row.ended_at is None:
        return None
    due = row.trigger in _DUE and row.attempt == 0
    return Observation(
        job_id=row.job_id,
        run_id=str(row.id),
        at=row.started_at,
        duration_s=max(0.0, (row.ended_at - row.started_at).total_seconds()),
        output_bytes=row.output_bytes or 0,
        memory_bytes=row.max_rss_bytes,
        cpu_s=None if row.cpu_ms is None else row.cpu_ms / 1000,
        delay_s=max(0.0, (row.started_at - row.fire_at).total_seconds()) if due else None,
        failed=row.state == State.FAILED,
        outcome=row.outcome or row.state,
        exit_code=row.exit_code,
        parent_failed=parent_failed,
        kpis={each["name"]: each["value"] for each in (row.said or {}).get("kpis", ())},
    )
