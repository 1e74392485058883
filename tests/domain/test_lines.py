"""Numbering bytes and putting stored pieces back together agree, however the bytes arrive."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from scheduler_daemon.domain.lines import NO_LINE, Chunk, assemble, number, texts
from tests.support.rows import NOON

LONGEST = 10


def feed(parts: list[tuple[str, bytes]]) -> list[Chunk]:
    """Number parts as they come, and give the chunks in the order a reader gets them."""
    open_lines = {"stdout": NO_LINE, "stderr": NO_LINE}
    next_line = 1
    chunks: list[Chunk] = []
    for stream, data in parts:
        pieces, open_lines[stream], next_line = number(data, open_lines[stream], next_line, max_line=LONGEST)
        assert b"".join(piece.data for piece in pieces) == data
        chunks += [Chunk(stream, NOON, piece.first_line, piece.continues, piece.data) for piece in pieces]
    return sorted(chunks, key=lambda chunk: chunk.first_line)


def cut(data: bytes) -> list[str]:
    """Cut a whole stream into the lines to show, the plain way."""
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    parts = [line[at : at + LONGEST] for line in lines for at in range(0, max(len(line), 1), LONGEST)]
    return [part.removesuffix(b"\r").decode(errors="replace") for part in parts]


PARTS = st.lists(
    st.tuples(st.sampled_from(["stdout", "stderr"]), st.text("ab\n\r€", max_size=25).map(str.encode)), max_size=20
)


@given(parts=PARTS)
def test_lines_are_the_same_however_the_bytes_arrive(parts: list[tuple[str, bytes]]) -> None:
    lines = list(assemble(feed(parts)))

    for stream in ("stdout", "stderr"):
        whole = b"".join(data for name, data in parts if name == stream)
        assert [line.text for line in lines if line.stream == stream] == cut(whole)
    assert [line.number for line in lines] == list(range(1, len(lines) + 1))


@given(parts=PARTS, needle=st.sampled_from(["A", "b\r", "€", "aab"]))
def test_a_search_finds_exactly_the_lines_that_hold_the_text(parts: list[tuple[str, bytes]], needle: str) -> None:
    chunks = feed(parts)

    found = list(assemble(chunks, search=needle))

    assert found == [line for line in assemble(chunks) if needle.casefold() in line.text.casefold()]


def test_only_a_newline_ends_a_line() -> None:
    chunks = feed([("stdout", b"1%\r2%\r\nx\x0by\n")])

    assert [line.text for line in assemble(chunks)] == ["1%\r2%", "x\x0by"]


def test_a_line_that_goes_on_is_shown_again_as_a_whole() -> None:
    first, open_line, following = number(b"wait", NO_LINE, 1)
    second, _, _ = number(b" no more\nnext", open_line, following)

    shown: list[Any] = texts("stdout", NOON, first[0], b"", last=10, longest=100)
    shown += texts("stdout", NOON, second[0], b"wait", last=10, longest=100)

    assert [(line.number, line.text, line.partial) for line in shown] == [
        (1, "wait", True),
        (1, "wait no more", False),
        (2, "next", True),
    ]


def test_a_flood_shows_its_last_lines() -> None:
    pieces, _, _ = number(b"".join(b"%d\n" % n for n in range(1, 101)), NO_LINE, 1)

    shown = texts("stdout", NOON, pieces[0], b"", last=3, longest=100)

    assert [(line.number, line.text) for line in shown] == [(98, "98"), (99, "99"), (100, "100")]
