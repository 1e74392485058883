"""A tile of the overview: one figure, what it is, and how it went."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from chronos_tui import keymap
from chronos_tui.format import fit
from chronos_tui.widgets import braille
from chronos_tui.widgets.braille import Value
from chronos_tui.widgets.ink import Ink, ascii_only


class Tile(Widget, can_focus=True):
    """Three lines: title, figure with a note, sparkline. Enter opens what it counts."""

    DEFAULT_CSS = "Tile { height: 3; min-width: 14; width: 1fr; background: $surface; }"
    BINDINGS: ClassVar[list[BindingType]] = list(keymap.bindings("table.open", show=("table.open",)))

    stale: reactive[bool] = reactive(default=False)

    @dataclass
    class Chosen(Message):
        """Enter or a click."""

        tile: "Tile"

    def __init__(self, title: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._title = title
        self._shown: tuple[str, str, str, tuple[Value, ...]] = ("–", "text", "", ())
        self._ink = Ink(self)

    def show(self, figure: str, *, tone: str = "text", note: str = "", values: Sequence[Value] = ()) -> None:
        """Show another figure; `values` make the sparkline."""
        shown = (figure, tone, note, tuple(values))
        if shown != self._shown:
            self._shown = shown
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        segments = [self._edge(), *self._line(y, max(width - 3, 0))]
        return Strip(segments).adjust_cell_length(width, self._ink("text"))

    def _edge(self) -> Segment:
        bar = ("#" if self.has_focus else "|") if ascii_only(self) else ("▌" if self.has_focus else "▏")
        return self._ink.segment(bar + " ", "accent" if self.has_focus else "border")

    def _line(self, y: int, room: int) -> list[Segment]:
        figure, tone, note, values = self._shown
        tone = "muted" if self.stale else tone
        if y == 0:
            return [self._ink.segment(fit(self._title, room), "muted")]
        if y == 1:
            return [
                Segment(figure, self._ink(tone) + Style(bold=True)),
                self._ink.segment(fit(f" {note}", max(room - len(figure), 0)), "muted"),
            ]
        if y == 2 and values:
            return [self._ink.segment(braille.sparkline(values, room, ascii_only=ascii_only(self)), tone)]
        return []

    def action_choose(self) -> None:
        self.post_message(self.Chosen(self))

    def on_click(self) -> None:
        self.post_message(self.Chosen(self))

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()
