"""What runs cost, by a price list: sums by job, owner or tag. Each sees the costs of what they may see."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from scheduler_daemon.contract.costs import Cost, Costs, CostsBy, Prices
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.domain.errors import Invalid
from scheduler_daemon.services.listing import visible_owner
from scheduler_daemon.storage import usage

_GIB = 1 << 30


def of_period(db: Connection, actor: Actor, prices: Prices, start: datetime, end: datetime, by: CostsBy) -> Costs:
    """Return what the runs that ended in start <= instant < end cost. Raises Invalid for a period that is none."""
    if start >= end:
        raise Invalid(f"the period ends at {end:%Y-%m-%dT%H:%M:%SZ}, before it begins", field="to")
    rows = usage.by_job(db, start, end, visible_owner(actor))
    figures = _figures(db, prices, start, end)
    groups: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        for name in _names(row, by):
            groups[name].append(row)
    lines = [_cost(name, some, figures, prices) for name, some in groups.items()]
    return Costs(
        start=start,
        end=end,
        by=by,
        currency=prices.currency,
        priced=prices.any,
        total=_cost("total", rows, figures, prices),
        lines=tuple(sorted(lines, key=lambda line: (-line.cost, -line.cpu_s, line.name))),
    )


def _names(row: Any, by: CostsBy) -> Iterable[str]:
    if by is CostsBy.TAG:
        return dict.fromkeys(row.spec.get("tags") or [""])
    return [row.owner if by is CostsBy.OWNER else row.name]


def _figures(db: Connection, prices: Prices, start: datetime, end: datetime) -> dict[str, dict[str, float]]:
    """Return by job the sums of the figures that have a price."""
    sums: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    if not any(prices.figures.values()):
        return {}
    for job_id, said in usage.said(db, start, end):
        for kpi in said["kpis"]:
            if kpi["name"] in prices.figures:
                sums[job_id][kpi["name"]] += kpi["value"]
    return sums


def _cost(name: str, rows: Iterable[Any], figures: dict[str, dict[str, float]], prices: Prices) -> Cost:
    runs = unmeasured = 0
    cpu_s = gib_s = 0.0
    counted: dict[str, float] = defaultdict(float)
    for row in rows:
        runs, unmeasured = runs + row.runs, unmeasured + row.unmeasured
        cpu_s += float(row.cpu_ms) / 1000
        gib_s += float(row.byte_s) / _GIB
        for figure, value in figures.get(row.job_id, {}).items():
            counted[figure] += value
    money = cpu_s / 3600 * prices.cpu_hour + gib_s / 3600 * prices.memory_gib_hour
    money += sum(value * prices.figures[figure] for figure, value in counted.items())
    return Cost(
        name=name, runs=runs, cpu_s=cpu_s, memory_gib_s=gib_s, figures=counted, cost=money, unmeasured=unmeasured
    )
