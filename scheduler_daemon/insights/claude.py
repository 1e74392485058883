"""The one place that speaks to Claude. Whatever happens there, a Reply comes back in time; nothing is raised.

Tools are given only with questions that carry nothing a run wrote, and they only look facts up, so that what a log says
can cause nothing but words; what the words must be is `prompts`' business, what may be spent the caller's. The SDK
takes a second to import and is needed only where there is a key: lazily.
"""

import asyncio
import importlib
import json
import logging
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from scheduler_daemon.contract.claude import ClaudeOutcome
from scheduler_daemon.insights.heard import Heard, LookUp, Reply, Seen
from scheduler_daemon.insights.lookups import ROUNDS, offered
from scheduler_daemon.insights.prompts import Answer, BadAnswer, Prompt
from scheduler_daemon.settings import ClaudeSettings

_log = logging.getLogger(__name__)


def _nothing(_: str) -> None:
    pass


async def _no_lookup(_name: str, _given: Any) -> str:
    return "nothing can be looked up"


class Claude:
    """A client with its key."""

    def __init__(self, settings: ClaudeSettings, key: str | None) -> None:
        self._settings = settings
        self._key = key
        self._client: Any = None

    async def ask(
        self, prompt: Prompt, on_text: Callable[[str], None] = _nothing, look_up: LookUp = _no_lookup
    ) -> Reply:
        """Return the answer, checked, or why there is none, at most `timeout` later.

        `on_text` is told the answer's text so far, each time there is more of it: plain, and not checked yet.
        """
        if self._key is None:
            return Reply(ClaudeOutcome.NO_KEY, detail="no key: see `claude.key_file` in the settings")
        heard = Heard(on_text, Seen(prompt))
        try:
            async with asyncio.timeout(self._settings.timeout.total_seconds()):
                await self._converse(prompt, heard, look_up)
            return _judged(prompt, heard)
        except TimeoutError:
            return heard.reply(ClaudeOutcome.TIMEOUT, f"no answer within {self._settings.timeout}")
        except BadAnswer as error:
            return heard.reply(ClaudeOutcome.INVALID, str(error))
        except Exception as error:  # noqa: BLE001  # an SDK, a network and a model: anything may come
            _log.info("Claude did not answer: %s", type(error).__name__)
            return heard.reply(*_told(error))

    async def _converse(self, prompt: Prompt, heard: Heard, look_up: LookUp) -> None:
        messages: list[dict[str, Any]] = [{"role": "user", "content": prompt.content}]
        await self._say(prompt, messages, heard, ROUNDS if prompt.lookups else 0)
        for left in reversed(range(ROUNDS if prompt.lookups else 0)):
            if heard.stop_reason != "tool_use":
                return
            found = [await heard.seen.answer(each, look_up) for each in heard.calls]
            messages += [{"role": "assistant", "content": heard.blocks()}, {"role": "user", "content": found}]
            await self._say(prompt, messages, heard, left)

    async def _say(self, prompt: Prompt, messages: list[dict[str, Any]], heard: Heard, rounds_left: int) -> None:
        """Send what was said so far and hear what comes of it; with rounds left it may ask for lookups."""
        if self._client is None:
            self._client = await asyncio.to_thread(self._connected)
        tools: dict[str, Any] = {}
        if prompt.lookups:
            tools = {"tools": offered(), "tool_choice": {"type": "auto" if rounds_left else "none"}}
        heard.begin()
        stream = await self._client.messages.create(
            model=self._settings.model,
            max_tokens=prompt.max_tokens,
            system=prompt.system,
            messages=messages,
            output_config={"format": {"type": "json_schema", "schema": _schema(prompt.answer)}},
            stream=True,
            **tools,
        )
        async with stream:
            async for event in stream:
                heard.take(event)
                if heard.over:
                    return

    def _connected(self) -> Any:
        anthropic = importlib.import_module("anthropic")
        # Retries are ours to decide: the local text is there already. The SDK's own spans would export what is asked.
        return anthropic.AsyncAnthropic(
            api_key=self._key,
            base_url=self._settings.base_url,
            timeout=self._settings.timeout.total_seconds(),
            max_retries=0,
            open_telemetry=False,
        )

    async def close(self) -> None:
        """Close its connections."""
        if self._client is not None:
            await self._client.close()


def _judged(prompt: Prompt, heard: Heard) -> Reply:
    """Return the answer if it is whole and keeps to what was asked. Raises BadAnswer."""
    if heard.stop_reason == "refusal":
        return heard.reply(ClaudeOutcome.REFUSED, "the model declined to answer")
    if heard.stop_reason in {"max_tokens", "model_context_window_exceeded"}:
        return heard.reply(ClaudeOutcome.TRUNCATED, "the answer was longer than asked for")
    if heard.stop_reason == "tool_use":
        raise BadAnswer("goes on looking things up and says nothing")
    if not heard.over or heard.stop_reason != "end_turn":
        return heard.reply(ClaudeOutcome.CUT, "the answer ended before it was whole")
    try:
        answer = prompt.answer.model_validate_json(heard.json)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise BadAnswer(f"{'.'.join(map(str, first['loc']))}: {first['type']}") from None
    return heard.reply(ClaudeOutcome.ANSWERED, answer=prompt.checked(answer, heard.seen.rows))


def _told(error: Exception) -> tuple[ClaudeOutcome, str]:
    """Return what an error means; its words may repeat what was sent, so only its kind and status are kept."""
    status = getattr(error, "status_code", None)
    kind = type(error).__name__
    if status in {429, 529}:
        return ClaudeOutcome.BUSY, f"status {status}"
    if status in {401, 403}:
        return ClaudeOutcome.BAD_KEY, f"status {status}: the key is not accepted"
    if isinstance(status, int):
        return ClaudeOutcome.FAILED, f"status {status}"
    if kind == "APITimeoutError":
        return ClaudeOutcome.TIMEOUT, kind
    if kind == "APIConnectionError":
        return ClaudeOutcome.UNREACHABLE, kind
    return (ClaudeOutcome.INVALID if isinstance(error, json.JSONDecodeError) else ClaudeOutcome.CUT), kind


def _schema(answer: type[Answer]) -> dict[str, Any]:
    """Return the answer's schema in the subset the API takes; what it cannot say is checked when the answer comes."""
    schema: dict[str, Any] = importlib.import_module("anthropic").transform_schema(answer)
    return schema
