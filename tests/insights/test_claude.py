"""The real SDK against a stand-in on loopback: whatever comes back, a reply does, in time."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from scheduler_daemon.contract.claude import ClaudeOutcome
from scheduler_daemon.insights import prompts
from scheduler_daemon.insights.claude import Claude
from scheduler_daemon.settings import ClaudeSettings
from tests.support.claude import Stub, stubbed

KEY = "sk-made-up"
NONCE = "0f" * 16
PROMPT = prompts.explain_failure({"exit_code": 1}, [(7, "disk full"), (8, "giving up")], NONCE)
GOOD = {
    "text": "The disk is full.",
    "fix": "Free some.",
    "confidence": "high",
    "lines": [7],
    "action": "none",
    "value": 0,
}


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    async with stubbed() as served:
        yield served


def settings(stub: Stub, seconds: float = 20) -> ClaudeSettings:
    return ClaudeSettings(base_url=stub.url, timeout=timedelta(seconds=seconds))


async def test_an_answer_comes_word_by_word_and_is_checked(stub: Stub) -> None:
    claude = Claude(settings(stub), KEY)
    long = GOOD | {"text": "The disk of the machine is full, so that the copy could not be written to it."}
    stub.behaviour = long
    shown: list[str] = []

    reply = await claude.ask(PROMPT, shown.append)
    await claude.close()

    assert reply.outcome is ClaudeOutcome.ANSWERED
    assert reply.answer == prompts.Explanation.model_validate(long)
    assert (reply.input_tokens, reply.output_tokens, reply.request_id) == (1000, 200, "msg_1")
    assert len(shown) > 1
    assert shown[-1] == long["text"]
    assert all(long["text"].startswith(part) for part in shown)


async def test_what_is_asked_has_a_schema_and_no_tools(stub: Stub) -> None:
    claude = Claude(settings(stub), KEY)
    stub.behaviour = GOOD

    await claude.ask(PROMPT)
    await claude.close()

    (body,) = stub.bodies
    assert body["output_config"]["format"]["type"] == "json_schema"
    assert body["output_config"]["format"]["schema"]["additionalProperties"] is False
    assert set(body) == {"model", "max_tokens", "system", "messages", "output_config", "stream"}
    assert KEY in stub.heads[0]


@pytest.mark.parametrize(
    ("behaviour", "outcome"),
    [
        ("429", ClaudeOutcome.BUSY),
        ("529", ClaudeOutcome.BUSY),
        ("401", ClaudeOutcome.BAD_KEY),
        ("400", ClaudeOutcome.FAILED),
        ("500", ClaudeOutcome.FAILED),
        ("html", ClaudeOutcome.CUT),
        ("empty", ClaudeOutcome.CUT),
        ("json garbage", ClaudeOutcome.INVALID),
        ("wrong shape", ClaudeOutcome.CUT),
        ("hang up", ClaudeOutcome.UNREACHABLE),
        ("cut", ClaudeOutcome.CUT),
        ("error event", ClaudeOutcome.FAILED),
        ("refusal", ClaudeOutcome.REFUSED),
        ("truncated", ClaudeOutcome.TRUNCATED),
        ("broken json", ClaudeOutcome.INVALID),
        ("prose", ClaudeOutcome.INVALID),
        ("endless", ClaudeOutcome.INVALID),
        (GOOD | {"lines": [7, 9]}, ClaudeOutcome.INVALID),
        (GOOD | {"action": "delete"}, ClaudeOutcome.INVALID),
        (GOOD | {"action": "set_timeout", "value": 0}, ClaudeOutcome.INVALID),
        (GOOD | {"more": 1}, ClaudeOutcome.INVALID),
        (GOOD | {"text": "\u200b\x1b"}, ClaudeOutcome.INVALID),
        ({}, ClaudeOutcome.INVALID),
    ],
)
async def test_whatever_comes_back_ends_in_a_reply(stub: Stub, behaviour: object, outcome: ClaudeOutcome) -> None:
    claude = Claude(settings(stub), KEY)
    stub.behaviour = behaviour  # type: ignore[assignment]

    reply = await claude.ask(PROMPT)
    await claude.close()

    assert reply.outcome is outcome, reply
    assert reply.answer is None
    assert "disk full" not in reply.detail
    assert KEY not in reply.detail


@pytest.mark.parametrize("behaviour", ["hang", "drip"])
async def test_nothing_hangs(stub: Stub, behaviour: str) -> None:
    claude = Claude(settings(stub, seconds=3), KEY)
    stub.behaviour = behaviour

    async with asyncio.timeout(60):
        reply = await claude.ask(PROMPT)
    await claude.close()

    assert reply.outcome is ClaudeOutcome.TIMEOUT


async def test_nobody_there_is_a_reply() -> None:
    claude = Claude(ClaudeSettings(base_url="http://127.0.0.1:9"), KEY)

    reply = await claude.ask(PROMPT)
    await claude.close()

    assert reply.outcome is ClaudeOutcome.UNREACHABLE


async def test_without_a_key_nothing_is_sent(stub: Stub) -> None:
    reply = await Claude(settings(stub), None).ask(PROMPT)

    assert reply.outcome is ClaudeOutcome.NO_KEY
    assert stub.bodies == []
