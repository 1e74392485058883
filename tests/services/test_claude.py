"""What may be asked of Claude, what it may cost, and what is written down of it, on both databases."""

from datetime import timedelta
from typing import Any

import pytest

from scheduler_daemon.contract.claude import CallState, ClaudeOutcome, Purpose
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.domain.errors import NotFound
from scheduler_daemon.insights import prompts
from scheduler_daemon.services import claude
from scheduler_daemon.services.claude import Desk
from scheduler_daemon.settings import ClaudeSettings, Price
from scheduler_daemon.storage import people
from scheduler_daemon.storage.session import Database
from tests.support.rows import NOON

DESK = Desk(ClaudeSettings(), has_key=True)
ANSWER = {"text": "Full.", "fix": "", "confidence": "high", "lines": [1], "action": "none", "value": 0}
SPENT = {"input_tokens": 1000, "output_tokens": 200}
REPLY: dict[str, Any] = {"outcome": "answered", "answer": ANSWER, "detail": "", "request_id": "msg_1"} | SPENT


def prompt(said: str = "disk full") -> prompts.Prompt:
    return prompts.explain_failure({}, [(1, said)], "aa")


async def ask(database: Database, actor: Actor, said: str = "disk full", at: timedelta = timedelta()) -> Any:
    return await database.write(lambda db: claude.ask(db, actor, Purpose.FAILURE, "7", prompt(said), DESK, NOON + at))


async def claim(database: Database, desk: Desk = DESK) -> Any:
    return await database.write(lambda db: claude.claim(db, desk, NOON))


async def settle(database: Database, call_id: int, **changes: Any) -> None:
    await database.write(lambda db: claude.settle(db, call_id, REPLY | changes, DESK, NOON))


async def test_an_answer_is_kept_with_its_cost_and_a_place_in_the_record_of_acts(
    database: Database, ada: Actor
) -> None:
    call = await ask(database, ada)
    call_id, taken = await claim(database)
    await settle(database, call_id)
    after = await database.read(lambda db: claude.show(db, ada, call.id))
    acts = await database.read(lambda db: people.acts(db, "7"))

    assert (call_id, taken) == (call.id, prompt())
    assert (after.state, after.outcome, after.answer, after.text) == (CallState.DONE, "answered", ANSWER, "Full.")
    assert (after.tokens, after.cost_dollars) == (1200, pytest.approx(0.006))
    assert [(act.actor, act.verb, act.detail["tokens"]) for act in acts] == [("ada", "claude.ask", 1200)]


async def test_the_same_question_is_asked_once(database: Database, ada: Actor, admin: Actor) -> None:
    first = await ask(database, ada)
    again = await ask(database, ada)
    call_id, _ = await claim(database)
    await settle(database, call_id)
    later = await ask(database, ada)
    other = await ask(database, admin)

    assert first.id == again.id == later.id
    assert (other.outcome, other.answer, other.tokens) == (ClaudeOutcome.CACHED, ANSWER, 0)
    assert await claim(database) is None


async def test_an_old_answer_is_not_given_again(database: Database, ada: Actor) -> None:
    first = await ask(database, ada)
    call_id, _ = await claim(database)
    await settle(database, call_id)

    later = await ask(database, ada, at=claude.ANSWERS_KEPT + timedelta(days=1))

    assert later.id != first.id
    assert later.state is CallState.QUEUED


async def test_a_failed_question_can_be_asked_again(database: Database, ada: Actor) -> None:
    first = await ask(database, ada)
    call_id, _ = await claim(database)
    await settle(database, call_id, outcome="busy", answer=None, input_tokens=None, output_tokens=None)
    failed = await database.read(lambda db: claude.show(db, ada, first.id))

    again = await ask(database, ada)

    assert (failed.outcome, failed.tokens) == (ClaudeOutcome.BUSY, 0)
    assert again.id != first.id


@pytest.mark.parametrize(
    "settings",
    [
        ClaudeSettings(tokens_a_day=100),
        ClaudeSettings(tokens_a_day_each=100),
        ClaudeSettings(dollars_a_day=0.0001),
        ClaudeSettings(dollars_a_day_each=0.0001),
    ],
)
async def test_what_the_budget_does_not_cover_is_not_asked(
    database: Database, ada: Actor, settings: ClaudeSettings
) -> None:
    call = await ask(database, ada)

    taken = await claim(database, Desk(settings, has_key=True))
    after = await database.read(lambda db: claude.show(db, ada, call.id))

    assert taken is None
    assert (after.outcome, after.tokens, after.cost_dollars) == (ClaudeOutcome.NO_BUDGET, 0, 0)


async def test_what_is_being_asked_counts_as_spent(database: Database, ada: Actor) -> None:
    settings = ClaudeSettings(tokens_a_day_each=3500)
    for said in ("one", "two"):
        await ask(database, ada, said)

    first = await claim(database, Desk(settings, has_key=True))
    second = await claim(database, Desk(settings, has_key=True))
    budget = await database.read(lambda db: claude.budget(db, ada, Desk(settings, has_key=True), NOON))

    assert first is not None
    assert second is None
    assert 1500 < budget.my_tokens <= 3500


async def test_an_answer_whose_cost_is_not_known_costs_what_was_set_aside(database: Database, ada: Actor) -> None:
    call = await ask(database, ada)
    call_id, _ = await claim(database)

    await settle(database, call_id, outcome="timeout", answer=None, input_tokens=None, output_tokens=None)

    after = await database.read(lambda db: claude.show(db, ada, call.id))
    assert after.tokens > 1500


async def test_a_model_without_a_price_is_not_asked(database: Database, ada: Actor) -> None:
    call = await ask(database, ada)

    taken = await claim(database, Desk(ClaudeSettings(prices={"other": Price(input=1, output=1)}), has_key=True))

    assert taken is None
    assert (await database.read(lambda db: claude.show(db, ada, call.id))).outcome is ClaudeOutcome.NO_PRICE


async def test_what_a_dead_daemon_asked_is_ended(database: Database, ada: Actor) -> None:
    call = await ask(database, ada)
    await claim(database)

    ended = await database.write(lambda db: claude.give_up_left_behind(db, NOON + timedelta(hours=1), NOON))

    assert ended == 1
    assert (await database.read(lambda db: claude.show(db, ada, call.id))).outcome is ClaudeOutcome.CUT


async def test_nobody_sees_what_others_asked_but_an_administrator(
    database: Database, ada: Actor, vic: Actor, admin: Actor
) -> None:
    call = await ask(database, ada)

    with pytest.raises(NotFound):
        await database.read(lambda db: claude.show(db, vic, call.id))
    pages = [await database.read(lambda db, a=a: claude.page(db, a, before=None, limit=9)) for a in (ada, vic, admin)]
    assert [len(page.items) for page in pages] == [1, 0, 1]
