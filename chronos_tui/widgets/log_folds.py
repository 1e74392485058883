"""Which lines of a log are out of sight, for they stand in a group that is folded.

A group goes from its `::group` to the `::endgroup` after it, or to the next `::group`: groups hold no others.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chronos_tui.widgets.log_lines import Shown

_FOLDED = " … folded (z opens)"


def begins(line: Shown) -> bool:
    """Tell whether a group begins with this line."""
    return line.text.partition(" ")[0] == "::group"


def ends(line: Shown) -> bool:
    """Tell whether a group ends with this line."""
    return line.text.partition(" ")[0] == "::endgroup"


class Folds:
    """What is folded: all groups or none, but for some."""

    def __init__(self) -> None:
        self._all = False
        self._but: set[int] = set()
        self._hiding = False

    @property
    def any(self) -> bool:
        """Whether anything may be out of sight."""
        return self._all or bool(self._but)

    def turn(self, number: int) -> None:
        """Fold the group that begins with the line of this number, or open it."""
        self._but ^= {number}

    def turn_all(self) -> None:
        """Open all groups where one is folded, else fold all, also those to come."""
        self._all, self._but = not self.any, set()

    def seen(self, lines: Iterable[Shown], *, from_start: bool) -> list[Shown]:
        """Return the lines that are in sight of these, which follow those before unless they are `from_start`."""
        if from_start:
            self._hiding = False
        found = []
        for line in lines:
            if begins(line):
                self._hiding = (line.number in self._but) != self._all
                found.append(_marked(line) if self._hiding else line)
            elif not self._hiding:
                found.append(line)
            elif ends(line):
                self._hiding = False
        return found


def _marked(line: Shown) -> Shown:
    return line._replace(cut=line.cut + _FOLDED, cells=line.cells + len(_FOLDED))
