"""Draw one row of a log: its number and time, the edge that tells the stream, the part of the text that is in view."""

from datetime import UTC, tzinfo
from typing import NamedTuple

from rich.segment import Segment
from textual.strip import Strip

from chronos_tui.format import cells, cut
from chronos_tui.widgets.ink import Ink
from chronos_tui.widgets.log_lines import Shown

CLOCK = 13  # cells of a time to the millisecond, and a space


class Manner(NamedTuple):
    """How all rows of a log are drawn."""

    width: int
    numbers: int = 0
    """Cells for line numbers with a space after them; 0 for none."""
    times: bool = False
    zone: tzinfo = UTC
    wrap: bool = False
    left: int = 0
    """Cells of unwrapped text that are out of view at the left."""
    needle: str = ""
    found: int | None = None
    """The number of the line the search stands on."""
    stale: bool = False
    ascii: bool = False

    @property
    def room(self) -> int:
        """Cells for the text."""
        return max(self.width - self.numbers - CLOCK * self.times - 1, 1)


def row(ink: Ink, line: Shown, part: int, manner: Manner) -> Strip:
    """Draw a line; of a wrapped one the row numbered `part`, from 0."""
    error = line.stream == "stderr"
    bar, thick = ("|", "!") if manner.ascii else ("│", "┃")
    edge = ink.segment(thick, "stderr") if error else ink.segment(bar, "border")
    margin = ink.segment(_margin(line, part, manner), "accent" if line.number == manner.found else "muted")
    tone = "muted" if manner.stale else line.tone or ("stderr" if error else "text")
    body = _body(ink, line, part * manner.room if manner.wrap else manner.left, tone, manner)
    return Strip([margin, edge, *body]).adjust_cell_length(manner.width, ink("text"))


def _margin(line: Shown, part: int, manner: Manner) -> str:
    if part:
        return " " * (manner.numbers + CLOCK * manner.times)
    number = f"{line.number:>{manner.numbers - 1}} " if manner.numbers else ""
    if not manner.times:
        return number
    clock = f"{line.at.astimezone(manner.zone):%H:%M:%S.%f}"[:-3] if line.at else ""
    return f"{number}{clock:<{CLOCK}}"


def _body(ink: Ink, line: Shown, start: int, tone: str, manner: Manner) -> list[Segment]:
    room, more = manner.room, ""
    if not manner.wrap and line.cells > start + room:
        room, more = room - 1, ">" if manner.ascii else "›"
    text = line.text + line.cut
    if manner.needle and manner.needle.lower() in text.lower():
        whole = Strip(_highlighted(ink, text, tone, manner.needle), cells(text))
        return [*whole.crop(start, start + room), ink.segment(more, "muted")]
    return [ink.segment(cut(text, room, start), tone), ink.segment(more, "muted")]


def _highlighted(ink: Ink, text: str, tone: str, needle: str) -> list[Segment]:
    segments: list[Segment] = []
    folded, wanted = text.lower(), needle.lower()
    if len(folded) != len(text):  # a letter that becomes two would shift all that follow
        folded, wanted = text, needle
    at = 0
    while (hit := folded.find(wanted, at)) >= 0:
        end = hit + len(wanted)
        segments += [ink.segment(text[at:hit], tone), ink.segment(text[hit:end], "match-text", "match")]
        at = end
    return [*segments, ink.segment(text[at:], tone)]
