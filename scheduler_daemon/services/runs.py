"""Runs: record what fires, start what may start, note how it ended, cancel what someone wants stopped."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Connection

from scheduler_daemon.contract.executions import ExecutionView, State, Trigger
from scheduler_daemon.contract.jobs import Concurrency
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.domain import access
from scheduler_daemon.domain.access import Verb
from scheduler_daemon.domain.concurrency import START, Admission, without_wait
from scheduler_daemon.domain.errors import ChronosError, Conflict, NotFound
from scheduler_daemon.domain.isolation import requested
from scheduler_daemon.domain.jitter import jitter
from scheduler_daemon.domain.lifecycle import Report, verdict
from scheduler_daemon.services import calendars, dependencies, handlers, parameters, record, retries, views
from scheduler_daemon.services import jobs as job_services
from scheduler_daemon.services.admission import Admissions, next_in_turn
from scheduler_daemon.services.fires import DAEMON, Due, Holder, insert_new, is_held, new_row, not_run, rests, to_run
from scheduler_daemon.storage import executions, jobs

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Start:
    """A run that is ours to start now, with the spec it is pinned to."""

    execution_id: int
    job_id: str
    spec: Mapping[str, Any]
    not_before: datetime | None = None
    """The instant of its schedule, which may be still to come."""
    run_ends_at: datetime | None = None
    """By when the run it tries again is to be over; None for a first attempt."""
    fire_at: datetime | None = None
    """What its process is told of when it was due."""
    told: parameters.Kept | None = None
    """Its parameters as somebody gave them; None are the defaults."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A begun run that gives way to another."""

    execution_id: int
    reason: str
    grace: timedelta
    """From TERM to KILL."""


@dataclass(frozen=True, slots=True)
class Begun:
    """What is to be done once it is committed that runs came up."""

    starts: list[Start]
    stops: list[Stop]
    waits: bool
    """Some are queued."""
    later: Sequence[datetime] = field(default=(), kw_only=True)
    """When the time of those comes that wait for one."""


@dataclass(frozen=True, slots=True)
class Fired(Begun):
    """What came of fires."""

    stale: list[str]
    """Jobs the clock must read anew, for they have been saved since."""
    undecided: list[str]
    """Jobs whose instant is still to come and that could not start as things stand: only at the instant it counts."""


