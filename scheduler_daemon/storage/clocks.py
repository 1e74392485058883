"""What the clock needs to know of jobs, and no more: there may be 100,000, and it reads them all when it starts.

Of a spec only the few values asked for are taken out, in the database; the schedule comes as its JSON text, so that
who reads many can read equal ones once.
"""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Row, select

from scheduler_daemon.storage.bulk import among
from scheduler_daemon.storage.jobs import JOBS, STATES

Record = Row[*tuple[Any, ...]]

_CLOCKS = (
    select(
        JOBS.c.id,
        JOBS.c.name,
        JOBS.c.version,
        JOBS.c.spec["schedule"].as_string().label("schedule"),
        JOBS.c.spec["concurrency"].as_string().label("concurrency"),
        JOBS.c.spec["misfire"].as_string().label("misfire"),
        JOBS.c.spec["misfire_grace_ms"].as_integer().label("misfire_grace_ms"),
        JOBS.c.paused,
        JOBS.c.spec["catchup_on_resume"].as_boolean().label("catchup_on_resume"),
        STATES.c.last_handled,
    )
    .join(STATES, STATES.c.job_id == JOBS.c.id)
    .where(JOBS.c.deleted_at.is_(None))
)


def after(db: Connection, job_id: str, limit: int) -> list[Record]:
    """Return the next jobs behind an id in the order of ids; "" is before the first."""
    return list(db.execute(_CLOCKS.where(JOBS.c.id > job_id).order_by(JOBS.c.id).limit(limit)).all())


def of(db: Connection, ids: Collection[str]) -> list[Record]:
    """Return those of these jobs that are there, in no order."""
    return list(db.execute(_CLOCKS.where(among(db, JOBS.c.id, ids))).all())
