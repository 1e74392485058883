"""Questions to Claude: write them down, answer from what was asked before, set aside what they may cost, settle it.

Nobody waits here: a question is put by `engine.asker`, in a process of its own. Everything sent and spent is recorded.
"""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from scheduler_daemon.contract.claude import (
    CallState,
    ClaudeBudget,
    ClaudeCall,
    ClaudeOutcome,
    FailureExplanation,
    Purpose,
    ScheduleGuess,
)
from scheduler_daemon.contract.jobs import SchedulePreviewRequest
from scheduler_daemon.contract.pages import Page
from scheduler_daemon.contract.people import Actor, Role
from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.domain import access, schedule_phrases
from scheduler_daemon.domain.access import Verb
from scheduler_daemon.domain.errors import ChronosError, NotAllowed, NotFound
from scheduler_daemon.insights import prompts
from scheduler_daemon.insights.lookups import MOST_CHARS, ROUNDS, offered
from scheduler_daemon.insights.prompts import Prompt
from scheduler_daemon.services import claude_advice, failures, listing, lookups, schedules
from scheduler_daemon.services import jobs as job_services
from scheduler_daemon.services.listing import owner_seen
from scheduler_daemon.settings import ClaudeSettings
from scheduler_daemon.storage import claude, executions, jobs, people
from scheduler_daemon.storage import failures as stored_failures

ANSWERS_KEPT = timedelta(days=30)
"""How long an answer is given again to the same question."""
CHARS_A_TOKEN = 2.5
"""Fewer than usual: what is set aside must not be less than what is spent."""
_JUDGED_RUNS = 30


@dataclass(frozen=True, slots=True)
class Desk:
    """What asking needs: the settings, and whether there is a key."""

    settings: ClaudeSettings
    has_key: bool


def explain(
    db: Connection,
    actor: Actor,
    digest: failures.Digest,
    desk: Desk,
    now: datetime,
    *,
    local: bool = False,
    alike: Sequence[tuple[int, float]] | None = None,
) -> FailureExplanation:
    """Explain a failed run in our own words, and have Claude asked, or say what it said. Raises NotFound, Conflict."""
    found = failures.explain(db, actor, digest, alike)
    if local or not desk.has_key or actor.role is Role.VIEWER:  # who may only look may not spend
        return found
    run = failures.failed_run(db, actor, digest.execution_id)
    facts = {
        "job": run.job,
        "command": _command(db, run),
        "exit_code": run.exit_code,
        "signal": run.signal,
        "outcome": run.outcome,
        "seconds": None if run.started_at is None or run.ended_at is None else (run.ended_at - run.started_at).seconds,
        "attempt": run.attempt + 1,
        "attempts": run.attempts,
        "what we think": found.text,
        "similar failures": [one.text for one in found.similar],
    }
    prompt = prompts.explain_failure(facts, digest.excerpt, secrets.token_hex(16))
    return found.model_copy(update={"claude": ask(db, actor, Purpose.FAILURE, str(run.id), prompt, desk, now)})


def name_pattern(db: Connection, actor: Actor, pattern_id: str, desk: Desk, now: datetime) -> ClaudeCall | None:
    """Have an error pattern named, which all who meet it then read. Raises NotFound, and NotAllowed but to an admin."""
    pattern = failures.detail(db, actor, pattern_id)
    if actor.role is not Role.ADMIN:
        raise NotAllowed("an error pattern is named for all who meet it, so only an admin may have it named")
    facts = pattern.model_dump(mode="json", include={"text", "count", "first_seen", "last_seen", "jobs", "lift"})
    seen = stored_failures.earlier(db, 2**62, owner_id=owner_seen(actor), pattern_id=pattern.id, limit=8)
    examples = [(number, row.text) for number, row in enumerate(seen, start=1)]
    prompt = prompts.name_pattern(facts, examples, secrets.token_hex(16))
    return ask(db, actor, Purpose.PATTERN, pattern.id, prompt, desk, now) if desk.has_key else None


