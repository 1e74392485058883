"""The first line of every screen: where one is, whether what is shown is true now, and what time it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Literal

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from chronos_tui.format import cells, printable, shorten
from chronos_tui.widgets.ink import Ink, ascii_only


@dataclass(frozen=True)
class Connection:
    """How the daemon is heard."""

    kind: Literal["connecting", "live", "polling", "reconnecting", "stale"]
    delay_ms: float | None = None
    """Of the last round trip, while live."""

    def words(self, *, ascii_glyphs: bool) -> tuple[str, str]:
        """Return what the header says, and in which tone."""
        if self.kind == "live":
            delay = "" if self.delay_ms is None else f" {self.delay_ms:.0f}ms"
            return f"{'*' if ascii_glyphs else '●'} live{delay}", "ok"
        if self.kind == "stale":
            return f"{'X' if ascii_glyphs else '✖'} stale", "failed"
        return f"{'~' if ascii_glyphs else '◌'} {self.kind}", "late"


class Header(Widget):
    """Crumbs at the left; connection, clock and zone at the right, which are the last to be cut."""

    DEFAULT_CSS = "Header { height: 1; dock: top; background: $panel; }"

    def __init__(self, crumbs: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._crumbs = tuple(crumbs)
        self._connection = Connection("connecting")
        self._clock = ""
        self._notice = ""
        self._frozen = False
        self._ink = Ink(self)

    def show(
        self,
        *,
        crumbs: Sequence[str] | None = None,
        connection: Connection | None = None,
        notice: str | None = None,
        frozen: bool | None = None,
    ) -> None:
        """Show another place, connection, notice, or that the picture is held still; what is not named stays."""
        before = (self._crumbs, self._connection, self._notice, self._frozen)
        self._crumbs = self._crumbs if crumbs is None else tuple(crumbs)
        self._connection = connection or self._connection
        self._notice = self._notice if notice is None else notice
        self._frozen = self._frozen if frozen is None else frozen
        if before != (self._crumbs, self._connection, self._notice, self._frozen):
            self.refresh()

    def tick(self, now: datetime, zone: tzinfo) -> None:
        """Show the time in `zone`."""
        clock = f"{now.astimezone(zone):%H:%M:%S %Z}"
        if clock != self._clock:
            self._clock = clock
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y:
            return Strip.blank(width, self._ink("text"))
        right = self._right(width)
        room = width - sum(cells(s.text) for s in right)
        left = self._left(room)
        gap = self._ink.segment(" " * max(room - sum(cells(s.text) for s in left), 0))
        return Strip([*left, gap, *right]).adjust_cell_length(width, self._ink("text"))

    def _left(self, room: int) -> list[Segment]:
        """Return the crumbs; where they do not fit the first ones go."""
        between = " > " if ascii_only(self) else " › "
        crumbs = [printable(crumb) for crumb in self._crumbs]
        while len(crumbs) > 1 and cells(between.join(crumbs)) + 2 > room:
            crumbs.pop(0)
        if not crumbs or room < 3:
            return []
        last = shorten(crumbs[-1], max(room - 2, 0))
        before = "".join(crumb + between for crumb in crumbs[:-1])
        return [self._ink.segment(" " + before, "muted"), self._ink.segment(last + " ", "title")]

    def _right(self, width: int) -> list[Segment]:
        words, tone = self._connection.words(ascii_glyphs=ascii_only(self))
        parts = [(words, tone)]
        if self._notice and width >= 60:
            parts.insert(0, (printable(self._notice), "late"))
        if self._frozen:
            parts.insert(0, ("frozen", "late"))
        if self._clock:
            parts.append((self._clock if width >= 50 else self._clock[:5], "muted"))
        return [
            self._ink.segment(text + " " * (2 if i < len(parts) - 1 else 1), t) for i, (text, t) in enumerate(parts)
        ]
