"""All keys of a place, made from the keymap as it is after rebinding."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from chronos_tui.format import cells
from chronos_tui.keymap import actions, shown_key, split

Place = tuple[str, Sequence[str]]
"""A title, and ids as `keymap.actions` takes them."""


class Help(ModalScreen[None]):
    """Keys and what they do, over the screen."""

    DEFAULT_CSS = """
    Help { align: center middle; }
    Help > VerticalScroll {
        width: 64; max-width: 100%; height: auto; max-height: 100%;
        background: $surface; border: round $accent; padding: 0 1;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,f1,q", "dismiss", "close"),
        Binding("j", "scroll('down')", "down", show=False),
        Binding("k", "scroll('up')", "up", show=False),
    ]

    def __init__(self, places: Sequence[Place], overrides: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._places, self._overrides = places, overrides or {}

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            for title, ids in self._places:
                yield Static(Content.assemble((title, "bold")))
                yield Static(Content("\n".join(lines(ids, self._overrides)) + "\n"))

    def action_scroll(self, way: str) -> None:
        view = self.query_one(VerticalScroll)
        view.scroll_relative(y=1 if way == "down" else -1, animate=False)


def lines(ids: Sequence[str], overrides: Mapping[str, str]) -> list[str]:
    """Return a line for each action: all its keys, and what they do."""
    listed = []
    for action in actions(*ids):
        keys = " ".join(shown_key(key) for key in split(overrides.get(action.id, action.keys)))
        listed.append(f"  {keys}{' ' * max(12 - cells(keys), 1)}{action.help or action.words}")
    return listed
