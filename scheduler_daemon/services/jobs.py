"""Jobs: make, see, change, pause, delete. Every save is a version; nothing before an edit ever runs because of it."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection

from scheduler_daemon.contract.jobs import JobCreate, JobPatch, JobSpec, JobVersion, JobView, Snooze
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.domain import access
from scheduler_daemon.domain.access import Verb
from scheduler_daemon.domain.concurrency import SINGLE
from scheduler_daemon.domain.errors import BadSchedule, ChronosError, Conflict, Invalid, NotFound
from scheduler_daemon.domain.occasions import Times, timetable
from scheduler_daemon.services import (
    calendars,
    conditions,
    dependencies,
    fires,
    policies,
    pools,
    record,
    retries,
    secrets,
    views,
)
from scheduler_daemon.storage import jobs
from scheduler_daemon.storage.types import Written, as_json

_SECOND = timedelta(seconds=1)
_EVERY = re.compile(r"\s*@every", re.IGNORECASE)


def get(db: Connection, actor: Actor, ref: str, *, lock: bool = False) -> Any:
    """Return the row of a job by id or name. Raises NotFound, also for what the actor may not see."""
    row = jobs.find(db, ref, lock=lock)
    if row is None or not access.can(actor, Verb.VIEW, row.owner_id):
        raise NotFound(f"there is no job {ref!r}; `chronos job list` shows all")
    return row


def show(db: Connection, actor: Actor, ref: str) -> JobView:
    """Return a job. Raises NotFound."""
    return views.job_view(get(db, actor, ref))


def create(db: Connection, actor: Actor, request: JobCreate, *, now: datetime, new_id: Callable[[], str]) -> JobView:
    """Make one job. Raises Conflict for a name that is taken, BadSchedule, NotAllowed."""
    (job_id,) = create_many(db, actor, [request], now=now, new_id=new_id)
    return views.job_view(jobs.find(db, job_id))


def create_many(
    db: Connection, actor: Actor, requests: Sequence[JobCreate], *, now: datetime, new_id: Callable[[], str]
) -> list[str]:
    """Make jobs, all or none, and return their ids. Raises as `create`."""
    access.require(actor, Verb.EDIT, actor.id)
    for request in requests:
        access.require_account(actor, request.spec.user)
    policies.require(db, actor, [request.spec for request in requests])
    _refuse_taken_names(db, [request.spec.name for request in requests])
    pools.require(db, (request.spec.pool for request in requests))
    secrets.require(db, actor.id, actor.role, [request.spec.secrets for request in requests])
    ready = calendars.known(db, [request.spec.schedule for request in requests], hold=True)
    ids: list[str] = []
    rows, states, versions = [], [], []
    after: dict[str, tuple[str, ...]] = {}
    for request in requests:
        job_id = new_id()
        spec = conditions.resolved(db, actor, dependencies.resolved(db, actor, _anchored(request.spec, now)))
        after[job_id] = spec.after
        upcoming = first_fire(timetable(spec.schedule, job_id, ready), spec.schedule, now, lenient=request.paused)
        kept = as_json(spec)  # once for both its places
        rows.append(
            {
                "id": job_id,
                "version": 1,
                "revision": 1,
                "name": spec.name,
                "spec": kept,
                "paused": request.paused,
                "owner_id": actor.id,
                "source": request.source,
                "source_key": request.source_key,
                "created_at": now,
                "updated_at": now,
            }
        )
        states.append({"job_id": job_id, "last_handled": now, "next_fire_at": upcoming, "revision": 0, "active": 0})
        versions.append(_version(job_id, 1, kept, actor, "created", now))
        ids.append(job_id)
    jobs.insert(db, rows, states, versions)
    dependencies.keep(db, after)
    named = [(job_id, 1, actor.id, request.spec.name) for job_id, request in zip(ids, requests, strict=True)]
    record.act(db, actor, "job.create", [(job_id, {"name": name}) for job_id, _, _, name in named], now)
    record.jobs_changed(db, "create", named, now)
    return ids


def edit(db: Connection, actor: Actor, ref: str, patch: JobPatch, now: datetime) -> JobView:
    """Save a new version of a job. Raises NotFound, NotAllowed, Invalid, BadSchedule, Conflict."""
    row = get(db, actor, ref, lock=True)
    access.require(actor, Verb.EDIT, row.owner_id)
    if row.version != patch.version:
        raise Conflict(
            f"{row.name!r} is at version {row.version} and your change was made to version {patch.version}; "
            "read it again and repeat the change"
        )
    spec = _anchored(_patched(row.spec, patch.changes), now)
    if spec.name != row.name:
        _refuse_taken_names(db, [spec.name])
    return _save(db, actor, row, spec, patch.message or "edited", now)


def _save(
    db: Connection, actor: Actor, row: Any, spec: JobSpec, message: str, now: datetime, *, lenient: bool = False
) -> JobView:
    access.require_account(actor, spec.user)
    policies.require(db, actor, [spec])
    pools.require(db, [spec.pool])
    secrets.require_for(db, row.owner_id, spec.secrets)
    spec = conditions.resolved(db, actor, dependencies.resolved(db, actor, spec))
    kept = spec.model_dump(mode="json")
    if kept == row.spec:
        return views.job_view(row)
    rescheduled = spec.schedule != views.spec_of(row).schedule
    times = calendars.times_of(db, spec.schedule, row.id, hold=True)
    upcoming = first_fire(times, spec.schedule, now, lenient=lenient or row.paused or not rescheduled)
    version = row.version + 1
    if not jobs.save(db, row.id, row.version, {"version": version, "name": spec.name, "spec": kept, "updated_at": now}):
        raise Conflict(f"{row.name!r} was changed by someone else at this moment; read it again")
    jobs.add_version(db, _version(row.id, version, kept, actor, message, now))
    dependencies.change(db, row.id, spec.name, row.spec.get("after", ()), spec.after)
    if rescheduled:
        _record_let_go(db, row, now)
        jobs.set_state(db, row.id, next_fire_at=upcoming, last_handled=now)
    changed = sorted(key for key in kept if kept[key] != row.spec.get(key))
    record.act(db, actor, "job.edit", [(row.id, {"version": version, "changed": changed, "message": message})], now)
    record.jobs_changed(db, "edit", [(row.id, row.whole_revision + 1 + rescheduled, row.owner_id, spec.name)], now)
    return views.job_view(jobs.find(db, row.id))


def _record_let_go(db: Connection, row: Any, now: datetime) -> None:
    """Record what the schedule that is being replaced owes; one that can be read no longer owes nothing."""
    try:
        old = calendars.times_of(db, views.spec_of(row).schedule, row.id)
    except ChronosError:
        return
    first = old.next_fire(row.last_handled)
    if first is None or first > now:
        return
    won = fires.insert_new(db, fires.let_go(row, old, now))
    record.executions_changed(db, won, {row.id: (row.name, row.owner_id)}, now)


def save_imported(db: Connection, actor: Actor, row: Any, spec: JobSpec, now: datetime) -> None:
    """Save what an import now says of a job it made before, also that it never fires, which the import warns of."""
    access.require(actor, Verb.EDIT, row.owner_id)
    _save(db, actor, row, _anchored(spec, now), "imported again", now, lenient=True)


def set_paused(db: Connection, actor: Actor, ref: str, now: datetime, *, paused: bool) -> JobView:
    """Pause or resume. What comes due meanwhile is skipped, or left to the misfire policy where the job catches up."""
    row = get(db, actor, ref, lock=True)
    access.require(actor, Verb.EDIT, row.owner_id)
    asleep = row.snoozed_until is not None and row.snoozed_until > now
    if row.paused == paused and not asleep:
        return views.job_view(row)
    schedule = views.spec_of(row).schedule
    upcoming = first_fire(calendars.times_of(db, schedule, row.id), schedule, now, lenient=paused or fires.is_held(row))
    # What came due before a resume and is not recorded yet is skipped all the same, but for a job that catches up.
    snoozed = None if paused or fires.is_held(row) else now
    jobs.save(db, row.id, row.version, {"paused": paused, "snoozed_until": snoozed, "updated_at": now})
    jobs.set_state(db, row.id, next_fire_at=upcoming)
    verb = "pause" if paused else "resume"
    record.act(db, actor, f"job.{verb}", [(row.id, {"name": row.name})], now)
    record.jobs_changed(db, verb, [(row.id, row.whole_revision + 2, row.owner_id, row.name)], now)
    return views.job_view(jobs.find(db, row.id))


def snooze(db: Connection, actor: Actor, ref: str, request: Snooze, now: datetime) -> JobView:
    """Skip a job's fires for a while; it goes on by itself. Raises Invalid for a time that is over or never comes."""
    row = get(db, actor, ref, lock=True)
    access.require(actor, Verb.EDIT, row.owner_id)
    until = _snoozed_until(request, calendars.times_of(db, views.spec_of(row).schedule, row.id), now)
    jobs.save(db, row.id, row.version, {"snoozed_until": until, "updated_at": now})
    record.act(db, actor, "job.snooze", [(row.id, {"name": row.name, "until": until.isoformat()})], now)
    record.jobs_changed(db, "snooze", [(row.id, row.whole_revision + 1, row.owner_id, row.name)], now)
    return views.job_view(jobs.find(db, row.id))


