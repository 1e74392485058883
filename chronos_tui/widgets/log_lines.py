"""The lines a log view holds: the newest ten thousand, cleaned for display. Knows nothing of drawing.

Bytes are never changed where they are kept; here each line is only what may be shown of it.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from chronos_tui.format import cells, printable, size
from chronos_tui.widgets.log_folds import Folds, begins, ends

CAPACITY = 10_000  # lines
LONGEST = 8192  # characters shown of one line
TONES = {
    "::group": "title",
    "::endgroup": "muted",
    "::warning": "late",
    "::progress": "muted",
    "::kpi": "muted",
}
TRIM = 1000  # lines dropped at once, so that dropping stays cheap


class LogLine(NamedTuple):
    """A line of a run's output, as it came."""

    number: int
    """From 1, across both streams."""
    text: str | bytes
    stream: str = "stdout"
    at: datetime | None = None


class Shown(NamedTuple):
    """A line as it may be drawn."""

    number: int
    text: str
    stream: str
    at: datetime | None
    cells: int
    cut: str = ""
    """Says how much of the line is not here."""
    tone: str = ""
    """Of a line that a job means for us: what it says of itself; empty for output as such."""


def prepare(line: LogLine) -> Shown:
    """Clean a line; of a very long one keep the beginning and say what is missing."""
    text, length = line.text, len(line.text)
    if length > LONGEST:
        text = text[: LONGEST + 3] if isinstance(text, bytes) else text[:LONGEST]  # + 3: a character may be split
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    clean = printable(text[:LONGEST])
    cut = f" … {size(length)} in all" if length > LONGEST else ""
    return Shown(line.number, clean, line.stream, line.at, cells(clean) + len(cut), cut, _tone(clean))


def _tone(text: str) -> str:
    """Return how a line is marked that begins with `::` and a word that means something to us."""
    return TONES.get(text.partition(" ")[0], "") if text.startswith("::") else ""


class LogLines:
    """A ring of lines. With a wrap width, also knows how many rows each takes and which line a row belongs to.

    Indices and rows are of the lines in sight: all but those of folded groups.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._all: list[Shown] = []
        self._lines = self._all
        """Those in sight; the same list while nothing is folded."""
        self._folds = Folds()
        self._ends: list[int] = []  # wrapped: rows up to the end of each line, and of those dropped since `wrap`
        self._dropped_rows = 0
        self._width = 0

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, index: int) -> Shown:
        return self._lines[index]

    @property
    def held(self) -> int:
        """How many lines there are, in sight or not."""
        return len(self._all)

    @property
    def last(self) -> int:
        """The number of the last line, in sight or not; 0 without lines."""
        return self._all[-1].number if self._all else 0

    @property
    def full(self) -> bool:
        return len(self._all) >= self._capacity

    @property
    def folded(self) -> bool:
        """Whether lines may be out of sight."""
        return self._folds.any

    def fold(self, number: int | None) -> None:
        """Fold the group that begins with the line of this number, or open it; None: all groups."""
        if number is None:
            self._folds.turn_all()
        else:
            self._folds.turn(number)
        self._look()

    def group_at(self, index: int) -> int | None:
        """Return the number of the line with which the group at this line begins, None if there is none."""
        for line in reversed(self._lines[: index + 1]):
            if begins(line):
                return line.number
            if ends(line) and line is not self._lines[index]:
                return None
        return None

    def begins_group(self, index: int) -> bool:
        """Tell whether a group begins with this line."""
        return begins(self._lines[index])

    def _look(self) -> None:
        """See anew which lines are in sight."""
        self._lines = self._folds.seen(self._all, from_start=True) if self._folds.any else self._all
        self.wrap(self._width)

    @property
    def widest(self) -> int:
        return max((line.cells for line in self._lines), default=0)

    @property
    def rows(self) -> int:
        """How many rows all lines take."""
        if not self._width:
            return len(self._lines)
        return self._ends[-1] - self._dropped_rows if self._ends else 0

    def append(self, lines: Iterable[LogLine]) -> int:
        """Add lines at the end; return how many rows were dropped at the beginning to make room."""
        fresh = list(map(prepare, list(lines)[-self._capacity :]))
        start = len(self._lines)
        self._all += fresh
        if self._lines is not self._all:
            self._lines += self._folds.seen(fresh, from_start=False)
        if self._width:
            self._measure(start)
        return self._trim()

    def prepend(self, lines: Iterable[LogLine]) -> int:
        """Put earlier lines in front, as many as there is room for; return how many rows they take."""
        room = self._capacity - len(self._all)
        earlier = [prepare(line) for line in lines][-room:] if room > 0 else []
        before = self.rows
        self._all[:0] = earlier
        self._look()
        return self.rows - before

    def drop_from(self, number: int) -> None:
        """Forget the line of that number and all after it: they come again, grown."""
        at = bisect_left(self._all, number, key=lambda line: line.number)
        del self._all[at:]
        if self._lines is self._all:
            del self._ends[at:]
        else:
            self._look()

    def clear(self) -> None:
        self._all.clear()
        self._look()

    def wrap(self, width: int) -> None:
        """Count rows for lines wrapped at `width` cells; 0 for one row a line."""
        self._width, self._dropped_rows = width, 0
        self._ends.clear()
        if width:
            self._measure(0)

    def locate(self, row: int) -> tuple[int, int]:
        """Return the index of the line that row belongs to, and which of the line's rows it is."""
        if not self._width:
            return row, 0
        wanted = row + self._dropped_rows
        index = bisect_right(self._ends, wanted)
        return index, wanted - (self._ends[index - 1] if index else self._dropped_rows)

    def row_of(self, index: int) -> int:
        """Return the first row of a line."""
        if not self._width or not index:
            return index
        return self._ends[index - 1] - self._dropped_rows

    def index(self, number: int) -> int | None:
        """Return where the line of that number is, or None if it is not held."""
        at = bisect_left(self._lines, number, key=lambda line: line.number)
        return at if at < len(self._lines) and self._lines[at].number == number else None

    def at_or_before(self, number: int) -> int:
        """Return where the line of that number is, or the last in sight before it."""
        return max(bisect_right(self._lines, number, key=lambda line: line.number) - 1, 0)

    def find(self, text: str, start: int, step: int) -> int | None:
        """Return the next line from index `start` in the direction of `step` that holds `text`, going round once."""
        wanted = text.lower()
        for offset in range(len(self._lines)):
            index = (start + offset * step) % len(self._lines)
            if wanted in self._lines[index].text.lower():
                return index
        return None

    def count(self, text: str) -> int:
        """Return how many lines hold `text`, whatever its case."""
        wanted = text.lower()
        return sum(wanted in line.text.lower() for line in self._lines)

    def _measure(self, start: int) -> None:
        end = self._ends[-1] if self._ends else self._dropped_rows
        for line in self._lines[start:]:
            end += max(-(-line.cells // self._width), 1)
            self._ends.append(end)

    def _trim(self) -> int:
        excess = len(self._all) - self._capacity
        if excess <= 0:
            return 0
        excess = min(max(excess, TRIM), len(self._all) - 1)
        if self._lines is not self._all:
            return self._trim_folded(excess)
        dropped = self.row_of(excess)
        del self._lines[:excess]
        if self._width:
            self._dropped_rows = self._ends[excess - 1]
            del self._ends[:excess]
        return dropped

    def _trim_folded(self, excess: int) -> int:
        """Drop lines, in sight or not. The rest of a group whose beginning goes comes in sight."""
        before = self.rows
        del self._all[:excess]
        self._look()
        return before - self.rows
