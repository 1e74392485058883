"""How verbs print: JSON documents, aligned tables, plain lines. Colour only on a terminal that has not refused it."""

import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any, NamedTuple

import typer

from chronos_tui import format as fmt

BROKEN_PIPE = 128 + 13
"""As a shell reports a program that its reader left."""

# Harmless inside JSON strings for programs, not for terminals: written as escapes, which mean the same.
_UNSAFE = re.compile("[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")

_SGR = {"ok": "32", "running": "36", "failed": "1;31", "late": "33", "blocked": "33", "queued": "34", "paused": "35"}
_SGR |= {"skipped": "2", "muted": "2", "title": "1", "stderr": "31"}


class Cell(NamedTuple):
    """A text with a tone; see `format.Look`."""

    text: str
    tone: str = ""


def tty() -> bool:
    """Tell whether a person reads stdout."""
    return sys.stdout.isatty()


def interactive() -> bool:
    """Tell whether a person is at both ends, on a terminal that can be drawn on."""
    return tty() and sys.stdin.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def write(text: str) -> None:
    """Write to stdout and flush. A reader that left ends the program quietly."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        abandon_stdout()
        raise typer.Exit(BROKEN_PIPE) from None


def write_bytes(content: bytes) -> None:
    """Write bytes as they are to stdout."""
    try:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        abandon_stdout()
        raise typer.Exit(BROKEN_PIPE) from None


def abandon_stdout() -> None:
    """Point stdout at nothing, so that the interpreter's last flush stays quiet."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)


def line(text: str = "") -> None:
    """Print one line of our own words around what others wrote: control characters are removed."""
    write(fmt.printable(text) + "\n")


def document(value: Any) -> None:
    """Print one JSON document: spread out for a person, on one line for a program."""
    text = json.dumps(value, ensure_ascii=False, indent=2 if tty() else None)
    write(_UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text) + "\n")


def stream(value: Any) -> None:
    """Print one JSON document of many, on one line."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    write(_UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text) + "\n")


def page(items: Iterable[Any], next_cursor: str | None = None) -> None:
    """Print a list as every verb does with --json."""
    document({"items": list(items), "next": next_cursor})


def table(headers: Sequence[str], rows: Sequence[Sequence[str | Cell]], *, right: Iterable[int] = ()) -> None:
    """Print rows under headers, aligned by what the terminal shows; on a terminal no line is wider than it.

    `right` are the columns aligned to the right. Without rows nothing is printed.
    """
    if not rows:
        return
    cells = [[_clean(cell) for cell in row] for row in rows]
    heads = [Cell(head.upper(), "muted") for head in headers]
    widths = [max(fmt.cells(row[column].text) for row in [heads, *cells]) for column in range(len(headers))]
    if tty():
        widths = _narrow(widths, shutil.get_terminal_size().columns)
    ending = set(right)
    write("".join(_row(row, widths, ending) for row in [heads, *cells]))


def _row(row: Sequence[Cell], widths: Sequence[int], right: set[int]) -> str:
    parts = []
    for column, (cell, width) in enumerate(zip(row, widths, strict=True)):
        text = fmt.fit(cell.text, width, "right" if column in right else "left")
        last = column == len(widths) - 1
        parts.append(paint(text.rstrip() if last else text, cell.tone))
    return "  ".join(parts).rstrip() + "\n"


def _clean(cell: str | Cell) -> Cell:
    return Cell(fmt.printable(cell.text), cell.tone) if isinstance(cell, Cell) else Cell(fmt.printable(cell))


def _narrow(widths: list[int], room: int) -> list[int]:
    """Take from the widest columns until the row fits; no column falls below eight cells for it."""
    widths = list(widths)
    excess = sum(widths) + 2 * (len(widths) - 1) - room
    while excess > 0 and max(widths) > 8:
        widths[widths.index(max(widths))] -= 1
        excess -= 1
    return widths


def pairs(rows: Iterable[tuple[str, str | Cell]]) -> None:
    """Print names and values, one pair a line, values aligned; pairs without a value are left out."""
    kept = [(name, _clean(value)) for name, value in rows]
    kept = [(name, value) for name, value in kept if value.text]
    width = max((fmt.cells(name) for name, _ in kept), default=0)
    write("".join(f"{paint(fmt.fit(name, width), 'muted')}  {paint(value.text, value.tone)}\n" for name, value in kept))


def paint(text: str, tone: str) -> str:
    """Colour `text` where colour is welcome."""
    code = _SGR.get(tone)
    if not code or not text.strip() or not tty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{code}m{text}\x1b[0m"


def state(name: str, note: str = "") -> Cell:
    """Show a state by glyph and word, and by tone where there is colour."""
    look = fmt.state(name)
    glyph = look.glyph if (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf") else look.ascii
    return Cell(f"{glyph} {look.word}{f' ({note})' if note else ''}", look.tone)


def instant(text: str | None) -> datetime | None:
    """Read an instant of the API, None for none."""
    return datetime.fromisoformat(text) if text else None


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


def local(at: datetime) -> tzinfo:
    """Return the zone of whoever reads, as it stands at `at`."""
    zone = at.astimezone().tzinfo
    return zone or UTC


def when(text: str | None) -> str:
    """Write an instant in full in the reader's zone, and how far it is from now; "" for none."""
    at = instant(text)
    if at is None:
        return ""
    return f"{fmt.stamp(at, local(at))} ({fmt.relative(at, now())})"


def brief(text: str | None) -> str:
    """Write an instant as briefly as is clear in the reader's zone; "" for none."""
    at = instant(text)
    return fmt.clock(at, now(), local(at)) if at else ""


def took(ms: int | None) -> str:
    """Write a duration; "" for none."""
    return "" if ms is None else fmt.duration(ms)
