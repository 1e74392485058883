"""What the clock says of a job, and the rows of the runs that come of it before anything is decided on them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Connection

from scheduler_daemon.contract.executions import Outcome, State, Trigger
from scheduler_daemon.contract.jobs import Concurrency
from scheduler_daemon.contract.policies import TRUSTED
from scheduler_daemon.contract.schedule import Misfire
from scheduler_daemon.domain.isolation import requested
from scheduler_daemon.domain.misfire import owed, suppressed
from scheduler_daemon.domain.occasions import Occasion, Times, Why
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
    since: datetime | None = None
    """Up to where the clock had seen to the job; None if that does not matter."""


def rests(job: Any, instant: datetime) -> bool:
    """Tell whether a job is paused, or its fire at this instant snoozed or from before its resume."""
    return job.paused or (job.snoozed_until is not None and instant < job.snoozed_until)


def is_held(job: Any) -> bool:
    """Tell whether what comes due of a job is neither run nor recorded before it is resumed."""
    return bool(job.paused and job.spec.get("catchup_on_resume"))


def to_run(due: Due, job: Any) -> list[datetime]:
    """Return the instants of a due that are not recorded yet and at which the job does not rest."""
    return [instant for instant in due.run if instant > job.last_handled and not rests(job, instant)]


def not_run(due: Due, job: Any, now: datetime, holder: Holder, *, why: str = "") -> Iterator[dict[str, Any]]:
    """Yield rows for the instants of a due that are not recorded yet and start nothing, each with its reason.

    `why` is the reason of those that are lost; without one it is the misfire policy.
    """
    paused = " or the job was paused" if job.spec.get("catchup_on_resume") else ""
    why = why or f"came due while nobody could start it{paused}, and the misfire policy lets it go"
    for instant in (*due.missed, *due.run):
        if instant > job.last_handled and rests(job, instant):
            yield _resting(due, job, instant, now, holder)
    for instant in due.missed:
        if instant > job.last_handled and not rests(job, instant):
            yield _lost(due, instant, now, holder, why)
    for each in due.suppressed:
        if each.instant > job.last_handled:
            yield _suppressed(due, each, now, holder)


def insert_new(db: Connection, rows: Sequence[dict[str, Any]]) -> list[SimpleNamespace]:
    """Insert runs; return those that were ours to insert, as they now are."""
    won = executions.insert(db, rows)
    made = ((won.get((row["job_id"], row["fire_at"])), row) for row in rows)
    return [SimpleNamespace(**executions.NOTHING_YET | row, id=number) for number, row in made if number is not None]


_TRUSTED = requested({"policy": TRUSTED.name})
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


def _lost(due: Due, instant: datetime, now: datetime, holder: Holder, why: str) -> dict[str, Any]:
    return new_row(due, instant, now, holder) | {
        "state": State.MISSED,
        "outcome": Outcome.MISFIRE,
        "reason": why,
        "ended_at": now,
    }


def _suppressed(due: Due, occasion: Occasion, now: datetime, holder: Holder) -> dict[str, Any]:
    return new_row(due, occasion.instant, now, holder) | {
        "state": State.SUPPRESSED,
        "outcome": Outcome.CALENDAR if occasion.why is Why.CALENDAR else Outcome.BLACKOUT,
        "reason": f"suppressed by {occasion.reason}",
        "ended_at": now,
    }


def let_go(job: Any, old: Times, now: datetime) -> list[dict[str, Any]]:
    """Return rows for what a job owes by the schedule that an edit takes from it; of a great many the latest.

    An edit runs nothing from before it. Nothing follows from these runs: jobs behind them do not come up.
    """
    since = job.last_handled
    fires = owed(old, since, now, policy=Misfire.SKIP, grace=_NO_TIME, on_time=_NO_TIME)
    instants, off = (*fires.missed, *fires.run), suppressed(old, since, now)
    due = Due(job.id, job.version, Concurrency.FORBID, (), instants, Trigger.SCHEDULE, now, None, suppressed=off)
    why = "came due, and before it could start the schedule was changed, which runs nothing from before the change"
    return [row | {"policy": requested(job.spec)} for row in not_run(due, job, now, _EDITOR, why=why)]


_NO_TIME = timedelta(0)
_EDITOR = Holder(host="", fence="")
"""An edit is made by no daemon in particular."""
