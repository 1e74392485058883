"""Decide which fires of a past range are run after all, and where their runs stand among others.

Pure. A backfilled run has a key of its own, so that what is recorded of its fire stays as it is: a fire is a whole
second, and the runs that fill it in later are told apart by the microseconds after it, from 1 on. Requested runs have
microseconds too; who meets one takes the next.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from scheduler_daemon.contract.executions import ACTIVE, Outcome, State, Trigger
from scheduler_daemon.domain.errors import Invalid

LOOKED_AT: Final = 20_000
"""Fires that a range may hold at most, those that ran included."""
GIVES_WAY: Final = timedelta(days=1)
"""For so long after it was queued, a backfilled run lets every other one that waits go first."""
_SECOND: Final = timedelta(seconds=1)
_MICROSECOND: Final = timedelta(microseconds=1)


class Seen(NamedTuple):
    """A run, as far as a backfill asks about it."""

    id: int
    fire_at: datetime
    state: str
    outcome: str | None
    trigger: str
    started_at: datetime | None


class Kept(NamedTuple):
    """A fire that is not run, and why."""

    at: datetime
    why: str
    run: int | None = None


class Plan(NamedTuple):
    """What a backfill comes to."""

    fires: list[datetime]
    left_out: list[Kept]


def fire_of(fire_at: datetime) -> datetime:
    """Return the fire that a backfilled run is for."""
    return fire_at.replace(microsecond=0)


def plan(fires: Iterable[datetime], seen: Iterable[Seen], handled: datetime) -> Plan:
    """Part fires into those to run and those left out.

    `seen` are runs of the job for the range; requested ones do not count, for they are for no fire. What is later than
    `handled` is left to the clock. Raises Invalid for too many fires.
    """
    told = {}
    for run in seen:
        why = _why_not(run)
        if why and _is_for_a_fire(run):
            told[fire_of(run.fire_at)] = (why, run.id)
    found = Plan([], [])
    for number, at in enumerate(fires):
        if number >= LOOKED_AT:
            raise Invalid(f"the range holds more than {LOOKED_AT:,} fires; ask for a shorter one", field="to")
        if at in told:
            found.left_out.append(Kept(at, *told[at]))
        elif at > handled:
            found.left_out.append(Kept(at, "the clock has not decided on it yet"))
        else:
            found.fires.append(at)
    return found


def _is_for_a_fire(run: Seen) -> bool:
    return run.trigger == Trigger.BACKFILL or not run.fire_at.microsecond


def _why_not(run: Seen) -> str:
    """Say why a fire with this run is not run again; "" if it never ran."""
    if State(run.state) in ACTIVE:
        return f"its run is {run.state}"
    if run.state == State.UNKNOWN:
        return "it may have run: how its run ended is not known"
    if run.state == State.CANCELLED and run.started_at:
        return "it ran and was stopped"
    ran = run.state == State.SUCCEEDED or (run.state == State.FAILED and run.outcome != Outcome.SPAWN_FAILED)
    return f"it ran and {run.state}" if ran else ""


def refuse_too_many(count: int, limit: int) -> None:
    """Raise Invalid for more fires than are wanted, saying how many there are."""
    if count > limit:
        raise Invalid(
            f"{count:,} fires of the range did not run, and at most {limit:,} are asked for at once; "
            "ask for a shorter range",
            field="to",
        )


def keys(fires: Iterable[datetime], taken: Iterable[datetime]) -> list[datetime]:
    """Return a key for a run of each of these fires; `taken` are those that are not free."""
    used: dict[datetime, int] = {}
    for key in taken:
        used[fire_of(key)] = max(used.get(fire_of(key), 0), key.microsecond)
    return [at + (used.get(at, 0) + 1) * _MICROSECOND for at in fires]


def turns(count: int, queued_at: datetime) -> list[datetime]:
    """Return where the runs of a backfill stand among those that wait: behind what comes soon, in their order."""
    return [queued_at + GIVES_WAY + number * _MICROSECOND for number in range(count)]


def slots(at_once: int, of_job: int | None) -> int:
    """Return how many runs of the job may be active for one of them to begin."""
    return at_once if of_job is None else min(at_once, of_job)


def end_of_range(last: datetime, now: datetime) -> datetime:
    """Return the end of a range. Raises Invalid for one to come."""
    if last > now:
        raise Invalid(f"{last:%Y-%m-%d %H:%M:%S} UTC is still to come; a backfill is for what is over", field="to")
    return fire_of(last) + _SECOND
