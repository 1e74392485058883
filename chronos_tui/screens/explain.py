"""Why a job will run, did run or did not, over the screen one is on."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from chronos_tui.client.errors import ServerError, Unreachable
from chronos_tui.format import printable, stamp
from chronos_tui.messages import sentence
from chronos_tui.screens.desk import Desk, beside


class Explain(ModalScreen[None]):
    """The verdict and the reasons behind it."""

    DEFAULT_CSS = """
    Explain { align: center middle; }
    Explain > VerticalScroll {
        width: 76; max-width: 100%; height: auto; max-height: 100%;
        background: $surface; border: round $accent; padding: 0 1;
    }
    Explain #verdict { text-style: bold; margin: 0 0 1 0; }
    Explain .hint { color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,w,q,enter", "dismiss", "close")]

    def __init__(self, desk: Desk, job_id: str, name: str, *, at: datetime | None = None) -> None:
        super().__init__()
        self._desk, self._job_id, self._name_shown, self._at = desk, job_id, printable(name), at

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            when = f" at {stamp(self._at, self._desk.zone)}" if self._at else ""
            yield Static(f"{self._name_shown}{when}", classes="hint", markup=False)
            yield Static("…", id="verdict", markup=False)
            yield Static("", id="reasons", markup=False)

    def on_mount(self) -> None:
        beside(self, self._ask, group="ask")

    async def _ask(self) -> None:
        at = self._at.isoformat() if self._at else None
        try:
            found = await self._desk.client.explain(self._job_id, at=at)
        except (ServerError, Unreachable) as error:
            self.query_one("#verdict", Static).update(sentence(error))
            return
        self.query_one("#verdict", Static).update(f"{self._name_shown} {printable(found.verdict)}")
        self.query_one("#reasons", Static).update("\n".join(f"• {printable(reason)}" for reason in found.reasons))
