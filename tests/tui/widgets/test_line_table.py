"""The table: the cursor belongs to a key, only what changed is drawn, any length and any width."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from textual.app import App, ComposeResult
from textual.message import Message
from textual.pilot import Pilot

from chronos_tui.theme import themes
from chronos_tui.widgets.columns import Column
from chronos_tui.widgets.line_table import Cell, LineTable, Row
from tests.support.screen import metered, picture

COLUMNS = [
    Column("state", "State", 10),
    Column("name", "Name", 12, flex=1),
    Column("owner", "Owner", 8, priority=3),
    Column("next", "Next", 6, align="right", priority=1),
]
Job = tuple[str, str]


def paint(job: Job) -> list[Cell]:
    name, due = job
    return [Cell("● ok", "ok"), Cell(name), Cell("ann"), Cell(due)]


def rows(numbers: Iterable[int]) -> list[Row]:
    return [Row(n, (f"job-{n}", "3m")) for n in numbers]


class Counting(LineTable):
    """Remembers which lines were drawn."""

    def __init__(self) -> None:
        super().__init__(COLUMNS, paint, marks=True)
        self.drawn: list[int] = []

    def render_line(self, y: int):
        self.drawn.append(y)
        return super().render_line(y)


class TableApp(App[object]):
    def __init__(self) -> None:
        super().__init__()
        self.table = Counting()
        self.heard: list[Message] = []

    def compose(self) -> ComposeResult:
        yield self.table

    def on_mount(self) -> None:
        for theme in themes():
            self.register_theme(theme)
        self.theme = "chronos-dark"
        self.table.focus()

    def on_line_table_highlighted(self, message: LineTable.Highlighted) -> None:
        self.heard.append(message)

    def on_line_table_chosen(self, message: LineTable.Chosen) -> None:
        self.heard.append(message)

    def on_line_table_window_wanted(self, message: LineTable.WindowWanted) -> None:
        self.heard.append(message)

    def on_line_table_sort_wanted(self, message: LineTable.SortWanted) -> None:
        self.heard.append(message)

    def windows(self) -> list[tuple[int, int]]:
        found = [(m.first, m.last) for m in self.heard if isinstance(m, LineTable.WindowWanted)]
        self.heard.clear()
        return found


@asynccontextmanager
async def shown(count: int = 100, size: tuple[int, int] = (80, 24)) -> AsyncIterator[tuple[TableApp, Pilot[object]]]:
    app = TableApp()
    async with app.run_test(size=size) as pilot:
        app.table.set_rows(rows(range(count)))
        await pilot.pause()
        app.table.drawn.clear()
        yield app, pilot


async def test_the_cursor_stays_on_its_row_when_the_order_is_turned_round() -> None:
    async with shown() as (app, pilot):
        await pilot.press("j", "j", "j")

        app.table.order(reversed(range(100)))
        await pilot.pause()

        assert (app.table.cursor_key, app.table.cursor_position) == (3, 96)
        assert any("job-3 " in line for line in picture(app))


async def test_the_cursor_stays_on_its_row_when_all_rows_are_replaced() -> None:
    async with shown() as (app, pilot):
        await pilot.press("j", "j")

        app.table.set_rows(rows([50, 40, 2, 1]))
        await pilot.pause()

        assert (app.table.cursor_key, app.table.cursor_position) == (2, 2)


async def test_rows_that_come_in_above_do_not_move_the_line_under_the_cursor() -> None:
    async with shown() as (app, pilot):
        app.table.go_to(60)
        await pilot.press("k", "k", "k")
        await pilot.pause()
        line = next(y for y, text in enumerate(picture(app)) if "job-57 " in text)

        app.table.set_rows(rows([*range(200, 220), *range(100)]))
        await pilot.pause()

        assert app.table.cursor_key == 57
        assert "job-57 " in picture(app)[line]


async def test_a_row_that_goes_leaves_the_cursor_on_the_one_that_takes_its_place() -> None:
    async with shown(5) as (app, pilot):
        await pilot.press("j", "j")

        app.table.remove_rows([2])

        assert (app.table.cursor_key, app.table.cursor_position, app.table.total) == (3, 2, 4)


async def test_a_filter_hides_rows_and_clearing_it_brings_them_back_with_newer_data() -> None:
    async with shown() as (app, pilot):
        app.table.order([7, 8])
        app.table.update_rows({9: ("job-nine", "1m")})

        app.table.order(range(100))
        await pilot.pause()

        assert app.table.total == 100
        assert any("job-nine" in line for line in picture(app))


async def test_only_lines_that_changed_and_can_be_seen_are_drawn() -> None:
    async with shown(10_000) as (app, pilot):
        app.table.update_rows({2: ("job-2", "9m"), 5: ("job-5", "9m"), 7: ("job-7", "3m"), 9_000: ("job-9000", "9m")})
        await pilot.pause()

        assert app.table.drawn == [3, 6]


async def test_an_update_that_changes_nothing_writes_nothing() -> None:
    async with shown() as (app, pilot):
        meter = metered(app)

        app.table.update_rows({n: (f"job-{n}", "3m") for n in range(100)})
        app.table.order(range(100))
        app.table.set_rows(rows(range(100)))
        app.table.repaint_cells()
        await pilot.pause()

        assert meter.take() == ""


async def test_rows_that_come_and_go_out_of_sight_do_not_repaint_the_screen() -> None:
    async with shown() as (app, pilot):
        app.table.set_rows(rows(range(200)))
        await pilot.pause()

        assert app.table.drawn == []
        assert app.table.max_scroll_y == 200 + 1 - 24


async def test_a_step_of_the_cursor_draws_two_lines() -> None:
    async with shown() as (app, pilot):
        await pilot.press("j")
        await pilot.pause()

        assert sorted(app.table.drawn) == [1, 2]


async def test_keys_move_to_both_ends_and_by_pages() -> None:
    async with shown() as (app, pilot):
        seen = []
        for key in ("G", "k", "pageup", "g", "pagedown", "j"):
            await pilot.press(key)
            seen.append(app.table.cursor_position)

        assert seen == [99, 98, 76, 0, 22, 23]


async def test_enter_tells_the_key_of_the_row() -> None:
    async with shown() as (app, pilot):
        await pilot.press("j", "enter")
        await pilot.pause()

        chosen = [m.key for m in app.heard if isinstance(m, LineTable.Chosen)]

        assert chosen == [1]


async def test_marks_belong_to_keys_and_are_set_one_by_one_by_range_and_for_all() -> None:
    async with shown(10) as (app, pilot):
        await pilot.press("space", "j", "j", "V")
        ranged = app.table.marked
        app.table.order(reversed(range(10)))
        await pilot.press("asterisk")
        every = app.table.marked
        await pilot.press("asterisk")

        assert ranged == {0, 1, 2, 3}
        assert (len(every), app.table.marked) == (10, frozenset())


async def test_a_marked_row_is_drawn_with_a_mark() -> None:
    async with shown(10) as (app, pilot):
        await pilot.press("space")
        await pilot.pause()

        assert picture(app)[1].startswith("┃")


async def test_the_header_shows_the_order_and_asks_for_another() -> None:
    async with shown() as (app, pilot):
        app.table.show_sort("name", reverse=True)
        await pilot.press("o", "O")
        await pilot.pause()

        asked = [(m.column, m.reverse) for m in app.heard if isinstance(m, LineTable.SortWanted)]

        assert "Name▼" in picture(app)[0]
        assert asked == [("owner", False), ("name", False)]


async def test_narrow_screens_drop_columns_by_priority_and_keep_the_first() -> None:
    for width, titles in ((80, "State Name Owner Next"), (40, "State Name Next"), (30, "State Name"), (14, "State")):
        async with shown(3, (width, 10)) as (app, _pilot):
            lines = picture(app)

        assert lines[0].split() == titles.split() or lines[0].split()[0] == titles, width
        assert all(len(line) <= width for line in lines)


async def test_a_wide_screen_gives_what_is_left_to_the_flexible_column() -> None:
    async with shown(3, (240, 10)) as (app, _pilot):
        header = picture(app)[0]

        assert header.endswith("Next")
        assert len(header) == 240 - 1  # the scrollbar


async def test_after_a_change_of_size_the_cursor_is_still_in_sight() -> None:
    async with shown() as (app, pilot):
        app.table.go_to(22)
        await pilot.resize_terminal(40, 10)
        await pilot.pause()

        assert any("job-22" in line for line in picture(app))


async def test_names_with_escape_sequences_markup_and_wide_characters_stay_in_their_cells() -> None:
    async with shown(1) as (app, pilot):
        app.table.update_rows({0: ("\x1b]0;evil\x07[red]夜間\u202eバッチ[/]\x1b[31m\r\n" + "長" * 40, "3m")})
        await pilot.pause()

        line = picture(app)[1]

        assert "[red]夜間バッチ[/]" in line
        assert not set(line) & set("\x1b\x07\r\n\u202e")
        assert line.endswith("3m")


async def test_a_stale_table_is_grey_throughout() -> None:
    async with shown(2) as (app, pilot):
        fresh = {segment.style.color for segment in app.table.render_line(2) if segment.style}
        app.table.stale = True
        await pilot.pause()
        stale = {segment.style.color.name for segment in app.table.render_line(2) if segment.text.strip()}

        assert len(fresh) > 1
        assert stale == {app.theme_variables["cs-muted"]}


async def test_rows_that_are_not_loaded_are_asked_for_once_when_they_come_near() -> None:
    async with shown(0) as (app, pilot):
        app.table.set_rows(rows(range(200)), total=1_000_000)
        await pilot.pause()
        at_the_top = app.windows()
        app.table.go_to(155)
        await pilot.pause()
        near_the_edge = app.windows()
        await pilot.press("G", "k")
        await pilot.pause()

        assert at_the_top == []
        assert near_the_edge == [(200, 399)]
        assert app.windows() == [(999_800, 999_999)]
        assert app.table.cursor_key is None


async def test_a_window_that_arrives_gives_the_cursor_its_key_and_forgets_windows_far_away() -> None:
    async with shown(0) as (app, pilot):
        app.table.set_rows(rows(range(200)), total=100_000)
        await pilot.press("G")

        for first in range(97_000, 100_000, 200):
            app.table.load(first, rows(range(first, first + 200)))
        await pilot.pause()

        assert app.table.cursor_key == 99_999
        assert not app.table.go_to(5)
        assert app.table.go_to(99_400)


async def test_every_theme_of_textual_can_draw_it() -> None:
    async with shown(3) as (app, pilot):
        for name in app.available_themes:
            app.theme = name
            await pilot.pause()

            assert "job-1" in picture(app)[2]
