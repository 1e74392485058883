"""Ask before something that cannot be undone: yes or no, or the name typed out."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from chronos_tui.format import printable


class Confirm(ModalScreen[bool]):
    """A question over the screen. Its result is whether to go on."""

    DEFAULT_CSS = """
    Confirm, TypedConfirm { align: center middle; }
    Confirm > Vertical, TypedConfirm > Vertical {
        width: 64; max-width: 100%; height: auto; max-height: 100%;
        background: $surface; border: round $accent; padding: 0 1;
    }
    Confirm .hint, TypedConfirm .hint { color: $text-muted; }
    TypedConfirm Input { height: 1; border: none; padding: 0; background: $panel; }
    TypedConfirm Input:focus { border: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "yes"),
        Binding("n,escape", "answer(False)", "no"),
    ]

    def __init__(self, question: str, detail: str = "") -> None:
        super().__init__()
        self._question, self._detail = printable(question), printable_lines(detail)

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(self._question, markup=False)
            if self._detail:
                yield Static(self._detail, classes="hint", markup=False)
            yield Static("y yes   n no", classes="hint", markup=False)

    def action_answer(self, answer: bool) -> None:  # noqa: FBT001 -- Textual passes it by position
        self.dismiss(answer)


class AskReason(ModalScreen[str | None]):
    """A question that is answered with a reason, which may be empty; None if one thinks better of it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "give_up", "no")]
    DEFAULT_CSS = Confirm.DEFAULT_CSS.replace("TypedConfirm", "AskReason")

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = printable(question)

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(self._question, markup=False)
            yield Static("Why? Enter goes on, also without a reason; Esc leaves.", classes="hint", markup=False)
            yield Input(compact=True, max_length=400)

    @on(Input.Submitted)
    def _answered(self, event: Input.Submitted) -> None:
        self.dismiss(event.value.strip())

    def action_give_up(self) -> None:
        self.dismiss(None)


class TypedConfirm(ModalScreen[bool]):
    """A question that is answered yes only by typing a name exactly."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "give_up", "no")]
    DEFAULT_CSS = Confirm.DEFAULT_CSS

    def __init__(self, question: str, name: str, detail: str = "") -> None:
        super().__init__()
        self._question, self._name_wanted, self._detail = printable(question), name, printable_lines(detail)

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(self._question, markup=False)
            if self._detail:
                yield Static(self._detail, classes="hint", markup=False)
            yield Static(f"Type {printable(self._name_wanted)} and Enter to go on, Esc to leave.", markup=False)
            yield Input(compact=True)
            yield Static("", classes="hint", id="hint", markup=False)

    @on(Input.Submitted)
    def _compare(self, event: Input.Submitted) -> None:
        if event.value.strip() in {self._name_wanted, printable(self._name_wanted)}:
            self.dismiss(True)
        else:
            self.query_one("#hint", Static).update("That is another name; nothing was done.")

    def action_give_up(self) -> None:
        self.dismiss(False)


def printable_lines(text: str) -> str:
    """Clean a text of several lines."""
    return "\n".join(printable(line) for line in text.splitlines())
