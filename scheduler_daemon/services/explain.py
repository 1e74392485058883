"""Say why a job did, did not, will or will not run at an instant: the record first, then the rules in force then."""

from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from scheduler_daemon.contract.executions import ExecutionView, State, Trigger
from scheduler_daemon.contract.explain import Explanation
from scheduler_daemon.contract.jobs import JobSpec
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.domain.calendar_days import Calendar
from scheduler_daemon.domain.concurrency import policy_of
from scheduler_daemon.domain.dependencies import Answer
from scheduler_daemon.domain.jitter import jitter
from scheduler_daemon.domain.occasions import Times, Timetable, instant, timetable
from scheduler_daemon.domain.schedule_words import words
from scheduler_daemon.services import apart, calendars, conditions, dependencies, fires, views
from scheduler_daemon.services import jobs as job_services
from scheduler_daemon.services.admission import why_it_waits
from scheduler_daemon.storage import attempts, executions, jobs, people

_MICROSECOND = timedelta(microseconds=1)
_SECOND = timedelta(seconds=1)
_FAR = timedelta(days=4 * 366)


def explain(
    db: Connection,
    actor: Actor,
    ref: str,
    at: datetime | None,
    now: datetime,
    lacking: Mapping[str, str] | None = None,
) -> Explanation:
    """Explain one instant of a job; without one, its next fire. Raises NotFound.

    `lacking` says why protections are not in force on the machine; None where nobody could tell.
    """
    row = job_services.get(db, actor, ref)
    if at is None:
        return _explain_next(db, row, now, lacking)
    spec, saved_at = _spec_at(db, row, at)
    times = timetable(spec.schedule, row.id, _calendars_at(db, spec.schedule, at, now))
    reasons = [
        *_version_reason(row, spec, at),
        *_rule_reasons(spec.schedule),
        *_upstream_reasons(db, spec),
        *_limits(spec),
        *(f"starts only if: {each}" for each in conditions.in_words(db, spec.conditions)),
        *_way_here(times, spec.schedule, row.id, at),
    ]
    ran = executions.at_instant(db, row.id, at)
    if ran is not None:
        view = views.execution_view(ran)
        tried = [*_attempt_reasons(db, view), *_run_reasons(view), apart.of_run(view.policy)]
        return Explanation(
            job=row.name, at=at, verdict=_told(view, _waits(db, ran)), reasons=(*reasons, *tried), execution=view
        )
    if spec.after:
        return Explanation(job=row.name, at=at, verdict=_in_set(db, row, spec, at), reasons=tuple(reasons))
    refused = ""
    if at > now:
        kept = apart.of_job(db, spec, lacking)
        reasons, refused = [*reasons, kept.words], kept.refused
    verdict, more = _without_record(db, row, spec.schedule, times, saved_at, at, now, refused)
    return Explanation(job=row.name, at=at, verdict=verdict, reasons=(*reasons, *more))


def _explain_next(db: Connection, row: Any, now: datetime, lacking: Mapping[str, str] | None) -> Explanation:
    spec = views.spec_of(row)
    schedule = spec.schedule
    times = calendars.times_of(db, schedule, row.id)
    upcoming = times.next_fire(now)
    kept = apart.of_job(db, spec, lacking)
    reasons = [
        *_rule_reasons(schedule),
        *_upstream_reasons(db, spec),
        *_limits(spec),
        *(f"starts only if: {each}" for each in conditions.in_words(db, spec.conditions)),
        kept.words,
        *(_way_here(times, schedule, row.id, upcoming) if upcoming else ()),
        *([f"a run would be blocked: {kept.refused}"] if kept.refused else ()),
    ]
    if row.paused:
        verdict = f"will not run: the job is paused, and what comes due meanwhile {_meanwhile(spec)}"
    elif spec.after:
        latest = dependencies.latest_set(db, spec)
        verdict = _in_set(db, row, spec, latest) if latest else "comes up when a job before it has run"
    elif upcoming is None:
        verdict = "has no coming fire" if schedule.expressions else "runs only when someone asks"
    else:
        verdict = _still_to_come(row, schedule, upcoming, kept.refused)
    return Explanation(job=row.name, at=upcoming or now, verdict=verdict, reasons=tuple(reasons))


