"""What a run by hand is to be told: a field for each parameter of its job, judged as it is typed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from chronos_tui.format import printable

if TYPE_CHECKING:
    from scheduler_daemon.contract.jobs import JobView
    from scheduler_daemon.contract.parameters import Parameter


class Told(NamedTuple):
    """What a run is told."""

    values: Mapping[str, str]
    like: int | None = None
    """The run whose secrets it is told too."""


class Telling(ModalScreen[Told | None]):
    """Its result is what the run is told; None if one thinks better of it. A field left empty says nothing."""

    DEFAULT_CSS = """
    Telling { align: center middle; }
    Telling > Vertical {
        width: 76; max-width: 100%; height: auto; max-height: 100%;
        background: $surface; border: round $accent; padding: 0 1;
    }
    Telling VerticalScroll { height: auto; max-height: 1fr; }
    Telling .heading { text-style: bold; color: $accent; }
    Telling .hint, Telling .field Static { color: $text-muted; }
    Telling .field { height: 1; }
    Telling .field Static { width: 18; }
    Telling .field Input { width: 1fr; height: 1; border: none; padding: 0 1; background: $panel; }
    Telling .field Input:focus { border: none; background: $cs-cursor; }
    Telling .wrong { display: none; height: auto; padding: 0 0 0 19; color: $error; }
    Telling .wrong.-said { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "give_up", "leave"),
        Binding("down", "app.focus_next", "next field", show=False),
        Binding("up", "app.focus_previous", "previous field", show=False),
    ]

    def __init__(self, job: JobView, before: Mapping[str, str | None], like: int | None) -> None:
        """`before` is what stands in the fields at first; `like` is the run whose secrets are told if none is typed."""
        super().__init__()
        self._job, self._before, self._like = job, before, like

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(f"Run {printable(self._job.name)}", classes="heading", markup=False)
            with VerticalScroll(can_focus=False):
                for one in self._job.spec.parameters:
                    with Horizontal(classes="field"):
                        yield Static(f"{one.name}{' *' if one.required else ''}", markup=False)
                        yield Input(
                            self._first(one),
                            placeholder=self._hint(one),
                            password=one.secret,
                            id=f"told-{one.name}",
                            select_on_focus=False,
                        )
                    yield Static("", id=f"wrong-{one.name}", classes="wrong", markup=False)
            yield Static("Enter runs   Tab next field   Esc leaves   * must be given", classes="hint", markup=False)

    def _first(self, one: Parameter) -> str:
        if one.name in self._before:
            return self._before[one.name] or ""
        default = one.default
        return "" if default is None else str(default).lower() if isinstance(default, bool) else str(default)

    def _hint(self, one: Parameter) -> str:
        if one.secret and self._like is not None:
            return f"as run {self._like} was told"
        return printable(one.description or " or ".join(one.choices) or str(one.type))

    @on(Input.Changed)
    def _typed(self) -> None:
        self._judge(whole=False)

    @on(Input.Submitted)
    def _run(self) -> None:
        values = self._judge(whole=True)
        if values is not None:
            self.dismiss(Told(values, self._like))

    def _judge(self, *, whole: bool) -> dict[str, str] | None:
        """Say what is wrong beside its field; with `whole` also what is still to come. None if anything is."""
        values, wrong = {}, False
        for one in self._job.spec.parameters:
            text = self.query_one(f"#told-{one.name}", Input).value
            problem = ""
            if text:
                values[one.name] = text
                try:
                    one.text_of(text)
                except ValueError as error:
                    problem = f"{error}"
            elif whole and one.required and not (one.secret and self._like is not None):
                problem = "must be given"
            said = self.query_one(f"#wrong-{one.name}", Static)
            said.update(printable(problem))
            said.set_class(bool(problem), "-said")
            wrong = wrong or bool(problem)
        return None if wrong else values

    def action_give_up(self) -> None:
        self.dismiss(None)
