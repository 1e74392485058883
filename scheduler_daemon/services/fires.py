"""What the clock says of a job, and the rows of the runs that come of it before anything is decided on them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Connection

from scheduler_daemon.contract.executions import Outcome, State, Trigger
from scheduler_daemon.contract.jobs import Concurrency
from scheduler_daemon.domain.isolation import requested
from scheduler_daemon.domain.occasions import Occasion, Why
from scheduler_daemon.storage import executions

DAEMON = "chronosd"
"""Named as the actor of what nobody asked for."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Which daemon acts: the host it is on, by name, and this start of it."""

    host: str
    fence: str
    """The node, then what tells one start of it from the next: `node.start`."""

    @property
    def node(self) -> str:
        """The state directory the daemon works on, whatever its host is called today. Runs are claimed for a node:
        two daemons of one host may share a database, and neither takes up what is the other's.
        """
        return self.fence.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Due:
    """What the clock says of one job: instants to run, instants that are lost, and where its cursor goes."""

    job_id: str
    version: int
    """The version of the job that says so."""
    concurrency: Concurrency
    run: tuple[datetime, ...]
    missed: tuple[datetime, ...]
    trigger: Trigger
    handled: datetime
    upcoming: datetime | None
    ahead: bool = False
    """Its one instant is still to come."""
    suppressed: tuple[Occasion, ...] = ()
    """Instants at which a calendar or a blackout let nothing start."""


def rests(job: Any, instant: datetime) -> bool:
    """Tell whether a job is paused, or its fire at this instant snoozed or from before its resume."""
    return job.paused or (job.snoozed_until is not None and instant < job.snoozed_until)


def to_run(due: Due, job: Any) -> list[datetime]:
    """Return the instants of a due that are not recorded yet and at which the job does not rest."""
    return [instant for instant in due.run if instant > job.last_handled and not rests(job, instant)]


def not_run(due: Due, job: Any, now: datetime, holder: Holder) -> Iterator[dict[str, Any]]:
    """Yield rows for the instants of a due that are not recorded yet and start nothing, each with its reason."""
    for instant in (*due.missed, *due.run):
        if instant > job.last_handled and rests(job, instant):
            yield _resting(due, job, instant, now, holder)
    for instant in due.missed:
        if instant > job.last_handled and not rests(job, instant):
            yield _lost(due, instant, now, holder)
    for each in due.suppressed:
        if each.instant > job.last_handled:
            yield _suppressed(due, each, now, holder)


def insert_new(db: Connection, rows: Sequence[dict[str, Any]]) -> list[SimpleNamespace]:
    """Insert runs; return those that were ours to insert, as they now are."""
    won = executions.insert(db, rows)
    made = ((won.get((row["job_id"], row["fire_at"])), row) for row in rows)
    return [SimpleNamespace(**executions.NOTHING_YET | row, id=number) for number, row in made if number is not None]


_TRUSTED = requested({})
"""Until it is known which job's run it is."""


def new_row(due: Due, instant: datetime, now: datetime, holder: Holder) -> dict[str, Any]:
    """Return a run as it comes up, before anything is decided on it."""
    return {
        "job_id": due.job_id,
        "job_version": due.version,
        "version": 1,
        "fire_at": instant,
        "attempt": 0,
        "attempts": 1,
        "trigger": due.trigger,
        "state": State.QUEUED,
        "outcome": None,
        "reason": "",
        "actor": DAEMON,
        "host": holder.host,
        "fence": holder.fence,
        "queued_at": now,
        "ended_at": None,
        "policy": _TRUSTED,
        "pool": None,
        "slots": None,
        "turn": None,
    }


def _resting(due: Due, job: Any, instant: datetime, now: datetime, holder: Holder) -> dict[str, Any]:
    if job.paused:
        reason = "the job was paused"
    else:
        was = "snoozed" if job.snoozed_until > now else "paused or snoozed"
        reason = f"{was} until {job.snoozed_until:%Y-%m-%d %H:%M:%S} UTC"
    return new_row(due, instant, now, holder) | {
        "state": State.SKIPPED,
        "outcome": Outcome.PAUSED,
        "reason": reason,
        "ended_at": now,
    }


def _lost(due: Due, instant: datetime, now: datetime, holder: Holder) -> dict[str, Any]:
    reason = "came due while nobody could start it, and the misfire policy lets it go"
    return new_row(due, instant, now, holder) | {
        "state": State.MISSED,
        "outcome": Outcome.MISFIRE,
        "reason": reason,
        "ended_at": now,
    }


def _suppressed(due: Due, occasion: Occasion, now: datetime, holder: Holder) -> dict[str, Any]:
    return new_row(due, occasion.instant, now, holder) | {
        "state": State.SUPPRESSED,
        "outcome": Outcome.CALENDAR if occasion.why is Why.CALENDAR else Outcome.BLACKOUT,
        "reason": f"suppressed by {occasion.reason}",
        "ended_at": now,
    }
