"""Why a run failed, over the screen one is on: our own words at once, Claude's below them as they are said."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from chronos_tui.client.errors import ServerError, Unreachable
from chronos_tui.format import printable, stamp
from chronos_tui.messages import sentence
from chronos_tui.screens.desk import Desk, beside
from scheduler_daemon.contract.claude import ClaudeCall, FailureExplanation
from scheduler_daemon.contract.executions import ExecutionView

if TYPE_CHECKING:
    from chronos_tui.client.live import LiveClient

ASK_AGAIN = 0.4
"""Seconds between looks at an answer that is being said."""
_WHY_NOT = {"no_budget": "the budget of the day is spent", "bad_key": "the key is not accepted", "busy": "it is busy"}


class Failure(ModalScreen[str | None]):
    """What was found of a failed run; dismissed with "log", "schedule" or None, for what is to be shown next."""

    DEFAULT_CSS = """
    Failure { align: center middle; }
    Failure > VerticalScroll {
        width: 96; max-width: 100%; height: auto; max-height: 100%;
        background: $surface; border: round $accent; padding: 0 1;
    }
    Failure #title { text-style: bold; margin: 0 0 1 0; }
    Failure #lines { color: $text-muted; margin: 1 0; }
    Failure .hint { color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,w,q,enter", "dismiss", "close"),
        Binding("l", "dismiss('log')", "log"),
        Binding("s", "dismiss('schedule')", "schedule"),
    ]

    def __init__(self, desk: Desk, run: ExecutionView) -> None:
        super().__init__()
        self._desk, self._run = desk, run

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(f"run {self._run.id} of {printable(self._run.job)}", classes="hint", markup=False)
            yield Static("…", id="title", markup=False)
            yield Static("", id="text", markup=False)
            yield Static("", id="lines", markup=False)
            yield Static("", id="claude", markup=False)
            yield Static("l log   s why it ran then   Esc close", classes="hint", markup=False)

    def on_mount(self) -> None:
        beside(self, self._ask, group="ask")

    async def _ask(self) -> None:
        client = self._desk.client
        try:
            found = await client.explain_failure(self._run.id)
            self._show(found)
            await hear(client, found.claude, lambda text: self._put("claude", text))
        except (ServerError, Unreachable) as error:
            self._put("title", sentence(error))

    def _show(self, found: FailureExplanation) -> None:
        self._put("title", found.title)
        self._put("text", found.text)
        said = [f"{line.number:>6}  {line.text}" for line in found.tail]
        said += [
            f"like run {one.run} of {one.job}, {stamp(one.at, self._desk.zone)}"
            + ("" if one.text == found.title else f": {one.text}")
            for one in found.similar[:3]
        ]
        self._put("lines", "\n".join(said))

    def _put(self, where: str, text: str) -> None:
        self.query_one(f"#{where}", Static).update("\n".join(printable(line) for line in text.split("\n")))


async def hear(client: LiveClient, call: ClaudeCall | None, say: Callable[[str], None]) -> None:
    """Say what Claude says, as it says it, until it has ended. Raises ServerError and Unreachable."""
    while call is not None and call.state != "done":
        say(_words(call))
        await asyncio.sleep(ASK_AGAIN)
        call = await client.claude_call(call.id)
    if call is not None:
        say(_words(call))


def _words(call: ClaudeCall) -> str:
    if call.state != "done":
        return f"Claude: {call.text}…" if call.text else "Claude is asked…"
    if call.answer is None:
        outcome = str(call.outcome or "").replace("_", " ")
        return f"Claude did not answer: {_WHY_NOT.get(call.outcome or '', outcome)}"
    said = [f"Claude ({call.model}): {call.answer['text']}"]
    if call.answer.get("fix"):
        said.append(f"To do: {call.answer['fix']}")
    if call.answer.get("lines"):
        said.append("It refers to lines " + ", ".join(map(str, call.answer["lines"])))
    facts = call.answer.get("rests_on", ())
    said += ["  " + ", ".join(f"{name} {value}" for name, value in fact.items() if value is not None) for fact in facts]
    return "\n".join(said)
