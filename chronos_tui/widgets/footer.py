"""The last line of every screen: the keys of the focused pane, taken from its bindings, as many as fit."""

from rich.segment import Segment
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input

from chronos_tui.format import cells
from chronos_tui.keymap import shown_key
from chronos_tui.widgets.ink import Ink

MOST = 8  # keys
ALWAYS = "app.help"  # has its place kept at the end


class Footer(Widget):
    """Keys and words, generated; nothing is listed that does not work here and now."""

    DEFAULT_CSS = "Footer { height: 1; dock: bottom; background: $panel; }"

    def __init__(self) -> None:
        super().__init__()
        self._keys: list[tuple[str, str]] = []
        self._help: tuple[str, str] | None = None
        self._ink = Ink(self)

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._update)
        self._update(self.screen)

    def _update(self, screen: Screen[object]) -> None:
        keys: dict[str, tuple[str, str]] = {}
        help_key = None
        typing = isinstance(screen.focused, Input)
        for active in screen.active_bindings.values():
            binding = active.binding
            if typing and len(shown_key(binding.key)) == 1:
                continue
            entry = (shown_key(binding.key), binding.description)
            if binding.id == ALWAYS:
                help_key = help_key or entry
            elif binding.show and active.enabled:
                keys.setdefault(binding.id or binding.action, entry)
        listed = list(keys.values())[: MOST - 1]
        if (listed, help_key) != (self._keys, self._help):
            self._keys, self._help = listed, help_key
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y:
            return Strip.blank(width, self._ink("text"))
        last = self._entry(*self._help) if self._help else []
        room = width - _length(last)
        segments: list[Segment] = []
        for key, words in self._keys:
            entry = self._entry(key, words)
            if _length(segments) + _length(entry) > room:
                break
            segments += entry
        return Strip(segments + last).adjust_cell_length(width, self._ink("text"))

    def _entry(self, key: str, words: str) -> list[Segment]:
        return [self._ink.segment(f" {key} ", "accent"), self._ink.segment(f"{words} ", "muted")]


def _length(segments: list[Segment]) -> int:
    return sum(cells(segment.text) for segment in segments)
