"""Insights: record what was found, see it, judge it, apply what it proposes and take that back.

Applying is an edit like any other: with the same rights, a version of its own, and a place in the record of acts.
"""

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection

from scheduler_daemon.contract.insights import (
    WAITING,
    Action,
    ActionVerb,
    Finding,
    Insight,
    InsightDecision,
    InsightSnooze,
    InsightState,
    Measured,
    Measurement,
    Severity,
    Verdict,
)
from scheduler_daemon.contract.jobs import JobPatch, JobSpec, JobView
from scheduler_daemon.contract.pages import Page
from scheduler_daemon.contract.people import Actor, Role
from scheduler_daemon.domain import access
from scheduler_daemon.domain.access import Verb
from scheduler_daemon.domain.errors import Conflict, Invalid, NotFound
from scheduler_daemon.services import jobs, record, scorecard
from scheduler_daemon.services.listing import owner_seen
from scheduler_daemon.storage import events, insights
from scheduler_daemon.storage import jobs as stored_jobs

UNDO = timedelta(days=30)
"""How long what was applied can be undone."""
_OURSELVES = Actor(id=0, name="canary", role=Role.ADMIN)
"""Takes back what somebody applied and what turned out no better."""
NOBODY = 0
"""Owner of what is about the whole fleet: administrators alone see it."""

_IDS = uuid.UUID("6f1d9a52-4a53-4f0e-9c39-5b0f6a1f7c11")
_FIELDS = {
    ActionVerb.SET_SCHEDULE: "schedule",
    ActionVerb.SET_RETRY: "retry",
    ActionVerb.SET_TIMEOUT: "timeout_ms",
    ActionVerb.SET_MEMORY_LIMIT: "limits",
}
_JUDGED = WAITING | {InsightState.DISMISSED}


def keep(db: Connection, found: Sequence[Finding], now: datetime) -> int:
    """Record findings, each once; return how many are new. Those of jobs that are no more are dropped."""
    living = {row.id for row in stored_jobs.by_ids(db, {one.job_id for one in found if one.job_id})}
    known = [one for one in found if one.job_id is None or one.job_id in living]
    rows = [_row(one, shown) for one, shown in zip(known, scorecard.shown(db, known, now), strict=True)]
    new = insights.insert(db, rows) if rows else []
    if new:
        _announce(db, insights.by_ids(db, new), now)
    return len(new)


def pass_time(db: Connection, now: datetime, limit: int = 500) -> int:
    """Let insights expire whose time is over, and wake those that were snoozed; return how many."""
    rows = insights.overdue(db, now, limit)
    for row in rows:
        state = InsightState.EXPIRED if row.expires <= now else InsightState.OPEN
        insights.save(db, row.id, row.version, {"state": state, "snoozed_until": None})
    if rows:
        _announce(db, insights.by_ids(db, [row.id for row in rows]), now)
    return len(rows)