def _calendars_at(db: Connection, schedule: Schedule, at: datetime, now: datetime) -> dict[str, Calendar]:
    return calendars.known_at(db, schedule, at) if at <= now else calendars.known(db, [schedule])


def _way_here(times: Times, schedule: Schedule, job_id: str, at: datetime) -> list[str]:
    """Tell what a calendar and jitter make of a fire at `at`; nothing where there is none."""
    found = []
    if isinstance(times, Timetable):
        occasion = times.next_occasion(at - _SECOND)
        if occasion and instant(occasion.at) == at and occasion.moved_from is not None:
            found.append(f"moved here from {_both(instant(occasion.moved_from), schedule.zone)} by a calendar")
    if schedule.jitter_s and not at.microsecond and times.next_fire(at - _SECOND) == at:
        delay = jitter(job_id, at, timedelta(seconds=schedule.jitter_s), times.next_fire(at))
        found.append(f"jitter +{delay.total_seconds():g} s: its process starts so much later")
    return found


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


def _attempt_reasons(db: Connection, view: ExecutionView) -> list[str]:
    """Tell how each attempt ended that another followed."""
    if not view.attempt:
        return []
    return [
        f"attempt {row.attempt + 1} of {row.attempts}: {row.state} at {_utc(row.ended_at)}, {row.reason}"
        for row in attempts.of_run(db, view.job_id, view.fire_at)
        if row.attempt < view.attempt
    ]


def _run_reasons(view: ExecutionView) -> list[str]:
    reasons = [f"run {view.id} was made by {view.actor} ({view.trigger}) at {_utc(view.queued_at)}"]
    if view.attempts > 1:
        reasons.append(f"it is attempt {view.attempt + 1} of at most {view.attempts}")
    if view.started_at and not view.attempt and view.trigger is not Trigger.BACKFILL:
        late = (view.started_at - view.fire_at) / timedelta(milliseconds=1)
        reasons.append(f"its process started {late:,.0f} ms after the fire")
    if view.reason:
        reasons.append(view.reason)
    if view.state in {State.FAILED, State.UNKNOWN} and view.attempts == 1:
        reasons.append("not tried again: the job does not retry its runs")
    return reasons


def _waits(db: Connection, row: Any) -> str:
    """Say what a queued run waits for, as things stand now and not when it was queued."""
    if row.state != State.QUEUED:
        return ""
    spec = jobs.specs(db, [(row.job_id, row.job_version)])[row.job_id, row.job_version]
    return why_it_waits(db, row, policy_of(spec))


def _limits(spec: JobSpec) -> list[str]:
    """Tell what beside its schedule a run of the job depends on."""
    most = f", {spec.concurrency_limit} at once" if spec.concurrency_limit else ""
    found = [f"while an earlier run is active: {str(spec.concurrency).replace('_', ' ')}{most}"]
    if spec.pool:
        found.append(f"needs a slot of pool {spec.pool}, with priority {spec.priority}")
    return found


def _upstream_reasons(db: Connection, spec: JobSpec) -> list[str]:
    if not spec.after:
        return []
    gate = f", not before {spec.not_before} of its run set's day" if spec.not_before else ""
    return [f"runs after {', '.join(dependencies.names(db, spec))} (rule {spec.trigger_rule}){gate}"]


def _in_set(db: Connection, row: Any, spec: JobSpec, instant: datetime) -> str:
    """Say how a job that runs after others stands in a run set."""
    ran = executions.at_instant(db, row.id, instant)
    if ran is not None:
        return f"of the run set of {_utc(instant)}: {_told(views.execution_view(ran), _waits(db, ran))}"
    if not dependencies.has_begun(db, spec, instant):
        return "no job before it has a run for this instant"
    decision = dependencies.in_set(db, spec, instant)
    if decision.answer is Answer.WAIT:
        return f"{decision.why} of the run set of {_utc(instant)}"
    return "did not come up: it did not run after these jobs, or not by this rule, when they ended"


