"""Jobs over HTTP."""

import re
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import JSONResponse
from sqlalchemy import Connection

from scheduler_daemon.api.deps import Ask, Asked, Limit, OnlyOnce, instant
from scheduler_daemon.contract.dependencies import JobGraph
from scheduler_daemon.contract.explain import Explanation
from scheduler_daemon.contract.job_lines import KPI_METRIC, KpiSummary
from scheduler_daemon.contract.jobs import (
    JobCreate,
    JobPatch,
    JobVersion,
    JobView,
    SchedulePreview,
    SchedulePreviewRequest,
    Snooze,
)
from scheduler_daemon.contract.pages import Page
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.contract.system import Series
from scheduler_daemon.domain.errors import Invalid, Unavailable
from scheduler_daemon.domain.filters import parse_filter
from scheduler_daemon.services import dependencies, listing, said, schedules
from scheduler_daemon.services import explain as explain_services
from scheduler_daemon.services import jobs as job_services

router = APIRouter(prefix="/v1", tags=["jobs"])

METRICS = ("duration_ms", "ok", "cpu_ms", "max_rss_bytes", "output_bytes", "delay_ms")


@router.get("/jobs")
async def list_jobs(
    ask: Asked, q: str = "", sort: str = "name", limit: Limit = 200, cursor: str | None = None
) -> Page[JobView]:
    """List jobs that the filter `q` finds: words, `status:failed`, `tag:db`, `owner:ada`, `since:2d`, `-tag:old`."""
    listing.check_sort(sort)
    now = ask.context.now()
    if q.strip():  # SQL answers the whole list: what one has just saved is there at once
        actor = await ask.read(lambda _db, actor: actor)
        try:
            found = await ask.context.picture.search_jobs(actor, q, sort=sort, limit=limit, cursor=cursor, now=now)
        except Unavailable:
            pass
        else:
            items = await ask.read(lambda db, actor: listing.jobs_in_order(db, actor, found.items))
            return Page(items=items, next=found.next, total=found.total)
    offset = _offset(cursor)
    wanted = parse_filter(q)
    return await ask.read(
        lambda db, actor: listing.jobs_by_filter(db, actor, wanted, now, sort=sort, limit=limit, offset=offset)
    )


def _offset(cursor: str | None) -> int:
    if cursor is None:
        return 0
    matched = re.fullmatch(r"~([0-9]{1,9})", cursor)
    if matched is None:
        raise Invalid("the cursor is not one that a page of this list gave; begin again without it", field="cursor")
    return int(matched[1])


@router.post("/jobs", status_code=201)
async def create_job(ask: Asked, once: OnlyOnce, request: JobCreate) -> Response:
    """Make a job."""
    context = ask.context
    now = context.now()
    if "policy" not in request.spec.model_fields_set:
        spec = request.spec.model_copy(update={"policy": context.default_policy})
        request = request.model_copy(update={"spec": spec})
    status, body, _ = await ask.write(
        lambda db, actor: once.run(
            db,
            actor,
            now,
            201,
            lambda: job_services.create(db, actor, request, now=now, new_id=context.new_id).model_dump(mode="json"),
        )
    )
    await context.engine.jobs_changed([body["id"]])
    return JSONResponse(body, status, headers={"ETag": f'"{body["version"]}"'})


@router.get("/jobs/{job:path}/versions")
async def job_versions(ask: Asked, job: str) -> Page[JobVersion]:
    """List every saved version of a job, newest first."""
    return Page(items=await ask.read(lambda db, actor: job_services.history(db, actor, job)))


@router.get("/jobs/{job:path}/fires")
async def job_fires(
    ask: Asked, job: str, count: Annotated[int, Query(ge=1, le=1000)] = 10, after: str | None = None
) -> SchedulePreview:
    """List the next fires of a job."""
    now, moment = ask.context.now(), instant(after, "after")

    def read(db: Connection, actor: Actor) -> SchedulePreview:
        view = job_services.show(db, actor, job)
        request = SchedulePreviewRequest(schedule=view.spec.schedule, after=moment, count=count, job_id=view.id)
        return schedules.preview(db, request, now)

    return await ask.read(read)


@router.get("/jobs/{job:path}/explain")
async def explain_job(ask: Asked, job: str, at: str | None = None) -> Explanation:
    """Say why a job did, did not, will or will not run at an instant; without one, why it stands as it does."""
    moment, now = instant(at, "at"), ask.context.now()
    lacking: dict[str, str] | None
    try:
        lacking = await ask.context.engine.protections()
    except Unavailable:
        lacking = None
    return await ask.read(lambda db, actor: explain_services.explain(db, actor, job, moment, now, lacking))


