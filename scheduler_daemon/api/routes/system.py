"""The daemon itself over HTTP: health, status, events, sessions, schedules, import, export, stopping."""

import logging
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from sqlalchemy import Connection

from scheduler_daemon.api.deps import Asked, Limit, OnlyOnce, instant
from scheduler_daemon.contract.imports import ImportReport
from scheduler_daemon.contract.jobs import SchedulePreview, SchedulePreviewRequest
from scheduler_daemon.contract.pages import Page
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.contract.system import EventRecord, Health, Session, Status
from scheduler_daemon.domain import access
from scheduler_daemon.domain.access import Verb
from scheduler_daemon.domain.errors import Invalid, Unavailable
from scheduler_daemon.services import listing, record, schedules, transfer

log = logging.getLogger(__name__)

router = APIRouter(tags=["system"])

MAX_CRONTAB_BYTES = 16 * 1024 * 1024


@router.get("/healthz")
async def health(request: Request, response: Response) -> Health:
    """Say what works. Open to all who can reach the socket; 503 while starting."""
    found: Health = request.app.state.context.engine.health()
    if found.status == "starting":
        response.status_code = 503
    return found


@router.get("/v1/status")
async def status(ask: Asked) -> Status:
    """Show the state of the daemon, counts, and the next fires."""
    context = ask.context
    counts, fires = await ask.read(lambda db, actor: listing.overview(db, actor, context.now()))
    return Status(
        health=context.engine.health(),
        counts=counts,
        next_fires=fires,
        pid=listing.own_pid(),
        state_dir=context.state_dir,
        host=context.holder.host,
    )


@router.get("/v1/whoami")
async def whoami(ask: Asked) -> Actor:
    """Say whom the daemon takes you for."""
    return await ask.read(lambda _db, actor: actor)


@router.post("/v1/schedules/preview")
async def preview(ask: Asked, request: SchedulePreviewRequest) -> SchedulePreview:
    """Say what a schedule means and when it fires next."""
    now = ask.context.now()
    return await ask.read(lambda db, _actor: schedules.preview(db, request, now))


@router.get("/v1/events")
async def events(
    ask: Asked, after: Annotated[int, Query(ge=0, le=2**53)] = 0, since: str | None = None, limit: Limit = 500
) -> Page[EventRecord]:
    """List what happened, oldest first; `next` goes on from there."""
    moment = instant(since, "since")
    found = await ask.read(lambda db, actor: listing.events_page(db, actor, after=after, since=moment, limit=limit))
    return Page(items=found, next=str(found[-1].id if found else after))


@router.post("/v1/sessions", status_code=201)
async def open_session(ask: Asked) -> Session:
    """Open the live feed: a Redis account that hears what you may see and can do nothing else."""
    actor = await ask.read(lambda _db, actor: actor)
    return await ask.context.picture.open_session(actor)


@router.delete("/v1/sessions/{session_id}", status_code=204)
async def close_session(ask: Asked, session_id: str) -> None:
    """Close the live feed."""
    actor = await ask.read(lambda _db, actor: actor)
    await ask.context.picture.close_session(actor, session_id)


@router.post("/v1/imports/crontab", response_model=ImportReport)
async def import_crontab(
    ask: Asked,
    once: OnlyOnce,
    request: Request,
    source: Annotated[str, Query(min_length=1, max_length=150)],
    user: str | None = None,
    zone: str | None = None,
    system: bool = False,
    dry_run: bool = False,
) -> Response:
    """Take over a crontab; the body is the file. A second import of the same file changes nothing."""
    body = await request.body()
    if len(body) > MAX_CRONTAB_BYTES:
        raise Invalid(f"the crontab has {len(body):,} bytes, the limit is {MAX_CRONTAB_BYTES:,}", field="the body")
    context = ask.context
    options = transfer.Options(source=source, system=system, user=user, zone=zone, dry_run=dry_run)

    def work(db: Connection, actor: Actor) -> tuple[int, dict[str, Any], tuple[str, ...]]:
        changed: tuple[str, ...] = ()

        def take_over() -> dict[str, Any]:
            nonlocal changed
            outcome = transfer.import_crontab(db, actor, body, options, now=now, new_id=context.new_id)
            changed = outcome.changed
            return outcome.report.model_dump(mode="json")

        status, answer, _ = once.run(db, actor, now, 200, take_over)
        return status, answer, changed

    async with context.engine.editing():
        now = context.now()
        status, answer, changed = await ask.write(work)
        await context.engine.jobs_changed(changed)
    return JSONResponse(answer, status)


@router.get("/v1/exports")
async def export(ask: Asked, format: Literal["yaml", "json", "crontab"] = "yaml") -> PlainTextResponse:  # noqa: A002  # the parameter's public name
    """Write every job as text."""
    return PlainTextResponse(await ask.read(lambda db, actor: transfer.export(db, actor, format)))


@router.post("/v1/shutdown", status_code=202)
async def shut_down(ask: Asked, jobs: Literal["keep", "stop"] = "keep") -> dict[str, str]:
    """Stop the daemon; running jobs go on, or are stopped too."""
    now = ask.context.now()

    def allow(db: Connection, actor: Actor) -> None:
        access.require(actor, Verb.ADMINISTER)
        record.act(db, actor, "daemon.stop", [(ask.context.holder.host, {"jobs": jobs})], now)

    try:
        await ask.write(allow)
    except Unavailable as error:  # a full disk must not keep the daemon from being stopped
        await ask.read(lambda _db, actor: access.require(actor, Verb.ADMINISTER))
        log.warning("who stops the daemon cannot be recorded: %s", error.message)
    ask.context.engine.shut_down(stop_jobs=jobs == "stop")
    return {"status": "stopping"}
