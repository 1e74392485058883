"""Queries on calendars, their versions, and the jobs that obey them."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, func, select, update

from scheduler_daemon.storage.jobs import JOBS, STATES, USERS
from scheduler_daemon.storage.tables import metadata

CALENDARS = metadata.tables["calendars"]
VERSIONS = metadata.tables["calendar_versions"]

Record = Row[*tuple[Any, ...]]

_VIEW = select(CALENDARS, USERS.c.name.label("owner")).join(USERS, USERS.c.id == CALENDARS.c.owner_id)


def all_of_them(db: Connection) -> list[Record]:
    """Return every calendar, by name."""
    return list(db.execute(_VIEW.order_by(CALENDARS.c.name)))


def find(db: Connection, name: str, *, lock: bool = False) -> Record | None:
    """Return a calendar; nobody uses it anew or changes a locked one before we are done."""
    query = _VIEW.where(CALENDARS.c.name == name)
    return db.execute(query.with_for_update(of=CALENDARS) if lock else query).one_or_none()


def specs(db: Connection, names: Collection[str] | None, *, hold: bool = False) -> dict[str, dict[str, Any]]:
    """Return the specs of these calendars, or of all, by name; nobody deletes those on hold before we are done."""
    query = select(CALENDARS.c.name, CALENDARS.c.spec)
    if names is not None:
        query = query.where(CALENDARS.c.name.in_(sorted(names))).order_by(CALENDARS.c.name)
    found = db.execute(query.with_for_update(read=True) if hold else query)
    return {row.name: row.spec for row in found}


def specs_at(db: Connection, names: Collection[str], at: datetime) -> dict[str, dict[str, Any]]:
    """Return the specs that were in force at an instant, or the first that there were."""
    query = select(VERSIONS).where(VERSIONS.c.name.in_(sorted(names))).order_by(VERSIONS.c.name, VERSIONS.c.version)
    found: dict[str, dict[str, Any]] = {}
    for row in db.execute(query):
        if row.name not in found or row.created_at <= at:
            found[row.name] = row.spec
    return found


def latest_version(db: Connection, name: str) -> int:
    """Return the number of the last version saved under a name, also of a deleted calendar; 0 for none."""
    query = select(func.max(VERSIONS.c.version)).where(VERSIONS.c.name == name)
    return db.execute(query).scalar_one() or 0


def insert(db: Connection, values: Mapping[str, Any]) -> None:
    """Insert a calendar."""
    db.execute(CALENDARS.insert(), values)


def save(db: Connection, name: str, values: Mapping[str, Any]) -> None:
    """Change a calendar."""
    db.execute(update(CALENDARS).where(CALENDARS.c.name == name).values(**values))


def add_version(db: Connection, values: Mapping[str, Any]) -> None:
    """Keep a saved spec for ever."""
    db.execute(VERSIONS.insert(), values)


def remove(db: Connection, name: str) -> None:
    """Delete a calendar; its versions stay, to explain the past."""
    db.execute(delete(CALENDARS).where(CALENDARS.c.name == name))


_USERS = select(
    JOBS.c.id, JOBS.c.name, JOBS.c.owner_id, JOBS.c.paused, JOBS.c.spec, STATES.c.last_handled,
    (JOBS.c.revision + STATES.c.revision).label("whole_revision"),
).join(STATES, STATES.c.job_id == JOBS.c.id)  # fmt: skip


def obeyed(db: Connection) -> dict[str, list[Record]]:
    """Return the living jobs whose schedules name calendars, by the names of the calendars."""
    uses = JOBS.c.spec["schedule"]["calendars"].as_string()
    found: dict[str, list[Record]] = {}
    for row in db.execute(_USERS.where(JOBS.c.deleted_at.is_(None), uses != "[]").order_by(JOBS.c.name)):
        for name in {use["calendar"] for use in row.spec["schedule"]["calendars"]}:
            found.setdefault(name, []).append(row)
    return found


def jobs_obeying(db: Connection, name: str) -> list[Record]:
    """Return the living jobs whose schedules name a calendar, by name."""
    escaped = name.replace("_", "\\_")
    uses = JOBS.c.spec["schedule"]["calendars"].as_string()
    near = uses.like(f'%"{escaped}"%', escape="\\")
    rows = db.execute(_USERS.where(JOBS.c.deleted_at.is_(None), near).order_by(JOBS.c.name))
    return [row for row in rows if any(use["calendar"] == name for use in row.spec["schedule"]["calendars"])]


_MOVE = (
    update(STATES)
    .where(STATES.c.job_id == bindparam("b_job_id"))
    .values(
        last_handled=bindparam("b_last_handled"),
        next_fire_at=bindparam("b_next_fire_at"),
        revision=STATES.c.revision + 1,
    )
)


def move_jobs(db: Connection, moves: Sequence[tuple[str, datetime, datetime | None]]) -> None:
    """Begin anew with jobs whose fires a calendar has changed: (job id, last handled, next fire)."""
    if moves:
        db.execute(
            _MOVE,
            [
                {"b_job_id": job_id, "b_last_handled": handled, "b_next_fire_at": upcoming}
                for job_id, handled, upcoming in moves
            ],
        )
