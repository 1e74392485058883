"""Runs that follow runs: written down with the end they follow, so that there is exactly one whatever dies.

They are runs of the job, but count for nothing that decides on its own: neither its overlap and pool nor what it shows
as its last run, what runs behind it, or its figures.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Connection

from scheduler_daemon.contract.executions import ExecutionView, State, Trigger
from scheduler_daemon.domain.concurrency import turn
from scheduler_daemon.domain.handlers import kind_for, spec_of
from scheduler_daemon.domain.isolation import requested
from scheduler_daemon.services import views
from scheduler_daemon.storage import executions, handlers

_HIGHEST = 9
_MICROSECOND = timedelta(microseconds=1)


def follow(db: Connection, over: Sequence[Any], now: datetime) -> list[SimpleNamespace]:
    """Write down what follows runs that are over; return it as it now is, waiting to be started."""
    kinds = {row.id: kind for row in over if (kind := kind_for(State(row.state), row.started_at)) is not None}
    ended = [row for row in over if row.id in kinds]
    specs = handlers.specs(db, {(row.job_id, row.job_version) for row in ended})
    made = []
    for row in ended:
        spec = specs.get((row.job_id, row.job_version), {})
        if spec.get(kinds[row.id]):
            made += _insert(db, row, kinds[row.id], spec, now)
    return made


def _insert(db: Connection, parent: Any, kind: str, spec: dict[str, Any], now: datetime) -> list[SimpleNamespace]:
    fire_at = parent.ended_at if parent.ended_at.microsecond else parent.ended_at + _MICROSECOND
    row = {
        **executions.NOTHING_YET,
        "job_id": parent.job_id,
        "job_version": parent.job_version,
        "version": 1,
        "fire_at": fire_at,  # a whole second belongs to the schedule
        "attempt": 0,
        "attempts": 1,
        "trigger": Trigger.HANDLER,
        "state": State.QUEUED,
        "outcome": None,
        "reason": f"{kind} of run {parent.id}",
        "actor": parent.actor,
        "host": parent.host,
        "fence": parent.fence,
        "queued_at": now,
        "ended_at": None,
        "policy": requested(spec),
        "pool": None,
        "slots": None,
        "turn": turn(now, _HIGHEST),
        "parent_id": parent.id,
        "handler": str(kind),
    }
    while (number := handlers.insert(db, row)) is None:
        if handlers.following(db, [parent.id]):
            return []
        row["fire_at"] += _MICROSECOND  # another run of the job has this instant
    return [SimpleNamespace(**row, id=number, job=parent.job, owner_id=parent.owner_id)]


def pinned(
    db: Connection, rows: Sequence[Any], specs: Mapping[tuple[str, int], dict[str, Any]]
) -> dict[int, tuple[dict[str, Any], datetime]]:
    """Return by which spec each of these runs is started, and the fire that it is for; `specs` are their jobs'."""
    followed = [row.parent_id for row in rows if row.parent_id is not None]
    parents = {row.id: row for row in executions.by_ids(db, followed)} if followed else {}
    found = {}
    for row in rows:
        spec = specs[row.job_id, row.job_version]
        parent = parents.get(row.parent_id)
        found[row.id] = (spec, row.fire_at) if parent is None else (spec_of(spec, row.handler, parent), parent.fire_at)
    return found


def of_run(db: Connection, row: Any) -> list[ExecutionView]:
    """Return what followed a run."""
    return [views.execution_view(each) for each in handlers.following(db, [row.id])]
