"""Why runs fail, and questions to Claude, over HTTP."""

import asyncio
import contextlib
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from scheduler_daemon.api.deps import Ask, Asked, Limit, instant
from scheduler_daemon.contract.claude import (
    ClaudeBudget,
    ClaudeCall,
    FailureExplanation,
    FleetTold,
    Pattern,
    PatternDetail,
    ScheduleGuess,
)
from scheduler_daemon.contract.pages import Page
from scheduler_daemon.domain.errors import Invalid, Unavailable
from scheduler_daemon.services import claude, failures, fleet_words

router = APIRouter(prefix="/v1", tags=["words"])

RunId = Annotated[int, Path(ge=1, le=2**53)]
PatternId = Annotated[str, Path(min_length=4, max_length=16, pattern=r"^[0-9a-f]+$")]


class Question(BaseModel, frozen=True, extra="forbid"):
    """What a person wants to know."""

    question: Annotated[str, Field(min_length=1, max_length=1000)]


class ScheduleWish(BaseModel, frozen=True, extra="forbid"):
    """When a job is to run, in words."""

    words: Annotated[str, Field(min_length=1, max_length=300)]
    zone: Annotated[str, Field(max_length=100)] = "UTC"


class JobToReview(BaseModel, frozen=True, extra="forbid"):
    """A job by name or id."""

    job: Annotated[str, Field(min_length=1, max_length=80)]


@router.post("/executions/{execution_id}/explanation")
async def explain(ask: Asked, execution_id: RunId, *, local: bool = False) -> FailureExplanation:
    """Say why a run failed. Unless `local`, Claude is asked where there is a key: `claude` says how far that is."""
    now, desk = ask.context.now(), ask.context.desk
    run, lines = await ask.read(lambda db, actor: failures.wrote(db, actor, execution_id))
    digest = await asyncio.to_thread(failures.digest, run, lines)
    alike = await _alike(ask, digest)
    found = await ask.write(lambda db, actor: claude.explain(db, actor, digest, desk, now, local=local, alike=alike))
    ask.context.engine.question_asked()
    return found


async def _alike(ask: Ask, digest: failures.Digest) -> list[tuple[int, float]] | None:
    """Return earlier failures that say much the same, as the index knows them; None while it does not answer."""
    said = digest.said
    if said is None:
        return []
    actor = await ask.read(lambda _db, actor: actor)
    with contextlib.suppress(Unavailable):
        return await ask.context.picture.alike(actor, said, failures.SIMILAR)
    return None


@router.post("/ask/schedule")
async def draft_schedule(ask: Asked, request: ScheduleWish) -> ScheduleGuess:
    """Turn words into a schedule, with its next fires; nothing is changed."""
    now, desk = ask.context.now(), ask.context.desk
    found = await ask.write(lambda db, actor: claude.draft_schedule(db, actor, request.words, request.zone, desk, now))
    ask.context.engine.question_asked()
    return found


@router.post("/ask/fleet")
async def ask_about_fleet(ask: Asked, request: Question, *, local: bool = False) -> FleetTold:
    """Answer a question about the jobs one may see. Unless `local`, Claude is asked too where there is a key."""
    now, desk = ask.context.now(), ask.context.desk
    text = await ask.read(lambda db, actor: fleet_words.answer(db, actor, request.question, now))
    if local or not desk.has_key:
        return FleetTold(text=text, claude=None)
    call = await ask.write(lambda db, actor: claude.ask_about_fleet(db, actor, request.question, desk, now))
    ask.context.engine.question_asked()
    return FleetTold(text=text, claude=call)


@router.post("/ask/job")
async def review_job(ask: Asked, request: JobToReview) -> ClaudeCall | None:
    """Have a job reviewed by Claude; null without a key."""
    now, desk = ask.context.now(), ask.context.desk
    call = await ask.write(lambda db, actor: claude.review(db, actor, request.job, desk, now))
    ask.context.engine.question_asked()
    return call


@router.get("/patterns")
async def list_patterns(
    ask: Asked, job: str | None = None, since: str | None = None, limit: Limit = 100
) -> Page[Pattern]:
    """List the errors that runs fail with, the latest first."""
    moment = instant(since, "since")
    found = await ask.read(lambda db, actor: failures.patterns(db, actor, job=job, since=moment, limit=limit))
    return Page(items=found, next=None)


@router.get("/patterns/{pattern_id}")
async def show_pattern(ask: Asked, pattern_id: PatternId) -> PatternDetail:
    """Show an error, where it came, and what ended it."""
    return await ask.read(lambda db, actor: failures.detail(db, actor, pattern_id))


@router.post("/patterns/{pattern_id}/name")
async def name_pattern(ask: Asked, pattern_id: PatternId) -> ClaudeCall | None:
    """Have an error named by Claude; null without a key."""
    now, desk = ask.context.now(), ask.context.desk
    call = await ask.write(lambda db, actor: claude.name_pattern(db, actor, pattern_id, desk, now))
    ask.context.engine.question_asked()
    return call


@router.get("/claude/calls")
async def list_calls(ask: Asked, limit: Limit = 100, cursor: str | None = None) -> Page[ClaudeCall]:
    """List questions to Claude with what they cost, newest first."""
    if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise Invalid("the cursor is not one that a page gave", field="cursor")
    before = None if cursor is None else int(cursor)
    return await ask.read(lambda db, actor: claude.page(db, actor, before=before, limit=limit))


@router.get("/claude/calls/{call_id}")
async def show_call(ask: Asked, call_id: RunId) -> ClaudeCall:
    """Show a question, and what has been said so far."""
    return await ask.read(lambda db, actor: claude.show(db, actor, call_id))


@router.get("/claude/budget")
async def budget(ask: Asked) -> ClaudeBudget:
    """Say what was spent today of what may be."""
    now, desk = ask.context.now(), ask.context.desk
    return await ask.read(lambda db, actor: claude.budget(db, actor, desk, now))
