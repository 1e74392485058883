"""Notice that the time zone data changed, and let each next fire be what it is by the new data."""

import logging
from collections.abc import Iterator
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any
from zoneinfo import TZPATH

from sqlalchemy import Connection

from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.domain.errors import ChronosError
from scheduler_daemon.services import calendars, record
from scheduler_daemon.services.fires import DAEMON
from scheduler_daemon.storage import clocks, jobs, meta, people

log = logging.getLogger(__name__)

_KEY = "tzdata"
_PAGE = 1000


def version_in_use() -> str:
    """Return the version of the zone data in use, such as `2026a`; "unknown" where it does not say."""
    for folder in TZPATH:
        try:
            with Path(folder, "tzdata.zi").open(encoding="ascii", errors="replace") as file:
                return file.readline().removeprefix("# version").strip()
        except OSError:
            continue
    try:
        return metadata.version("tzdata")
    except metadata.PackageNotFoundError:
        return "unknown"


def take_up(db: Connection, version: str, now: datetime) -> int:
    """Compare the version of the zone data with the one seen last; return how many next fires the change moved.

    Each move is an event of its job and a line of the audit log. What fires in memory is computed anew at each start.
    """
    seen = meta.get(db, _KEY)
    if seen == version:
        return 0
    meta.put(db, _KEY, version)
    if seen is None:
        return 0
    moved = [(row, upcoming) for row, upcoming in _upcoming(db) if row.next_fire_at != upcoming]
    for row, upcoming in moved:
        jobs.set_state(db, row.id, next_fire_at=upcoming)
    told = [
        {
            "at": now,
            "actor": DAEMON,
            "verb": "job.recompute",
            "subject": row.id,
            "detail": {"tzdata": [seen, version], "was": _iso(row.next_fire_at), "is": _iso(upcoming)},
        }
        for row, upcoming in moved
    ]
    summary = {"tzdata": [seen, version], "moved": len(moved)}
    people.audit(
        db, [*told, {"at": now, "actor": DAEMON, "verb": "tzdata.change", "subject": "tzdata", "detail": summary}]
    )
    record.jobs_changed(
        db, "recompute", [(row.id, row.whole_revision + 1, row.owner_id, row.name) for row, _ in moved], now
    )
    return len(moved)


def _upcoming(db: Connection) -> Iterator[tuple[Any, datetime | None]]:
    """Yield the rows of all jobs with a schedule, and when each fires next after what is recorded of it."""
    last = ""
    while page := clocks.after(db, last, _PAGE):
        last = page[-1].id
        for row in jobs.by_ids(db, [row.id for row in page]):
            schedule = Schedule.model_validate(row.spec["schedule"])
            if not schedule.expressions:
                continue
            try:
                yield row, calendars.times_of(db, schedule, row.id).next_fire(row.last_handled)
            except ChronosError:
                log.exception("job %s (%s) has a schedule that cannot be read", row.id, row.name)


def _iso(instant: datetime | None) -> str | None:
    return instant.isoformat() if instant else None
