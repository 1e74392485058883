"""Costs over HTTP."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from scheduler_daemon.api.deps import Asked, instant
from scheduler_daemon.contract.costs import Costs, CostsBy
from scheduler_daemon.services import costs

router = APIRouter(prefix="/v1/costs", tags=["insights"])

_USUAL = timedelta(days=30)


@router.get("")
async def show_costs(
    ask: Asked,
    start: Annotated[str | None, Query(alias="from")] = None,
    end: Annotated[str | None, Query(alias="to")] = None,
    by: CostsBy = CostsBy.JOB,
) -> Costs:
    """Sum up what the runs that ended in a period cost, by the prices in the settings; the last 30 days if not said."""
    until = instant(end, "to") or ask.context.now()
    since = instant(start, "from") or until - _USUAL
    prices = ask.context.prices
    return await ask.read(lambda db, actor: costs.of_period(db, actor, prices, since, until, by))
