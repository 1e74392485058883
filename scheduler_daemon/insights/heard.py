"""What has come of a conversation with Claude so far: its words, what it wants looked up, what that told, its cost."""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from scheduler_daemon.contract.claude import ClaudeOutcome
from scheduler_daemon.insights.lookups import AT_ONCE, MOST_CHARS, ROUNDS
from scheduler_daemon.insights.prompts import Answer, BadAnswer, Prompt, plain, row

_LONGEST = 40_000
"""Characters: more than any answer we ask for; what goes on is cut off."""
_SHOWN_CALL = 200

LookUp = Callable[[str, Any], Awaitable[Sequence[Any] | str]]
"""Looks facts up by the name of a tool and its arguments; a text says why there are none."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a question. `answer` is there if, and only if, the outcome is `answered`."""

    outcome: ClaudeOutcome
    answer: Answer | None = None
    detail: str = ""
    """Why there is none, for the ledger: never what was asked, never the key."""
    input_tokens: int | None = None
    """None where we were not told; something may have been spent all the same."""
    output_tokens: int | None = None
    request_id: str = ""
    looked_up: tuple[str, ...] = ()
    """What was asked to be looked up, with the arguments."""
    facts: tuple[Any, ...] = ()
    """Those that the answer says it rests on."""


@dataclass(slots=True)
class Call:
    """A lookup that is asked for."""

    id: str
    name: str
    arguments: str = ""
    """As JSON, so far."""


class Seen:
    """Facts it has, by the numbers it may cite; they go on from those of the question."""

    def __init__(self, prompt: Prompt) -> None:
        self.rows: dict[int, Any] = {}
        self.looked_up: list[str] = []
        self._next = max(prompt.citable, default=0) + 1
        self._left = MOST_CHARS

    async def answer(self, call: Call, look_up: LookUp) -> dict[str, Any]:
        """Return what a lookup told, as the API takes it. What is refused it is told, and nothing else comes of it."""
        self.looked_up.append(f"{call.name} {call.arguments}"[:_SHOWN_CALL])
        found: Sequence[Any] | str
        try:
            found = await look_up(call.name, json.loads(call.arguments or "{}"))
        except ValueError:
            found = "the arguments are no JSON"
        said = found[:_SHOWN_CALL] if isinstance(found, str) else self._numbered(found)
        return {"type": "tool_result", "tool_use_id": call.id, "content": said, "is_error": isinstance(found, str)}

    def _numbered(self, facts: Sequence[Any]) -> str:
        lines = []
        for fact in facts:
            line = row(self._next, fact)
            if len(line) > self._left:
                lines.append('[0, "more was found than may be looked at; answer with what you have"]')
                break
            self._left -= len(line)
            self.rows[self._next] = fact
            self._next += 1
            lines.append(line)
        return "\n".join(lines) or '[0, "nothing"]'


class Heard:
    """What it said, round by round."""

    def __init__(self, on_text: Callable[[str], None], seen: Seen) -> None:
        self._on_text = on_text
        self._shown = ""
        self.seen = seen
        self.request_id = ""
        self._spent: list[list[int | None]] = []
        """Tokens in and out, by round; None until we are told."""
        self.json = self.stop_reason = ""
        self.over = False
        self.calls: list[Call] = []

    def begin(self) -> None:
        """Begin a round."""
        self.json, self.stop_reason, self.over = "", "", False
        self.calls = []
        self._spent.append([None, None])

    def take(self, event: Any) -> None:
        """Take an event of the stream. Raises BadAnswer for more than anybody asked for."""
        if event.type == "message_start":
            self.request_id = str(event.message.id)[:80]
            self._spent[-1][0] = _billed_input(event.message.usage)
        elif event.type == "content_block_start" and event.content_block.type == "tool_use":
            self._called(event.content_block)
        elif event.type == "content_block_delta":
            self._more(event.delta)
        elif event.type == "message_delta":
            self.stop_reason = event.delta.stop_reason or ""
            self._spent[-1][1] = int(event.usage.output_tokens)
        elif event.type == "message_stop":
            self.over = True

    def _called(self, block: Any) -> None:
        if len(self.calls) >= AT_ONCE or len(self._spent) > ROUNDS:
            raise BadAnswer("asks for more lookups than it may")
        self.calls.append(Call(str(block.id)[:80], str(block.name)[:80]))

    def _more(self, delta: Any) -> None:
        if delta.type == "text_delta":
            self.json += delta.text
            self._show()
        elif delta.type == "input_json_delta" and self.calls:
            self.calls[-1].arguments += delta.partial_json
        if len(self.json) + sum(len(call.arguments) for call in self.calls) > _LONGEST:
            raise BadAnswer(f"is longer than {_LONGEST} characters")

    def blocks(self) -> list[dict[str, Any]]:
        """Return what it said in this round, as the API takes it back."""
        said = [{"type": "text", "text": self.json}] if self.json.strip() else []
        return [
            *said,
            *({"type": "tool_use", "id": call.id, "name": call.name, "input": _given(call)} for call in self.calls),
        ]

    def _show(self) -> None:
        try:
            said = from_json(self.json, allow_partial="trailing-strings")
        except ValueError:
            return
        text = said.get("text") if isinstance(said, dict) else None
        if isinstance(text, str) and (shown := plain(text)) != self._shown:
            self._shown = shown
            self._on_text(shown)

    def reply(self, outcome: ClaudeOutcome, detail: str = "", answer: Answer | None = None) -> Reply:
        """Return the reply, with what all rounds cost together."""
        spent = [[each[side] for each in self._spent] for side in (0, 1)]
        tokens_in, tokens_out = (None if None in side or not side else sum(filter(None, side)) for side in spent)
        facts = tuple(self.seen.rows[n] for n in getattr(answer, "facts", ()) if n in self.seen.rows)
        return Reply(
            outcome, answer, detail[:300], tokens_in, tokens_out, self.request_id, tuple(self.seen.looked_up), facts
        )


def _given(call: Call) -> Any:
    try:
        given = json.loads(call.arguments or "{}")
    except ValueError:
        return {}
    return given if isinstance(given, dict) else {}


def _billed_input(usage: Any) -> int:
    cached = (usage.cache_creation_input_tokens or 0) + (usage.cache_read_input_tokens or 0)
    return int(usage.input_tokens) + int(cached)
