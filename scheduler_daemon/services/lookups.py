"""Look up facts of the fleet for somebody, by the same reads as the API's and with the rights of who asks.

Each fact is a small document of names, states, instants and numbers.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Connection

from scheduler_daemon.contract.insights import InsightState
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.domain.filters import Clause, JobFilter
from scheduler_daemon.insights import lookups
from scheduler_daemon.insights.lookups import Lookup
from scheduler_daemon.services import insights, jobs, listing
from scheduler_daemon.services.listing import owner_seen
from scheduler_daemon.storage import executions
from scheduler_daemon.storage import jobs as stored_jobs

Facts = list[dict[str, Any]]

_LAST = 10


def look_up(db: Connection, actor: Actor, name: str, given: Any, now: datetime) -> Facts:
    """Return what a tool tells. Raises Invalid for what is no tool or no arguments of it, NotFound for what is not."""
    asked = lookups.understood(name, given)
    return _TOOLS[type(asked)](db, actor, asked, now)


def run_facts(row: Any) -> dict[str, Any]:
    """Return how a run went, in figures."""
    took = None if row.started_at is None or row.ended_at is None else (row.ended_at - row.started_at).total_seconds()
    return {
        "state": row.state,
        "outcome": row.outcome,
        "exit_code": row.exit_code,
        "seconds": took,
        "memory_bytes": row.max_rss_bytes,
        "version": row.job_version,
    }


def _jobs(db: Connection, actor: Actor, asked: lookups.Jobs, now: datetime) -> Facts:
    state = "succeeded" if asked.state == "ok" else asked.state
    clauses = () if state == "any" else (Clause("state", (state,), negated=False),)
    page = listing.jobs_by_filter(db, actor, JobFilter(clauses=clauses), now, sort="name", limit=asked.limit, offset=0)
    facts = [
        {
            "job": job.name,
            "schedule": job.words,
            "paused": job.paused,
            "last_state": job.last.state if job.last else None,
            "last_ended": _iso(job.last.ended_at if job.last else None),
            "next_fire": _iso(job.next_fire_at),
        }
        for job in page.items
    ]
    return [{"jobs_in_all": page.total}, *facts]


def _job(db: Connection, actor: Actor, asked: lookups.Job, now: datetime) -> Facts:  # noqa: ARG001
    view = jobs.show(db, actor, asked.name)
    spec = view.spec
    settings = {
        "job": view.name,
        "schedule": view.words,
        "version": view.version,
        "paused": view.paused,
        "timeout_s": spec.timeout_ms and spec.timeout_ms / 1000,
        "retries": spec.retry.attempts if spec.retry else 0,
        "memory_limit_bytes": spec.limits.memory_bytes,
        "next_fire": _iso(view.next_fire_at),
    }
    return [settings, *map(_run, executions.page(db, job_id=view.id, limit=_LAST))]


def _runs(db: Connection, actor: Actor, asked: lookups.Runs, now: datetime) -> Facts:
    rows = executions.page(
        db,
        job_id=jobs.get(db, actor, asked.job).id if asked.job else None,
        states=() if asked.state == "any" else (asked.state,),
        since=now - timedelta(days=asked.days),
        limit=asked.limit,
        owner_id=owner_seen(actor),
    )
    return [_run(row) for row in rows]


def _tally(db: Connection, actor: Actor, asked: lookups.Tally, now: datetime) -> Facts:
    rows = executions.tally(
        db, now - timedelta(days=asked.days), by=asked.by, limit=asked.limit, owner_id=owner_seen(actor)
    )
    return [
        {asked.by: row.name, "runs": row.runs, "failed": int(row.failed), "cpu_s": float(row.cpu_ms or 0) / 1000}
        for row in rows
    ]


def _fires(db: Connection, actor: Actor, asked: lookups.Fires, now: datetime) -> Facts:  # noqa: ARG001
    rows = stored_jobs.next_fires(db, asked.limit, owner_seen(actor))
    return [{"job": row.name, "next_fire": _iso(row.next_fire_at)} for row in rows]


def _found(db: Connection, actor: Actor, asked: lookups.Found, now: datetime) -> Facts:  # noqa: ARG001
    page = insights.page(db, actor, states=(InsightState.OPEN,), job=asked.job, limit=40)
    return [
        {
            "insight": each.kind,
            "job": each.job or "all jobs",
            "severity": each.severity,
            "confidence": round(each.confidence, 2),
            "found": _iso(each.at),
            "proposes": each.action.verb if each.action else None,
        }
        for each in page.items
    ]


_TOOLS = cast(
    "Mapping[type[Lookup], Callable[[Connection, Actor, Lookup, datetime], Facts]]",
    {
        lookups.Jobs: _jobs,
        lookups.Job: _job,
        lookups.Runs: _runs,
        lookups.Tally: _tally,
        lookups.Fires: _fires,
        lookups.Found: _found,
    },
)


def _run(row: Any) -> dict[str, Any]:
    return {"run": row.id, "job": row.job, "at": _iso(row.queued_at), "trigger": row.trigger, **run_facts(row)}


def _iso(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at else None
