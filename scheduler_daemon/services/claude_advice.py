"""Make an insight of a change that Claude proposes where it explains a failure, so that people can apply it.

What it read may have been written to mislead it. So the change is one of few, within bounds, valid for the job as it
is now, cites the lines it rests on, and is marked as Claude's; it is applied by a person, measured, and taken back as
any other.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import ValidationError
from sqlalchemy import Connection

from scheduler_daemon.contract.insights import (
    Action,
    ActionVerb,
    Evidence,
    Finding,
    LogEvidence,
    MetricEvidence,
    Prediction,
    Severity,
)
from scheduler_daemon.contract.jobs import JobSpec
from scheduler_daemon.services import insights
from scheduler_daemon.storage import executions, jobs

_SHOWN: Final = timedelta(days=14)
_SURE: Final = {"low": 0.4, "medium": 0.6, "high": 0.75}
"""Words of a model are no probability: never more than this."""
_MIB: Final = 1 << 20
_CITED: Final = 5
_WORDS: Final = {
    ActionVerb.SET_RETRY: "retries",
    ActionVerb.SET_TIMEOUT: "another timeout",
    ActionVerb.SET_MEMORY_LIMIT: "another memory limit",
    ActionVerb.PAUSE: "a pause",
}


def keep(db: Connection, run_id: int, answer: Mapping[str, Any], model: str, now: datetime) -> None:
    """Record what an explanation of a run proposes; nothing where it proposes nothing that the job can be given."""
    run = executions.find(db, run_id)
    rows = jobs.by_ids(db, [run.job_id]) if run is not None and answer["action"] != "none" else []
    for row in rows:
        action = _action(row, ActionVerb(answer["action"]), answer["value"])
        if action is not None:
            insights.keep(db, [_finding(row, run, action, answer, model, now)], now)


def _action(row: Any, verb: ActionVerb, value: int) -> Action | None:
    """Return the change as the job's document writes it; None for one that changes nothing or is not valid."""
    if verb is ActionVerb.PAUSE:
        return None if row.paused else Action(verb=verb)
    spec = JobSpec.model_validate(row.spec)
    before: Any
    after: Any
    if verb is ActionVerb.SET_RETRY:
        before = spec.retry and spec.retry.model_dump(mode="json")
        field, after = "retry", {**(before or {}), "attempts": value}
        changed = after
    elif verb is ActionVerb.SET_TIMEOUT:
        field, before, after = "timeout_ms", spec.timeout_ms, value * 1000
        changed = after
    else:
        field, before, after = "limits", spec.limits.memory_bytes, value * _MIB
        changed = {**spec.limits.model_dump(mode="json"), "memory_bytes": after}
    try:
        JobSpec.model_validate({**row.spec, field: changed})
    except ValidationError:
        return None
    return None if after == before else Action(verb=verb, value=after, before=before)


def _finding(row: Any, run: Any, action: Action, answer: Mapping[str, Any], model: str, now: datetime) -> Finding:
    lines: list[Evidence] = [
        LogEvidence(run_id=run.id, first_line=number, last_line=number) for number in answer["lines"][:_CITED] if number
    ]
    failed = MetricEvidence(metric="failed_run", value=1, run_ids=(run.id,))
    return Finding(
        key=f"claude:{row.id}:{action.verb}:{answer['value']}",
        job_id=row.id,
        kind="claude_advice",
        severity=Severity.INFO,
        confidence=_SURE[answer["confidence"]],
        title=f"Claude proposes {_WORDS[action.verb]} for {row.name}"[:200],
        text=f"{answer['text']}\n{answer['fix']}".strip(),
        evidence=tuple(lines or [failed]),
        action=action,
        prediction=_prediction(action, answer["confidence"]),
        source="claude",
        model=model,
        at=now,
        expires=now + _SHOWN,
    )


def _prediction(action: Action, confidence: str) -> Prediction | None:
    """Return what the change is measured by: whether fewer runs fail, or more recover."""
    if action.verb is ActionVerb.PAUSE:
        return None
    if action.verb is ActionVerb.SET_RETRY:
        return Prediction(metric="recovered_share", expected=_SURE[confidence], low=0.25, high=1)
    return Prediction(metric="failure_rate", expected=0, low=0, high=0.5)
