"""The log view: honest following, hostile output, very long lines, search, wrapping."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from time import process_time

import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from chronos_tui.theme import themes
from chronos_tui.widgets.log_lines import LogLine
from chronos_tui.widgets.log_view import LogView
from tests.support.screen import metered, picture

AT = datetime(2026, 7, 31, 12, 4, 31, 250_000, tzinfo=UTC)


def lines(numbers: Iterable[int], text: str = "line {}") -> list[LogLine]:
    return [LogLine(n, text.format(n), "stdout", AT) for n in numbers]


class LogApp(App[object]):
    def __init__(self, capacity: int) -> None:
        super().__init__()
        self.view = LogView(capacity=capacity)
        self.wanted: list[int] = []

    def compose(self) -> ComposeResult:
        yield self.view

    def on_mount(self) -> None:
        for theme in themes():
            self.register_theme(theme)
        self.theme = "chronos-dark"
        self.view.focus()

    def on_log_view_earlier_wanted(self, message: LogView.EarlierWanted) -> None:
        self.wanted.append(message.before)


@asynccontextmanager
async def shown(
    held: Iterable[LogLine] = (), size: tuple[int, int] = (80, 10), capacity: int = 10_000
) -> AsyncIterator[tuple[LogApp, Pilot[object]]]:
    app = LogApp(capacity)
    async with app.run_test(size=size) as pilot:
        app.view.append(held)
        await pilot.pause()
        yield app, pilot


async def test_while_following_the_newest_line_is_last_on_the_screen() -> None:
    async with shown(lines(range(1, 101))) as (app, pilot):
        app.view.append(lines(range(101, 106)))
        await pilot.pause()

        assert "line 105" in picture(app)[-1]


async def test_who_scrolls_up_stays_there_whatever_arrives() -> None:
    async with shown(lines(range(1, 101))) as (app, pilot):
        await pilot.press("k")
        before = picture(app)

        app.view.append(lines(range(101, 1_001)))
        await pilot.pause()

        assert not app.view.following
        assert picture(app)[0] == before[0]
        assert "line 99" in picture(app)[-1]


async def test_who_scrolled_up_stays_even_when_old_lines_are_dropped() -> None:
    async with shown(lines(range(1, 3_001)), capacity=3_000) as (app, pilot):
        await pilot.press("pageup")
        before = picture(app)

        app.view.append(lines(range(3_001, 3_501)))
        await pilot.pause()

        assert app.view.held == 2_500
        assert picture(app) == before


@pytest.mark.parametrize("key", ["G", "f"])
async def test_following_begins_again_when_asked(key: str) -> None:
    async with shown(lines(range(1, 101))) as (app, pilot):
        await pilot.press("g", key)
        app.view.append(lines([101]))
        await pilot.pause()

        assert app.view.following
        assert "line 101" in picture(app)[-1]


async def test_lines_out_of_sight_write_next_to_nothing() -> None:
    async with shown(lines(range(1, 1_101))) as (app, pilot):
        await pilot.press("g")
        await pilot.pause()
        meter = metered(app)

        for start in range(1_101, 2_101, 100):
            app.view.append(lines(range(start, start + 100)))
            await pilot.pause()

        assert len(meter.take()) < 10 * 250  # the scrollbar alone


async def test_hostile_output_shows_clean() -> None:
    hostile = "\x1b]0;title\x07\x1b[2J\x1b[31mred\x1b[0m [bold]not markup[/] \u202eevil\u2066 \x9b5mblink\x00\x08\x07"

    async with shown([LogLine(1, hostile), LogLine(2, b"caf\xe9 \xff\xfe ok"), LogLine(3, "a\tb")]) as (app, _pilot):
        shown_lines = picture(app)

    assert shown_lines[0].endswith("│red [bold]not markup[/] evil blink")
    assert shown_lines[1].endswith("│caf� �� ok")
    assert shown_lines[2].endswith("│a       b")


async def test_a_line_of_a_mebibyte_is_cut_marked_and_quick() -> None:
    long = LogLine(1, b"x" * (1 << 20))

    began = process_time()
    async with shown([long] * 50) as (app, pilot):
        took = process_time() - began
        first = picture(app)[0]
        app.view.go_to_line(1)
        await pilot.press(*["right"] * 3)
        app.view._move_left(1 << 20)
        await pilot.pause()
        end = picture(app)[0]

    assert first.endswith("x›")
    assert end.endswith("… 1.0 MiB in all")
    assert took < 2


async def test_wrapped_lines_keep_every_character_and_unwrapping_returns() -> None:
    text = "".join(chr(97 + i % 26) for i in range(200))

    async with shown([LogLine(1, text), LogLine(2, "after")]) as (app, pilot):
        await pilot.press("w")
        await pilot.pause()
        wrapped = "".join(line.split("│")[1] for line in picture(app)[:3])
        below = picture(app)[3]
        await pilot.press("w")
        await pilot.pause()

        assert wrapped == text
        assert below.endswith("│after")
        assert picture(app)[1].endswith("│after")


async def test_wide_characters_wrap_without_overflowing() -> None:
    async with shown([LogLine(1, "夜" * 100)], size=(41, 10)) as (app, pilot):
        await pilot.press("w")
        await pilot.pause()

        assert all(len(line.replace("│", "")) <= 20 for line in picture(app))
        assert sum(line.count("夜") for line in picture(app)) >= 95


async def test_search_goes_to_the_nearest_match_and_on_from_there_going_round() -> None:
    async with shown([*lines(range(1, 100)), LogLine(100, "an ERROR here"), *lines(range(101, 201))]) as (app, pilot):
        app.view.go_to_line(50)

        count = app.view.search("error")
        await pilot.pause()
        first = any("ERROR" in line for line in picture(app))
        app.view.search("line 7")
        await pilot.press("n")
        await pilot.pause()

        assert count == 1
        assert first
        assert not app.view.following
        assert app.view.search("nowhere") == 0


async def test_a_match_is_highlighted_wherever_it_is_on_the_line() -> None:
    async with shown([LogLine(1, "x" * 300 + "Needle" + "y" * 300)]) as (app, pilot):
        app.view.search("needle")
        await pilot.pause()

        strip = app.view.render_line(0)
        plain, *_ = [s.style.bgcolor for s in strip if s.style]
        marked = [s.text for s in strip if s.style and s.style.bgcolor != plain]

        assert marked == ["Needle"]


async def test_stderr_is_told_apart_by_more_than_colour() -> None:
    async with shown([LogLine(1, "out"), LogLine(2, "err", "stderr")]) as (app, _pilot):
        assert "│out" in picture(app)[0]
        assert "┃err" in picture(app)[1]


async def test_times_can_be_shown_to_the_millisecond() -> None:
    async with shown(lines([1])) as (app, pilot):
        await pilot.press("t")
        await pilot.pause()

        assert "12:04:31.250 │line 1" in picture(app)[0]


async def test_a_narrow_view_gives_its_cells_to_the_text() -> None:
    async with shown(lines([1]), size=(40, 10)) as (app, _pilot):
        assert picture(app)[0] == "│line 1"


async def test_at_the_first_line_held_earlier_ones_are_asked_for() -> None:
    async with shown(lines(range(500, 600))) as (app, pilot):
        await pilot.press("g", "k")
        await pilot.pause()

        assert app.wanted == [500]


async def test_numbers_that_grow_a_digit_make_room_for_themselves() -> None:
    async with shown(lines(range(9_990, 10_000))) as (app, pilot):
        app.view.append(lines([10_000]))
        await pilot.pause()

        assert picture(app)[-1] == "10000 │line 10000"
        assert picture(app)[-2] == " 9999 │line 9999"


async def test_the_lines_of_a_flood_cost_no_more_at_its_end_than_at_its_begin() -> None:
    async with shown() as (app, pilot):
        spent = []
        for start in range(1, 100_001, 20_000):
            began = process_time()
            for part in range(start, start + 20_000, 1_000):
                app.view.append(lines(range(part, part + 1_000), "\x1b[32minfo\x1b[0m request {} done"))
            spent.append(process_time() - began)
        await pilot.pause()

        assert spent[-1] < 4 * spent[1]
        assert "request 100000 done" in picture(app)[-1]


GROUPS = ["before", "::group build", "a", "b", "::endgroup", "between", "::group test", "c", "::group last", "d"]


def numbered(texts: Iterable[str], first: int = 1) -> list[LogLine]:
    return [LogLine(first + at, text, "stdout", AT) for at, text in enumerate(texts)]


def on_screen(app: LogApp) -> list[str]:
    return [words[-1] for line in picture(app) if (words := line.replace("│", " ").split(maxsplit=1)) and words[1:]]


async def test_a_group_is_folded_and_opened_with_what_stands_in_it_alone() -> None:
    async with shown(numbered(GROUPS)) as (app, pilot):
        await pilot.press("z")  # the first on the screen
        folded = on_screen(app)
        await pilot.press("Z")  # one is folded: open all
        opened = on_screen(app)
        await pilot.press("Z")
        all_folded = on_screen(app)

    assert folded == ["before", "::group build … folded (z opens)", "between", "::group test", "c", "::group last", "d"]
    assert opened == GROUPS
    folds = [f"::group {name} … folded (z opens)" for name in ("build", "test", "last")]
    assert all_folded == ["before", folds[0], "between", *folds[1:]]


async def test_what_comes_into_a_folded_group_stays_out_of_sight_and_groups_to_come_are_folded_too() -> None:
    async with shown(numbered(GROUPS)) as (app, pilot):
        await pilot.press("Z")
        app.view.append(numbered(["d, grown", "e", "::endgroup", "after", "::group more", "f"], 10))
        await pilot.pause()

        assert on_screen(app)[-2:] == ["after", "::group more … folded (z opens)"]
        assert (app.view.held, app.view.first_held) == (15, 1)


async def test_a_search_and_a_jump_open_what_is_folded() -> None:
    async with shown(numbered(GROUPS), size=(80, 4)) as (app, pilot):
        await pilot.press("Z")
        assert app.view.search("c") == 1
        await pilot.press("Z")
        assert app.view.go_to_line(3)
        await pilot.pause()

        assert "a" in on_screen(app)


async def test_a_click_at_its_first_line_folds_a_group() -> None:
    async with shown(numbered(GROUPS)) as (app, pilot):
        await pilot.click(LogView, offset=(20, 6))

        assert on_screen(app)[5:] == ["between", "::group test … folded (z opens)", "::group last", "d"]


async def test_a_ring_that_drops_the_beginning_of_a_folded_group_shows_the_rest() -> None:
    async with shown(numbered(["::group long", *(f"line {n}" for n in range(1, 1500))]), capacity=1500) as (app, pilot):
        await pilot.press("Z")
        app.view.append(numbered(["new", "newer"], 1501))
        await pilot.pause()

        assert on_screen(app)[-1] == "newer"
        assert app.view.first_held == 1001
