"""What Claude proposes for a failed run becomes an insight that people apply as any other, or nothing at all."""

from typing import Any

import pytest

from scheduler_daemon.contract.claude import Purpose
from scheduler_daemon.contract.insights import Insight, InsightDecision, LogEvidence
from scheduler_daemon.contract.jobs import JobView
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.insights import prompts
from scheduler_daemon.services import claude, insights, jobs
from scheduler_daemon.services.claude import Desk
from scheduler_daemon.settings import ClaudeSettings
from scheduler_daemon.storage.session import Database
from tests.support.world import MINUTE, NOON, add_job, end, fire

DESK = Desk(ClaudeSettings(), has_key=True)
ANSWER = {"text": "It runs out of time.", "fix": "Give it more.", "confidence": "high", "lines": [3, 4]}
PROMPT = prompts.explain_failure({}, [(3, "timed out"), (4, "giving up")], "aa")
LATER = NOON + 5 * MINUTE


async def told(
    database: Database, actor: Actor, action: str, value: int, **fields: Any
) -> tuple[JobView, list[Insight]]:
    """Let a run of a job fail, and Claude propose something; return the job, and what is open then."""

    def work(db: Any) -> JobView:
        job = add_job(db, actor, "backup", **fields)
        (start,) = fire(db, job, NOON + MINUTE).starts
        end(db, start.execution_id, at=NOON + 2 * MINUTE, exit_code=1)
        call = claude.ask(db, actor, Purpose.FAILURE, str(start.execution_id), PROMPT, DESK, NOON)
        claude.claim(db, DESK, NOON)
        answer = {**ANSWER, "action": action, "value": value}
        reply = {"outcome": "answered", "answer": answer, "detail": "", "request_id": "", "facts": ()}
        claude.settle(db, call.id, {**reply, "input_tokens": 1, "output_tokens": 1}, DESK, LATER)
        return job

    job = await database.write(work)
    return job, (await database.read(lambda db: insights.page(db, actor))).items


@pytest.mark.parametrize(
    ("action", "value", "change", "metric"),
    [
        ("set_timeout", 1200, {"timeout_ms": 1_200_000}, "failure_rate"),
        ("set_memory_limit", 512, {"limits.memory_bytes": 512 << 20}, "failure_rate"),
        ("set_retry", 3, {"retry.attempts": 3}, "recovered_share"),
        ("pause", 0, {"paused": True}, None),
    ],
)
async def test_a_proposal_is_applied_and_undone_as_any_other(
    database: Database, admin: Actor, action: str, value: int, change: dict[str, Any], metric: str | None
) -> None:
    job, (found,) = await told(database, admin, action, value, timeout_ms=600_000)

    await database.write(lambda db: insights.apply(db, admin, found.id, InsightDecision(), LATER))
    after = await database.read(lambda db: jobs.show(db, admin, job.id))
    await database.write(lambda db: insights.undo(db, admin, found.id, InsightDecision(), LATER))
    back = await database.read(lambda db: jobs.show(db, admin, job.id))

    assert (found.source, found.kind, found.model) == ("claude", "claude_advice", DESK.settings.model)
    assert found.text == "It runs out of time.\nGive it more."
    assert [(each.first_line, each.run_id) for each in found.evidence if isinstance(each, LogEvidence)] == [
        (3, found.evidence[0].run_id),  # type: ignore[union-attr]
        (4, found.evidence[0].run_id),  # type: ignore[union-attr]
    ]
    assert (found.prediction and found.prediction.metric) == metric
    ((where, wanted),) = change.items()
    assert _at(after, where) == wanted
    assert _at(back, where) == _at(job, where)


def _at(job: JobView, where: str) -> Any:
    seen: Any = job if where == "paused" else job.spec
    for name in where.split("."):
        seen = seen and getattr(seen, name)
    return seen


@pytest.mark.parametrize(
    ("action", "value", "fields"),
    [
        ("none", 0, {}),
        ("set_timeout", 600, {"timeout_ms": 600_000}),
        ("set_memory_limit", 1, {}),
        ("set_retry", 2, {"retry": {"attempts": 2}}),
    ],
)
async def test_what_changes_nothing_or_is_not_valid_is_no_insight(
    database: Database, admin: Actor, action: str, value: int, fields: dict[str, Any]
) -> None:
    _, found = await told(database, admin, action, value, **fields)

    assert found == []