def _snoozed_until(request: Snooze, times: Times, now: datetime) -> datetime:
    if request.until is not None:
        if request.until <= now:
            raise Invalid(f"{request.until.isoformat()} is over; name an instant to come", field="until")
        return request.until
    if request.for_s is not None:
        return now + timedelta(seconds=request.for_s)
    coming = list(times.fires(now, limit=request.fires))
    if not coming:
        raise Invalid("the job has no coming fire to skip", field="fires")
    return coming[-1] + timedelta(seconds=1)


def delete(db: Connection, actor: Actor, ref: str, now: datetime) -> str:
    """Delete a job softly and return its id: its history stays, its name is free, its runs go on to their ends.

    None of them is tried again. Raises Conflict while other jobs run after it.
    """
    row = get(db, actor, ref, lock=True)
    access.require(actor, Verb.EDIT, row.owner_id)
    dependencies.drop(db, row.id, row.name)
    jobs.save(db, row.id, row.version, {"deleted_at": now, "updated_at": now})
    retries.drop(db, row.id, now)
    record.act(db, actor, "job.delete", [(row.id, {"name": row.name})], now)
    record.jobs_changed(db, "delete", [(row.id, row.whole_revision + 1, row.owner_id, row.name)], now)
    return str(row.id)


def history(db: Connection, actor: Actor, ref: str) -> list[JobVersion]:
    """Return every saved version, newest first."""
    row = get(db, actor, ref)
    return [
        JobVersion(
            version=saved.version,
            spec=JobSpec.model_validate(saved.spec),
            author=saved.author,
            message=saved.message,
            created_at=saved.created_at,
        )
        for saved in jobs.versions(db, row.id)
    ]


