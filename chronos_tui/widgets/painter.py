"""Draw one line of a table: its cells cut to their columns, in the styles of their tones."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from rich.segment import Segment
from textual.strip import Strip

from chronos_tui.format import cells, fit, printable, shorten
from chronos_tui.widgets.columns import GAP, Placed
from chronos_tui.widgets.ink import Ink

GUTTER = 2  # cells before the first column: the mark


class Cell(NamedTuple):
    """What one column of one row shows. The text may come from anyone; it is cleaned and cut when drawn."""

    text: str
    tone: str = "text"
    runs: tuple[tuple[int, str], ...] = ()
    """Lengths in characters with their own tones, from the start; for cells of several colours."""


Paint = Callable[[Any], Sequence[Cell]]


class Line(NamedTuple):
    """How a whole line looks, besides its cells."""

    ground: str = ""
    marked: bool = False
    stale: bool = False
    ascii: bool = False


def header(ink: Ink, placed: Sequence[Placed], width: int, sort: tuple[str, bool], line: Line) -> Strip:
    """Draw the titles; the column that orders the rows points up for ascending, down for descending."""
    by, reverse = sort
    arrow = ("v" if reverse else "^") if line.ascii else ("▼" if reverse else "▲")
    segments = [Segment(" " * GUTTER, ink("muted"))]
    for column, _, _, room in placed:
        title = column.title
        if column.id == by:
            title = f"{shorten(title, room - 1)}{arrow}"
        segments.append(Segment(fit(title, room, column.align), ink("title" if column.id == by else "muted")))
        segments.append(Segment(" " * GAP, ink("muted")))
    return _strip(ink, segments, width, "")


def row(ink: Ink, placed: Sequence[Placed], width: int, row_cells: Sequence[Cell], line: Line) -> Strip:
    """Draw the cells of one row. A stale one is grey throughout."""
    ground = line.ground
    mark = ("*" if line.ascii else "┃") if line.marked else " "
    segments = [Segment(mark + " " * (GUTTER - 1), ink("mark", ground))]
    for each in placed:
        segments += _draw_cell(ink, row_cells[each.cell], each, line)
        segments.append(Segment(" " * GAP, ink("text", ground)))
    return _strip(ink, segments, width, ground)


def missing(ink: Ink, width: int, line: Line) -> Strip:
    """Draw a row that is not loaded yet."""
    text = " " * GUTTER + ("..." if line.ascii else "…")
    return _strip(ink, [Segment(text, ink("muted", line.ground))], width, line.ground)


def blank(ink: Ink, width: int) -> Strip:
    """Draw the line below the last row."""
    return Strip.blank(width, ink("text"))


def _draw_cell(ink: Ink, cell: Cell, place: Placed, line: Line) -> list[Segment]:
    style = ink("muted" if line.stale else cell.tone, line.ground)
    if not cell.runs or line.stale:
        return [Segment(fit(cell.text, place.width, place.column.align), style)]
    text = shorten(printable(cell.text), place.width)
    pad = Segment(" " * (place.width - cells(text)), style)
    segments = [pad] if place.column.align == "right" else []
    at = 0
    for length, run_tone in cell.runs:
        segments.append(Segment(text[at : at + length], ink(run_tone, line.ground)))
        at += length
    segments.append(Segment(text[at:], style))
    return [*segments, pad] if place.column.align == "left" else segments


def _strip(ink: Ink, segments: Sequence[Segment], width: int, ground: str) -> Strip:
    """Join neighbours of one style, so that fewer bytes are written, and fill the line."""
    joined: list[Segment] = []
    for segment in segments:
        if not segment.text:
            continue
        if joined and (joined[-1].style == segment.style or (segment.text.isspace() and _plain(segment, joined[-1]))):
            joined[-1] = Segment(joined[-1].text + segment.text, joined[-1].style)
        else:
            joined.append(segment)
    return Strip(joined).adjust_cell_length(width, ink("text", ground))


def _plain(space: Segment, before: Segment) -> bool:
    """Whether blanks look the same in the style before them: same ground, nothing drawn through."""
    one, two = space.style, before.style
    if one is None or two is None:
        return False
    return (one.bgcolor, one.reverse, one.underline) == (two.bgcolor, two.reverse, two.underline)