@dataclass(frozen=True, slots=True)
class _After:
    """What follows when it is committed that runs came up, gave way or ended."""

    later: list[datetime]
    """When the time comes of what has come up and waits; at once for what waits for room only."""
    stops: list[Stop]

    def waits(self, now: datetime) -> bool:
        """Tell whether some wait for room only."""
        return any(instant <= now for instant in self.later)

    def to_come(self, now: datetime) -> list[datetime]:
        """Return when the time of the others comes."""
        return [instant for instant in self.later if instant > now]

    def __add__(self, other: "_After") -> "_After":
        return _After(self.later + other.later, self.stops + other.stops)


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that ended, as the launcher saw it."""

    execution_id: int
    report: Report
    started_at: datetime | None
    ended_at: datetime
    cpu_ms: int | None
    max_rss_bytes: int | None
    output_bytes: int | None
    used: Mapping[str, Any] | None = None
    """What else it used, and who counted; None where nobody did."""


def fire(db: Connection, dues: Sequence[Due], *, now: datetime, holder: Holder, free: int) -> Fired:
    """Record every due instant and move the cursors, in one transaction; return what is to be started.

    `free` is how many runs of all jobs may start now; the others wait as queued. An instant that another daemon has
    recorded already is left to it, one from before a resume is skipped, and one from before an edit of the schedule is
    let go. A due that is `ahead` is recorded only if it may start, and its start waits for the instant. What a paused
    job is to catch up with stays owed.
    """
    facts = {row.id: row for row in jobs.launch_facts(db, [due.job_id for due in dues])}
    over = retries.give_way(db, _fired_anew(dues, facts), now)
    given_way = Counter(row.job_id for row in over)
    active = {key: row.active - given_way[key] for key, row in facts.items()}
    admissions = Admissions(db, facts.values(), free, active, now)
    stale = [due.job_id for due in dues if due.job_id not in facts or facts[due.job_id].version != due.version]
    moves: list[Due] = []
    rows: list[dict[str, Any]] = []
    undecided: list[str] = []
    for due in dues:
        job = facts.get(due.job_id)
        if job is None or job.version != due.version or job.last_handled > due.handled:
            continue  # deleted or edited since the ticker looked
        if due.ahead and (_depends(job, due.handled) or admissions.look(due.job_id) != START):
            undecided.append(due.job_id)
            continue
        held = is_held(job) and due.trigger in _TIMED
        if not held and due.since is not None and job.last_handled < due.since:
            stale.append(due.job_id)  # it was held, and the clock passed over what it owes since its resume
            continue
        moves.append(replace(due, handled=job.last_handled) if is_held(job) else due)
        if held:
            continue
        rows.extend(not_run(due, job, now, holder))
        rows.extend(admissions.admit(new_row(due, instant, now, holder)) for instant in to_run(due, job))
    for row in rows:
        if row["ended_at"] is None:
            row["attempts"] = retries.most(facts[row["job_id"]].spec)
        row["policy"] = requested(facts[row["job_id"]].spec)
    won = insert_new(db, rows)
    added = Counter(row.job_id for row in won if row.ended_at is None)
    jobs.advance(db, [_move(due, added.pop(due.job_id, 0)) for due in moves])
    record.executions_changed(db, won, {row.id: (row.name, row.owner_id) for row in facts.values()}, now)
    not_before = dict(moment for due in moves for moment in _not_before(due, facts[due.job_id].spec))
    starts = [
        Start(
            row.id,
            row.job_id,
            facts[row.job_id].spec,
            not_before.get((row.job_id, row.fire_at)),
            fire_at=row.fire_at,
        )
        for row in won
        if row.state is State.STARTING
    ]
    after = _give_way(db, admissions.replaced(won), now) + _settle(db, [*over, *won], now)
    waits = after.waits(now) or any(row.state is State.QUEUED for row in won)
    return Fired(starts, after.stops, waits, stale, undecided, later=after.to_come(now))


def _settle(db: Connection, news: Sequence[Any], now: datetime) -> _After:
    """See to the jobs that run after these runs."""
    settled = dependencies.settle(db, news, now)
    return _After([*settled.later, *([now] * settled.waits)], []) + _give_way(db, settled.replaced, now)


def _fired_anew(dues: Sequence[Due], facts: Mapping[str, Any]) -> list[str]:
    """Return the jobs that fire now, are active and do not let their runs overlap."""
    found = []
    for due in dues:
        job = facts.get(due.job_id)
        if job is None or not job.active or due.ahead or due.concurrency is Concurrency.ALLOW:
            continue
        if to_run(due, job):
            found.append(due.job_id)
    return found


def _depends(job: Any, instant: datetime) -> bool:
    """Tell whether it counts only at an instant to come whether a job starts then."""
    return rests(job, instant) or bool(job.spec.get("conditions"))


def _not_before(due: Due, spec: Mapping[str, Any]) -> Iterator[tuple[tuple[str, datetime], datetime]]:
    """Yield for the instants of a due, by (job id, instant), when their starts are to be held until."""
    window = _jitter_window(spec) if due.trigger in _TIMED else None
    if window or due.ahead:
        for instant, following in zip(due.run, (*due.run[1:], due.upcoming), strict=True):
            delay = jitter(due.job_id, instant, window, following) if window else timedelta(0)
            yield (due.job_id, instant), instant + delay


_TIMED = frozenset({Trigger.SCHEDULE, Trigger.CATCH_UP})


def _jitter_window(spec: Mapping[str, Any]) -> timedelta | None:
    seconds = spec["schedule"].get("jitter_s")
    return timedelta(seconds=seconds) if seconds else None


def _move(due: Due, added: int) -> dict[str, Any]:
    return {"job_id": due.job_id, "last_handled": due.handled, "next_fire_at": due.upcoming, "added": added}


def asked_for(job: Any, trigger: Trigger, actor: str, now: datetime, holder: Holder) -> dict[str, Any]:
    """Return a run of a job as it is before anything is decided on it, for somebody who asks."""
    due = Due(job.id, job.version, Concurrency(job.spec["concurrency"]), (), (), trigger, now, None)
    return new_row(due, now, now, holder) | {
        "actor": actor,
        "attempts": retries.most(job.spec),
        "policy": requested(job.spec),
    }


def _give_way(db: Connection, replaced: Sequence[tuple[int, list[int], list[int]]], now: datetime) -> _After:
    """Note which runs give way to which, and end those that wait."""
    told: list[int] = []
    over: list[Ended] = []
    for new, begun, waiting in replaced:
        told += executions.replace(db, [*begun, *waiting], new, DAEMON)
        over += [Ended(number, Report(killed_by="cancel"), None, now, None, None, None) for number in waiting]
    after = _end(db, over, now) if over else _After([], [])
    rows = [row for row in executions.by_ids(db, told) if row.ended_at is None] if told else []
    specs = jobs.specs(db, {(row.job_id, row.job_version) for row in rows}) if rows else {}
    graces = (timedelta(milliseconds=specs[row.job_id, row.job_version]["grace_ms"]) for row in rows)
    stops = [Stop(row.id, row.cancel_reason or "", grace) for row, grace in zip(rows, graces, strict=True)]
    return _After(after.later, after.stops + stops)


def request(
    db: Connection,
    actor: Actor,
    ref: str,
    reason: str,
    *,
    now: datetime,
    holder: Holder,
    free: int,
    wishes: parameters.Wishes | None = None,
) -> tuple[ExecutionView, Begun]:
    """Make a run that someone asks for, and say what is to be done for it.

    Raises NotFound, NotAllowed, Conflict, and Invalid for what it is to be told.
    """
    job = job_services.get(db, actor, ref, lock=True)
    access.require(actor, Verb.RUN, job.owner_id)
    told = parameters.judge(db, job, wishes)
    admissions = Admissions(db, [job], free, {job.id: job.active}, now)
    decision = admissions.look(job.id)
    if decision.admission is Admission.SKIP:
        raise Conflict(f"{job.name!r} cannot run now: {decision.why}; wait for an end, or cancel a run")
    row = admissions.admit(asked_for(job, Trigger.MANUAL, actor.name, now, holder) | {"reason": reason})
    row["fire_at"] = now if now.microsecond else now + _MICROSECOND  # a whole second belongs to the schedule
    while not (won := insert_new(db, [row])):
        row["fire_at"] += _MICROSECOND  # another request came in the same microsecond
    kept = parameters.keep(db, won[0].id, told, wishes) if told else None
    jobs.add_active(db, job.id)
    said = {"parameters": told.audited} if told else {}
    record.act(db, actor, "job.run", [(job.id, {"execution": won[0].id, "reason": reason, **said})], now)
    record.executions_changed(db, won, {job.id: (job.name, job.owner_id)}, now)
    view = ExecutionView.model_validate(views.execution_document(won[0], job.name))
    start = Start(view.id, job.id, job.spec, fire_at=view.fire_at, told=kept)
    starts = [start] if view.state is State.STARTING else []
    after = _give_way(db, admissions.replaced(won), now) + _settle(db, won, now)
    return view, Begun(starts, after.stops, after.waits(now) or not starts, later=after.to_come(now))


def start_waiting(db: Connection, *, now: datetime, holder: Holder, free: int) -> Begun:
    """Claim queued runs in turn as far as there is room, their jobs permit it and their pools have slots."""
    after = _settle(db, retries.give_up(db, now), now)
    starts: list[Start] = []
    while len(starts) < free and (waiting := next_in_turn(db, now, free - len(starts))):
        again = retries.think_again(db, waiting, now)
        if again.stay:
            _announce(db, handlers.follow(db, again.failed, now), now)
            after += _settle(db, again.spared, now)
            continue
        taken = _open(waiting)
        reasons: dict[str, list[int]] = {}
        for row in taken:
            row.state, row.host, row.version = State.STARTING, holder.host, row.version + 1
            row.reason = without_wait(row.reason)
            reasons.setdefault(row.reason, []).append(row.id)
        for reason, ids in reasons.items():
            executions.claim(db, ids, host=holder.host, fence=holder.fence, reason=reason)
        _announce(db, taken, now)
        starts += _starts(db, waiting)
    return Begun(starts, after.stops, executions.any_queued(db, now), later=after.to_come(now))


def claimed(db: Connection, holder: Holder, known: Collection[int]) -> list[Start]:
    """Return how to start the runs that this start of the daemon has claimed and does not know of."""
    rows = executions.active(db, holder.node)
    lost = [row.id for row in rows if row.state == State.STARTING and row.fence == holder.fence and row.id not in known]
    return take_over(db, lost, node=holder.node)


def take_over(db: Connection, ids: Collection[int], *, node: str | None) -> list[Start]:
    """Return how runs were to be started that a node claimed (None: whichever), in case they never were."""
    rows = [row for row in executions.by_ids(db, ids) if node in {None, row.fence.partition(".")[0]}]
    ahead = {row.id: row.fire_at for row in rows if row.trigger == Trigger.SCHEDULE and row.fire_at > row.queued_at}
    starts = _starts(db, rows)
    return [replace(start, not_before=start.not_before or ahead.get(start.execution_id)) for start in starts]


def _starts(db: Connection, rows: Sequence[Any]) -> list[Start]:
    specs = jobs.specs(db, {(row.job_id, row.job_version) for row in rows})
    pinned = handlers.pinned(db, rows, specs)
    told = parameters.of_starts(db, rows, specs)
    starts = ((row, *pinned[row.id]) for row in rows)
    return [
        Start(row.id, row.job_id, spec, _held_until(db, row, spec), row.run_ends_at, fire_at, told.get(row.id))
        for row, spec, fire_at in starts
    ]


def _held_until(db: Connection, row: Any, spec: Mapping[str, Any]) -> datetime | None:
    """Return until when the start of a run is held: by jitter, or because those before it were prepared ahead."""
    if row.trigger == Trigger.DEPENDENCY and row.fire_at > row.queued_at:
        ahead: datetime = row.fire_at
        return ahead
    window = _jitter_window(spec)
    if window is None or row.trigger not in _TIMED:
        return None
    try:
        times = calendars.times_of(db, Schedule.model_validate(spec["schedule"]), row.job_id)
        following = times.next_fire(row.fire_at)
    except ChronosError:  # an older version of the job, which obeys what is there no longer
        following = None
    held: datetime = row.fire_at + jitter(row.job_id, row.fire_at, window, following)
    return held


def started(db: Connection, starts: Mapping[int, datetime], now: datetime) -> None:
    """Note that processes run since the given instants."""
    found = executions.by_ids(db, starts, lock=True)
    rows = [row for row in _open(found) if row.state in _NOT_RUNNING]
    for row in rows:
        row.state, row.started_at = State.RUNNING, starts[row.id]
    _transition(db, rows, now)


_NOT_RUNNING = frozenset({State.QUEUED, State.STARTING})


def ended(db: Connection, ends: Sequence[Ended], now: datetime) -> list[datetime]:
    """Note how runs ended, and return when what follows begins: attempts that try again, and the jobs behind.

    One that has ended before stays. Whom to stop stands in the database.
    """
    return _end(db, ends, now).later


def _end(db: Connection, ends: Sequence[Ended], now: datetime) -> _After:
    found = executions.by_ids(db, [end.execution_id for end in ends], lock=True)
    rows = {row.id: row for row in _open(found)}
    changed = []
    for end in ends:
        row = rows.pop(end.execution_id, None)  # an end may be told twice
        if row is None or row.ended_at is not None:
            continue
        decided = verdict(_with_wishes(end.report, row))
        row.state, row.outcome, row.reason = decided.state, decided.outcome, decided.reason
        row.started_at = end.started_at or row.started_at
        row.ended_at = end.ended_at
        row.exit_code, row.signal = end.report.exit_code, end.report.signal
        row.cpu_ms, row.max_rss_bytes, row.output_bytes = end.cpu_ms, end.max_rss_bytes, end.output_bytes
        row.used = end.used
        changed.append(row)
    following = retries.follow(db, changed, now)
    _transition(db, changed, now)
    _announce(db, following, now)
    over = [row for row in retries.over(changed, following) if row.parent_id is None]
    retries.record_over(db, over)
    handling = handlers.follow(db, over, now)
    _announce(db, handling, now)
    later = [*(row.start_after for row in following), *([now] * bool(handling))]
    return _After(later, []) + _settle(db, over, now)


def _open(rows: Sequence[Any]) -> list[SimpleNamespace]:
    """Return rows read from the database as ones that can be changed."""
    fields = rows[0]._fields if rows else ()
    return [SimpleNamespace(**dict(zip(fields, row, strict=True))) for row in rows]


def _transition(db: Connection, rows: Sequence[SimpleNamespace], now: datetime) -> None:
    """Write changed runs, and announce them as the guarded update leaves them."""
    executions.transition(db, [vars(row) for row in rows])
    for row in rows:
        row.version += 1
    _announce(db, rows, now)


def _with_wishes(report: Report, row: Any) -> Report:
    if report.killed_by != "cancel":
        return report
    return Report(
        exit_code=report.exit_code,
        signal=report.signal,
        killed_by="cancel",
        cancelled_by=row.cancel_actor or report.cancelled_by,
        cancel_reason=row.cancel_reason or report.cancel_reason,
        replaced_by=row.replaced_by,
    )


def _announce(db: Connection, rows: Sequence[Any], now: datetime) -> None:
    record.executions_changed(db, rows, {row.job_id: (row.job, row.owner_id) for row in rows}, now)


def get(db: Connection, actor: Actor, execution_id: int, *, lock: bool = False) -> Any:
    """Return the row of a run. Raises NotFound, also for what the actor may not see."""
    row = executions.find(db, execution_id, lock=lock)
    if row is None or not access.can(actor, Verb.VIEW, row.owner_id):
        raise NotFound(f"there is no run {execution_id}; `chronos runs list` shows the latest")
    return row


def cancel(db: Connection, actor: Actor, execution_id: int, reason: str, now: datetime) -> ExecutionView:
    """Note that a run is to stop, named by any of its attempts; one that waits is cancelled at once.

    Raises NotFound, NotAllowed, Conflict.
    """
    asked = get(db, actor, execution_id, lock=True)
    access.require(actor, Verb.RUN, asked.owner_id)
    row = retries.going_on(db, asked) if State(asked.state).final else asked
    if row is None:
        raise Conflict(f"run {execution_id} has ended already: {asked.state}")
    execution_id = row.id
    executions.ask_cancel(db, execution_id, actor.name, reason)
    record.act(db, actor, "run.cancel", [(str(execution_id), {"job": row.job, "reason": reason})], now)
    if row.state == State.QUEUED:
        report = Report(killed_by="cancel", cancelled_by=actor.name, cancel_reason=reason)
        ended(db, [Ended(execution_id, report, None, now, None, None, None)], now)
    return views.execution_view(executions.find(db, execution_id))
