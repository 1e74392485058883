"""All runs, newest first, live, filtered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from textual import on
from textual.app import ComposeResult

from chronos_tui.board import Dirty
from chronos_tui.messages import OpenRun
from chronos_tui.screens.frame import bound
from chronos_tui.screens.listing import RESORT_S, Listing
from chronos_tui.screens.query import parse_run_filter
from chronos_tui.screens.runlist import RunTable
from chronos_tui.screens.verbs import RUN_VERBS
from chronos_tui.widgets.line_table import LineTable

if TYPE_CHECKING:
    from scheduler_daemon.contract.executions import ExecutionView


class ExecutionsScreen(Listing):
    """The runs table."""

    name_in_crumbs = "runs"
    table_type = RunTable
    help_ids = ("move.*", "table.open", "mark.*", "list.filter", *RUN_VERBS)
    BINDINGS = bound(
        "list.filter", *RUN_VERBS, "app.back", show=("list.filter", "row.log", "row.cancel", "row.run", "row.why")
    )

    def body(self) -> ComposeResult:
        yield RunTable(self.desk, marks=True)

    @property
    def runs(self) -> RunTable:
        """The table."""
        return cast("RunTable", self.table)

    def counted(self) -> str:
        return self.runs.count

    async def read_rows(self) -> None:
        self.runs.wanted = parse_run_filter(self.filter)
        await self.runs.read()

    def show_nothing(self) -> None:
        self.runs.forget()
        super().show_nothing()

    def set_filter(self, text: str) -> None:
        if self.composed and text.strip() != self.filter:
            self.runs.forget()
        super().set_filter(text)

    def changed(self, dirty: Dirty) -> None:
        runs = self.desk.board.runs
        unlisted = self.runs.take([runs[number] for number in dirty.runs if number in runs])
        if unlisted or (dirty.runs and self.filter):
            self.reread_soon(RESORT_S if self.filter else RESORT_S / 4)

    @on(LineTable.WindowWanted)
    def _load_older(self) -> None:
        self.attempt(self._read_older, group="older")

    async def _read_older(self) -> None:
        await self.runs.read_older()
        self.show_place()

    # What the user does

    def run_meant(self) -> ExecutionView | None:
        return self.runs.run_under_cursor

    def runs_meant(self) -> Sequence[ExecutionView]:
        return self.runs.runs_marked or super().runs_meant()

    @on(LineTable.Chosen)
    def _open(self, event: LineTable.Chosen) -> None:
        self.post_message(OpenRun(cast("int", event.key)))

    @on(LineTable.Highlighted)
    def _moved(self) -> None:
        self.desk.run = self.run_meant() or self.desk.run
