"""What runs say of themselves in their output: kept with the lines that say it, told a little later."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from scheduler_daemon.contract.job_lines import KpiSummary
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.domain.job_lines import Said, document, from_document
from scheduler_daemon.services import jobs, record
from scheduler_daemon.storage import executions

RUNS = 100
"""Runs that a summary goes back."""


def keep(db: Connection, said: Mapping[int, Said], over: Collection[int], now: datetime) -> None:
    """Note what runs have said; announce those of which all output has now been read."""
    executions.keep_said(db, {number: document(each) for number, each in said.items()})
    announce(db, over, now)


def announce(db: Connection, ids: Collection[int], now: datetime) -> None:
    """Tell everyone what these runs have said."""
    if not ids:
        return
    rows = executions.next_version(db, ids)
    record.executions_changed(db, rows, {row.job_id: (row.job, row.owner_id) for row in rows}, now)


def kpis(db: Connection, actor: Actor, ref: str) -> list[KpiSummary]:
    """Return the figures that the latest runs of a job gave, by name. Raises NotFound."""
    job = jobs.get(db, actor, ref)
    found: dict[str, list[tuple[int, Any]]] = {}
    for row in executions.latest_said(db, job.id, RUNS):
        for kpi in from_document(row.said).kpis:
            found.setdefault(kpi.name, []).append((row.id, kpi))
    return [_summary(name, found[name]) for name in sorted(found)]


def _summary(name: str, given: list[tuple[int, Any]]) -> KpiSummary:
    newest, kpi = given[0]
    values = [each.value for _, each in given]
    return KpiSummary(
        name=name,
        unit=kpi.unit,
        runs=len(values),
        last=kpi.value,
        least=min(values),
        mean=_mean(values),
        greatest=max(values),
        last_run=newest,
    )


def _mean(values: list[float]) -> float:
    return sum(value / len(values) for value in values)  # the sum itself may be beyond what a number holds
