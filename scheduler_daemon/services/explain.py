"""Say why a job did, did not, will or will not run at an instant: the record first, then the rules in force then."""

from collections import deque
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from scheduler_daemon.contract.executions import ExecutionView, State
from scheduler_daemon.contract.explain import Explanation
from scheduler_daemon.contract.jobs import JobSpec
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.domain import schedule as schedules
from scheduler_daemon.domain.schedule_words import words
from scheduler_daemon.services import jobs as job_services
from scheduler_daemon.services import views
from scheduler_daemon.storage import executions, jobs, people

_MICROSECOND = timedelta(microseconds=1)
_FAR = timedelta(days=4 * 366)


def explain(db: Connection, actor: Actor, ref: str, at: datetime | None, now: datetime) -> Explanation:
    """Explain one instant of a job; without one, its next fire. Raises NotFound."""
    row = job_services.get(db, actor, ref)
    if at is None:
        return _explain_next(row, now)
    spec, saved_at = _spec_at(db, row, at)
    reasons = [*_version_reason(row, spec, at), *_rule_reasons(spec.schedule)]
    ran = executions.at_instant(db, row.id, at)
    if ran is not None:
        view = views.execution_view(ran)
        return Explanation(
            job=row.name, at=at, verdict=_told(view), reasons=(*reasons, *_run_reasons(view)), execution=view
        )
    verdict, more = _without_record(db, row, spec.schedule, saved_at, at, now)
    return Explanation(job=row.name, at=at, verdict=verdict, reasons=(*reasons, *more))


def _explain_next(row: Any, now: datetime) -> Explanation:
    schedule = views.spec_of(row).schedule
    reasons = _rule_reasons(schedule)
    upcoming = schedules.compile_schedule(schedule, row.id).next_fire(now)
    if row.paused:
        verdict = "will not run: the job is paused, and what comes due meanwhile is skipped"
    elif upcoming is None:
        verdict = "has no coming fire" if schedule.expressions else "runs only when someone asks"
    else:
        verdict = f"will run at {_both(upcoming, schedule.zone)}"
    return Explanation(job=row.name, at=upcoming or now, verdict=verdict, reasons=tuple(reasons))


def _spec_at(db: Connection, row: Any, at: datetime) -> tuple[JobSpec, datetime]:
    versions = jobs.versions(db, row.id)
    in_force = next((version for version in versions if version.created_at <= at), versions[-1])
    return JobSpec.model_validate(in_force.spec), in_force.created_at


def _version_reason(row: Any, spec: JobSpec, at: datetime) -> list[str]:
    if row.created_at > at:
        return [f"the job was made later, at {_utc(row.created_at)}"]
    return [
        f"the version then in force: {' | '.join(spec.schedule.expressions) or 'no schedule'} ({spec.schedule.zone})"
    ]


def _rule_reasons(schedule: Schedule) -> list[str]:
    reasons = [f"schedule: {words(schedule)} ({schedule.zone})"]
    if schedule.start:
        reasons.append(f"not before {_utc(schedule.start)}")
    if schedule.end:
        reasons.append(f"not after {_utc(schedule.end)}")
    return reasons


def _run_reasons(view: ExecutionView) -> list[str]:
    reasons = [f"run {view.id} was made by {view.actor} ({view.trigger}) at {_utc(view.queued_at)}"]
    if view.started_at:
        late = (view.started_at - view.fire_at) / timedelta(milliseconds=1)
        reasons.append(f"its process started {late:,.0f} ms after the fire")
    if view.reason:
        reasons.append(view.reason)
    return reasons


def _told(view: ExecutionView) -> str:
    told = {
        State.SKIPPED: f"did not run: {view.reason}",
        State.MISSED: f"did not run: {view.reason}",
        State.QUEUED: "waits to be started",
        State.STARTING: "is being started",
        State.RUNNING: "is running",
        State.SUCCEEDED: "ran and succeeded",
    }
    return told.get(view.state, f"ran and ended as {view.state}: {view.reason}")


def _without_record(
    db: Connection, row: Any, schedule: Schedule, saved_at: datetime, at: datetime, now: datetime
) -> tuple[str, list[str]]:
    compiled = schedules.compile_schedule(schedule, row.id)
    if compiled.next_fire(at - _MICROSECOND) != at:
        return "the schedule does not fire at this instant", _neighbours(compiled, schedule.zone, at)
    if at > now:
        if row.paused:
            return "will not run while the job is paused", []
        return f"will run at {_both(at, schedule.zone)}", []
    if row.created_at > at:
        return "did not run: the job did not exist yet", []
    if _paused_at(db, row.id, at):
        return "did not run: the job was paused, and what comes due meanwhile is skipped", []
    if row.last_handled < at:
        return "has not been decided yet: the daemon is about to record it", []
    if at <= saved_at:
        return "did not run: the schedule was saved at this instant, and an edit runs nothing from before it", []
    return "did not run, and the record does not say why: the fires were more than are recorded after an outage", []


def _neighbours(compiled: schedules.CompiledSchedule, zone: str, at: datetime) -> list[str]:
    found = []
    before = _fire_before(compiled, at)
    after = compiled.next_fire(at)
    if before:
        found.append(f"the fire before it: {_both(before, zone)}")
    found.append(f"the fire after it: {_both(after, zone)}" if after else "there is no fire after it")
    return found


def _fire_before(compiled: schedules.CompiledSchedule, at: datetime) -> datetime | None:
    """Return the last fire not later than `at`, if there is one in the four years before."""
    window = timedelta(minutes=1)
    while window < _FAR:
        found = deque(compiled.fires(at - window, until=at), maxlen=1)
        if found:
            return found[0]
        window *= 4
    return None


def _paused_at(db: Connection, job_id: str, at: datetime) -> bool:
    acts = [act for act in people.acts(db, job_id, limit=1000) if act.verb in {"job.pause", "job.resume"}]
    before = next((act for act in acts if act.at <= at), None)
    after = next((act for act in reversed(acts) if act.at > at), None)
    if before is not None:
        return bool(before.verb == "job.pause")
    return after is not None and after.verb == "job.resume"


def _utc(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC"


def _both(instant: datetime, zone: str) -> str:
    local = instant.astimezone(ZoneInfo(zone))
    return _utc(instant) if zone == "UTC" else f"{_utc(instant)} ({local:%Y-%m-%d %H:%M:%S %Z})"
