"""Choose one of a few: a list over the screen, each with what it means."""

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from chronos_tui.format import cells, cut, printable

_ROOM = 70
"""Cells of a line."""


class Choose(ModalScreen[str | None]):
    """What may be chosen. Its result is the chosen text, None if one thinks better of it."""

    DEFAULT_CSS = """
    Choose { align: center middle; }
    Choose > Vertical {
        width: 76; max-width: 100%; height: auto; max-height: 100%; background: $surface; border: round $accent;
        padding: 0 1;
    }
    Choose OptionList { height: auto; max-height: 16; border: none; padding: 0; background: $surface; }
    Choose OptionList:focus { border: none; }
    Choose .hint { color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "give_up", "no")]

    def __init__(self, heading: str, choices: Sequence[tuple[str, str]], now: str = "") -> None:
        """Offer (text, what it means); the cursor stands on the text that is there `now`."""
        super().__init__()
        self._heading, self._choices, self._now = printable(heading), tuple(choices), now

    def compose(self) -> ComposeResult:
        column = max((cells(printable(text)) for text, _ in self._choices), default=0) + 2
        with Vertical():
            yield Static(self._heading, markup=False)
            lines = [f"{printable(text):<{column}}{printable(what)}" for text, what in self._choices]
            yield OptionList(*(Option(Text(cut(line, _ROOM))) for line in lines))
            yield Static("Enter chooses   Esc leaves", classes="hint", markup=False)

    def on_mount(self) -> None:
        texts = [text for text, _ in self._choices]
        self.query_one(OptionList).highlighted = texts.index(self._now) if self._now in texts else 0

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._choices[event.option_index][0])

    def action_give_up(self) -> None:
        self.dismiss(None)
