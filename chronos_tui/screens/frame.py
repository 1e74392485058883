"""What all screens have: header, body, the line for commands and filters, footer; and how they ask and complain."""

from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Any, ClassVar, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen
from textual.timer import Timer

from chronos_tui import keymap
from chronos_tui.board import Dirty
from chronos_tui.client.errors import ServerError, Unreachable
from chronos_tui.messages import sentence, title
from chronos_tui.screens.desk import Desk, beside
from chronos_tui.widgets.footer import Footer
from chronos_tui.widgets.header import Header
from chronos_tui.widgets.help import Place
from chronos_tui.widgets.prompt import Kind, Prompt, typing

Answer = TypeVar("Answer")
BUSY_S = 0.1
"""How long a read waits that comes at a bad time."""
COMPLAINT_S = 8.0
"""How long a complaint stands."""


class Frame(Screen[None]):
    """A screen of the app. Subclasses give the body, and say what is read when it opens."""

    BINDINGS: ClassVar[list[BindingType]] = []
    name_in_crumbs: ClassVar[str] = ""
    help_ids: ClassVar[Sequence[str]] = ()
    """Actions of this place, for the help."""

    def __init__(self, desk: Desk, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.desk = desk
        self.composed = False
        """Whether its widgets are there."""
        self._reading = 0
        self._reread: Timer | None = None

    def compose(self) -> ComposeResult:
        yield Header(self.crumbs())
        yield from self.body()
        yield Prompt()
        yield Footer()

    def body(self) -> ComposeResult:
        """Yield the widgets between header and footer."""
        yield from ()

    def crumbs(self) -> Sequence[str]:
        """Return where one is."""
        return (self.desk.place, self.name_in_crumbs)

    @property
    def thing(self) -> object:
        """What it shows, where there may be several screens of a kind."""
        return None

    def shows_same(self, other: "Frame") -> bool:
        """Whether the other one would show the same."""
        return type(self) is type(other) and self.thing == other.thing

    # Told by the app

    async def read(self) -> None:
        """Read again all that is shown. Raises ServerError and Unreachable."""

    def changed(self, dirty: Dirty) -> None:
        """Show what changed on the board."""

    def second(self) -> None:
        """A second has passed: repaint what tells the time."""

    def greyed(self, *, stale: bool) -> None:
        """Show whether what is on screen is still known to be true."""

    # Frame

    @property
    def whole(self) -> bool:
        """Whether its widgets are there, and not on their way out."""
        return self.composed and self.is_running and bool(self.query(Header))

    @property
    def on_top(self) -> bool:
        """Whether nothing is open over it; what shines through below a question is not on top."""
        return self.app.screen is self

    def on_mount(self) -> None:
        self.composed = True
        self.come_up()

    def on_screen_resume(self) -> None:
        if self.composed and self.on_top:  # where several screens are left at once, those between are told too
            self.come_up()

    def come_up(self) -> None:
        """Show what is known, and read what may have changed while another screen was up."""
        self.show_place()
        self.greyed(stale=self.desk.stale)
        if self.desk.ready:
            self.attempt(self.refresh_rows)

    async def refresh_rows(self) -> None:
        """Read now."""
        self._reading += 1
        try:
            await self.read()
        finally:
            self._reading -= 1

    @property
    def busy(self) -> bool:
        """Whether what is shown had better not change just now."""
        return False

    def reread_soon(self, seconds: float) -> None:
        """Read again after `seconds`. One that waits already stands for all; one under way is let finish first."""
        if self._reread is None:
            self._reread = self.set_timer(max(seconds, BUSY_S / 2), self._read_again)

    def _read_again(self) -> None:
        self._reread = None
        if self._reading or self.busy:
            self.reread_soon(BUSY_S)
        elif self.desk.ready and self.is_current and not self.desk.frozen:
            self.attempt(self.refresh_rows)

    def show_place(self) -> None:
        """Write the header anew."""
        if not self.whole:
            return
        header = self.query_one(Header)
        header.show(crumbs=self.crumbs(), connection=self.desk.connection, frozen=self.desk.frozen)
        header.tick(self.desk.now(), self.desk.zone)

    def attempt(self, work: Callable[[], Awaitable[Any]], *, group: str = "read") -> None:
        """Do `work` beside everything else; an error we expect is said. A later one of the group replaces it."""

        async def saying() -> None:
            await self.said(work(), quiet=True)

        beside(self, saying, group=group)

    def act(self, work: Callable[[], Awaitable[Any]]) -> None:
        """Do what the user asked for, to its end: neither another act nor leaving the screen breaks it off."""

        async def saying() -> None:
            await self.said(work())

        beside(self.app, saying, group="act", exclusive=False)

    async def said(self, work: Awaitable[Answer], done: str = "", *, quiet: bool = False) -> Answer | None:
        """Wait for an answer of the server and return it; say `done`, or what went wrong and return None.

        A `quiet` one says nothing of a silence that the header tells of already.
        """
        try:
            answer = await work
        except (ServerError, Unreachable) as error:
            if not (quiet and isinstance(error, Unreachable) and self.desk.stale):
                self.complain(error)
            return None
        if done:
            self.app.notify(done, timeout=3, markup=False)
        return answer

    def complain(self, error: Exception) -> None:
        """Say what went wrong; what stands there already is not said again."""
        words, now = sentence(error), monotonic()
        if words != self.desk.complaint or now - self.desk.complained_at > COMPLAINT_S:
            self.desk.complaint, self.desk.complained_at = words, now
            self.app.notify(words, title=title(error), severity="error", timeout=COMPLAINT_S, markup=False)

    def tell(self, words: str) -> None:
        """Say something that needs no answer."""
        self.app.notify(words, timeout=3, markup=False)

    def places(self) -> list[Place]:
        """Return what the help lists."""
        return [(self.name_in_crumbs, self.help_ids), ("everywhere", keymap.EVERYWHERE)]

    # The line for filters

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "filter":
            return not typing(self.app)
        return super().check_action(action, parameters)

    def open_prompt(self, kind: Kind, text: str = "") -> None:
        """Open the line below."""
        self.query_one(Prompt).open(kind, text)

    @property
    def prompt(self) -> Prompt:
        return self.query_one(Prompt)

    @on(Prompt.Closed)
    @on(Prompt.Submitted)
    def _back_to_body(self) -> None:
        self.focus_body()

    def focus_body(self) -> None:
        """Give the focus to the main widget."""


def bound(*ids: str, show: Sequence[str] = ()) -> list[BindingType]:
    """Return bindings for a screen: those in `show` may appear in the footer."""
    return list(keymap.bindings(*ids, show=show))