def review(db: Connection, actor: Actor, job: str, desk: Desk, now: datetime) -> ClaudeCall | None:
    """Have a job reviewed. Raises NotFound, and NotAllowed to who may only look."""
    view = job_services.show(db, actor, job)
    rows = executions.page(db, job_id=view.id, limit=_JUDGED_RUNS)
    facts = {
        "settings": view.spec.model_dump(mode="json", exclude={"env"}, exclude_defaults=True),
        "schedule": view.words,
        "latest runs": [lookups.run_facts(row) for row in rows],
    }
    access.require(actor, Verb.EDIT, actor.id)
    prompt = prompts.review_job(facts, secrets.token_hex(16))
    return ask(db, actor, Purpose.JOB, view.id, prompt, desk, now) if desk.has_key else None


def draft_schedule(db: Connection, actor: Actor, wish: str, zone: str, desk: Desk, now: datetime) -> ScheduleGuess:
    """Turn words into a schedule: by our own grammar, else by Claude if there is a key. Raises Invalid for the zone."""
    found = schedule_phrases.understand(wish)
    if found is not None:
        schedule = Schedule(expressions=(found.expression,), zone=zone)
        preview = schedules.preview(db, SchedulePreviewRequest(schedule=schedule, count=5), now)
        return ScheduleGuess(expression=found.expression, note=found.note, preview=preview, claude=None)
    asked = None
    if desk.has_key and actor.role is not Role.VIEWER:
        prompt = prompts.draft_schedule(wish, secrets.token_hex(16))
        asked = ask(db, actor, Purpose.SCHEDULE, "", prompt, desk, now)
    return ScheduleGuess(expression=None, note="", preview=None, claude=asked)


def ask_about_fleet(db: Connection, actor: Actor, question: str, desk: Desk, now: datetime) -> ClaudeCall | None:
    """Have a question about the fleet answered by Claude, which may look facts up; None where it is not to be asked.

    It is sent numbers, names and states alone, nothing that a run wrote: it has tools, though they only read, and
    with the rights of who asks.
    """
    if not desk.has_key or actor.role is Role.VIEWER:  # who may only look may not spend
        return None
    counts, _ = listing.overview(db, actor, now)
    facts = [{"now": now.isoformat(timespec="seconds")}, counts.model_dump(mode="json")]
    prompt = prompts.answer_about_fleet(facts, question, secrets.token_hex(16))
    return ask(db, actor, Purpose.FLEET, "", prompt, desk, now)


def look_up(db: Connection, call_id: int, name: str, given: Any, now: datetime) -> lookups.Facts | str:
    """Look a fact up for a question that is being asked, with the rights of who asked it; a text says why not."""
    row = _get(db, call_id)
    user = people.by_id(db, row.user_id)
    if row.state != CallState.ASKING or row.purpose != Purpose.FLEET or user is None:
        return "nothing may be looked up for this question"
    try:
        return lookups.look_up(db, Actor(id=user.id, name=user.name, role=Role(user.role)), name, given, now)
    except ChronosError as error:
        return error.message


def ask(
    db: Connection, actor: Actor, purpose: Purpose, subject: str, prompt: Prompt, desk: Desk, now: datetime
) -> ClaudeCall:
    """Write a question down to be asked; one of one's own that is open or was answered is answered by that.

    So is one that somebody else had answered, unless facts were looked up for it, with other rights.
    """
    model = desk.settings.model
    since = now - ANSWERS_KEPT
    before = claude.same(db, prompt.digest, model, since, actor.id)
    if before is not None:
        return view(before)
    if not prompt.lookups:
        before = claude.same(db, prompt.digest, model, since)
    values: dict[str, Any] = {
        "at": now,
        "user_id": actor.id,
        "actor": actor.name,
        "purpose": purpose,
        "subject": subject,
        "state": CallState.QUEUED,
        "prompt": kept(prompt),
        "digest": prompt.digest,
        "model": model,
        **dict.fromkeys(("detail", "text", "request_id"), ""),
        **dict.fromkeys(("tokens", "cost_micros"), 0),
    }
    if before is not None:
        cached = {"prompt": None, "state": CallState.DONE, "outcome": ClaudeOutcome.CACHED, "ended_at": now}
        values |= cached | {"text": before.text, "answer": before.answer}
    call = _get(db, claude.add(db, values))
    if before is not None:
        _record(db, call, now)
    return view(call)


