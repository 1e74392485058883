"""The output of a run, live: a ring of lines drawn by the line, so that a flood costs no more than what is seen.

Following is honest: whoever scrolls up stays there, whatever arrives, until they ask for the end again. What the lines
are and whether more can be had is the screen's matter; what may be shown of them is decided in `log_lines`, how a row
looks in `log_painter`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Any, ClassVar

from textual.binding import BindingType
from textual.events import Click
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.scrollbar import ScrollTo
from textual.strip import Strip

from chronos_tui import keymap
from chronos_tui.widgets import log_painter
from chronos_tui.widgets.ink import Ink, ascii_only
from chronos_tui.widgets.log_lines import CAPACITY, LogLine, LogLines
from chronos_tui.widgets.log_painter import Manner

SIDE_STEP = 16  # cells that left and right move by
NARROW = 60  # cells; below, line numbers are left out


class LogView(ScrollView, can_focus=True):
    """Lines with their numbers and streams, followed, wrapped and searched."""

    DEFAULT_CSS = """
    LogView {
        height: 1fr; overflow-x: hidden; overflow-y: scroll; scrollbar-size-vertical: 1; background: $background;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = list(
        keymap.bindings("log.*", show=("log.follow", "log.wrap", "log.times", "log.search", "log.next"))
    )

    following: reactive[bool] = reactive(default=True, init=False)
    wrap: reactive[bool] = reactive(default=False)
    times: reactive[bool] = reactive(default=False)
    stale: reactive[bool] = reactive(default=False)

    @dataclass
    class Following(Message):
        """Following began or ended."""

        view: "LogView"
        following: bool

    @dataclass
    class SearchWanted(Message):
        """The user wants to type what to search for. Answer with `search`."""

        view: "LogView"

    @dataclass
    class TimeWanted(Message):
        """The user wants to type a time. Answer with `go_to_line`."""

        view: "LogView"

    @dataclass
    class EarlierWanted(Message):
        """The user is at the first line held, `before`, and earlier ones may exist."""

        view: "LogView"
        before: int

    def __init__(self, *, capacity: int = CAPACITY, zone: tzinfo = UTC, **kwargs: Any) -> None:
        """Times of lines are shown in `zone`."""
        super().__init__(**kwargs)
        self._lines = LogLines(capacity)
        self._zone = zone
        self._left = 0
        self._needle = ""
        self._match: int | None = None  # number of the line found last
        self._ink = Ink(self)

    # What it holds

    def append(self, lines: Iterable[LogLine]) -> None:
        """Add lines at the end. While following, show them; else what is on screen stays.

        Lines whose numbers are held already replace those: a line the job had not ended comes again, grown.
        """
        lines = list(lines)
        if lines and lines[0].number <= self._lines.last:
            self._lines.drop_from(lines[0].number)
        rows, top, numbers = self._lines.rows, self.scroll_offset.y, self._number_width
        dropped = self._lines.append(lines)
        if self._number_width != numbers:
            self._rewrap(top - dropped)
            return
        self._resize_content()
        if self.following:
            self._scroll_top(self.max_scroll_y)
        elif dropped:
            self._scroll_top(top - dropped)
        if dropped or self.scroll_offset.y != top:
            self.refresh(Region(0, 0, self._width, self.size.height))
        else:
            self._refresh_rows(rows, self._lines.rows)

    def prepend(self, lines: Iterable[LogLine]) -> None:
        """Put earlier lines in front; what is on screen stays."""
        rows = self._lines.prepend(lines)
        if rows:
            self._resize_content()
            self._scroll_top(self.scroll_offset.y + rows)
            self.refresh()

    @property
    def held(self) -> int:
        """How many lines there are."""
        return self._lines.held

    @property
    def first_held(self) -> int:
        """The number of the first line there is; 0 without lines."""
        return self._lines[0].number if len(self._lines) else 0

    @property
    def full(self) -> bool:
        """Whether there is no room for earlier lines."""
        return self._lines.full

    def go_to_line(self, number: int) -> bool:
        """Show a line in the upper third, and stop following; return whether it is held."""
        if self._lines.index(number) is None:
            self._open_all()
        index = self._lines.index(number)
        if index is None:
            return False
        self.following = False
        self._scroll_top(self._lines.row_of(index) - self.size.height // 3)
        return True

    def search(self, text: str) -> int:
        """Highlight `text`, whatever its case, and go to the nearest line upwards; return how many lines hold it."""
        self._needle, self._match = text, None
        if text:
            self._open_all()
        self.refresh()
        if not text:
            return 0
        bottom = min(self.scroll_offset.y + self.size.height, self._lines.rows) - 1
        self._go_to_match(self._lines.locate(max(bottom, 0))[0], -1)
        return self._lines.count(text)

    # Drawing

    def render_line(self, y: int) -> Strip:
        width, row = self._width, self.scroll_offset.y + y
        if row >= self._lines.rows:
            return Strip.blank(width, self._ink("text"))
        index, part = self._lines.locate(row)
        return log_painter.row(self._ink, self._lines[index], part, self._manner)

    @property
    def _manner(self) -> Manner:
        return Manner(
            width=self._width,
            numbers=self._number_width,
            times=self.times,
            zone=self._zone,
            wrap=self.wrap,
            left=self._left,
            needle=self._needle,
            found=self._match,
            stale=self.stale,
            ascii=ascii_only(self),
        )

    @property
    def _width(self) -> int:
        """Cells of a line beside the scrollbar, which is always there."""
        return max(self.size.width - self.scrollbar_size_vertical, 0)

    @property
    def _number_width(self) -> int:
        if self._width < NARROW or not len(self._lines):
            return 0
        return max(len(str(self._lines.last)), 4) + 1

    def _refresh_rows(self, first: int, end: int) -> None:
        top = self.scroll_offset.y
        first, end = max(first - top, 0), min(end - top, self.size.height)
        if end > first:
            self.refresh(Region(0, first, self._width, end - first))

    def _resize_content(self) -> None:
        """Tell Textual how long the content is, without laying the screen out anew."""
        new = Size(self._width, self._lines.rows)
        if new != self.virtual_size:
            self.set_reactive(LogView.virtual_size, new)
            self.vertical_scrollbar.window_virtual_size = new.height
            self.vertical_scrollbar.window_size = self.size.height

    def _scroll_top(self, top: int) -> None:
        self.scroll_to(y=max(top, 0), animate=False, force=True)

    # What the user does

    def action_line_down(self) -> None:
        self._scroll_by(1)

    def action_line_up(self) -> None:
        self._scroll_by(-1)

    def action_page_down(self) -> None:
        self._scroll_by(max(self.size.height - 1, 1))

    def action_page_up(self) -> None:
        self._scroll_by(1 - max(self.size.height, 2))

    def action_first_line(self) -> None:
        self._scroll_by(-self._lines.rows)

    def action_last_line(self) -> None:
        self.following = True

    def action_follow(self) -> None:
        self.following = not self.following

    def action_wrap(self) -> None:
        self.wrap = not self.wrap

    def action_times(self) -> None:
        self.times = not self.times

    def action_fold(self) -> None:
        """Fold or open the group at the top of the screen, else the first that begins on it."""
        top, rows = self.scroll_offset.y, self._lines.rows
        if not rows:
            return
        first, last = (self._lines.locate(min(row, rows - 1))[0] for row in (top, top + self.size.height - 1))
        starts = (index for index in range(first, last + 1) if self._lines.begins_group(index))
        group = self._lines.group_at(first)
        if group is None and (index := next(starts, None)) is not None:
            group = self._lines[index].number
        if group is not None:
            self._fold(group)

    def action_fold_all(self) -> None:
        self._fold(None)

    def on_click(self, event: Click) -> None:
        """Fold or open the group whose first line is clicked at."""
        row = self.scroll_offset.y + event.y
        if row < self._lines.rows and self._lines.begins_group(index := self._lines.locate(row)[0]):
            self._fold(self._lines[index].number)

    def _fold(self, group: int | None) -> None:
        """Fold or open a group, None for all; the line at the top of the screen stays there, or its group's first."""
        row = min(self.scroll_offset.y, max(self._lines.rows - 1, 0))
        first = self._lines[self._lines.locate(row)[0]].number if self._lines.rows else 0
        self._lines.fold(group)
        self._resize_content()
        at = self._lines.at_or_before(first)
        self._scroll_top(self.max_scroll_y if self.following else self._lines.row_of(at))
        self.refresh()

    def _open_all(self) -> None:
        if self._lines.folded:
            self._fold(None)

    def action_line_left(self) -> None:
        self._move_left(-SIDE_STEP)

    def action_line_right(self) -> None:
        self._move_left(SIDE_STEP)

    def action_search(self) -> None:
        self.post_message(self.SearchWanted(self))

    def action_go_to_time(self) -> None:
        self.post_message(self.TimeWanted(self))

    def action_next_match(self) -> None:
        self._go_to_match(self._after_match(1), 1)

    def action_previous_match(self) -> None:
        self._go_to_match(self._after_match(-1), -1)

    def _scroll_by(self, rows: int) -> None:
        """Scroll; upwards ends following, and reaching the end does not begin it again."""
        top = self.scroll_offset.y
        if rows < 0:
            self.following = False
            if top == 0 and len(self._lines) and self._lines[0].number > 1:
                self.post_message(self.EarlierWanted(self, self._lines[0].number))
        self._scroll_top(top + rows)

    def _move_left(self, by: int) -> None:
        furthest = max(self._lines.widest - self._manner.room, 0)
        before, self._left = self._left, 0 if self.wrap else max(min(self._left + by, furthest), 0)
        if before != self._left:
            self.refresh()

    def _after_match(self, step: int) -> int:
        found = None if self._match is None else self._lines.index(self._match)
        if found is None:
            return self._lines.locate(min(self.scroll_offset.y, max(self._lines.rows - 1, 0)))[0]
        return found + step

    def _go_to_match(self, start: int, step: int) -> None:
        index = self._lines.find(self._needle, start, step) if self._needle else None
        if index is None:
            return
        self._match = self._lines[index].number
        row, top = self._lines.row_of(index), self.scroll_offset.y
        if not top <= row < top + self.size.height:
            self.following = False
            self._scroll_top(row - self.size.height // 3)
        self._bring_into_view(self._lines[index].text)
        self.refresh()

    def _bring_into_view(self, text: str) -> None:
        """Move sideways if the match is beyond either edge."""
        at = text.lower().find(self._needle.lower())
        if not self.wrap and at >= 0 and not self._left <= at < self._left + self._manner.room - len(self._needle):
            self._left = max(at - self._manner.room // 2, 0)

    # What Textual tells

    def on_mouse_scroll_up(self) -> None:
        self.following = False

    def on_scroll_up(self) -> None:
        self.following = False

    def on_scroll_to(self, event: ScrollTo) -> None:
        if event.y is not None and event.y < self.max_scroll_y:
            self.following = False

    def watch_following(self) -> None:
        if self.following:
            self._scroll_top(self.max_scroll_y)
        self.post_message(self.Following(self, self.following))

    def watch_wrap(self) -> None:
        self._left = 0
        self._rewrap()

    def watch_times(self) -> None:
        self._rewrap()

    def watch_stale(self) -> None:
        self.refresh()

    def on_resize(self) -> None:
        self._rewrap()

    def _rewrap(self, top: int | None = None) -> None:
        """Count the rows anew and keep the line at the top of the screen there."""
        row = min(max(self.scroll_offset.y if top is None else top, 0), max(self._lines.rows - 1, 0))
        first = self._lines.locate(row)[0]
        self._lines.wrap(self._manner.room if self.wrap else 0)
        self._resize_content()
        self._scroll_top(self.max_scroll_y if self.following else self._lines.row_of(first))
        self.refresh()