@router.get("/jobs/{job:path}/graph")
async def job_graph(ask: Asked, job: str) -> JobGraph:
    """Show all jobs that are tied to a job by what runs after what."""
    return await ask.read(lambda db, actor: dependencies.graph(db, actor, job_services.get(db, actor, job).id))


@router.get("/jobs/{job:path}/series")
async def job_series(
    ask: Asked,
    job: str,
    metric: str = "duration_ms",
    since_s: Annotated[int, Query(ge=1, le=366 * 86_400)] = 86_400,
    buckets: Annotated[int, Query(ge=1, le=2000)] = 60,
) -> Series:
    """Return a metric of a job over time: one of ours, or `kpi.NAME` for a figure that the job gives of its runs."""
    if metric not in METRICS and not KPI_METRIC.match(metric):
        raise Invalid(
            f"metric {metric!r} is not kept; choose one of {', '.join(METRICS)}, or kpi.NAME of the job's own",
            field="metric",
        )
    view = await ask.read(lambda db, actor: job_services.show(db, actor, job))
    now = ask.context.now()
    start = now.fromtimestamp(now.timestamp() - since_s, now.tzinfo)
    return await ask.context.picture.series(view.id, metric, start=start, end=now, buckets=buckets)


@router.get("/jobs/{job:path}/kpis")
async def job_kpis(ask: Asked, job: str) -> Page[KpiSummary]:
    """Show the figures that the latest runs of a job gave of themselves, by name."""
    return Page(items=await ask.read(lambda db, actor: said.kpis(db, actor, job)))


@router.post("/jobs/{job:path}/pause")
async def pause_job(ask: Asked, job: str) -> JobView:
    """Pause a job: what comes due meanwhile is skipped."""
    return await _set_paused(ask, job, paused=True)


@router.post("/jobs/{job:path}/resume")
async def resume_job(ask: Asked, job: str) -> JobView:
    """Resume a job from now on."""
    return await _set_paused(ask, job, paused=False)


@router.post("/jobs/{job:path}/snooze")
async def snooze_job(ask: Asked, job: str, request: Snooze) -> JobView:
    """Skip a job's fires until an instant, for some time, or over the next few; it goes on by itself."""
    async with ask.context.engine.editing():
        now = ask.context.now()
        view = await ask.write(lambda db, actor: job_services.snooze(db, actor, job, request, now))
        await ask.context.engine.jobs_changed([view.id])
    return view


async def _set_paused(ask: Ask, job: str, *, paused: bool) -> JobView:
    async with ask.context.engine.editing():
        now = ask.context.now()
        view = await ask.write(lambda db, actor: job_services.set_paused(db, actor, job, now, paused=paused))
        await ask.context.engine.jobs_changed([view.id])
    return view


@router.get("/jobs/{job:path}")
async def show_job(ask: Asked, response: Response, job: str) -> JobView:
    """Show a job by id or name."""
    view = await ask.read(lambda db, actor: job_services.show(db, actor, job))
    response.headers["ETag"] = f'"{view.version}"'
    return view


@router.patch("/jobs/{job:path}")
async def edit_job(
    ask: Asked, response: Response, job: str, body: dict[str, object], if_match: Annotated[str | None, Header()] = None
) -> JobView:
    """Save a new version of a job. `If-Match` may stand for the field `version`."""
    patch = _patch(body, if_match)
    async with ask.context.engine.editing():
        now = ask.context.now()
        view = await ask.write(lambda db, actor: job_services.edit(db, actor, job, patch, now))
        await ask.context.engine.jobs_changed([view.id])
    response.headers["ETag"] = f'"{view.version}"'
    return view


def _patch(body: dict[str, object], if_match: str | None) -> JobPatch:
    from fastapi.exceptions import RequestValidationError
    from pydantic import ValidationError

    if if_match is not None and "version" not in body:
        body = {**body, "version": if_match.strip().removeprefix("W/").strip('"')}
    try:
        return JobPatch.model_validate(body)
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from None


@router.delete("/jobs/{job:path}", status_code=204)
async def delete_job(ask: Asked, job: str) -> None:
    """Delete a job; its history stays and its active runs go on."""
    async with ask.context.engine.editing():
        now = ask.context.now()
        job_id = await ask.write(lambda db, actor: job_services.delete(db, actor, job, now))
        await ask.context.engine.jobs_changed([job_id])
