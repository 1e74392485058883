"""Conditions for a start: name jobs by id, read what is recorded of them, say them in words."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from scheduler_daemon.contract.conditions import Condition, Metric, MetricCondition, StateCondition, said
from scheduler_daemon.contract.jobs import JobSpec
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.domain import access
from scheduler_daemon.domain.access import Verb
from scheduler_daemon.domain.conditions import JobFacts
from scheduler_daemon.domain.errors import Invalid
from scheduler_daemon.services import views
from scheduler_daemon.storage import conditions as storage
from scheduler_daemon.storage import dependencies, executions, jobs

_RECENT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is recorded that the conditions of a run ask for."""

    stopped: str | None
    """Why somebody wants the run to stop; None if nobody does."""
    jobs: Mapping[str, JobFacts]
    """The living jobs that are asked about, by id."""
    names: Mapping[str, str]
    """The names of all of them, by id."""


def facts(db: Connection, execution_id: int, job_id: str, conditions: Collection[Condition], now: datetime) -> Facts:
    """Read what the conditions of a run of a job ask for."""
    wanted = {_named(each) or job_id for each in conditions if isinstance(each, MetricCondition | StateCondition)}
    failed = storage.failed_since(db, wanted, now - _RECENT) if wanted else {}
    found = storage.last_runs(db, wanted) if wanted else []
    living = {row.id: _facts(row, failed.get(row.id, 0)) for row in found}
    return Facts(_stopped(db, execution_id), living, dependencies.names(db, wanted) if wanted else {})


def _stopped(db: Connection, execution_id: int) -> str | None:
    row = executions.find(db, execution_id)
    if row is not None and row.ended_at is None and row.cancel_actor is None:
        return None
    return (row.cancel_reason if row else None) or ""


def _facts(row: Any, failed: int) -> JobFacts:
    figures = {
        Metric.DURATION_MS: views.duration_ms(row.started_at, row.ended_at),
        Metric.CPU_MS: row.cpu_ms,
        Metric.MAX_RSS_BYTES: row.max_rss_bytes,
        Metric.OUTPUT_BYTES: row.output_bytes,
        Metric.EXIT_CODE: row.exit_code,
        Metric.FAILED_24H: failed,
    }
    return JobFacts(row.last_state, figures)


def _named(condition: Condition) -> str | None:
    return condition.job if isinstance(condition, MetricCondition | StateCondition) else None


def resolved(db: Connection, actor: Actor, spec: JobSpec) -> JobSpec:
    """Return a spec whose conditions name jobs by id. Raises Invalid for a job that there is not."""
    if not any(_named(each) for each in spec.conditions):
        return spec
    return spec.model_copy(update={"conditions": tuple(_resolved(db, actor, spec, each) for each in spec.conditions)})


def _resolved(db: Connection, actor: Actor, spec: JobSpec, condition: Condition) -> Condition:
    ref = _named(condition)
    if ref is None:
        return condition
    if ref == spec.name and isinstance(condition, MetricCondition):  # which may be only about to be made
        return condition.model_copy(update={"job": None})
    row = jobs.find(db, ref)
    if row is None or not access.can(actor, Verb.VIEW, row.owner_id):
        raise Invalid(
            f"there is no job {ref!r} for the condition {said(condition)!r}; `chronos job list` shows all",
            field="conditions",
        )
    return condition.model_copy(update={"job": row.id})


def in_words(db: Connection, conditions: Collection[Condition]) -> list[str]:
    """Say conditions as the command line takes them, jobs by name."""
    named = {job_id for each in conditions if (job_id := _named(each))}
    names = dependencies.names(db, named) if named else {}
    return [said(each, names.get(_named(each) or "")) for each in conditions]
