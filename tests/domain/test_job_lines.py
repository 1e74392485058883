"""What a job says of itself is understood exactly, once, and within bounds; all else is output."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scheduler_daemon.contract.job_lines import LONGEST_WARNING, MOST_KPIS, WARNINGS_KEPT, Kpi
from scheduler_daemon.domain.job_lines import LONGEST, NOTHING, Line, Said, document, from_document, hear, marked


def said(output: bytes, known: Said = NOTHING) -> Said:
    """Return what is known after a stdout that comes at once."""
    for line in marked(b"", output, 0):
        known = hear(known, 0, line)
    return known


@pytest.mark.parametrize(
    ("text", "progress"),
    [("0", 0), ("40", 40), ("40.9", 40), ("100", 100), ("100.0", 100), (" 7 ", 7)],
)
def test_progress_is_a_number_of_per_cent(text: str, progress: int) -> None:
    assert said(f"::progress {text}\r\n".encode()).progress == progress


@pytest.mark.parametrize(
    "line",
    [
        "::progress",
        "::progress -1",
        "::progress 101",
        "::progress 100.1",
        "::progress 1e1",
        "::progress 40 %",
        "::progress \N{ARABIC-INDIC DIGIT FOUR}",
        " ::progress 4",
        "::Progress 4",
        "::kpi rows",
        "::kpi rows=",
        "::kpi rows=many",
        "::kpi rows=nan",
        "::kpi rows=inf",
        "::kpi rows=1e999",
        "::kpi rows=1.2.3",
        "::kpi 1rows=1",
        "::kpi rows=1 other=2",
        "::kpi rows=1 unit=a b",
        f"::kpi {'n' * 41}=1",
        "::kpi a:b=1",
        "::warning",
        "::warning   ",
        "::group x",
        "::endgroup",
        "::exec rm",
    ],
)
def test_a_line_that_is_not_exactly_one_of_ours_is_output(line: str) -> None:
    assert said(f"{line}\n".encode()) is NOTHING


def test_a_figure_has_a_name_a_finite_value_and_perhaps_a_unit() -> None:
    found = said(b"::kpi rows=1250\n::kpi took=12.5 unit=ms\n::kpi left=-1e-3 GB\n::kpi rows=1300 unit=rows\n")

    assert found.kpis == (
        Kpi(name="rows", value=1300, unit="rows"),
        Kpi(name="took", value=12.5, unit="ms"),
        Kpi(name="left", value=-0.001, unit="GB"),
    )


def test_figures_beyond_the_bound_are_output_and_known_ones_go_on() -> None:
    found = said(b"".join(b"::kpi k%d=%d\n" % (n, n) for n in range(MOST_KPIS + 10)) + b"::kpi k0=7\n")

    assert len(found.kpis) == MOST_KPIS
    assert found.kpis[0].value == 7


def test_warnings_are_counted_and_the_first_are_kept_short_and_harmless() -> None:
    found = said(b"::warning \x1b]0;own\x07 disk\n" + b"::warning %b\n" % (b"x" * 900) + b"::warning z\n" * 100)

    assert found.warnings == 102
    assert len(found.warned) == WARNINGS_KEPT
    assert found.warned[0] == " ]0;own  disk"
    assert len(found.warned[1]) == LONGEST_WARNING


def test_a_line_too_long_is_not_looked_at() -> None:
    output = b"::warning " + b"x" * LONGEST + b"\n::progress 3\n"

    assert said(output) == Said(progress=3, heard=(len(output), 0))


def test_each_stream_counts_for_itself_and_what_was_heard_counts_once() -> None:
    known = hear(NOTHING, 0, Line(b"::warning a", 12))
    known = hear(known, 1, Line(b"::warning b", 12))

    again = hear(hear(known, 0, Line(b"::warning a", 12)), 1, Line(b"::warning b", 12))

    assert again is known
    assert known.warnings == 2


def test_it_is_the_same_when_it_comes_back_from_where_it_is_kept() -> None:
    known = said(b"::progress 5\n::kpi a=1\n::warning w\n")

    assert from_document(document(known)) == known
    assert from_document(None) is NOTHING


SOME = [b"::progress 1", b"::warning a", b"", b"x::kpi a=1", b":", b"::", b"text"]
LINES = st.lists(st.sampled_from(SOME), max_size=12)


@example(lines=[b"", b"::progress 1"], cuts=[2])
@given(lines=LINES, cuts=st.lists(st.integers(0, 120), max_size=6))
def test_lines_are_found_whole_however_the_bytes_arrive(lines: list[bytes], cuts: list[int]) -> None:
    output = b"".join(line + b"\n" for line in lines)
    bounds = [0, *sorted(cut for cut in cuts if cut < len(output)), len(output)]
    found, before = [], b""
    for start, end in pairwise(bounds):
        data = output[start:end]
        found += list(marked(before, data, start))
        before = (before + data)[(before + data).rfind(b"\n") + 1 :]

    ends = [sum(len(line) + 1 for line in lines[: n + 1]) for n in range(len(lines))]
    assert found == [Line(line, end) for line, end in zip(lines, ends, strict=True) if line.startswith(b"::")]


def test_a_unit_holds_no_control_character() -> None:
    assert said(b"::kpi rows=1 a\x00b\n::kpi rows=1 \x1b[2J\n").kpis == ()