def page(
    db: Connection,
    actor: Actor,
    *,
    states: Collection[InsightState] = (),
    job: str | None = None,
    kind: str | None = None,
    severity: Severity | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> Page[Insight]:
    """Return insights the actor may see, newest first. Raises NotFound for an unknown job, Invalid for the cursor."""
    rows = insights.page(
        db,
        states=states,
        job_id=jobs.get(db, actor, job).id if job else None,
        kind=kind,
        severity=severity,
        before=_before(cursor),
        limit=limit,
        owner_id=owner_seen(actor),
    )
    last = f"{rows[-1].at.isoformat()} {rows[-1].id}" if len(rows) == limit else None
    return Page(items=[view(row) for row in rows], next=last)


def show(db: Connection, actor: Actor, insight_id: str) -> Insight:
    """Return an insight. Raises NotFound."""
    return view(_get(db, actor, insight_id))


def judge(
    db: Connection, actor: Actor, insight_id: str, state: InsightState, decision: InsightDecision, now: datetime
) -> Insight:
    """Accept or dismiss an insight. Raises NotFound, NotAllowed, Conflict."""
    row = _for_change(db, actor, insight_id)
    _must_be(row, _JUDGED, f"be {state}")
    expected = decision.expected and state is InsightState.DISMISSED
    values = {"state": state, "reason": decision.reason, "snoozed_until": None, "expected": expected}
    return _save(db, actor, row, values, now)


def snooze(db: Connection, actor: Actor, insight_id: str, request: InsightSnooze, now: datetime) -> Insight:
    """Put an insight aside for a while. Raises NotFound, NotAllowed, Conflict."""
    row = _for_change(db, actor, insight_id)
    _must_be(row, _JUDGED, "be snoozed")
    until = now + timedelta(seconds=request.for_s)
    return _save(db, actor, row, {"state": InsightState.SNOOZED, "snoozed_until": until}, now)


def apply(db: Connection, actor: Actor, insight_id: str, decision: InsightDecision, now: datetime) -> Insight:
    """Make the change that an insight proposes: a new version of the job, which can be undone for 30 days.

    Raises NotFound, NotAllowed, Invalid, and Conflict also where the job is not any more as it was when this was
    proposed.
    """
    row = _for_change(db, actor, insight_id)
    _must_be(row, _JUDGED, "be applied")
    action = _action(row)
    job = jobs.get(db, actor, row.job_id, lock=True)
    saved = _change(db, actor, job, action, now, f"{decision.reason or row.title} (insight {row.id[:8]})")
    values = {
        "state": InsightState.APPLIED,
        "reason": decision.reason,
        "snoozed_until": None,
        "applied_version": saved.version,
        "undo_until": now + UNDO,
    }
    return _save(db, actor, row, values, now)


def undo(db: Connection, actor: Actor, insight_id: str, decision: InsightDecision, now: datetime) -> Insight:
    """Take back what was applied. Raises NotFound, NotAllowed, and Conflict where it is too late or changed since."""
    row = _for_change(db, actor, insight_id)
    _must_be(row, {InsightState.APPLIED}, "be undone")
    if row.undo_until is None or row.undo_until <= now:
        raise Conflict(f"it was applied more than {UNDO.days} days ago; edit the job, or roll it back to a version")
    job = jobs.get(db, actor, row.job_id, lock=True)
    _change(db, actor, job, inverse(_action(row)), now, f"undo of insight {row.id[:8]}: {row.title}"[:400])
    return _save(db, actor, row, {"state": InsightState.REVERTED, "reason": decision.reason, "undo_until": None}, now)


def measure(db: Connection, found: Sequence[Measurement], now: datetime) -> list[str]:
    """Note what came of insights, and take back what was applied and is not better; return the jobs that were changed.

    What cannot be taken back any more, as the job was changed since, stays, and the insight says so.
    """
    changed = []
    for one in found:
        row = insights.find(db, one.insight_id, lock=True)
        if row is None or row.measured == (kept := one.measured.model_dump(mode="json")):
            continue
        insights.save(db, row.id, row.version, {"measured": kept})
        if one.measured.verdict is Verdict.REVERT and row.state == InsightState.APPLIED:
            changed += _take_back(db, insights.find(db, row.id), one.measured, now)
        _announce(db, insights.by_ids(db, [row.id]), now)
    return changed


def _take_back(db: Connection, row: Any, measured: Measured, now: datetime) -> list[str]:
    why = f"not better: {measured.why}"[:400]
    values: dict[str, Any] = {"state": InsightState.REVERTED, "reason": why, "undo_until": None}
    try:
        job = jobs.get(db, _OURSELVES, row.job_id, lock=True)
        _change(db, _OURSELVES, job, inverse(_action(row)), now, f"{why} (insight {row.id[:8]} taken back)")
    except (Conflict, NotFound, Invalid) as error:
        values = {"reason": f"{why}; it could not be taken back: {error}"[:400]}
    values |= {"decided_by": _OURSELVES.name, "decided_at": now}
    insights.save(db, row.id, row.version, values)
    detail = {"insight": row.id, "kind": row.kind, "title": row.title, "reason": values["reason"]}
    record.act(
        db, _OURSELVES, "insight.reverted" if "state" in values else "insight.stays", [(row.job_id, detail)], now
    )
    return [row.job_id] if "state" in values else []


def inverse(action: Action) -> Action:
    """Return the change that takes an action back."""
    other = {ActionVerb.PAUSE: ActionVerb.RESUME, ActionVerb.RESUME: ActionVerb.PAUSE}
    return Action(verb=other.get(action.verb, action.verb), value=action.before, before=action.value)


def view(row: Any) -> Insight:
    """Return an insight read through storage.insights."""
    return Insight.model_validate({**row._mapping, "job": row.job or ""})  # noqa: SLF001 - the public way to its columns


def _change(db: Connection, actor: Actor, job: Any, action: Action, now: datetime, message: str) -> JobView:
    if action.verb in {ActionVerb.PAUSE, ActionVerb.RESUME}:
        wanted = action.verb is ActionVerb.PAUSE
        if job.paused == wanted:
            raise Conflict(f"{job.name!r} is {'paused' if wanted else 'not paused'} already")
        return jobs.set_paused(db, actor, job.id, now, paused=wanted)
    field = _FIELDS[action.verb]
    if _as_kept(job.spec, action.verb, action.before) != _as_kept(job.spec, action.verb, None, keep=True):
        raise Conflict(
            f"the {field.removesuffix('_ms')} of {job.name!r} has been changed since; edit the job to set it anew"
        )
    wanted_value = _value(job.spec, action.verb, action.value)
    patch = JobPatch(version=job.version, changes={field: wanted_value}, message=message[:400])
    return jobs.edit(db, actor, job.id, patch, now)


def _value(spec: Mapping[str, Any], verb: ActionVerb, value: Any) -> Any:
    """Return the whole field, of which the action may name a part."""
    return {**spec.get("limits", {}), "memory_bytes": value} if verb is ActionVerb.SET_MEMORY_LIMIT else value


def _as_kept(spec: Mapping[str, Any], verb: ActionVerb, value: Any, *, keep: bool = False) -> Any:
    """Return a value as a saved spec would have it; with `keep` the one it has."""
    field = _FIELDS[verb]
    changes = {} if keep else {field: _value(spec, verb, value)}
    try:
        return JobSpec.model_validate({**spec, **changes}).model_dump(mode="json")[field]
    except ValidationError as error:
        raise Invalid(f"what was proposed is no {field} of a job: {error.errors()[0]['msg']}", field=field) from None


def _get(db: Connection, actor: Actor, insight_id: str, *, lock: bool = False) -> Any:
    """Return the row of an insight by its id, or by so much of its beginning that there is only one."""
    row = insights.find(db, insight_id, lock=lock)
    if row is None and len(likely := insights.beginning(db, insight_id, 2)) == 1:
        row = insights.find(db, likely[0], lock=lock)
    if row is None or not access.can(actor, Verb.VIEW, row.owner_id):
        raise NotFound(f"there is no insight {insight_id!r}; `chronos insights --state all` shows all")
    return row


def _for_change(db: Connection, actor: Actor, insight_id: str) -> Any:
    row = _get(db, actor, insight_id, lock=True)
    access.require(actor, Verb.EDIT, row.owner_id)
    return row


def _must_be(row: Any, states: Collection[InsightState], what: str) -> None:
    if row.state not in states:
        raise Conflict(f"the insight is {row.state} and cannot {what}")


def _action(row: Any) -> Action:
    if row.action is None or row.job_id is None:
        raise Conflict("the insight proposes no change; accept or dismiss it")
    return Action.model_validate(row.action)


def _save(db: Connection, actor: Actor, row: Any, values: Mapping[str, Any], now: datetime) -> Insight:
    decided = {**values, "decided_by": actor.name, "decided_at": now}
    if not insights.save(db, row.id, row.version, decided):
        raise Conflict("the insight was changed by someone else at this moment; look at it again")
    subject = row.job_id or row.id
    detail = {"insight": row.id, "kind": row.kind, "title": row.title, "reason": values.get("reason", "")}
    record.act(db, actor, f"insight.{values['state']}", [(subject, detail)], now)
    saved = insights.by_ids(db, [row.id])
    _announce(db, saved, now)
    return view(saved[0])


def _announce(db: Connection, rows: Sequence[Any], now: datetime) -> None:
    events.add(
        db,
        [
            {
                "at": now,
                "kind": "insight",
                "subject": row.id,
                "version": row.version,
                "owner_id": NOBODY if row.owner_id is None else row.owner_id,
                "doc": view(row).model_dump(mode="json"),
            }
            for row in rows
        ],
    )


def _row(found: Finding, shown: bool) -> dict[str, Any]:  # noqa: FBT001
    kept = found.model_dump(mode="json", exclude={"key", "at", "expires"})
    return {
        **kept,
        "id": str(uuid.uuid5(_IDS, found.key)),
        "version": 1,
        "at": found.at,
        "expires": found.expires,
        "state": InsightState.OPEN if shown else InsightState.MUTED,
        "reason": "",
        **dict.fromkeys(("snoozed_until", "decided_by", "decided_at", "applied_version", "undo_until", "measured")),
        "expected": False,
    }


def _before(cursor: str | None) -> tuple[datetime, str] | None:
    if cursor is None:
        return None
    at, _, last = cursor.partition(" ")
    try:
        return datetime.fromisoformat(at), str(uuid.UUID(last))
    except ValueError:
        raise Invalid(f"{cursor!r} is no place in a list of insights; begin the list again", field="cursor") from None
