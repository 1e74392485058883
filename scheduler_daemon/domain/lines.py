"""Number the lines of a run's two streams, and put stored pieces back together. Pure: bytes in, pieces or lines out.

A line ends with a newline byte and nothing else: a lone carriage return (a progress bar) stays in its line. A line
longer than MAX_LINE_BYTES is cut there and goes on under the next number.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

MAX_LINE_BYTES = 1024 * 1024
"""Bytes of one displayed line, without its newline."""


class OpenLine(NamedTuple):
    """A stream's last line while no newline has ended it; number 0 where there is none."""

    number: int = 0
    size: int = 0


NO_LINE = OpenLine()


class Piece(NamedTuple):
    """Bytes of one stream that hold parts of `lines` lines, numbered from `first_line` without a gap."""

    data: bytes
    first_line: int
    lines: int
    continues: bool
    """Its first bytes belong to the line the stream left open."""


class Text(NamedTuple):
    """A line to show. `partial`: no newline ended it."""

    number: int
    stream: str
    at: datetime
    text: str
    partial: bool


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stored piece."""

    stream: str
    at: datetime
    first_line: int
    continues: bool
    data: bytes


def number(
    data: bytes, open_line: OpenLine, next_line: int, *, max_line: int = MAX_LINE_BYTES
) -> tuple[list[Piece], OpenLine, int]:
    """Cut `data` into pieces; return them, the line left open and the next number neither stream has used."""
    pieces: list[Piece] = []
    at = 0
    while at < len(data):
        end, forced = _piece_end(data, at, open_line, next_line, max_line)
        if end == at:  # the open line is full already
            open_line = NO_LINE
            continue
        piece = data[at:end]
        ends = piece.count(b"\n")
        unended = 0 if piece.endswith(b"\n") else 1
        first = open_line.number or next_line
        lines = ends + unended
        pieces.append(Piece(piece, first, lines, bool(open_line.number)))
        next_line += lines - (1 if open_line.number else 0)
        if forced or not unended:
            open_line = NO_LINE
        else:
            size = len(piece) - piece.rfind(b"\n") - 1
            open_line = OpenLine(first + lines - 1, size + (open_line.size if not ends else 0))
        at = end
    return pieces, open_line, next_line


def _piece_end(data: bytes, at: int, open_line: OpenLine, next_line: int, max_line: int) -> tuple[int, bool]:
    """Return where the piece that begins at `at` ends, and whether a line is cut there for its length."""
    room = max_line - open_line.size
    newline = data.find(b"\n", at, at + room + 1)
    if newline < 0:
        return (len(data), False) if len(data) - at <= room else (at + room, True)
    if open_line.number and open_line.number + 1 != next_line:
        return newline + 1, False  # the other stream took the numbers that follow
    return min(len(data), newline + 1 + max_line), False


def texts(stream: str, at: datetime, piece: Piece, before: bytes, *, last: int, longest: int) -> list[Text]:
    """Return the last `last` lines of a piece for a live reader, each cut at `longest` bytes.

    `before` is the part of its first line that was shown already: a line that goes on is shown again as a whole.
    """
    data = before + piece.data if piece.continues else piece.data
    parts = data.split(b"\n")
    if not parts[-1]:
        parts.pop()
        open_at = len(parts)
    else:
        open_at = len(parts) - 1
    first = max(0, len(parts) - last)
    return [
        Text(piece.first_line + n, stream, at, shown(parts[n][:longest]), n == open_at or len(parts[n]) > longest)
        for n in range(first, len(parts))
    ]


def shown(line: bytes) -> str:
    """Return a line as text: U+FFFD for what is not UTF-8, without the carriage return of a CRLF."""
    return line.removesuffix(b"\r").decode(errors="replace")


def assemble(chunks: Iterable[Chunk], *, search: str | None = None) -> Iterator[Text]:
    """Yield the lines of chunks, which come by (first_line, order stored); with `search`, those that hold it.

    Letter case does not count in a search. At most one line is held at a time, besides the current chunk.
    """
    needle = search.casefold() if search else ""
    held: _Held | None = None
    for chunk in chunks:
        if held and not (chunk.continues and chunk.first_line == held.number):
            yield from held.show(needle, partial=True)
            held = None
        held = held or _Held(chunk.first_line, chunk.stream, chunk.at, bytearray())
        ends = chunk.data.rfind(b"\n") + 1
        if not ends:
            held.data += chunk.data
            continue
        held.data += chunk.data[: chunk.data.find(b"\n")]
        yield from held.show(needle, partial=False)
        whole = chunk.data[chunk.data.find(b"\n") + 1 : ends]
        following = held.number + 1
        yield from _whole_lines(chunk, whole, following, needle)
        rest = chunk.data[ends:]
        following += whole.count(b"\n")
        held = _Held(following, chunk.stream, chunk.at, bytearray(rest)) if rest else None
    if held:
        yield from held.show(needle, partial=True)


@dataclass(slots=True)
class _Held:
    number: int
    stream: str
    at: datetime
    data: bytearray

    def show(self, needle: str, *, partial: bool) -> Iterator[Text]:
        text = shown(bytes(self.data))
        if not needle or needle in text.casefold():
            yield Text(self.number, self.stream, self.at, text, partial)


def _whole_lines(chunk: Chunk, data: bytes, first: int, needle: str) -> Iterator[Text]:
    if not data or (needle and needle not in data.decode(errors="replace").casefold()):
        return
    for offset, line in enumerate(data[:-1].split(b"\n")):
        text = shown(line)
        if not needle or needle in text.casefold():
            yield Text(first + offset, chunk.stream, chunk.at, text, partial=False)