def claim(db: Connection, desk: Desk, now: datetime) -> tuple[int, Prompt] | None:
    """Take the next question that waits and set aside what it may cost; one that costs too much is ended.

    None where none waits.
    """
    while (row := claude.next_queued(db)) is not None:
        prompt = prompt_of(row.prompt)
        most = _most(prompt)
        refused = _refused(db, desk.settings, row.user_id, most, now)
        if refused is None:
            tokens, cost = sum(most), _micros(desk.settings, *most)
            claude.save(db, row.id, state=CallState.ASKING, at=now, tokens=tokens, cost_micros=cost)
            return row.id, prompt
        outcome, detail = refused
        _end(db, row.id, outcome, now, detail=detail, tokens=0, cost_micros=0)
    return None


def heard(db: Connection, call_id: int, text: str) -> None:
    """Keep what has been said so far."""
    claude.save(db, call_id, text=text)


def settle(db: Connection, call_id: int, reply: Mapping[str, Any], desk: Desk, now: datetime) -> None:
    """End a question with what came of it and what it cost; where that is not known, what was set aside stays spent."""
    outcome = ClaudeOutcome(reply["outcome"])
    values: dict[str, Any] = {"answer": reply["answer"], "request_id": reply["request_id"]}
    spent_in, spent_out = reply["input_tokens"], reply["output_tokens"]
    if spent_in is not None and spent_out is not None:
        values |= {"tokens": spent_in + spent_out, "cost_micros": _micros(desk.settings, spent_in, spent_out)}
    elif outcome in {ClaudeOutcome.NO_KEY, ClaudeOutcome.BAD_KEY, ClaudeOutcome.BUSY, ClaudeOutcome.UNREACHABLE}:
        values |= {"tokens": 0, "cost_micros": 0}
    values["text"] = reply["answer"]["text"] if reply["answer"] else ""
    looked_up = reply.get("looked_up") or []
    if reply["answer"] and (looked_up or reply.get("facts")):
        values["answer"] = {**reply["answer"], "looked_up": looked_up, "rests_on": reply["facts"]}
    row = _end(db, call_id, outcome, now, looked_up=looked_up, detail=reply["detail"], **values)
    if outcome is ClaudeOutcome.ANSWERED and row.purpose == Purpose.FAILURE:
        claude_advice.keep(db, int(row.subject), row.answer, row.model, now)
    if outcome is ClaudeOutcome.ANSWERED and row.purpose == Purpose.PATTERN:
        said = row.answer
        stored_failures.describe(db, row.subject, name=said["name"], meaning=said["text"], fix=said["fix"])


def give_up_left_behind(db: Connection, before: datetime, now: datetime) -> int:
    """End questions that a daemon was asking when it died; return how many."""
    rows = claude.left_behind(db, before)
    for row in rows:
        _end(db, row.id, ClaudeOutcome.CUT, now, detail="the daemon ended meanwhile")
    return len(rows)


def show(db: Connection, actor: Actor, call_id: int) -> ClaudeCall:
    """Return a question of one's own; an administrator sees all. Raises NotFound."""
    row = claude.find(db, call_id)
    if row is None or (owner_seen(actor) not in {None, row.user_id}):
        raise NotFound(f"there is no question {call_id}; `chronos ask list` shows the latest")
    return view(row)


def page(db: Connection, actor: Actor, *, before: int | None, limit: int) -> Page[ClaudeCall]:
    """Return questions, newest first."""
    rows = claude.page(db, user_id=owner_seen(actor), before=before, limit=limit + 1)
    return Page(items=[view(row) for row in rows[:limit]], next=str(rows[limit - 1].id) if len(rows) > limit else None)


def budget(db: Connection, actor: Actor, desk: Desk, now: datetime) -> ClaudeBudget:
    """Return what was spent today of what may be."""
    everybody, mine = (claude.spent(db, _midnight(now), user) for user in (None, actor.id))
    settings = desk.settings
    return ClaudeBudget(
        configured=desk.has_key,
        model=settings.model,
        tokens=everybody.tokens,
        tokens_most=settings.tokens_a_day,
        dollars=everybody.micros / 1e6,
        dollars_most=settings.dollars_a_day,
        my_tokens=mine.tokens,
        my_tokens_most=settings.tokens_a_day_each,
        my_dollars=mine.micros / 1e6,
        my_dollars_most=settings.dollars_a_day_each,
    )


