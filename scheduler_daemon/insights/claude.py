"""The one place that speaks to Claude. Whatever happens there, a Reply comes back in time; nothing is raised.

No tools are ever given, so what a log says can cause nothing but words; what the words must be is `prompts`' business,
what may be spent the caller's. The SDK takes a second to import and is needed only where there is a key: lazily.
"""

import asyncio
import importlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from scheduler_daemon.contract.claude import ClaudeOutcome
from scheduler_daemon.insights.prompts import Answer, BadAnswer, Prompt, plain
from scheduler_daemon.settings import ClaudeSettings

_log = logging.getLogger(__name__)

_MOST_CHARS = 40_000
"""More than any answer we ask for; what goes on is cut off."""


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


def _nothing(_: str) -> None:
    pass


class Claude:
    """A client with its key."""

    def __init__(self, settings: ClaudeSettings, key: str | None) -> None:
        self._settings = settings
        self._key = key
        self._client: Any = None

    async def ask(self, prompt: Prompt, on_text: Callable[[str], None] = _nothing) -> Reply:
        """Return the answer, checked, or why there is none, at most `timeout` later.

        `on_text` is told the answer's text so far, each time there is more of it: plain, and not checked yet.
        """
        if self._key is None:
            return Reply(ClaudeOutcome.NO_KEY, detail="no key: see `claude.key_file` in the settings")
        heard = _Heard(on_text)
        try:
            async with asyncio.timeout(self._settings.timeout.total_seconds()):
                await self._converse(prompt, heard)
            return _judged(prompt, heard)
        except TimeoutError:
            return heard.reply(ClaudeOutcome.TIMEOUT, f"no answer within {self._settings.timeout}")
        except BadAnswer as error:
            return heard.reply(ClaudeOutcome.INVALID, str(error))
        except Exception as error:  # noqa: BLE001  # an SDK, a network and a model: anything may come
            _log.info("Claude did not answer: %s", type(error).__name__)
            return heard.reply(*_told(error))

    async def _converse(self, prompt: Prompt, heard: "_Heard") -> None:
        if self._client is None:
            self._client = await asyncio.to_thread(self._connected)
        stream = await self._client.messages.create(
            model=self._settings.model,
            max_tokens=prompt.max_tokens,
            system=prompt.system,
            messages=[{"role": "user", "content": prompt.content}],
            output_config={"format": {"type": "json_schema", "schema": _schema(prompt.answer)}},
            stream=True,
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


class _Heard:
    """What has come of a stream so far."""

    def __init__(self, on_text: Callable[[str], None]) -> None:
        self._on_text = on_text
        self._shown = ""
        self.json = ""
        self.stop_reason = ""
        self.over = False
        self.request_id = ""
        self.input_tokens: int | None = None
        self.output_tokens: int | None = None

    def take(self, event: Any) -> None:
        if event.type == "message_start":
            self.request_id = str(event.message.id)[:80]
            self.input_tokens = _billed_input(event.message.usage)
        elif event.type == "content_block_delta" and event.delta.type == "text_delta":
            self.json += event.delta.text
            self._show()
        elif event.type == "message_delta":
            self.stop_reason = event.delta.stop_reason or ""
            self.output_tokens = int(event.usage.output_tokens)
        elif event.type == "message_stop":
            self.over = True
        if len(self.json) > _MOST_CHARS:
            raise BadAnswer(f"is longer than {_MOST_CHARS} characters")

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
        return Reply(outcome, answer, detail[:300], self.input_tokens, self.output_tokens, self.request_id)


def _billed_input(usage: Any) -> int:
    cached = (usage.cache_creation_input_tokens or 0) + (usage.cache_read_input_tokens or 0)
    return int(usage.input_tokens) + int(cached)


def _judged(prompt: Prompt, heard: _Heard) -> Reply:
    """Return the answer if it is whole and keeps to what was asked. Raises BadAnswer."""
    if heard.stop_reason == "refusal":
        return heard.reply(ClaudeOutcome.REFUSED, "the model declined to answer")
    if heard.stop_reason in {"max_tokens", "model_context_window_exceeded"}:
        return heard.reply(ClaudeOutcome.TRUNCATED, "the answer was longer than asked for")
    if not heard.over or heard.stop_reason != "end_turn":
        return heard.reply(ClaudeOutcome.CUT, "the answer ended before it was whole")
    try:
        answer = prompt.answer.model_validate_json(heard.json)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise BadAnswer(f"{'.'.join(map(str, first['loc']))}: {first['type']}") from None
    return heard.reply(ClaudeOutcome.ANSWERED, answer=prompt.checked(answer))


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
