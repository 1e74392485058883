"""Calendars over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from scheduler_daemon.api.deps import Asked
from scheduler_daemon.contract.calendars import CalendarDays, CalendarPut, CalendarSpec, CalendarView, IcsReport
from scheduler_daemon.contract.pages import Page
from scheduler_daemon.domain.errors import Invalid
from scheduler_daemon.services import calendars

router = APIRouter(prefix="/v1/calendars", tags=["calendars"])

MAX_ICS_BYTES = 4 * 1024 * 1024

Name = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Year = Annotated[int | None, Query(ge=1970, le=2500)]


@router.get("")
async def list_calendars(ask: Asked) -> Page[CalendarView]:
    """List every calendar and the jobs that obey it."""
    return Page(items=await ask.read(calendars.page))


@router.post("/preview")
async def preview(ask: Asked, spec: CalendarSpec, year: Year = None) -> CalendarDays:
    """Say which days of a year a calendar would leave out; this year if none is named."""
    await ask.read(lambda _db, actor: actor)
    return calendars.try_days(spec, year or ask.context.now().year)


@router.get("/{name}/days")
async def days(ask: Asked, name: Name, year: Year = None) -> CalendarDays:
    """List the days of a year that a calendar leaves out; of this year if none is named."""
    wanted = year or ask.context.now().year
    return await ask.read(lambda db, _actor: calendars.days(db, name, wanted))


@router.get("/{name}")
async def show_calendar(ask: Asked, response: Response, name: Name) -> CalendarView:
    """Show a calendar."""
    view = await ask.read(lambda db, actor: calendars.show(db, actor, name))
    response.headers["ETag"] = f'"{view.version}"'
    return view


@router.put("/{name}")
async def put_calendar(ask: Asked, response: Response, name: Name, request: CalendarPut) -> CalendarView:
    """Make or replace a calendar; the jobs that obey it follow it from now on."""
    now = ask.context.now()
    async with ask.context.engine.editing():
        view, ids = await ask.write(lambda db, actor: calendars.put(db, actor, name, request, now))
        await ask.context.engine.jobs_changed(ids)
    response.headers["ETag"] = f'"{view.version}"'
    return view


@router.delete("/{name}", status_code=204)
async def delete_calendar(ask: Asked, name: Name) -> None:
    """Delete a calendar that no job obeys."""
    now = ask.context.now()
    await ask.write(lambda db, actor: calendars.delete(db, actor, name, now))


@router.post("/{name}/ics")
async def import_ics(ask: Asked, request: Request, name: Name, timed: bool = False, dry_run: bool = False) -> IcsReport:
    """Take over the days of an ICS file, which is the body, in place of those imported before."""
    content = await request.body()
    if len(content) > MAX_ICS_BYTES:
        raise Invalid(f"the file has {len(content):,} bytes, the limit is {MAX_ICS_BYTES:,}", field="the body")
    now = ask.context.now()
    async with ask.context.engine.editing():
        report, ids = await ask.write(
            lambda db, actor: calendars.import_ics(db, actor, name, content, now, timed=timed, dry_run=dry_run)
        )
        await ask.context.engine.jobs_changed(ids)
    return report
