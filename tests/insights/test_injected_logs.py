"""A log that gives orders to the model, and a model that obeys: nothing comes of it but plain words, or our own."""

import re
from collections.abc import AsyncIterator

import pytest

from scheduler_daemon.contract.claude import ClaudeOutcome
from scheduler_daemon.insights import prompts
from scheduler_daemon.insights.claude import Claude
from scheduler_daemon.insights.failures import Line, excerpt
from scheduler_daemon.settings import ClaudeSettings
from tests.support.claude import Stub, stubbed
from tests.support.injected import LOGS, OBEYED, SECRET, repeated

NONCE = "0f" * 16


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    async with stubbed() as served:
        yield served


def asked(log: str) -> prompts.Prompt:
    lines = [Line(number, "stdout", text) for number, text in enumerate(["start", log, f"token {SECRET}", "exit 1"], 1)]
    return prompts.explain_failure({"job": log[:80], "exit_code": 1}, excerpt(lines), NONCE)


def test_there_are_logs_enough() -> None:
    assert len(set(LOGS)) >= 60


@pytest.mark.parametrize("log", LOGS)
async def test_a_log_cannot_leave_its_block_or_take_a_secret_along(stub: Stub, log: str) -> None:
    claude = Claude(ClaudeSettings(base_url=stub.url), "k")
    stub.behaviour = repeated(log)

    reply = await claude.ask(asked(log))
    await claude.close()

    (body,) = stub.bodies
    content = body["messages"][0]["content"]
    assert "tools" not in body
    assert SECRET not in str(body)
    assert content.isascii()
    assert content.count("<") == content.count(">") == 2
    rows = content.split("\n")[1:-2]
    assert [int(re.match(r"\[(\d+), ", row)[1]) for row in rows] == [0, 1, 2, 3, 4]  # type: ignore[index]
    assert reply.outcome in {ClaudeOutcome.ANSWERED, ClaudeOutcome.INVALID}
    if isinstance(reply.answer, prompts.Explanation):
        for said in (reply.answer.text, reply.answer.fix):
            assert not re.search(
                r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\U000e0000-\U000e0fff]", said
            )
            assert not re.search(r"://|www\.|javascript:|mailto:|\]\(|<\w|\[/|\[@", said)


@pytest.mark.parametrize("answer", OBEYED, ids=str)
@pytest.mark.parametrize("log", LOGS[::9])
async def test_a_model_that_obeys_is_not_believed(stub: Stub, log: str, answer: dict[str, object]) -> None:
    claude = Claude(ClaudeSettings(base_url=stub.url), "k")
    stub.behaviour = answer

    reply = await claude.ask(asked(log))
    await claude.close()

    assert reply.outcome is ClaudeOutcome.INVALID
    assert reply.answer is None


def test_the_same_question_has_the_same_digest_whatever_its_delimiter() -> None:
    lines = [(1, "x")]

    first, second = (prompts.explain_failure({"a": 1}, lines, nonce) for nonce in ("aa", "bb"))

    assert first.digest == second.digest
    assert first.content != second.content
    assert prompts.explain_failure({"a": 2}, lines, "aa").digest != first.digest
    assert prompts.name_pattern({"a": 1}, lines, "aa").digest != first.digest


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("see [docs](https://x.example/a) now", "see (link left out) now"),
        ("at https://x.example/?a=b.", "at (link left out)"),
        ("\x1b[31mred\x1b[0m", "[31mred[0m"),
        ("row[3] of [12, 4] is <b>bad</b>", "row[3] of [12, 4] is bad"),
        ("one\ntwo\tthree", "one\ntwo three"),
        ("[bold]x[/bold] [/]", "x"),
        ("a\u202eb\u200bc", "abc"),
    ],
)
def test_words_of_a_model_become_plain(given: str, shown: str) -> None:
    assert prompts.plain(given) == shown
