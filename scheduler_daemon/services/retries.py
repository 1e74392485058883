"""Attempts: write down the next one when one has failed, in the same transaction; end those that will never begin.

All attempts of a run share its fire, version, trigger and actor, and the run is active until its last one has ended:
the job's counter does not move in between, and what the job shows as its last run is its last attempt. Whether and when
there is a next attempt is domain.retry's decision. A paused job's run is tried on, for a pause stops fires and not
runs; of a deleted job nothing new begins. A waiting attempt gives way to the job's next fire.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, NamedTuple

from sqlalchemy import Connection

from scheduler_daemon.contract.executions import ExecutionView, Outcome, State, Trigger
from scheduler_daemon.contract.jobs import Concurrency
from scheduler_daemon.contract.retry import Retry
from scheduler_daemon.domain import concurrency
from scheduler_daemon.domain.retry import Decision, Learnt, Tried, decide, end_code, limit_passed, run_limit
from scheduler_daemon.services import record, views
from scheduler_daemon.storage import attempts, backfills, executions, jobs, retry_advice

_FAILED = frozenset({State.FAILED, State.UNKNOWN})
_LEFT_OUT = (
    *("started_at", "ended_at", "exit_code", "signal", "cpu_ms", "max_rss_bytes", "output_bytes", "outcome"),
    *("used", "said", "snapshot_id"),
)


def most(spec: Mapping[str, Any]) -> int:
    """Return how many attempts a run of a job with this spec may have."""
    retry = spec.get("retry")
    return 1 + int(retry["attempts"]) if retry else 1


def follow(db: Connection, ended: Sequence[SimpleNamespace], now: datetime) -> list[SimpleNamespace]:
    """Insert the attempts that follow those that have failed, and return them as they now are.

    Says in the reason of each that has failed what comes next, or why nothing does.
    """
    failed = [row for row in ended if row.attempts > 1 and row.state in _FAILED]
    if not failed:
        return []
    specs = jobs.specs(db, {(row.job_id, row.job_version) for row in failed})
    living = {row.id: row for row in attempts.jobs_behind(db, {row.job_id for row in failed})}
    advice = _advice(db, failed, specs)
    following = []
    for row in failed:
        spec = specs[row.job_id, row.job_version]
        limit = row.run_ends_at or run_limit(spec.get("run_timeout_ms"), row.started_at or row.ended_at)
        decided = _decided(row, spec, living.get(row.job_id), limit, now, advice.get(row.id))
        if decided.why:
            row.reason = f"{row.reason}; {decided.why}"
        if decided.at is not None:
            following.append(_next(row, spec, decided, limit, now))
    made = attempts.insert(db, [vars(row) for row in following])
    ours = [row for row in following if (row.job_id, row.fire_at, row.attempt) in made]
    for row in ours:
        row.id = made[row.job_id, row.fire_at, row.attempt]
    return ours


def _advice(
    db: Connection,
    failed: Sequence[Any],
    specs: Mapping[tuple[str, int], Mapping[str, Any]],
    said: Mapping[int, str] | None = None,
) -> dict[int, Learnt]:
    """Return by attempt what was learnt about such ends, of the job or else of all, for those that ask for it.

    `said` is the pattern of what each wrote, of those that are known to have written one; None while nobody can know.
    """
    smart = [row for row in failed if specs[row.job_id, row.job_version]["retry"].get("smart")]
    known = retry_advice.of_jobs(db, {row.job_id for row in smart}) if smart else {}
    found = {}
    for row in smart if known else ():
        code = _code(row)
        before = retry_advice.run_before(db, row.job_id, row.fire_at)
        again = before is not None and before.state in _FAILED and code == _code(before)
        learnt = _learnt(known, row.job_id, code, again=again, said=None if said is None else said.get(row.id, ""))
        if learnt is not None:
            found[row.id] = Learnt(tuple(learnt.waits_ms), learnt.chance, learnt.seen)
    return found


def _learnt(
    known: Mapping[tuple[str, str, str, bool], Any], job_id: str, code: str, *, again: bool, said: str | None
) -> Any:
    """Return what counts of what was learnt. While it is not known what was written, the best of it is hoped for."""
    whose = (job_id, retry_advice.EVERY_JOB)
    keys = [(one, code, pattern, again) for pattern in dict.fromkeys((said or "", "")) for one in whose]
    learnt = next((known[key] for key in keys if key in known), None)
    if said is not None or learnt is None or learnt.waits_ms:
        return learnt
    hopeful = [row for row in known.values() if row.waits_ms and (row.code, row.again) == (code, again)]
    return min((row for row in hopeful if row.job_id in whose), key=lambda row: row.waits_ms[0], default=learnt)


def _code(row: Any) -> str:
    return end_code(Outcome(row.outcome), row.exit_code, row.signal)


def _decided(
    row: Any, spec: Mapping[str, Any], job: Any, limit: datetime | None, now: datetime, learnt: Learnt | None
) -> Decision:
    if job is None:
        return Decision(None, "not retried: the job was deleted")
    tried = Tried(
        run_id=row.first_id or row.id,
        number=row.attempt,
        outcome=Outcome(row.outcome),
        exit_code=row.exit_code,
        signal=row.signal,
        cancelled=row.cancel_actor is not None,
        fire_at=row.fire_at,
        ended_at=row.ended_at,
        run_ends_at=limit,
    )
    alone = not job.paused and job.spec["concurrency"] != Concurrency.ALLOW and row.trigger != Trigger.BACKFILL
    policy = Retry.model_validate(spec["retry"])
    return decide(policy, tried, now=now, next_fire=job.next_fire_at if alone else None, learnt=learnt)


def _next(
    row: SimpleNamespace, spec: Mapping[str, Any], decided: Decision, limit: datetime | None, now: datetime
) -> SimpleNamespace:
    assert decided.at is not None
    fields = vars(row) | dict.fromkeys(_LEFT_OUT) | dict.fromkeys(("cancel_actor", "cancel_reason", "replaced_by"))
    fields |= {
        "attempt": row.attempt + 1,
        "first_id": row.first_id or row.id,
        "version": 1,
        "state": State.QUEUED,
        "reason": decided.why,
        "queued_at": now,
        "start_after": decided.at,
        "run_ends_at": limit,
    }
    if row.trigger != Trigger.BACKFILL:  # which waits on as it did, behind the others
        fields["slots"] = concurrency.policy_of(spec).slots
        fields["turn"] = concurrency.turn(decided.at, spec.get("priority"))
    return SimpleNamespace(**fields)


def over(ended: Sequence[SimpleNamespace], following: Sequence[SimpleNamespace]) -> list[SimpleNamespace]:
    """Return the attempts that were the last of their runs."""
    going_on = {(row.job_id, row.fire_at) for row in following}
    return [row for row in ended if (row.job_id, row.fire_at) not in going_on]


def record_over(db: Connection, ended: Sequence[SimpleNamespace]) -> None:
    """Count runs as over, by their last attempts. What a job shows as its last run is one that was not skipped."""
    began = [row if row.state != State.SKIPPED else _before(db, row) for row in ended]
    shown = [row for row in began if row.state != State.SKIPPED]
    jobs.record_last(db, [last(row) for row in shown])
    for row in began:
        if row.state == State.SKIPPED:
            jobs.add_active(db, row.job_id, -1)


def give_way(db: Connection, job_ids: Collection[str], now: datetime) -> list[SimpleNamespace]:
    """End the attempts of these jobs that wait for their time, for the jobs fire; return them."""
    waiting = attempts.waiting(db, job_ids) if job_ids else []
    found = _open([row for row in waiting if row.trigger != Trigger.BACKFILL])
    for row in found:
        row.reason = "gave way to the job's next fire, which came before it could begin"
    _end(db, found, State.SKIPPED, Outcome.SUPERSEDED, now)
    return found


def drop(db: Connection, job_id: str, now: datetime) -> None:
    """End the attempts of a deleted job that wait for their time, and its backfilled runs that have not begun."""
    found = _open([*attempts.waiting(db, [job_id]), *backfills.not_begun(db, job_id)])
    for row in found:
        row.reason = f"the job was deleted before this {'attempt' if row.attempt else 'run'} began"
    _end(db, found, State.CANCELLED, Outcome.DELETED, now)


def give_up(db: Connection, now: datetime) -> list[SimpleNamespace]:
    """End the attempts that could not begin within the limits of their runs, and return them.

    Nobody was there, or there was no room.
    """
    found = _open(attempts.late(db, now))
    specs = jobs.specs(db, {(row.job_id, row.job_version) for row in found}) if found else {}
    for row in found:
        policy = Retry.model_validate(specs[row.job_id, row.job_version]["retry"])
        row.reason = limit_passed(policy, row.fire_at, row.run_ends_at, now)
    passed = [row for row in found if row.reason]
    for row in passed:
        row.reason = f"could not begin in time: {row.reason}"
    _end(db, passed, State.MISSED, Outcome.MISFIRE, now)
    return passed


class Again(NamedTuple):
    """What became of smart retries whose turn had come."""

    spared: list[SimpleNamespace]
    """Those that will not come, ended."""
    failed: list[Any]
    """The failed attempts before these."""
    put_off: int
    """How many are to come later."""

    @property
    def stay(self) -> bool:
        """Whether some do not begin now."""
        return bool(self.spared or self.put_off)


def think_again(db: Connection, waiting: Sequence[Any], now: datetime) -> Again:
    """Judge smart retries that may begin now by what the attempts before them wrote, which is known by now."""
    further = _open([row for row in waiting if row.attempt])
    specs = jobs.specs(db, {(row.job_id, row.job_version) for row in further}) if further else {}
    smart = [row for row in further if specs[row.job_id, row.job_version]["retry"].get("smart")]
    if not smart:
        return Again([], [], 0)
    tried = {row.id: _before(db, row) for row in smart}
    advice = _advice(db, list(tried.values()), specs, retry_advice.said(db, {row.id for row in tried.values()}))
    living = {row.id: row for row in attempts.jobs_behind(db, {row.job_id for row in smart})}
    spared, put_off = [], 0
    for row in smart:
        failed = tried[row.id]
        if failed.id not in advice:
            continue
        spec = specs[row.job_id, row.job_version]
        decided = _decided(failed, spec, living.get(row.job_id), row.run_ends_at, now, advice[failed.id])
        if decided.at is None:
            row.reason = decided.why
            spared.append(row)
        elif decided.at > now:
            attempts.put_off(db, row.id, row.queued_at, decided.at)
            put_off += 1
    _end(db, spared, State.SKIPPED, Outcome.SUPERSEDED, now)
    return Again(spared, [tried[row.id] for row in spared], put_off)


def _open(rows: Sequence[Any]) -> list[SimpleNamespace]:
    return [SimpleNamespace(**row._asdict()) for row in rows]


def _end(db: Connection, found: Sequence[SimpleNamespace], state: State, outcome: Outcome, now: datetime) -> None:
    """End waiting attempts. What the job shows as its last run is the attempt before, which has run."""
    for row in found:
        row.state, row.outcome, row.ended_at = state, outcome, now
    executions.transition(db, [vars(row) for row in found])
    for row in found:
        row.version += 1
    record.executions_changed(db, found, {row.job_id: (row.job, row.owner_id) for row in found}, now)
    jobs.record_last(db, [last(_before(db, row)) for row in found])


def _before(db: Connection, row: Any) -> Any:
    if not row.attempt:
        return row
    return next(tried for tried in attempts.of_run(db, row.job_id, row.fire_at) if tried.attempt == row.attempt - 1)


def set_back(db: Connection, now: datetime, least: timedelta) -> None:
    """Let attempts that the clock, set back, left in the future wait no longer from now than they were to."""
    found = _open(attempts.from_the_future(db, now + least))
    for row in found:
        if row.attempt:  # others wait for a time of day
            row.start_after = now + (row.start_after - row.queued_at)
        row.queued_at = now
        attempts.put_off(db, row.id, row.queued_at, row.start_after)
        row.version += 1
    record.executions_changed(db, found, {row.job_id: (row.job, row.owner_id) for row in found}, now)


def last(row: Any) -> dict[str, Any]:
    """Return an attempt that has ended, as the job shows its last run."""
    return {
        "job_id": row.job_id,
        "last_id": row.id,
        "last_state": row.state,
        "last_outcome": row.outcome,
        "last_fire_at": row.fire_at,
        "last_ended_at": row.ended_at,
        "last_duration_ms": views.duration_ms(row.started_at, row.ended_at),
    }


def attempts_of(db: Connection, row: Any) -> list[ExecutionView]:
    """Return all attempts of the run that one belongs to, the first one first."""
    return [views.execution_view(each) for each in attempts.of_run(db, row.job_id, row.fire_at)]


def going_on(db: Connection, row: Any) -> Any:
    """Return the attempt that is active of the run an ended attempt belongs to, locked; None if the run is over."""
    latest = executions.at_instant(db, row.job_id, row.fire_at)
    if latest is None or State(latest.state).final:
        return None
    return executions.find(db, latest.id, lock=True)
