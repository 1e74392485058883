"""All runs, newest first, live, filtered."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from textual import on
from textual.app import ComposeResult

from chronos_tui.board import Dirty
from chronos_tui.messages import OpenRun
from chronos_tui.screens.desk import Desk
from chronos_tui.screens.frame import bound
from chronos_tui.screens.jobs import RESORT_S, TYPING_S
from chronos_tui.screens.query import parse_run_filter
from chronos_tui.screens.runlist import RunTable
from chronos_tui.screens.verbs import RUN_VERBS, RowVerbs
from chronos_tui.widgets.line_table import LineTable
from chronos_tui.widgets.prompt import Prompt

if TYPE_CHECKING:
    from scheduler_daemon.contract.executions import ExecutionView


class ExecutionsScreen(RowVerbs):
    """The runs table."""

    name_in_crumbs = "runs"
    help_ids = ("table.*", "list.filter", *RUN_VERBS)
    BINDINGS = bound(
        "list.filter", *RUN_VERBS, "app.back", show=("list.filter", "row.log", "row.cancel", "row.run", "row.why")
    )

    def __init__(self, desk: Desk, **kwargs: Any) -> None:
        super().__init__(desk, **kwargs)
        self.filter = ""
        self._filter_before = ""
        self._asking = False

    def body(self) -> ComposeResult:
        yield RunTable(self.desk)

    @property
    def table(self) -> RunTable:
        return self.query_one(RunTable)

    def crumbs(self) -> Sequence[str]:
        count = f"runs {self.table.count}" if self.composed and self.desk.ready else "runs"
        return (self.desk.place, count, *([f"/{self.filter}"] if self.filter else []))

    def on_mount(self) -> None:
        super().on_mount()
        self.table.focus()

    def focus_body(self) -> None:
        self.table.focus()

    async def read(self) -> None:
        self.table.wanted = parse_run_filter(self.filter)
        await self.table.read()
        self.show_place()

    def changed(self, dirty: Dirty) -> None:
        runs = self.desk.board.runs
        unlisted = self.table.take([runs[number] for number in dirty.runs if number in runs])
        if (unlisted or (dirty.runs and self.filter)) and not self._asking:
            self._asking = True
            self.set_timer(RESORT_S if self.filter else RESORT_S / 4, self._ask_again)

    def _ask_again(self) -> None:
        self._asking = False
        if self.desk.ready and self.is_current:
            self.attempt(self.read)

    def second(self) -> None:
        self.table.repaint_cells()

    def greyed(self, *, stale: bool) -> None:
        self.table.stale = stale

    @on(LineTable.WindowWanted)
    def _load_older(self) -> None:
        self.attempt(self.table.read_older, group="older")

    # What the user does

    def run_meant(self) -> ExecutionView | None:
        return self.table.run_under_cursor

    @on(LineTable.Chosen)
    def _open(self, event: LineTable.Chosen) -> None:
        self.post_message(OpenRun(cast("int", event.key)))

    @on(LineTable.Highlighted)
    def _moved(self) -> None:
        self.desk.run = self.run_meant() or self.desk.run

    def action_filter(self) -> None:
        self._filter_before = self.filter
        self.open_prompt("/", self.filter)

    def set_filter(self, text: str) -> None:
        """Show the runs that a filter finds."""
        if text.strip() == self.filter:
            return
        self.filter = text.strip()
        if not self.composed:
            return
        self.table.forget()
        self.show_place()
        if self.desk.ready:
            self.attempt(self._filter_soon)

    async def _filter_soon(self) -> None:
        await asyncio.sleep(TYPING_S)
        await self.read()

    @on(Prompt.Changed)
    def _typed(self, event: Prompt.Changed) -> None:
        if event.kind == "/":
            self.set_filter(event.text)

    @on(Prompt.Closed)
    def _typed_for_nothing(self, event: Prompt.Closed) -> None:
        if event.kind == "/":
            self.set_filter(self._filter_before)

    def action_back(self) -> None:
        """Clear the filter; without one, go back."""
        if self.filter:
            self.set_filter("")
        else:
            self.app.call_later(self.app.action_back)
