"""A question about the jobs, answered over the screen one is on: at once in our own words, then in Claude's."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from chronos_tui.client.errors import ServerError, Unreachable
from chronos_tui.format import printable
from chronos_tui.messages import sentence
from chronos_tui.screens.desk import Desk, beside
from chronos_tui.screens.failure import Failure, hear


class Answer(ModalScreen[None]):
    """The question, and what is known."""

    DEFAULT_CSS = Failure.DEFAULT_CSS.replace("Failure", "Answer") + "Answer #claude { margin: 1 0; }"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter", "dismiss", "close")]

    def __init__(self, desk: Desk, question: str) -> None:
        super().__init__()
        self._desk, self._question = desk, question

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(printable(self._question), id="title", markup=False)
            yield Static("…", id="text", markup=False)
            yield Static("", id="claude", markup=False)
            yield Static("Esc close", classes="hint", markup=False)

    def on_mount(self) -> None:
        beside(self, self._ask, group="ask")

    async def _ask(self) -> None:
        client = self._desk.client
        try:
            told = await client.ask_fleet(self._question)
            self._put("text", told.text)
            await hear(client, told.claude, lambda text: self._put("claude", text))
        except (ServerError, Unreachable) as error:
            self._put("text", sentence(error))

    def _put(self, where: str, text: str) -> None:
        self.query_one(f"#{where}", Static).update("\n".join(printable(line) for line in text.split("\n")))
