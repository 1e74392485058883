"""Lists and counts: jobs by filter, events, the numbers of the Overview."""

import os
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from scheduler_daemon.contract.jobs import JobView
from scheduler_daemon.contract.pages import Page
from scheduler_daemon.contract.people import Actor, Role
from scheduler_daemon.contract.system import Counts, EventRecord, Fire
from scheduler_daemon.domain import access
from scheduler_daemon.domain.access import Verb
from scheduler_daemon.domain.errors import Invalid
from scheduler_daemon.domain.filters import JobFilter
from scheduler_daemon.services import views
from scheduler_daemon.storage import events, executions, insights, jobs

NEXT_FIRES = 10
_DAY = timedelta(days=1)


def visible_owner(actor: Actor) -> str | None:
    """Return whose jobs the actor sees; None for all."""
    return None if actor.role is Role.ADMIN else actor.name


def jobs_by_filter(
    db: Connection, actor: Actor, wanted: JobFilter, now: datetime, *, sort: str, limit: int, offset: int
) -> Page[JobView]:
    """Return a window of jobs from SQL. Raises Invalid for an unknown order."""
    check_sort(sort)
    rows, total = jobs.page(
        db,
        wanted=wanted,
        visible_to=visible_owner(actor),
        fired_since=now - wanted.since if wanted.since else None,
        sort=sort,
        limit=limit,
        offset=offset,
    )
    end = offset + len(rows)
    return Page(
        items=[views.job_view(row) for row in rows], total=total, next=f"~{end}" if rows and end < total else None
    )


def jobs_in_order(db: Connection, actor: Actor, ids: Sequence[str]) -> list[JobView]:
    """Return the jobs a search has found, in its order, as SQL has them now."""
    rows = {row.id: row for row in jobs.by_ids(db, ids) if access.can(actor, Verb.VIEW, row.owner_id)}
    return [views.job_view(rows[job_id]) for job_id in ids if job_id in rows]


def check_sort(sort: str) -> None:
    """Raise Invalid for an order jobs cannot be listed in."""
    if sort.removeprefix("-") not in jobs.SORTS:
        raise Invalid(
            f"cannot sort by {sort!r}; choose one of {', '.join(jobs.SORTS)}, `-` before it reverses", field="sort"
        )


def owner_seen(actor: Actor) -> int | None:
    """Return the id of whose jobs the actor sees; None for all."""
    return None if actor.role is Role.ADMIN else actor.id


def overview(db: Connection, actor: Actor, now: datetime) -> tuple[Counts, tuple[Fire, ...]]:
    """Count everything the actor may see at one instant, and list the next fires."""
    owner = owner_seen(actor)
    total, paused = jobs.count(db, owner)
    ended = executions.counts_since(db, now - _DAY, owner)
    active = executions.active_counts(db, owner)
    found = insights.open_counts(db, owner)
    counts = Counts(
        jobs=total,
        paused=paused,
        queued=active.get("queued", 0),
        running=active.get("running", 0) + active.get("starting", 0),
        failed_24h=ended.get("failed", 0) + ended.get("unknown", 0),
        succeeded_24h=ended.get("succeeded", 0),
        missed_24h=ended.get("missed", 0),
        insights=sum(found.values()),
        insights_critical=found.get("critical", 0),
    )
    coming = jobs.next_fires(db, NEXT_FIRES, owner)
    fires = tuple(Fire(job_id=row.id, job=row.name, at=row.next_fire_at) for row in coming)
    return counts, fires


def events_page(db: Connection, actor: Actor, *, after: int, since: datetime | None, limit: int) -> list[EventRecord]:
    """Return events the actor may see, oldest first."""
    rows = events.page(db, after=after, since=since, limit=limit, owner_id=owner_seen(actor))
    return [EventRecord(id=row.id, at=row.at, kind=row.kind, subject=row.subject, doc=row.doc) for row in rows]


def own_pid() -> int:
    """Return the pid of the daemon."""
    return os.getpid()
