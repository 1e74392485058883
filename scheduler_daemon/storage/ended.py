"""Runs that have ended, for who learns from them: as they end, and those of the time before.

News is read from the events by their numbers. On Postgres these come out of order by as long as a transaction takes,
so that what is younger than `settled` is left for the next time; by then a run has also told all of itself.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, and_, func, or_, select

from scheduler_daemon.storage.bulk import among
from scheduler_daemon.storage.events import EVENTS
from scheduler_daemon.storage.executions import EXECUTIONS, OWN
from scheduler_daemon.storage.jobs import JOBS, STATES
from scheduler_daemon.storage.tables import metadata

Record = Row[*tuple[Any, ...]]

_E = EXECUTIONS.c
_TIES = metadata.tables["dependencies"]
_RUN = (
    select(
        _E.id,
        _E.job_id,
        JOBS.c.name.label("job"),
        _E.job_version,
        STATES.c.next_fire_at,
        _E.attempt,
        _E.trigger,
        _E.fire_at,
        _E.started_at,
        _E.ended_at,
        _E.state,
        _E.outcome,
        _E.exit_code,
        _E.signal,
        _E.host,
        _E.cpu_ms,
        _E.max_rss_bytes,
        _E.output_bytes,
        _E.said,
    )
    .select_from(EXECUTIONS.join(JOBS, JOBS.c.id == EXECUTIONS.c.job_id).join(STATES, STATES.c.job_id == JOBS.c.id))
    .where(JOBS.c.deleted_at.is_(None), OWN)
)


class News(NamedTuple):
    """Runs that were told to have ended, and the number of the last event that was read."""

    ids: list[int]
    last: int


def last_event(db: Connection) -> int:
    """Return the number of the newest event, 0 where there is none."""
    return int(db.execute(select(func.coalesce(func.max(EVENTS.c.id), 0))).scalar_one())


def news(db: Connection, after: int, settled: datetime, limit: int) -> News:
    """Return what ended after an event, up to the first one younger than `settled`."""
    ended = EVENTS.c.doc["ended_at"].as_string().label("ended")
    query = select(EVENTS.c.id, EVENTS.c.at, EVENTS.c.kind, EVENTS.c.subject, ended)
    ids: list[int] = []
    for row in db.execute(query.where(EVENTS.c.id > after).order_by(EVENTS.c.id).limit(limit)):
        if row.at > settled:
            break
        after = row.id
        if row.kind == "execution" and row.ended is not None:
            ids.append(int(row.subject))
    return News(list(dict.fromkeys(ids)), after)


def runs(db: Connection, ids: Collection[int]) -> list[Record]:
    """Return these runs of living jobs, in the order of their starts."""
    return list(db.execute(_in_order(_RUN.where(among(db, _E.id, ids)))))


def failed_parents(db: Connection, job_ids: Collection[str]) -> set[str]:
    """Return those of these jobs that run after one whose last run failed."""
    query = select(_TIES.c.downstream_id).join(STATES, STATES.c.job_id == _TIES.c.upstream_id)
    failed = among(db, _TIES.c.downstream_id, job_ids), STATES.c.last_state == "failed"
    return set(db.execute(query.where(*failed)).scalars())


def history(db: Connection, after: tuple[datetime, int], until: datetime, limit: int) -> list[Record]:
    """Return runs that ended after (instant, run) and not after `until`, in the order of their ends."""
    at, last = after
    behind = or_(_E.ended_at > at, and_(_E.ended_at == at, _E.id > last))
    query = _RUN.where(_E.ended_at >= at, _E.ended_at <= until, behind)
    return list(db.execute(query.order_by(_E.ended_at, _E.id).limit(limit)))


def _in_order(query: Select[Any]) -> Select[Any]:
    return query.order_by(func.coalesce(_E.started_at, _E.ended_at), _E.id)
