"""Names and values beneath each other: what is known of one thing, said in lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget

from chronos_tui.format import cells, cut, printable
from chronos_tui.widgets.ink import Ink

NARROW = 50


class Fact(NamedTuple):
    """One name and its value; a value may have several lines."""

    name: str
    value: str
    tone: str = "text"


class Facts(Widget):
    """Facts in one column; long values go on in the next line."""

    DEFAULT_CSS = "Facts { height: auto; background: $background; padding: 0 1; }"

    def __init__(self, facts: Sequence[Fact] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._facts = tuple(facts)
        self._lines: list[tuple[str, str, str]] = []
        self._width = 0
        self._ink = Ink(self)

    def show(self, facts: Sequence[Fact]) -> None:
        """Show other facts; nothing is drawn if they are the same."""
        if tuple(facts) == self._facts:
            return
        count = len(self._lines)
        self._facts = tuple(facts)
        self._fold(self.size.width)
        self.refresh(layout=len(self._lines) != count)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002 - Textual's signature
        self._fold(width)
        return len(self._lines)

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if width != self._width:
            self._fold(width)
        if y >= len(self._lines):
            return Strip.blank(width, self._ink("text"))
        name, value, tone = self._lines[y]
        return Strip([self._ink.segment(name, "muted"), self._ink.segment(value, tone)]).adjust_cell_length(
            width, self._ink("text")
        )

    def _fold(self, width: int) -> None:
        """Break the values into lines of the width that is left beside the names."""
        self._width = width
        column = min(max((cells(fact.name) for fact in self._facts), default=0), width // 3) + 2
        room = max(width - column, 8)
        self._lines = []
        for fact in self._facts:
            name = fact.name
            for line in fact.value.splitlines() or [""]:
                for part in folded(printable(line), room):
                    self._lines.append((f"{cut(name, column - 1):<{column}}", part, fact.tone))
                    name = ""


def folded(text: str, width: int) -> list[str]:
    """Break printable text at blanks into lines of at most `width` cells; a word longer than that is cut."""
    lines: list[str] = []
    while cells(text) > width:
        head = cut(text, width)
        space = head.rfind(" ")
        head = head[:space] if space > width // 2 else head
        lines.append(head)
        text = text[len(head) :].lstrip(" ")
    return [*lines, text]
