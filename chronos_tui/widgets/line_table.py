"""A table of any length that draws only what is seen and repaints only what changed.

The cursor belongs to a row's key, not to its place, so sorting, filtering and new rows leave it where the eye is. What
the rows are, how they are ordered and when the order may change is decided by the screen; a table of which only windows
are loaded asks for the others. Which columns fit is decided in `columns`, which rows there are in `rows`, how a line
looks in `painter`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from chronos_tui import keymap
from chronos_tui.widgets import painter
from chronos_tui.widgets.columns import Column, Placed, place
from chronos_tui.widgets.ink import Ink, ascii_only
from chronos_tui.widgets.painter import GUTTER, Cell, Line, Paint
from chronos_tui.widgets.rows import Key, Row, Rows

HEADER = 1  # lines
PAINTED = 1000  # rows whose cells are remembered


class LineTable(ScrollView, can_focus=True):
    """Rows under a header that stays, one line each."""

    DEFAULT_CSS = """
    LineTable {
        height: 1fr; overflow-x: hidden; overflow-y: scroll; scrollbar-size-vertical: 1; background: $background;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = list(
        keymap.bindings("move.*", "table.open", "mark.*", "sort.*", show=("table.open",))
    )

    stale: reactive[bool] = reactive(default=False)
    """Greys the whole table: what it shows is no longer known to be true."""

    @dataclass
    class Highlighted(Message):
        """The cursor is on another row; None while that row is not loaded."""

        table: "LineTable"
        key: Key | None

    @dataclass
    class Chosen(Message):
        """Enter, or a double click, on a row."""

        table: "LineTable"
        key: Key

    @dataclass
    class Marked(Message):
        """The set of marked rows is another one."""

        table: "LineTable"
        keys: frozenset[Key]

    @dataclass
    class SortWanted(Message):
        """The user wants the rows ordered by this column. The header shows it once `show_sort` is called."""

        table: "LineTable"
        column: str
        reverse: bool

    @dataclass
    class WindowWanted(Message):
        """Rows `first` to `last`, both included, are about to be seen and not loaded. Answer with `load`."""

        table: "LineTable"
        first: int
        last: int

    def __init__(
        self,
        columns: Sequence[Column],
        paint: Paint = tuple,
        *,
        marks: bool = False,
        **kwargs: Any,
    ) -> None:
        """`paint` makes a row's cells, one for each column, from its data; it is called for visible rows only.

        Rows can be marked where `marks` says that it leads to something.
        """
        super().__init__(**kwargs)
        self._columns = list(columns)
        self._paint = paint
        self._marking = marks
        self._rows = Rows()
        self._placed: list[Placed] = []
        self._painted: dict[Key, Sequence[Cell]] = {}
        self._cursor = 0
        self._cursor_key: Key | None = None
        self._marks: set[Key] = set()
        self._last_mark: Key | None = None
        self._sort: tuple[str, bool] = ("", False)
        self._ink = Ink(self)

    # What it shows

    @property
    def cursor_key(self) -> Key | None:
        """The key of the row under the cursor; None in an empty table and on a row that is not loaded."""
        return self._cursor_key

    @property
    def cursor_position(self) -> int:
        return self._cursor

    @property
    def marked(self) -> frozenset[Key]:
        return frozenset(self._marks)

    @property
    def total(self) -> int:
        return self._rows.total

    def keys_between(self, first: int, end: int) -> list[Key]:
        """Return the keys of the loaded rows at positions `first` to `end - 1`."""
        return [key for key in self._rows.keys(first, end) if key is not None]

    def set_rows(self, rows: Sequence[Row], *, first: int = 0, total: int | None = None) -> None:
        """Replace all rows. With `total`, `rows` are a window of a longer list, beginning at position `first`."""
        with self._reseating():
            self._rows.replace(rows, first, max(total or 0, first + len(rows)))
            self._painted.clear()
        if not self._rows.partial:
            self._mark_only(self._marks & {row.key for row in rows})

    def load(self, first: int, rows: Sequence[Row]) -> None:
        """Put a window that was asked for in place."""
        with self._reseating():
            self._rows.load(first, rows)
            for row in rows:
                self._painted.pop(row.key, None)

    def update_rows(self, changed: Mapping[Key, Any]) -> None:
        """Take new data by key and repaint the visible cells that differ. A key not shown is kept for `order`."""
        self._repaint([key for key, data in changed.items() if self._rows.put(key, data)])

    def repaint_cells(self) -> None:
        """Make all visible cells anew and repaint those that differ: for cells that tell the time."""
        self._repaint([key for key in self._rows.keys(*self._view()) if key is not None])

    def order(self, keys: Iterable[Key]) -> None:
        """Show exactly these rows in this order; the others stay known."""
        with self._reseating():
            self._rows.order(keys)

    def remove_rows(self, keys: Iterable[Key]) -> None:
        """Forget these rows."""
        gone = set(keys)
        with self._reseating():
            self._rows.remove(gone)
            for key in gone:
                self._painted.pop(key, None)
        self._mark_only(self._marks - gone)

    def show_sort(self, column: str, *, reverse: bool = False) -> None:
        """Show in the header by which column the rows are ordered."""
        if self._sort != (column, reverse):
            self._sort = (column, reverse)
            self.refresh(Region(0, 0, self._width, HEADER))

    def go_to(self, key: Key) -> bool:
        """Put the cursor on a row; return whether it is among those shown."""
        position = self._rows.position(key)
        if position is not None:
            self._move(position)
        return position is not None

    # Drawing

    def render_line(self, y: int) -> Strip:
        width = self._width
        ascii_glyphs = ascii_only(self)
        if y < HEADER:
            return painter.header(self._ink, self._placed, width, self._sort, Line(ascii=ascii_glyphs))
        position = self._top + y - HEADER
        if position >= self._rows.total:
            return painter.blank(self._ink, width)
        key = self._rows.key(position)
        line = Line(self._ground(position), key in self._marks, self.stale, ascii_glyphs)
        if key is None:
            return painter.missing(self._ink, width, line)
        return painter.row(self._ink, self._placed, width, self._cells(key), line)

    @property
    def _top(self) -> int:
        return self.scroll_offset.y

    @property
    def _width(self) -> int:
        """Cells of a line beside the scrollbar, which is always there."""
        return max(self.size.width - self.scrollbar_size_vertical, 0)

    @property
    def _height(self) -> int:
        """Rows that fit below the header."""
        return max(self.size.height - HEADER, 0)

    def _view(self) -> tuple[int, int]:
        return self._top, min(self._top + self._height, self._rows.total)

    def _ground(self, position: int) -> str:
        if position == self._cursor:
            return "cursor" if self.has_focus else "cursor-idle"
        return ""

    def _cells(self, key: Key) -> Sequence[Cell]:
        made = self._painted.get(key)
        if made is None:
            if len(self._painted) >= PAINTED:
                self._painted.clear()
            made = self._painted[key] = tuple(self._paint(self._rows.data(key)))
        return made

    def _repaint(self, keys: Iterable[Key]) -> None:
        top, end = self._view()
        regions = []
        for key in keys:
            position = self._rows.position(key)
            before = self._painted.pop(key, None)
            if position is None or not top <= position < end:
                continue
            now = self._cells(key)
            places = [place for place in self._placed if before is None or before[place.cell] != now[place.cell]]
            if places:  # one region a row: Textual writes a line from its beginning for each
                left, end_x = places[0].x, places[-1].x + places[-1].width
                regions.append(Region(left, position - top + HEADER, end_x - left, 1))
        if regions:
            self.refresh(*regions)

    def _refresh_rows(self, *positions: int) -> None:
        top, end = self._view()
        lines = [Region(0, p - top + HEADER, self._width, 1) for p in positions if top <= p < end]
        if lines:
            self.refresh(*lines)

    def _picture(self) -> list[tuple[object, ...]]:
        """Return what decides how each line below the header looks."""
        picture: list[tuple[object, ...]] = []
        for position in range(self._top, self._top + self._height):
            key = self._rows.key(position)
            painted = None if key is None else self._painted.get(key)
            picture.append((key, painted, key in self._marks, self._ground(position), position < self._rows.total))
        return picture

    @contextmanager
    def _reseating(self) -> Iterator[None]:
        """Let the rows change; then keep the cursor on its key and its line, and repaint the lines that differ."""
        before, top, cursor, key = self._picture(), self._top, self._cursor, self._cursor_key
        yield
        found = self._rows.position(key)
        self._cursor = max(min(cursor if found is None else found, self._rows.total - 1), 0)
        self._cursor_key = self._rows.key(self._cursor)
        self._resize_content()
        if found is not None and top <= cursor < top + self._height:
            self._scroll_top(0 if top == 0 and found < self._height else found - (cursor - top))
        for shown in self._rows.keys(*self._view()):
            if shown is not None:
                self._cells(shown)
        if self._top == top:
            pairs = enumerate(zip(before, self._picture(), strict=False))
            lines = [Region(0, y + HEADER, self._width, 1) for y, (one, two) in pairs if one != two]
            if lines:
                self.refresh(*lines)
        if self._cursor_key != key:
            self.post_message(self.Highlighted(self, self._cursor_key))
        self._ask_for_windows()

    def _resize_content(self) -> None:
        """Tell Textual how long the content is, without laying the screen out anew."""
        new = Size(self._width, self._rows.total + HEADER)
        if new != self.virtual_size:
            self.set_reactive(LineTable.virtual_size, new)
            self.vertical_scrollbar.window_virtual_size = new.height
            self.vertical_scrollbar.window_size = self.size.height
            self._scroll_top(self._top)

    def _arrange(self) -> None:
        self._placed = place(self._columns, self._width, GUTTER)

    def _ask_for_windows(self) -> None:
        if self._height:
            for first, last in self._rows.wanted(*self._view()):
                self.post_message(self.WindowWanted(self, first, last))

    # What the user does

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in {"mark", "mark_range", "mark_all"}:
            return self._marking
        if action in {"sort", "reverse"}:
            return any(column.sorts for column in self._columns)
        return super().check_action(action, parameters)

    def unmark(self) -> None:
        """Mark no row."""
        self._mark_only(set())

    def action_cursor_down(self) -> None:
        self._move(self._cursor + 1)

    def action_cursor_up(self) -> None:
        self._move(self._cursor - 1)

    def action_cursor_first(self) -> None:
        self._move(0)

    def action_cursor_last(self) -> None:
        self._move(self._rows.total - 1)

    def action_page_down(self) -> None:
        self._move(self._cursor + max(self._height - 1, 1))

    def action_page_up(self) -> None:
        self._move(self._cursor - max(self._height - 1, 1))

    def action_choose(self) -> None:
        if self._cursor_key is not None:
            self.post_message(self.Chosen(self, self._cursor_key))

    def action_mark(self) -> None:
        """Mark the row, or no longer, and go on to the next."""
        if self._cursor_key is not None:
            self._last_mark = self._cursor_key
            self._mark_only(self._marks ^ {self._cursor_key})
            self._move(self._cursor + 1)

    def action_mark_range(self) -> None:
        start = self._rows.position(self._last_mark)
        low, high = sorted((self._cursor if start is None else start, self._cursor))
        self._mark_only(self._marks.union(key for key in self._rows.keys(low, high + 1) if key is not None))

    def action_mark_all(self) -> None:
        """Mark all rows that are loaded; if they are, none."""
        every = set(self._rows.shown())
        self._mark_only(set() if every <= self._marks else every)

    def action_sort(self) -> None:
        """Ask for the order of the next column shown."""
        ids = [p.column.id for p in self._placed if p.column.sorts]
        if ids:
            at = ids.index(self._sort[0]) if self._sort[0] in ids else -1
            self.post_message(self.SortWanted(self, ids[(at + 1) % len(ids)], reverse=False))

    def action_reverse(self) -> None:
        if self._sort[0]:
            self.post_message(self.SortWanted(self, self._sort[0], not self._sort[1]))

    def _move(self, position: int) -> None:
        """Put the cursor on a position, or the nearest there is, and scroll no further than needed."""
        before, self._cursor = self._cursor, max(min(position, self._rows.total - 1), 0)
        self._cursor_key = self._rows.key(self._cursor)
        if self._cursor < self._top:
            self._scroll_top(self._cursor)
        elif self._cursor >= self._top + self._height:
            self._scroll_top(self._cursor - self._height + 1)
        if before != self._cursor:
            self._refresh_rows(before, self._cursor)
            self.post_message(self.Highlighted(self, self._cursor_key))

    def _mark_only(self, keys: set[Key]) -> None:
        changed = self._marks ^ keys
        if changed:
            self._marks = keys
            self._refresh_rows(*(p for key in changed if (p := self._rows.position(key)) is not None))
            self.post_message(self.Marked(self, frozenset(keys)))

    def _scroll_top(self, top: int) -> None:
        self.scroll_to(y=max(top, 0), animate=False, force=True)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Repaint the rows; the header stands still."""
        self.vertical_scrollbar.position = new_value
        if round(old_value) != round(new_value):
            self.refresh(Region(0, HEADER, self._width, self._height))
            self._ask_for_windows()

    def watch_stale(self) -> None:
        self.refresh(Region(0, HEADER, self._width, self._height))

    def on_focus(self) -> None:
        self._refresh_rows(self._cursor)

    def on_blur(self) -> None:
        self._refresh_rows(self._cursor)

    def on_resize(self) -> None:
        self._arrange()
        self._resize_content()
        self._move(self._cursor)
        self._ask_for_windows()
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None:
            return
        if offset.y < HEADER:
            self._click_title(offset.x)
        elif (position := self._top + offset.y - HEADER) < self._rows.total:
            self._move(position)
            if event.chain == 2:
                self.action_choose()

    def _click_title(self, x: int) -> None:
        for column, _, left, width in self._placed:
            if left <= x < left + width and column.sorts:
                by, reverse = self._sort
                self.post_message(self.SortWanted(self, column.id, by == column.id and not reverse))
