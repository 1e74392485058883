"""How values are written: exact at the edges, and safe whatever the text."""

import unicodedata
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chronos_tui import format as f
from scheduler_daemon.contract.executions import Outcome, State

NOW = datetime(2026, 7, 31, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0ms"), (999, "999ms"), (999.6, "1.0s"), (4_240, "4.2s"), (9_960, "10s"), (59_600, "1m 00s"),
        (64_000, "1m 04s"), (3_599_700, "1h 00m"), (7_500_000, "2h 05m"), (273_600_000, "3d 04h"), (-1_500, "-1.5s"),
    ],
)  # fmt: skip
def test_a_duration_is_written_with_its_two_largest_units(ms: float, text: str) -> None:
    assert f.duration(ms) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1434, "1.4 KiB"),
        (1_048_575, "1.0 MiB"),
        (24_117_248, "23 MiB"),
        (5e15, "4547 TiB"),
    ],
)
def test_bytes_are_written_in_powers_of_1024(count: float, text: str) -> None:
    assert f.size(count) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (980, "980"), (9_800, "9.8k"), (120_000, "120k"), (3.1e6, "3.1M")]
)
def test_counts_are_short(number: float, text: str) -> None:
    assert f.count(number) == text


@pytest.mark.parametrize(
    ("share", "text"), [(1, "100 %"), (0.9999, "99.9 %"), (0.97, "97 %"), (0.001, "<1 %"), (0, "0 %")]
)
def test_a_share_is_rounded_but_never_to_all_or_nothing(share: float, text: str) -> None:
    assert f.percent(share) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "now"), (240, "in 4m"), (-3, "3s ago"), (-7 * 3600, "7h ago"), (86_400 * 12, "in 12d")]
)
def test_an_instant_is_told_from_now(seconds: float, text: str) -> None:
    assert f.relative(NOW + timedelta(seconds=seconds), NOW) == text


def test_a_clock_is_as_brief_as_the_zone_allows() -> None:
    zone = ZoneInfo("Europe/Zurich")

    assert f.clock(NOW, NOW, zone) == "14:00:00"
    assert f.clock(NOW + timedelta(hours=10), NOW, zone) == "Sat 00:00"
    assert f.clock(NOW + timedelta(days=7), NOW, zone) == "2026-08-07 14:00"
    assert f.stamp(datetime(2026, 3, 29, 1, tzinfo=UTC), zone) == "2026-03-29 03:00:00 CEST"


@pytest.mark.parametrize("name", [*State, "paused", "late", "never"])
def test_every_state_has_a_glyph_a_word_and_an_ascii_form(name: str) -> None:
    look = f.state(name)

    assert look is f.STATES[name]
    assert f.cells(look.glyph) == len(look.ascii) == 1
    assert look.ascii.isascii()
    assert look.word.strip()


def test_a_state_nobody_told_us_of_shows_as_itself() -> None:
    assert f.state(str(Outcome.SPAWN_FAILED)) == f.Look("?", "spawn failed", "?", "muted")


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPq#0;sixel\x1b\\after", "after"),
        ("\x9b2Jc1\x9d0;t\x9c", "c1"),
        ("cut \x1b[3", "cut "),
        ("un\x1b]0;terminated", "un"),
        ("a\x00b\x07c\x08d\x7fe", "abcde"),
        ("user\u202etxt.exe\u2066", "usertxt.exe"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("line\r\n", "line"),
        ("10%\r20%", "10% 20%"),
        ("a\tb", "a       b"),
        ("two\u2028lines", "two lines"),
        ("lone \ud800 surrogate", "lone � surrogate"),
        ("e" + "\u0301" * 50, "e" + "\u0301" * 3),
        ("👩\u200d🚀 ❤\ufe0f", "👩🚀 ❤"),
        ("[red]markup[/red]", "[red]markup[/red]"),
    ],
)
def test_nothing_that_steers_a_terminal_is_shown(hostile: str, shown: str) -> None:
    assert f.printable(hostile) == shown


@given(st.text(st.characters(), max_size=200))
def test_any_text_is_safe_and_fits_exactly(text: str) -> None:
    shown = f.printable(text)

    assert not any(unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for c in shown)
    assert f.printable(shown).startswith(shown[:1])
    for width in (0, 1, 7, 20):
        assert f.cells(f.fit(text, width)) == width
        assert f.cells(f.cut(shown, width, 3)) <= width


def test_a_cut_never_splits_a_wide_character() -> None:
    assert f.shorten("夜間バッチ", 5) == "夜間…"
    assert f.shorten("夜間バッチ", 4) == "夜 …"
    assert f.cut("夜間バッチ", 4, 1) == " 間 "
    assert f.shorten("short", 5) == "short"
    assert f.fit("7", 3, "right") == "  7"


def test_a_time_that_is_typed_is_one_of_the_zone_unless_it_says_otherwise() -> None:
    berlin = ZoneInfo("Europe/Berlin")

    assert f.parse_instant(" 2026-05-01T08:00 ", berlin) == datetime(2026, 5, 1, 6, tzinfo=UTC)
    assert f.parse_instant("2026-05-01T08:00Z", berlin) == datetime(2026, 5, 1, 8, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "soon", "25:00", "2026-13-01", "0001-01-01T00:00+23:00"])
def test_what_is_no_time_is_refused_with_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match="write it as"):
        f.parse_instant(text, UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("14:30", "2026-05-01T14:30:00+02:00"),
        ("14:30:05", "2026-05-01T14:30:05+02:00"),
        ("23:00", "2026-04-30T23:00:00+02:00"),
        ("2026-04-02T08:00", "2026-04-02T08:00:00+02:00"),
        ("2026-04-02T08:00Z", "2026-04-02T08:00:00+00:00"),
        ("90m", "2026-05-01T20:30:00+02:00"),
    ],
)
def test_a_moment_of_the_past_is_a_time_of_day_a_time_or_a_length(text: str, expected: str) -> None:
    now = datetime.fromisoformat("2026-05-01T22:00:00+02:00")

    found = f.moment(text, now)

    assert found is not None
    assert found.isoformat() == expected


@pytest.mark.parametrize("text", ["", "noon", "25:00", "9999999999w", "-1h"])
def test_what_is_no_moment_is_none(text: str) -> None:
    assert f.moment(text, datetime.fromisoformat("2026-05-01T22:00:00+02:00")) is None
