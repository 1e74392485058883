"""The output of a run, as it comes: followed, searched, wrapped, with times and streams."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from textual import on
from textual.app import ComposeResult

from chronos_tui import format as fmt
from chronos_tui.board import Dirty
from chronos_tui.client.errors import ServerError
from chronos_tui.screens.desk import Desk
from chronos_tui.screens.frame import bound
from chronos_tui.screens.rows import took, why
from chronos_tui.screens.verbs import RowVerbs
from chronos_tui.widgets.header import Header
from chronos_tui.widgets.ink import ascii_only
from chronos_tui.widgets.log_lines import LogLine
from chronos_tui.widgets.log_view import LogView
from chronos_tui.widgets.prompt import Prompt

if TYPE_CHECKING:
    from chronos_tui.feed.follow import LogFollower
    from scheduler_daemon.contract.executions import ExecutionView
    from scheduler_daemon.contract.executions import LogLine as WireLine

EARLIER = 1000
"""Lines read at once when one goes up beyond what is held."""


def shown_lines(lines: Iterable[WireLine]) -> list[LogLine]:
    """Return lines as a LogView takes them."""
    return [LogLine(line.number, line.text, line.stream, line.at) for line in lines]


class LogScreen(RowVerbs):
    """One run's log on the whole screen."""

    name_in_crumbs = "log"
    help_ids = ("log.*", "row.cancel", "row.copy")
    BINDINGS = bound("row.cancel", "row.copy", show=("row.cancel",))

    def __init__(self, desk: Desk, run: int, job: str = "", line: int | None = None, **kwargs: Any) -> None:
        """`line` is gone to once it is there; None follows the end."""
        super().__init__(desk, **kwargs)
        self._run = run
        self._line = line
        self._known: ExecutionView | None = None
        """As it was heard of last; the board forgets old runs."""
        self._job = job
        self._began = False
        self._ended = False
        self._lost = False
        self._dropped = 0
        self._removed_at: datetime | None = None

    def body(self) -> ComposeResult:
        yield LogView(zone=self.desk.zone)

    @property
    def view(self) -> LogView:
        return self.query_one(LogView)

    def run_meant(self) -> ExecutionView | None:
        self._known = self.desk.board.runs.get(self._run, self._known)
        return self._known

    @property
    def thing(self) -> object:
        return self._run

    def crumbs(self) -> Sequence[str]:
        run = self.run_meant()
        parts = [self.desk.place, run.job if run else self._job, f"run {self._run}", "log"]
        if run is not None:
            look = fmt.state(str(run.state))
            glyph = look.ascii if ascii_only(self) else look.glyph
            parts.append(" ".join(filter(None, (glyph, look.word, took(run, self.desk.now()), why(run)))))
        return [part for part in parts if part]

    def on_mount(self) -> None:
        super().on_mount()
        self.view.focus()

    def focus_body(self) -> None:
        self.view.focus()

    async def read(self) -> None:
        run = await self.desk.client.execution(self._run)
        self.desk.board.learn_run(run)
        self.desk.run = self._known = self.desk.board.newest_run(run)
        self.show_place()
        if not self._began:
            self._began = True
            self.attempt(self._follow, group="follow")

    async def _follow(self) -> None:
        from chronos_tui.feed.follow import LogFollower

        if self.desk.feed is None:
            return
        try:
            await self._take_batches(LogFollower(self.desk.feed, self._run))
        except ServerError:
            self._lost = True
            self._notice()
            raise

    async def _take_batches(self, follower: LogFollower) -> None:
        async for batch in follower.batches():
            if batch.lines:
                self.view.append(shown_lines(batch.lines))
                if self._line is not None:
                    self.attempt(self._go_to_line, group="line")
            self._dropped = max(self._dropped, batch.dropped_bytes)
            self._removed_at = batch.removed_at or self._removed_at
            self._ended = batch.ended
            self._notice()

    def _notice(self) -> None:
        parts = []
        if self._dropped:
            parts.append(f"{fmt.size(self._dropped)} cut out")
        if self._lost:
            parts.append("no longer read")
        elif self._removed_at:
            parts.append(f"output removed {self._removed_at:%Y-%m-%d}")
        elif self._ended:
            parts.append("end" if self.view.held else "no output")
        elif not self.view.following:
            parts.append("not following (f)")
        self.query_one(Header).show(notice=", ".join(parts))

    def changed(self, dirty: Dirty) -> None:
        if self._run in dirty.runs:
            self.show_place()

    def second(self) -> None:
        if (run := self.run_meant()) is not None and not run.state.final:
            self.show_place()

    def greyed(self, *, stale: bool) -> None:
        self.view.stale = stale

    @on(LogView.Following)
    def _said(self) -> None:
        self._notice()

    @on(LogView.EarlierWanted)
    def _earlier(self, event: LogView.EarlierWanted) -> None:
        self.attempt(partial(self._read_earlier, event.before), group="earlier")

    async def _read_earlier(self, before: int) -> None:
        """Put the lines before those held in front of them, as long as there is room."""
        if self.view.full:
            self.tell(f"{self.view.held} lines are held, no more fit; chronos log {self._run} prints all")
            return
        after = max(before - 1 - EARLIER, 0)
        page = await self.desk.client.log(self._run, after=after, limit=before - 1 - after)
        self.view.prepend(shown_lines(line for line in page.lines if line.number < before))

    def go_to(self, line: int) -> None:
        """Show a line, reading what comes before as far as there is room."""
        self._line = line
        if self.composed and self.view.held:
            self.attempt(self._go_to_line, group="line")

    async def _go_to_line(self) -> None:
        line, first = self._line, None
        if line is None:
            return
        while not self.view.go_to_line(line) and line < self.view.first_held != first and not self.view.full:
            first = self.view.first_held
            await self._read_earlier(first)
        if self.view.go_to_line(line):
            self._line = None
        elif line < self.view.first_held:
            self._line = None
            self.tell(f"Line {line} lies before those held here; chronos log {self._run} prints all")

    # Going to a time

    @on(LogView.TimeWanted)
    def _open_time(self) -> None:
        self.open_prompt("@")

    @on(Prompt.Submitted)
    def _time_typed(self, event: Prompt.Submitted) -> None:
        if event.kind == "@" and event.text:
            at = fmt.moment(event.text, self.desk.now().astimezone(self.desk.zone))
            if at is None:
                self.tell(
                    f"{fmt.printable(event.text)!r} is no time; write 14:30, 2026-05-01T08:00, or 10m for so long ago"
                )
            else:
                self.attempt(partial(self._go_to, at), group="earlier")

    async def _go_to(self, at: datetime) -> None:
        """Show the first line of that time or later."""
        page = await self.desk.client.log(self._run, since=at.astimezone(UTC).isoformat(), limit=1)
        if not page.lines:
            self.tell(f"Nothing was written at {at:%Y-%m-%d %H:%M:%S} or later")
            return
        self._line = page.lines[0].number
        await self._go_to_line()

    # Searching

    @on(LogView.SearchWanted)
    def _open_search(self) -> None:
        self.open_prompt("/")

    @on(Prompt.Changed)
    def _typed(self, event: Prompt.Changed) -> None:
        if event.kind == "/":
            self.view.search(event.text)

    @on(Prompt.Submitted)
    def _searched(self, event: Prompt.Submitted) -> None:
        if event.kind == "/" and event.text:
            found = self.view.search(event.text)
            if found:
                lines = "1 line holds" if found == 1 else f"{found} lines hold"
                self.tell(f"{lines} {fmt.printable(event.text)!r}: n next, N previous")
            elif self.view.first_held > 1:
                self.attempt(partial(self._search_earlier, event.text), group="search")
            else:
                self.tell("Not found")

    async def _search_earlier(self, text: str) -> None:
        """Say whether a line before those held has it."""
        first = self.view.first_held
        page = await self.desk.client.log(self._run, search=text, limit=1)
        number = page.lines[0].number if page.lines else first
        if number < first:
            self.tell(f"Line {number} holds it, earlier than those read here, from {first} on (g reads earlier ones)")
        else:
            self.tell("Not found in the whole log")

    @on(Prompt.Closed)
    def _typed_for_nothing(self, event: Prompt.Closed) -> None:
        if event.kind == "/":
            self.view.search("")
