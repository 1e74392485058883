"""Calendars: make, see, change, delete, import. Everyone may use and see one; its owner and admins may change it."""

import logging
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any

import pydantic_core
from sqlalchemy import Connection

from scheduler_daemon.contract.calendars import (
    CalendarDays,
    CalendarPut,
    CalendarSpec,
    CalendarView,
    DayNote,
    IcsReport,
)
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.domain import access
from scheduler_daemon.domain.access import Verb
from scheduler_daemon.domain.calendar_days import Calendar
from scheduler_daemon.domain.errors import ChronosError, Conflict, NotFound
from scheduler_daemon.domain.ics import read_ics
from scheduler_daemon.domain.occasions import Times, timetable
from scheduler_daemon.services import record
from scheduler_daemon.services.fires import is_held
from scheduler_daemon.storage import calendars

log = logging.getLogger(__name__)

_EPOCH = date(1970, 1, 1)
_NAMED = 10
"""Jobs named in a refusal at most."""


def known(db: Connection, schedules: Iterable[Schedule], *, hold: bool = False) -> dict[str, Calendar]:
    """Return those calendars that the schedules name and that exist, ready to be asked.

    On hold, nobody deletes them before the transaction ends.
    """
    names = {use.calendar for schedule in schedules for use in schedule.calendars}
    return _ready(calendars.specs(db, names, hold=hold)) if names else {}


def outdated(db: Connection, used: Iterable[Calendar]) -> set[Calendar]:
    """Return those of the calendars that are no longer as they are kept."""
    used = set(used)
    kept = _ready(calendars.specs(db, {calendar.name for calendar in used}))
    return {each for each in used if each.name not in kept or kept[each.name].spec != each.spec}


def known_at(db: Connection, schedule: Schedule, at: datetime) -> dict[str, Calendar]:
    """Return the calendars of a schedule as they were at an instant."""
    names = {use.calendar for use in schedule.calendars}
    return _ready(calendars.specs_at(db, names, at)) if names else {}


def times_of(db: Connection, schedule: Schedule, job_id: str, *, hold: bool = False) -> Times:
    """Make a schedule ready to be asked. Raises BadSchedule, and Invalid for a calendar that does not exist."""
    return timetable(schedule, job_id, known(db, [schedule], hold=hold))


def _ready(specs: Mapping[str, dict[str, Any]]) -> dict[str, Calendar]:
    found = {}
    for name, spec in specs.items():
        try:
            found[name] = _calendar(name, pydantic_core.to_json(spec))
        except (ChronosError, ValueError):  # another version of us, or of the holidays, could read it
            log.exception("calendar %s cannot be read; the jobs that obey it do not fire", name)
    return found


@lru_cache(maxsize=256)
def _calendar(name: str, spec: bytes) -> Calendar:
    return Calendar(name, CalendarSpec.model_validate_json(spec))


def page(db: Connection, actor: Actor) -> list[CalendarView]:
    """Return every calendar, by name."""
    users = calendars.obeyed(db)
    return [_view(actor, row, users.get(row.name, ())) for row in calendars.all_of_them(db)]


def show(db: Connection, actor: Actor, name: str) -> CalendarView:
    """Return a calendar. Raises NotFound."""
    return _shown(db, actor, _get(db, name))


def days(db: Connection, name: str, year: int) -> CalendarDays:
    """Return the days of a year that a calendar leaves out. Raises NotFound."""
    return _days(_calendar(name, pydantic_core.to_json(_get(db, name).spec)), year)


def try_days(spec: CalendarSpec, year: int) -> CalendarDays:
    """Return the days of a year that a calendar would leave out. Raises Invalid."""
    return _days(Calendar("preview", spec), year)


def _days(calendar: Calendar, year: int) -> CalendarDays:
    notes = tuple(DayNote(day=_EPOCH + timedelta(days=day), reason=why) for day, why in calendar.excluded(year))
    return CalendarDays(name=calendar.name, year=year, excluded=notes)


