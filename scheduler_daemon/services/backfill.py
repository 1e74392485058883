"""Backfill: run the fires of a past range that did not run, on request; list them before, withdraw them after.

The fires are those of the schedule as it now is. What is recorded of an instant stays: its backfilled run has a key of
its own, see `domain.backfill`. The runs wait behind all others, go one after another in the order of their fires, and
stand aside when it is decided whether another run of the job may begin: no fire is skipped because of one that waits,
though one that has begun counts like any other run.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from scheduler_daemon.contract.backfills import MAX_BACKFILL, Backfill, BackfillCancelled, BackfillRequest, LeftOut
from scheduler_daemon.contract.executions import State, Trigger
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.domain import access
from scheduler_daemon.domain.access import Verb
from scheduler_daemon.domain.backfill import Plan, Seen, end_of_range, keys, plan, refuse_too_many, slots, turns
from scheduler_daemon.domain.concurrency import policy_of
from scheduler_daemon.domain.errors import Invalid
from scheduler_daemon.domain.lifecycle import Report
from scheduler_daemon.services import calendars, fires, record, runs, views
from scheduler_daemon.services import jobs as job_services
from scheduler_daemon.services.fires import Holder
from scheduler_daemon.services.runs import Begun, Ended
from scheduler_daemon.storage import backfills, jobs

_MICROSECOND = timedelta(microseconds=1)


def preview(db: Connection, actor: Actor, ref: str, request: BackfillRequest, now: datetime) -> Backfill:
    """List what a backfill would run. Raises NotFound, NotAllowed, Invalid."""
    job = job_services.get(db, actor, ref)
    access.require(actor, Verb.RUN, job.owner_id)
    found, _ = _plan(db, job, request, now)
    return _answer(job, found, (), dry_run=True)


def begin(
    db: Connection, actor: Actor, ref: str, request: BackfillRequest, *, now: datetime, holder: Holder
) -> tuple[Backfill, Begun]:
    """Queue a run for each fire of a range that did not run. Raises NotFound, NotAllowed, Invalid."""
    job = job_services.get(db, actor, ref, lock=True)
    access.require(actor, Verb.RUN, job.owner_id)
    found, seen = _plan(db, job, request, now)
    policy = policy_of(job.spec)
    common = runs.asked_for(job, Trigger.BACKFILL, actor.name, now, holder) | {
        "pool": job.spec.get("pool"),
        "slots": slots(request.at_once, policy.slots),
    }
    rows = [
        common | {"fire_at": key, "turn": turn, "reason": _reason(at, request.reason)}
        for at, key, turn in zip(
            found.fires,
            keys(found.fires, [run.fire_at for run in seen]),
            turns(len(found.fires), now),
            strict=True,
        )
    ]
    won = _insert(db, rows)
    jobs.set_state(db, job.id, active=job.active + len(won))
    detail = {
        "from": views.iso(request.start),
        "to": views.iso(request.end),
        "runs": len(won),
        "reason": request.reason,
    }
    record.act(db, actor, "job.backfill", [(job.id, detail)], now)
    record.executions_changed(db, won, {job.id: (job.name, job.owner_id)}, now)
    return _answer(job, found, [row.id for row in won], dry_run=False), Begun([], [], bool(won))


def _plan(db: Connection, job: Any, request: BackfillRequest, now: datetime) -> tuple[Plan, list[Seen]]:
    end = end_of_range(request.end, now)
    schedule = views.spec_of(job).schedule
    if not schedule.expressions:
        raise Invalid(f"{job.name!r} has no schedule, so nothing of it is left to run", field="job")
    times = calendars.times_of(db, schedule, job.id)
    seen = [Seen(*row) for row in backfills.seen(db, job.id, request.start.replace(microsecond=0), end)]
    found = plan(times.fires(request.start - _MICROSECOND, until=request.end), seen, job.last_handled)
    refuse_too_many(len(found.fires), request.limit)
    return found, seen


def _reason(at: datetime, said: str) -> str:
    told = f"backfills {at:%Y-%m-%d %H:%M:%S} UTC"
    return f"{told}: {said}" if said else told


def _insert(db: Connection, rows: Sequence[dict[str, Any]]) -> list[Any]:
    """Insert the runs and return them in the order of their fires."""
    made: list[Any] = []
    while rows:
        won = fires.insert_new(db, rows)
        made += won
        taken = {row.fire_at for row in won}
        rows = [row | {"fire_at": row["fire_at"] + _MICROSECOND} for row in rows if row["fire_at"] not in taken]
    return sorted(made, key=lambda row: row.fire_at)


def _answer(job: Any, found: Plan, made: Sequence[int], *, dry_run: bool) -> Backfill:
    return Backfill(
        job=job.name,
        job_id=job.id,
        dry_run=dry_run,
        fires=tuple(found.fires),
        runs=tuple(made),
        left_out=tuple(LeftOut(at=each.at, why=each.why, run=each.run) for each in found.left_out[:MAX_BACKFILL]),
        left_out_count=len(found.left_out),
    )


def cancel(db: Connection, actor: Actor, ref: str, reason: str, now: datetime) -> BackfillCancelled:
    """Withdraw the backfilled runs of a job that wait, and note that those that have begun are to stop.

    Raises NotFound, NotAllowed.
    """
    job = job_services.get(db, actor, ref, lock=True)
    access.require(actor, Verb.RUN, job.owner_id)
    found = backfills.active(db, job.id)
    waiting = [row.id for row in found if row.state == State.QUEUED]
    begun = [row.id for row in found if row.state != State.QUEUED]
    if found:
        backfills.ask_cancel(db, waiting + begun, actor.name, reason)
        detail = {"withdrawn": len(waiting), "stopped": len(begun), "reason": reason}
        record.act(db, actor, "job.backfill.cancel", [(job.id, detail)], now)
    if waiting:
        report = Report(killed_by="cancel", cancelled_by=actor.name, cancel_reason=reason)
        runs.ended(db, [Ended(number, report, None, now, None, None, None) for number in waiting], now)
    return BackfillCancelled(job=job.name, job_id=job.id, withdrawn=tuple(waiting), stopped=tuple(begun))
