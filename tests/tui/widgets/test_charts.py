"""Charts: true to their numbers at any size, with gaps as gaps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.app import App, ComposeResult

from chronos_tui.theme import themes
from chronos_tui.widgets import braille
from chronos_tui.widgets.chart import Chart, OutcomeStrip, Sparkline
from tests.support.screen import metered, picture

VALUES = st.lists(st.none() | st.floats(allow_nan=True, allow_infinity=True), max_size=300)


def test_a_sparkline_goes_from_its_least_to_its_greatest_value() -> None:
    assert braille.sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) == "▁▂▃▄▅▆▇█"
    assert braille.sparkline([0, 7], 2, ascii_only=True) == "_#"
    assert braille.sparkline([5, 5, 5], 3) == "▄▄▄"
    assert braille.sparkline([1, None, 3], 3) == "▁ █"
    assert braille.sparkline([], 4) == "    "


def test_a_spike_among_many_values_is_not_lost() -> None:
    values = [1.0] * 1000
    values[777] = 50.0

    assert braille.sparkline(values, 20).count("█") == 1


def test_a_rising_line_rises_dot_by_dot() -> None:
    assert braille.chart(list(range(8)), 4, 2, low=0, high=7) == ["  ⡠⠊", "⡠⠊  "]
    assert braille.chart([1, 1], 1, 1, low=0, high=1, style="area") == ["⣿"]


def test_a_line_without_values_between_is_broken() -> None:
    assert braille.chart([0, 0, None, None, 0, 0], 3, 1, low=0, high=1) == ["⣀ ⣀"]


def test_a_chart_in_ascii_is_ascii() -> None:
    rows = braille.chart([0, 1, 2], 3, 3, low=0, high=2, style="area", ascii_only=True)

    assert rows == ["  *", " *:", "*::"]


@given(VALUES, st.integers(0, 90), st.integers(1, 12), st.sampled_from(["line", "area"]), st.booleans())
def test_any_numbers_make_a_chart_of_the_size_asked(values, width, height, style, ascii_only) -> None:
    low, high = braille.scale(values)

    rows = braille.chart(values, width, height, low=low, high=high, style=style, ascii_only=ascii_only)

    assert [len(row) for row in rows] == [width] * height
    assert len(braille.sparkline(values, width, ascii_only=ascii_only)) == width


@pytest.mark.parametrize(
    ("values", "limits"),
    [
        ([3, 97], (0, 100)),
        ([0.3, 0.7], (0, 1)),
        ([777, 1234], (0, 2000)),
        ([], (0, 1)),
        ([-5, 5], (-5, 5)),
        ([0], (0, 1)),
    ],
)
def test_a_scale_is_round_and_holds_all_values(values, limits) -> None:
    assert braille.scale(values) == limits


def test_the_newest_outcome_is_at_the_right() -> None:
    strip = braille.outcomes(["succeeded", "failed"], 4)

    assert strip == [(" ", "muted"), (" ", "muted"), ("●", "ok"), ("✖", "failed")]
    assert [glyph for glyph, _ in braille.outcomes(["failed"] * 30, 24, ascii_only=True)] == ["X"] * 24


class ChartApp(App[object]):
    ascii_only = False

    def compose(self) -> ComposeResult:
        yield Chart([0, 50, 100], style="area", tone="ok")
        yield Sparkline([1, 2, 3])
        yield OutcomeStrip(["succeeded", "failed"])

    def on_mount(self) -> None:
        for theme in themes():
            self.register_theme(theme)
        self.theme = "chronos-dark"


async def test_charts_follow_the_size_of_the_screen_and_keep_their_scale() -> None:
    app = ChartApp()
    async with app.run_test(size=(60, 10)) as pilot:
        wide = picture(app)
        await pilot.resize_terminal(20, 10)
        await pilot.pause()
        narrow = picture(app)

    assert wide[0].startswith("100 ")
    assert wide[5].startswith("  0 ")
    assert wide[7].endswith("●✖")
    assert all(len(line) <= 24 for line in narrow)
    assert not narrow[0].startswith("100")


async def test_the_same_values_again_write_nothing_and_one_more_only_what_differs() -> None:
    app = ChartApp()
    async with app.run_test(size=(60, 10)) as pilot:
        await pilot.pause()
        meter = metered(app)
        await pilot.pause()
        meter.take()
        chart, spark, strip = app.query_one(Chart), app.query_one(Sparkline), app.query_one(OutcomeStrip)

        chart.show([0, 50, 100])
        spark.show([1, 2, 3])
        strip.show(["succeeded", "failed"])
        await pilot.pause()
        unchanged = meter.take()
        chart.show([10, 50, 100])
        await pilot.pause()

        assert unchanged == ""
        assert 0 < len(meter.take()) < 600


async def test_an_app_of_ascii_alone_shows_ascii_alone() -> None:
    app = ChartApp()
    app.ascii_only = True
    async with app.run_test(size=(60, 10)):
        assert all(line.isascii() for line in picture(app))