def first_fire(times: Times, schedule: Schedule, now: datetime, *, lenient: bool = False) -> datetime | None:
    """Return the next fire. Raises BadSchedule where there are expressions and none will ever fire, unless lenient."""
    upcoming = times.next_fire(now)
    if upcoming is None and schedule.expressions and not times.is_reboot and not lenient:
        kept_back = " with its calendars and blackouts" if schedule.calendars or schedule.blackouts else ""
        raise BadSchedule(
            f"{' | '.join(schedule.expressions)!r} never fires after {now:%Y-%m-%d %H:%M:%S} UTC{kept_back}; "
            "give a schedule with a coming fire, or save the job paused",
            expression=schedule.expressions[0],
        )
    return upcoming


def _patched(spec: dict[str, Any], changes: dict[str, Any]) -> JobSpec:
    unknown = sorted(set(changes) - set(JobSpec.model_fields))
    if unknown:
        raise Invalid(f"a job has no field {', '.join(map(repr, unknown))}", field=f"changes.{unknown[0]}")
    try:
        return JobSpec.model_validate({**spec, **_without_limit(changes), **changes})
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, ("changes", *first["loc"])))
        raise Invalid(f"{field} {first['msg'].removeprefix('Value error, ')}", field=field) from None


def _without_limit(changes: dict[str, Any]) -> dict[str, Any]:
    """A policy that lets one run takes the limit of the one before out."""
    return {"concurrency_limit": None} if changes.get("concurrency") in SINGLE else {}


def _anchored(spec: JobSpec, now: datetime) -> JobSpec:
    """Give `@every` the instant it counts from, once and for all."""
    schedule = spec.schedule
    if schedule.anchor or not any("@" in text and _EVERY.match(text) for text in schedule.expressions):
        return spec
    anchor = schedule.start or now.replace(microsecond=0)
    return spec.model_copy(update={"schedule": schedule.model_copy(update={"anchor": anchor})})


def _refuse_taken_names(db: Connection, names: Sequence[str]) -> None:
    taken = jobs.names_taken(db, names)
    seen: set[str] = set()
    for name in names:
        if name in taken or name in seen:
            raise Conflict(f"a job named {name!r} exists already; choose another name, or edit that one")
        seen.add(name)


def _version(
    job_id: str, version: int, spec: dict[str, Any] | Written, actor: Actor, message: str, now: datetime
) -> dict[str, Any]:
    return {
        "job_id": job_id,
        "version": version,
        "spec": spec,
        "author": actor.name,
        "message": message,
        "created_at": now,
    }