def view(row: Any) -> ClaudeCall:
    """Return a question as everyone reads it."""
    names = set(ClaudeCall.model_fields) - {"cost_dollars"}
    return ClaudeCall(**{name: getattr(row, name) for name in names}, cost_dollars=row.cost_micros / 1e6)


def prompt_of(kept: Mapping[str, Any]) -> Prompt:
    """Return a prompt that was written down."""
    return Prompt(
        system=kept["system"],
        content=kept["content"],
        answer=prompts.ANSWERS[kept["answer"]],
        citable=frozenset(kept["citable"]),
        max_tokens=kept["max_tokens"],
        digest=kept["digest"],
        lookups=kept.get("lookups", False),
    )


def kept(prompt: Prompt) -> dict[str, Any]:
    """Return what `prompt_of` takes."""
    return {
        "system": prompt.system,
        "content": prompt.content,
        "answer": prompt.answer.__name__,
        "citable": sorted(prompt.citable),
        "max_tokens": prompt.max_tokens,
        "digest": prompt.digest,
        "lookups": prompt.lookups,
    }


def _most(prompt: Prompt) -> tuple[int, int]:
    """Return the most tokens that a question takes, in and out. With lookups each round is sent all before it again."""
    rounds = ROUNDS + 1 if prompt.lookups else 1
    said_again = sum(range(rounds)) * prompt.max_tokens
    chars = len(prompt.system) + len(prompt.content)
    if prompt.lookups:
        chars += len(json.dumps(offered())) + MOST_CHARS
    return int(chars / CHARS_A_TOKEN) * rounds + said_again, prompt.max_tokens * rounds


def _refused(
    db: Connection, settings: ClaudeSettings, user_id: int, most: tuple[int, int], now: datetime
) -> tuple[ClaudeOutcome, str] | None:
    if settings.price() is None:
        return ClaudeOutcome.NO_PRICE, f"no price is set for {settings.model}; add it to `claude.prices`"
    tokens, cost = sum(most), _micros(settings, *most)
    bounds = (
        (None, settings.tokens_a_day, settings.dollars_a_day, "the day"),
        (user_id, settings.tokens_a_day_each, settings.dollars_a_day_each, "the day of this account"),
    )
    for user, most_tokens, most_dollars, whose in bounds:
        spent = claude.spent(db, _midnight(now), user)
        if spent.tokens + tokens > most_tokens or spent.micros + cost > most_dollars * 1e6:
            return ClaudeOutcome.NO_BUDGET, f"the budget of {whose} does not cover it; it begins anew at 00:00 UTC"
    return None


def _micros(settings: ClaudeSettings, tokens_in: int, tokens_out: int) -> int:
    price = settings.price()
    return 0 if price is None else round(tokens_in * price.input + tokens_out * price.output)


def _midnight(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


def _end(
    db: Connection, call_id: int, outcome: ClaudeOutcome, now: datetime, *, looked_up: Sequence[str] = (), **values: Any
) -> Any:
    claude.save(db, call_id, state=CallState.DONE, outcome=outcome, prompt=None, ended_at=now, **values)
    row = _get(db, call_id)
    _record(db, row, now, looked_up)
    return row


def _record(db: Connection, row: Any, now: datetime, looked_up: Sequence[str] = ()) -> None:
    detail = {
        "call": row.id,
        "purpose": row.purpose,
        "model": row.model,
        "outcome": row.outcome,
        "tokens": row.tokens,
        "cost_micros": row.cost_micros,
        **({"looked_up": list(looked_up)} if looked_up else {}),
    }
    people.audit(db, [{"at": now, "actor": row.actor, "verb": "claude.ask", "subject": row.subject, "detail": detail}])


def _get(db: Connection, call_id: int) -> Any:
    row = claude.find(db, call_id)
    assert row is not None
    return row


def _command(db: Connection, run: Any) -> str:
    found = jobs.specs(db, {(run.job_id, run.job_version)})
    command = found[run.job_id, run.job_version].get("command", "")
    return command if isinstance(command, str) else " ".join(map(str, command))
