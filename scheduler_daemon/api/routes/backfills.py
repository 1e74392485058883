"""Backfills over HTTP."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from scheduler_daemon.api.deps import Asked, OnlyOnce
from scheduler_daemon.contract.backfills import BackfillCancelled, BackfillRequest
from scheduler_daemon.contract.executions import CancelRequest
from scheduler_daemon.services import backfill

router = APIRouter(prefix="/v1", tags=["runs"])


@router.post("/jobs/{job:path}/backfill", status_code=202)
async def backfill_job(ask: Asked, once: OnlyOnce, job: str, request: BackfillRequest) -> JSONResponse:
    """List the fires of a past range that did not run and, unless it is a dry run, queue a run for each."""
    context = ask.context
    now = context.now()
    if request.dry_run:
        listed = await ask.read(lambda db, actor: backfill.preview(db, actor, job, request, now))
        return JSONResponse(listed.model_dump(mode="json"))

    def work(db: Any, _free: int) -> tuple[tuple[int, dict[str, Any]], Any]:
        actor = ask.actor(db)
        begun = None

        def queue() -> dict[str, Any]:
            nonlocal begun
            answer, begun = backfill.begin(db, actor, job, request, now=now, holder=context.holder)
            return answer.model_dump(mode="json")

        status, body, _ = once.run(db, actor, now, 202, queue)
        return (status, body), begun

    status, body = await context.engine.run_now(work)
    return JSONResponse(body, status)


@router.post("/jobs/{job:path}/backfill/cancel", status_code=202)
async def cancel_backfill(ask: Asked, job: str, request: CancelRequest | None = None) -> BackfillCancelled:
    """Withdraw the backfilled runs of a job that wait, and stop those that have begun."""
    reason = request.reason if request else ""
    now = ask.context.now()
    answer = await ask.write(lambda db, actor: backfill.cancel(db, actor, job, reason, now))
    for execution_id in answer.stopped:
        await ask.context.engine.stop(execution_id, reason)
    ask.context.engine.room_changed()
    return answer
