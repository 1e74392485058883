"""Why a job will run, did run or did not, at one instant or another, over the screen one is on."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from chronos_tui.client.errors import ServerError, Unreachable
from chronos_tui.format import parse_instant, printable, stamp
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
    Explain Input { display: none; height: 1; border: none; padding: 0 1; background: $panel; }
    Explain Input:focus { border: none; }
    Explain Input.-open { display: block; }
    Explain #keys { color: $text-muted; margin: 1 0 0 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "close"),
        Binding("w,q,enter", "dismiss", "close"),
        Binding("n", "next_fire", "next fire"),
        Binding("t", "ask_time", "another time"),
    ]

    def __init__(self, desk: Desk, job_id: str, name: str, *, at: datetime | None = None) -> None:
        """Explain the instant `at`; None is now."""
        super().__init__()
        self._desk, self._job_id, self._name_shown, self._at = desk, job_id, printable(name), at

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static("", id="about", classes="hint", markup=False)
            yield Input(placeholder="2026-05-01T08:00", select_on_focus=False)
            yield Static("…", id="verdict", markup=False)
            yield Static("", id="reasons", markup=False)
            yield Static("n next fire   t another time   Esc close", id="keys", markup=False)

    def on_mount(self) -> None:
        self._explain(self._at)

    def _explain(self, at: datetime | None) -> None:
        self._at = at
        when = f" at {stamp(at, self._desk.zone)}" if at else ""
        self.query_one("#about", Static).update(f"{self._name_shown}{when}")
        beside(self, self._ask, group="ask")

    async def _ask(self) -> None:
        at = self._at.isoformat() if self._at else None
        try:
            found = await self._desk.client.explain(self._job_id, at=at)
        except (ServerError, Unreachable) as error:
            self._say(sentence(error))
            return
        self._say(
            f"{self._name_shown} {printable(found.verdict)}",
            "\n".join(f"• {printable(reason)}" for reason in found.reasons),
        )

    def _say(self, verdict: str, reasons: str = "") -> None:
        self.query_one("#verdict", Static).update(verdict)
        self.query_one("#reasons", Static).update(reasons)

    # Other instants

    def action_next_fire(self) -> None:
        beside(self, self._go_on, group="ask")

    async def _go_on(self) -> None:
        after = (self._at or self._desk.now()).isoformat()
        try:
            found = await self._desk.client.fires(self._job_id, count=1, after=after)
        except (ServerError, Unreachable) as error:
            self._say(sentence(error))
            return
        if found.fires:
            self._explain(found.fires[0])
        else:
            self.app.notify(f"{self._name_shown} has no fire after that", timeout=3, markup=False)

    def action_ask_time(self) -> None:
        line = self.query_one(Input)
        line.value = f"{(self._at or self._desk.now()).astimezone(self._desk.zone):%Y-%m-%dT%H:%M:%S}"
        line.add_class("-open")
        line.focus()
        self.call_after_refresh(line.scroll_visible, animate=False)

    @on(Input.Submitted)
    def _typed(self, event: Input.Submitted) -> None:
        try:
            at = parse_instant(event.value, self._desk.zone)
        except ValueError as error:
            self._say(printable(str(error)))
            return
        self._close_line()
        self._explain(at)

    def _close_line(self) -> None:
        self.query_one(Input).remove_class("-open")
        self.set_focus(self.query_one(VerticalScroll))

    def action_close(self) -> None:
        if self.query_one(Input).has_class("-open"):
            self._close_line()
        else:
            self.dismiss()