def _told(view: ExecutionView, waits: str) -> str:
    which = f" at attempt {view.attempt + 1} of {view.attempts}" if view.attempt else ""
    if view.state is State.QUEUED and view.start_after is not None:
        return f"failed and is tried again: {view.reason}" if view.attempt else f"is not to start yet: {view.reason}"
    told = {
        State.SKIPPED: f"skipped: {view.reason}",
        State.MISSED: f"did not run: {view.reason}",
        State.SUPPRESSED: f"did not run: {view.reason}",
        State.BLOCKED: f"did not run: {view.reason}",
        State.QUEUED: waits,
        State.STARTING: "is being started",
        State.CANCELLED: f"{'was stopped' if view.started_at else 'did not run'}{which}: {view.reason}",
        State.RUNNING: f"is running{which}",
        State.SUCCEEDED: f"ran and succeeded{which}",
    }
    return told.get(view.state, f"ran and ended as {view.state}{which}: {view.reason}")


def _without_record(
    db: Connection,
    row: Any,
    schedule: Schedule,
    times: Times,
    saved_at: datetime,
    at: datetime,
    now: datetime,
    refused: str,
) -> tuple[str, list[str]]:
    if times.next_fire(at - _MICROSECOND) != at:
        passed_over = _passed_over(times, schedule, at, now)
        return passed_over or "the schedule does not fire at this instant", _neighbours(times, schedule.zone, at)
    if at > now:
        return _still_to_come(row, schedule, at, refused), []
    if row.created_at > at:
        return "did not run: the job did not exist yet", []
    if row.last_handled < at and fires.is_held(row):
        return f"has not run: the job is paused, and what comes due meanwhile {_meanwhile(views.spec_of(row))}", []
    if _paused_at(db, row.id, at):
        return "did not run: the job was paused, and what comes due meanwhile is skipped", []
    if row.last_handled < at:
        return "has not been decided yet: the daemon is about to record it", []
    if at <= saved_at:
        return "did not run: the schedule was saved at this instant, and an edit runs nothing from before it", []
    return "did not run, and the record does not say why: the fires were more than are recorded after an outage", []


def _still_to_come(row: Any, schedule: Schedule, at: datetime, refused: str) -> str:
    if row.paused:
        return "will not run while the job is paused" + _resumed(row)
    if _is_snoozed(row, at):
        return f"will be skipped: the job is snoozed until {_both(row.snoozed_until, schedule.zone)}"
    if refused:
        return f"will be blocked at {_both(at, schedule.zone)}: {refused}"
    proviso = ", if its conditions hold then" if row.spec.get("conditions") else ""
    return f"will run at {_both(at, schedule.zone)}{proviso}"


def _meanwhile(spec: JobSpec) -> str:
    if not spec.catchup_on_resume:
        return "is skipped"
    return f"is decided by its misfire policy ({spec.misfire}) when it is resumed"


def _resumed(row: Any) -> str:
    return f"; when it is resumed, its misfire policy ({row.spec['misfire']}) decides" if fires.is_held(row) else ""


def _passed_over(times: Times, schedule: Schedule, at: datetime, now: datetime) -> str:
    """Say why a calendar or a blackout keeps a fire from this instant; "" if none does."""
    if not isinstance(times, Timetable) or at.microsecond:
        return ""
    if away := times.moved_away(at):
        return f"does not fire at this instant: moved to {_both(instant(away.at), schedule.zone)} by {away.reason}"
    occasion = times.next_occasion(at - _SECOND)
    if occasion is None or instant(occasion.at) != at:
        return ""
    return f"{'did' if at <= now else 'will'} not run: suppressed by {occasion.reason}"


def _is_snoozed(row: Any, at: datetime) -> bool:
    return row.snoozed_until is not None and at < row.snoozed_until


def _neighbours(compiled: Times, zone: str, at: datetime) -> list[str]:
    found = []
    before = _fire_before(compiled, at)
    after = compiled.next_fire(at)
    if before:
        found.append(f"the fire before it: {_both(before, zone)}")
    found.append(f"the fire after it: {_both(after, zone)}" if after else "there is no fire after it")
    return found


def _fire_before(compiled: Times, at: datetime) -> datetime | None:
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
