"""Runs and their logs over HTTP."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from fastapi.responses import JSONResponse, Response, StreamingResponse

from scheduler_daemon.api.deps import Asked, Limit, OnlyOnce, instant
from scheduler_daemon.contract.artifacts import Artifacts
from scheduler_daemon.contract.executions import (
    CancelRequest,
    ExecutionView,
    FoundLine,
    LogPage,
    RunFacts,
    RunRequest,
    State,
)
from scheduler_daemon.contract.pages import Page
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.contract.system import LogChannel, Series
from scheduler_daemon.domain.errors import Invalid, NotFound
from scheduler_daemon.services import handlers, listing, parameters, retries, runs, snapshots, views
from scheduler_daemon.services import jobs as job_services
from scheduler_daemon.storage import artifacts, executions, log_search, logs
from scheduler_daemon.storage.artifacts import Place as FilePlace
from scheduler_daemon.storage.log_search import Place, Wanted

router = APIRouter(prefix="/v1", tags=["runs"])

RunId = Annotated[int, Path(ge=1, le=2**53)]
Stream = Literal["stdout", "stderr"]


@router.post("/jobs/{job:path}/run", status_code=202)
async def run_job(ask: Asked, once: OnlyOnce, job: str, request: RunRequest | None = None) -> Response:
    """Run a job now."""
    context = ask.context
    now = context.now()
    asked = request or RunRequest()
    wishes = parameters.Wishes(asked.parameters, asked.like, context.vault)

    def work(db: Any, free: int) -> tuple[tuple[int, dict[str, Any]], Any]:
        actor = ask.actor(db)
        begun = None

        def run() -> dict[str, Any]:
            nonlocal begun
            view, begun = runs.request(
                db, actor, job, asked.reason, now=now, holder=context.holder, free=free, wishes=wishes
            )
            return view.model_dump(mode="json")

        status, body, _ = once.run(db, actor, now, 202, run)
        return (status, body), begun

    status, body = await context.engine.run_now(work)
    return JSONResponse(body, status)


@router.get("/executions")
async def list_executions(
    ask: Asked,
    job: str | None = None,
    state: str | None = None,
    since: str | None = None,
    q: str = "",
    limit: Limit = 100,
    cursor: str | None = None,
) -> Page[ExecutionView]:
    """List runs, newest first. `state` takes several, parted by commas."""
    states = [part for part in (state or "").split(",") if part]
    for part in states:
        if part not in set(State):
            raise Invalid(f"state {part!r} is none of {', '.join(State)}", field="state")
    before = _cursor(cursor)
    moment = instant(since, "since")

    def work(db: Any, actor: Any) -> list[ExecutionView]:
        job_id = job_services.get(db, actor, job).id if job else None
        rows = executions.page(
            db,
            job_id=job_id,
            states=states,
            since=moment,
            holding=q,
            before=before,
            limit=limit + 1,
            owner_id=listing.owner_seen(actor),
        )
        return [views.execution_view(row) for row in rows]

    found = await ask.read(work)
    more = len(found) > limit
    return Page(items=found[:limit], next=str(found[limit - 1].id) if more else None)


def _cursor(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 18:
        raise Invalid("the cursor is not one that a page gave", field="cursor")
    return int(cursor)


@router.get("/executions/{execution_id}")
async def show_execution(ask: Asked, execution_id: RunId) -> ExecutionView:
    """Show a run."""
    return await ask.read(lambda db, actor: views.execution_view(runs.get(db, actor, execution_id)))


@router.get("/executions/{execution_id}/attempts")
async def list_attempts(ask: Asked, execution_id: RunId) -> Page[ExecutionView]:
    """Show every attempt of a run, named by any of them, the first one first."""
    found = await ask.read(lambda db, actor: retries.attempts_of(db, runs.get(db, actor, execution_id)))
    return Page(items=found)


@router.get("/executions/{execution_id}/facts")
async def facts_of_execution(ask: Asked, execution_id: RunId) -> RunFacts:
    """Show what is known of a run beside its document: how the machine was when it failed, and what followed it."""

    def work(db: Any, actor: Any) -> RunFacts:
        row = runs.get(db, actor, execution_id)
        return RunFacts(
            host_facts=snapshots.of_run(db, row),
            handlers=tuple(handlers.of_run(db, row)),
            artifacts=artifacts.of_run(db, row.id),
            parameters=parameters.shown(db, row),
        )

    return await ask.read(work)


@router.get("/executions/{execution_id}/artifacts")
async def list_artifacts(ask: Asked, execution_id: RunId) -> Artifacts:
    """List the files that a run left, and what was left out and why."""
    return await ask.read(lambda db, actor: artifacts.of_run(db, runs.get(db, actor, execution_id).id))


@router.get("/executions/{execution_id}/artifacts/{name:path}")
async def get_artifact(ask: Asked, execution_id: RunId, name: str) -> Response:
    """Read a file that a run left, byte for byte."""

    def work(db: Any, actor: Any) -> FilePlace | None:
        return artifacts.find(db, runs.get(db, actor, execution_id).id, name)

    place = await ask.read(work)
    if place is None:
        raise NotFound(f"run {execution_id} has no file {name!r}; `chronos artifact list {execution_id}` shows all")
    parts = await ask.context.engine.artifact(execution_id, place.start, place.size)
    headers = {"Content-Length": str(place.size), "Content-Disposition": "attachment", **_AS_IT_IS}
    return StreamingResponse(parts, media_type="application/octet-stream", headers=headers)


_AS_IT_IS = {"X-Content-Type-Options": "nosniff"}


@router.get("/executions/{execution_id}/usage")
async def usage_of_execution(
    ask: Asked,
    execution_id: RunId,
    metric: Literal["cpu", "memory", "processes"] = "cpu",
    buckets: Annotated[int, Query(ge=1, le=2000)] = 60,
) -> Series:
    """Return what a run used while it ran, kept for a day: per cent of a processor, bytes, threads."""
    row = await ask.read(lambda db, actor: runs.get(db, actor, execution_id))
    if row.started_at is None:
        return Series(metric=metric, points=())
    end = row.ended_at or ask.context.now()
    return await ask.context.picture.usage(execution_id, metric, start=row.started_at, end=end, buckets=buckets)


@router.post("/executions/{execution_id}/cancel", status_code=202)
async def cancel_execution(ask: Asked, execution_id: RunId, request: CancelRequest | None = None) -> ExecutionView:
    """Stop a run, named by any of its attempts: TERM, then KILL for everything it started."""
    reason = request.reason if request else ""
    now = ask.context.now()
    view = await ask.write(lambda db, actor: runs.cancel(db, actor, execution_id, reason, now))
    if view.state.final:
        ask.context.engine.room_changed()  # jobs that run after it may come up
    else:
        await ask.context.engine.stop(view.id, reason)
    return view


@router.get("/executions/{execution_id}/log")
async def read_log(
    ask: Asked,
    execution_id: RunId,
    after: Annotated[int, Query(ge=0, le=2**53)] = 0,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    stream: Stream | None = None,
    search: Annotated[str | None, Query(max_length=400)] = None,
    tail: Annotated[int | None, Query(ge=1, le=10_000)] = None,
    since: str | None = None,
) -> LogPage:
    """Read lines with a number above `after`, of `since` or later, or the last `tail` of them."""
    moment = instant(since, "since")

    def work(db: Any, actor: Any) -> LogPage:
        runs.get(db, actor, execution_id)
        if tail is not None:
            return logs.tail_lines(db, execution_id, tail)
        return logs.read_lines(db, execution_id, after=after, limit=limit, stream=stream, search=search, since=moment)

    return await ask.read(work)


@router.get("/output")
async def search_output(
    ask: Asked,
    search: Annotated[str, Query(min_length=1, max_length=400)],
    job: str | None = None,
    since: str | None = None,
    limit: Limit = 200,
    cursor: str | None = None,
) -> Page[FoundLine]:
    """Find a plain text in the output of all runs, newest runs first. A page may be empty and still have a next one."""
    place = _place(cursor)
    moment = instant(since, "since")

    def work(db: Any, actor: Any) -> tuple[list[FoundLine], Place | None]:
        job_id = job_services.get(db, actor, job).id if job else None
        wanted = Wanted(search, job_id, moment, listing.owner_seen(actor))
        return log_search.find(db, wanted, place, limit)

    found, following = await ask.read(work)
    return Page(items=found, next=f"{following.run}.{following.after}" if following else None)


def _place(cursor: str | None) -> Place | None:
    if cursor is None:
        return None
    run, _, after = cursor.partition(".")
    return Place(_cursor(run) or 0, _cursor(after) or 0)


@router.get("/executions/{execution_id}/log/raw")
async def raw_log(ask: Asked, execution_id: RunId, stream: Stream = "stdout") -> Response:
    """Read one stream, byte for byte as the job wrote it."""

    await ask.read(lambda db, actor: runs.get(db, actor, execution_id))
    parts = logs.stream_raw(ask.context.database, execution_id, stream)
    return StreamingResponse(parts, media_type="application/octet-stream")


@router.post("/executions/{execution_id}/log/follow")
async def follow_log(ask: Asked, execution_id: RunId, session: str) -> LogChannel:
    """Let a session hear the lines of a run; history holds those up to `last`."""

    def work(db: Any, actor: Actor) -> tuple[Actor, int]:
        runs.get(db, actor, execution_id)
        return actor, logs.line_count(db, execution_id)

    actor, last = await ask.read(work)
    return await ask.context.picture.hear_log(actor, session, execution_id, last)