def put(
    db: Connection, actor: Actor, name: str, request: CalendarPut, now: datetime
) -> tuple[CalendarView, tuple[str, ...]]:
    """Make or replace a calendar; return it and the ids of the jobs that obey it. Nothing before now fires for it.

    Raises Invalid, NotAllowed, Conflict.
    """
    Calendar(name, request.spec)
    row = calendars.find(db, name, lock=True)
    access.require(actor, Verb.EDIT, row.owner_id if row else actor.id)
    here = row.version if row else 0
    if request.version is not None and request.version != here:
        raise Conflict(f"calendar {name!r} is at version {here} and your change was made to version {request.version}")
    spec = request.spec.model_dump(mode="json")
    if row is not None and spec == row.spec:
        return _shown(db, actor, row), ()
    version = calendars.latest_version(db, name) + 1
    values = {"version": version, "spec": spec, "updated_at": now}
    if row is None:
        calendars.insert(db, values | {"name": name, "owner_id": actor.id, "created_at": now})
    else:
        calendars.save(db, name, values)
    said = request.message or ("edited" if row else "created")
    kept = {"name": name, "version": version, "spec": spec, "author": actor.name, "message": said, "created_at": now}
    calendars.add_version(db, kept)
    record.act(db, actor, "calendar.put", [(name, {"version": version, "message": said})], now)
    return _shown(db, actor, _get(db, name)), _move_jobs(db, name, now)


def _move_jobs(db: Connection, name: str, now: datetime) -> tuple[str, ...]:
    """Let the jobs that obey a calendar go on from now, as after an edit, and tell of it; return their ids."""
    rows = calendars.jobs_obeying(db, name)
    schedules = {row.id: Schedule.model_validate(row.spec["schedule"]) for row in rows}
    ready = known(db, schedules.values())
    moves: list[tuple[str, datetime, datetime | None]] = []
    for row in rows:
        handled = row.last_handled if is_held(row) else max(row.last_handled, now)
        try:
            upcoming = timetable(schedules[row.id], row.id, ready).next_fire(max(handled, now))
        except ChronosError:  # kept from another version or another tzdata; the clock leaves it out too
            upcoming = None
        moves.append((row.id, handled, upcoming))
    calendars.move_jobs(db, moves)
    record.jobs_changed(db, "calendar", [(row.id, row.whole_revision + 1, row.owner_id, row.name) for row in rows], now)
    return tuple(row.id for row in rows)


def delete(db: Connection, actor: Actor, name: str, now: datetime) -> None:
    """Delete a calendar that no job obeys. Raises NotFound, NotAllowed, Conflict naming the jobs."""
    row = calendars.find(db, name, lock=True)
    if row is None:
        raise _unknown(name)
    access.require(actor, Verb.EDIT, row.owner_id)
    users = calendars.jobs_obeying(db, name)
    if users:
        seen = [repr(job.name) for job in users if access.can(actor, Verb.VIEW, job.owner_id)][:_NAMED]
        more = [f"{len(users) - len(seen)} more"] if len(users) > len(seen) else []
        raise Conflict(f"calendar {name!r} is obeyed by {', '.join(seen + more)}; take it out of their schedules first")
    calendars.remove(db, name)
    record.act(db, actor, "calendar.delete", [(name, {"version": row.version})], now)


def import_ics(
    db: Connection,
    actor: Actor,
    name: str,
    content: bytes,
    now: datetime,
    *,
    timed: bool = False,
    dry_run: bool = False,
) -> tuple[IcsReport, tuple[str, ...]]:
    """Take over the events of an ICS file as days left out: those that an import gave the calendar before are replaced.

    Events with a time of day are left out, unless `timed`: then they count for each day they touch. Return the report
    and the ids of the jobs that obey the calendar. Raises Invalid, NotAllowed.
    """
    rules, left_out = read_ics(content, timed=timed)
    if dry_run:
        return IcsReport(calendar=None, taken=len(rules), left_out=left_out), ()
    row = calendars.find(db, name, lock=True)
    kept = CalendarSpec.model_validate(row.spec) if row else CalendarSpec()
    others = tuple(rule for rule in kept.rules if not rule.imported)
    spec = CalendarSpec.model_validate(kept.model_dump() | {"rules": (*others, *rules)})
    request = CalendarPut(spec=spec, version=row.version if row else 0, message="imported from ICS")
    view, ids = put(db, actor, name, request, now)
    return IcsReport(calendar=view, taken=len(rules), left_out=left_out), ids


def _shown(db: Connection, actor: Actor, row: Any) -> CalendarView:
    return _view(actor, row, calendars.jobs_obeying(db, row.name))


def _view(actor: Actor, row: Any, users: Iterable[Any]) -> CalendarView:
    return CalendarView(
        name=row.name,
        version=row.version,
        spec=CalendarSpec.model_validate(row.spec),
        owner=row.owner,
        used_by=tuple(job.name for job in users if access.can(actor, Verb.VIEW, job.owner_id)),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _get(db: Connection, name: str) -> Any:
    row = calendars.find(db, name)
    if row is None:
        raise _unknown(name)
    return row


def _unknown(name: str) -> NotFound:
    return NotFound(f"there is no calendar {name!r}; `chronos calendar list` shows all")
