"""Insights over HTTP."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Path, Query
from sqlalchemy import Connection

from scheduler_daemon.api.deps import Ask, Asked, Limit
from scheduler_daemon.contract.insights import Insight, InsightDecision, InsightSnooze, InsightState, KindCard, Severity
from scheduler_daemon.contract.pages import Page
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.services import insights, scorecard

router = APIRouter(prefix="/v1/insights", tags=["insights"])

Id = Annotated[str, Path(min_length=4, max_length=36, pattern=r"^[0-9a-f-]+$")]
"""The whole of it, or so much of its beginning that there is only one."""
_UNSAID = InsightDecision()


@router.get("")
async def list_insights(
    ask: Asked,
    state: Annotated[list[InsightState], Query()] = [],  # noqa: B006  # FastAPI copies it
    job: str | None = None,
    kind: str | None = None,
    severity: Severity | None = None,
    limit: Limit = 100,
    cursor: str | None = None,
) -> Page[Insight]:
    """List insights, newest first; of some states, a job, a kind, a severity, where they are named."""
    return await ask.read(
        lambda db, actor: insights.page(
            db, actor, states=state, job=job, kind=kind, severity=severity, limit=limit, cursor=cursor
        )
    )


@router.get("/scorecard")
async def show_scorecard(ask: Asked) -> Page[KindCard]:
    """Say how good each kind of insight is: by what people said of it, and by what came of what it foretold."""
    now = ask.context.now()
    return Page(items=await ask.read(lambda db, _actor: scorecard.cards(db, now)))


@router.get("/{insight_id}")
async def show_insight(ask: Asked, insight_id: Id) -> Insight:
    """Show an insight."""
    return await ask.read(lambda db, actor: insights.show(db, actor, insight_id))


@router.post("/{insight_id}/accept")
async def accept(ask: Asked, insight_id: Id, request: InsightDecision = _UNSAID) -> Insight:
    """Say that it is true; nothing is changed by that."""
    return await _judge(ask, insight_id, InsightState.ACCEPTED, request)


@router.post("/{insight_id}/dismiss")
async def dismiss(ask: Asked, insight_id: Id, request: InsightDecision = _UNSAID) -> Insight:
    """Say that it is not true, or not worth being told."""
    return await _judge(ask, insight_id, InsightState.DISMISSED, request)


@router.post("/{insight_id}/snooze")
async def snooze(ask: Asked, insight_id: Id, request: InsightSnooze) -> Insight:
    """Put it aside for a while."""
    now = ask.context.now()
    saved = await ask.write(lambda db, actor: insights.snooze(db, actor, insight_id, request, now))
    await ask.context.engine.jobs_changed(())
    return saved


@router.post("/{insight_id}/apply")
async def apply(ask: Asked, insight_id: Id, request: InsightDecision = _UNSAID) -> Insight:
    """Make the change that it proposes."""
    now = ask.context.now()
    return await _edit(ask, lambda db, actor: insights.apply(db, actor, insight_id, request, now))


@router.post("/{insight_id}/undo")
async def undo(ask: Asked, insight_id: Id, request: InsightDecision = _UNSAID) -> Insight:
    """Take back the change that was made of it."""
    now = ask.context.now()
    return await _edit(ask, lambda db, actor: insights.undo(db, actor, insight_id, request, now))


async def _judge(ask: Ask, insight_id: Id, state: InsightState, request: InsightDecision) -> Insight:
    now = ask.context.now()
    saved = await ask.write(lambda db, actor: insights.judge(db, actor, insight_id, state, request, now))
    await ask.context.engine.jobs_changed(())
    return saved


async def _edit(ask: Ask, work: Callable[[Connection, Actor], Insight]) -> Insight:
    async with ask.context.engine.editing():
        saved = await ask.write(work)
        await ask.context.engine.jobs_changed([saved.job_id] if saved.job_id else [])
    return saved
