"""The line for a command (`:`), a filter (`/`) or a time (`@`), shown only while it is open, with what was typed.

The keys that open it are priority bindings, so that what is typed ahead lands in the line and does not act on rows;
whoever binds them lets `check_action` answer `not typing(app)`, or the characters could not be typed.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, Static, TextArea

Kind = Literal[":", "/", "@"]
REMEMBERED = 50  # lines of each kind


class Line(Input):
    """An input that judges keys in the order they were typed: what comes after Enter in one packet is not text."""

    def on_key(self, event: events.Key) -> None:
        prompt = self.parent
        if not isinstance(prompt, Prompt):
            return
        if not prompt.is_open:
            self.app.post_message(events.Key(event.key, event.character))  # for whoever has the focus now
        elif event.key == "enter":
            prompt.submit()
        elif event.key == "escape":
            prompt.action_close()
        else:
            return
        event.stop()
        event.prevent_default()


class Prompt(Horizontal):
    """One line of input. What a line means is decided by whoever opened it."""

    DEFAULT_CSS = """
    Prompt { height: 1; display: none; background: $surface; }
    Prompt.-open { display: block; }
    Prompt Static { width: 2; color: $accent; text-style: bold; }
    Prompt Input { width: 1fr; height: 1; border: none; padding: 0; background: $surface; }
    Prompt Input:focus { border: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "close"),
        Binding("up", "older", "older", show=False),
        Binding("down", "newer", "newer", show=False),
    ]

    @dataclass
    class Changed(Message):
        """Another text stands in the line."""

        kind: Kind
        text: str

    @dataclass
    class Submitted(Message):
        """Enter. The line is closed."""

        kind: Kind
        text: str

    @dataclass
    class Closed(Message):
        """Escape. The line is closed and its text is not wanted."""

        kind: Kind

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kind: Kind = ":"
        self._history: dict[Kind, list[str]] = {":": [], "/": [], "@": []}
        self._back = 0  # how many lines back in history
        self._draft = ""
        self._before: Widget | None = None
        """What had the focus."""

    def compose(self) -> ComposeResult:
        yield Static(self.kind, markup=False)
        yield Line(compact=True)

    @property
    def is_open(self) -> bool:
        return self.has_class("-open")

    def open(self, kind: Kind, text: str = "") -> None:
        """Show the line with `text` in it and give it the focus."""
        self.kind, self._back, self._draft = kind, 0, text
        self._before = self.screen.focused
        self.query_one(Static).update(kind)
        line = self.query_one(Input)
        with line.prevent(Input.Changed):
            line.value = text
        line.cursor_position = len(text)
        line.select_on_focus = kind != ":"  # what a command begins with is gone on with, not written over
        self.add_class("-open")
        self.screen.set_focus(line)  # now: keys that arrived in the same packet are for this line, not for the rows

    def close(self) -> None:
        """Hide the line and give the focus back."""
        self.remove_class("-open")
        self.screen.set_focus(self._before)

    def action_close(self) -> None:
        self.close()
        self.post_message(self.Closed(self.kind))

    def action_older(self) -> None:
        self._recall(self._back + 1)

    def action_newer(self) -> None:
        self._recall(self._back - 1)

    def _recall(self, back: int) -> None:
        history, line = self._history[self.kind], self.query_one(Input)
        if not 0 <= back <= len(history):
            return
        if self._back == 0:
            self._draft = line.value
        self._back = back
        line.value = history[-back] if back else self._draft
        line.cursor_position = len(line.value)

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if self.is_open:
            self.post_message(self.Changed(self.kind, event.value))

    def submit(self) -> None:
        """Take the text, remember it, close."""
        text, history = self.query_one(Input).value, self._history[self.kind]
        if text and text not in history[-1:]:
            history.append(text)
            del history[:-REMEMBERED]
        self.close()
        self.post_message(self.Submitted(self.kind, text))


def typing(app: App[Any]) -> bool:
    """Say whether characters now go into a text."""
    return isinstance(app.focused, Input | TextArea)
