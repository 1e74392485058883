"""Questions to Claude are asked one after another, and none stays open for ever."""

import asyncio
import contextlib

import pytest

from scheduler_daemon.contract.claude import CallState, ClaudeOutcome, Purpose
from scheduler_daemon.contract.people import Role
from scheduler_daemon.engine import asker
from scheduler_daemon.engine.asker import Asker
from scheduler_daemon.insights import prompts
from scheduler_daemon.services import claude
from scheduler_daemon.services.claude import Desk
from scheduler_daemon.settings import ClaudeSettings
from scheduler_daemon.storage.session import Database
from tests.support.world import MINUTE, NOON, add_actor

DESK = Desk(ClaudeSettings(), has_key=True)


async def test_a_question_that_was_left_behind_just_before_a_start_is_ended_in_time(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asker, "LOOK", 0.02)
    root = await database.write(lambda db: add_actor(db, "root", Role.ADMIN, uid=0))
    prompt = prompts.draft_schedule("now and then", "aa")
    call = await database.write(lambda db: claude.ask(db, root, Purpose.SCHEDULE, "", prompt, DESK, NOON))
    await database.write(lambda db: claude.claim(db, DESK, NOON))
    now = NOON + MINUTE / 6
    asking = asyncio.create_task(Asker(database, DESK, lambda: now, lambda: None).run())

    async def seen() -> CallState:
        return (await database.read(lambda db: claude.show(db, root, call.id))).state

    await asyncio.sleep(0.1)
    young = await seen()
    now = NOON + 60 * MINUTE
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(20):
            while await seen() is not CallState.DONE:
                await asyncio.sleep(0.02)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)

    assert young is CallState.ASKING
    ended = await database.read(lambda db: claude.show(db, root, call.id))
    assert (ended.state, ended.outcome) == (CallState.DONE, ClaudeOutcome.CUT)
