"""Decide which columns of a table are shown at a width, and how wide each is. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

GAP = 1  # cells between two columns
LEAST = 4  # cells a squeezed column keeps


@dataclass(frozen=True)
class Column:
    """A column of a LineTable."""

    id: str
    title: str
    width: int
    """Cells. A flexible column is never narrower, unless nothing is left to drop."""
    flex: int = 0
    """Its share of the cells that are left over; 0 keeps `width`."""
    most: int = 10_000
    """A flexible column is never wider."""
    priority: int = 0
    """Of the columns above 0 the highest is dropped first; columns at 0 stay."""
    align: Literal["left", "right"] = "left"
    sorts: bool = True


class Placed(NamedTuple):
    """A column that is shown."""

    column: Column
    cell: int  # which of a row's cells it shows
    x: int
    width: int


def place(columns: Sequence[Column], width: int, left: int = 0) -> list[Placed]:
    """Return the columns that fit in `width` cells, the first starting at `left`."""
    shown = _drop(columns, width - left)
    widths = _widen(shown, width - left)
    placed = []
    x = left
    for column, cells in zip(shown, widths, strict=True):
        if cells > 0:
            placed.append(Placed(column, columns.index(column), x, cells))
        x += cells + GAP
    return placed


def _drop(columns: Sequence[Column], room: int) -> list[Column]:
    shown = list(columns)
    while sum(c.width + GAP for c in shown) - GAP > room:
        candidates = [c for c in shown if c.priority > 0]
        if not candidates:
            break
        highest = max(c.priority for c in candidates)
        shown.remove([c for c in candidates if c.priority == highest][-1])
    return shown


def _widen(shown: Sequence[Column], room: int) -> list[int]:
    widths = [c.width for c in shown]
    spare = room - sum(widths) - GAP * (len(shown) - 1)
    if spare < 0:
        return _squeeze(shown, widths, -spare)
    growing = [i for i, c in enumerate(shown) if c.flex]
    while spare > 0 and growing:
        shares = sum(shown[i].flex for i in growing)
        for i in growing:
            more = min(
                max(spare * shown[i].flex // shares, 1), shown[i].most - widths[i], room - GAP * (len(shown) - 1)
            )
            more = min(more, room - sum(widths) - GAP * (len(shown) - 1))
            widths[i] += max(more, 0)
        growing = [i for i in growing if widths[i] < shown[i].most]
        spare = room - sum(widths) - GAP * (len(shown) - 1)
    return widths


def _squeeze(shown: Sequence[Column], widths: list[int], missing: int) -> list[int]:
    """Take the missing cells from flexible columns, then from the last columns, which may vanish."""
    for flexible in (True, False):
        for i in reversed(range(len(widths))):
            if bool(shown[i].flex) is flexible and missing > 0:
                taken = min(missing, max(widths[i] - LEAST, 0))
                widths[i] -= taken
                missing -= taken
    for i in reversed(range(1, len(widths))):
        if missing > 0:
            missing -= widths[i] + GAP
            widths[i] = 0
    return widths
