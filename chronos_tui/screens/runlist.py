"""A list of runs, newest first, that grows downwards as far as one looks and upwards as runs come."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from chronos_tui.screens.desk import Desk
from chronos_tui.screens.query import RunFilter
from chronos_tui.screens.rows import HISTORY_COLUMNS, RUN_COLUMNS, run_painter
from chronos_tui.widgets.ink import ascii_only
from chronos_tui.widgets.line_table import LineTable
from chronos_tui.widgets.rows import WINDOW, Key, Row

if TYPE_CHECKING:
    from scheduler_daemon.contract.executions import ExecutionView


class RunTable(LineTable):
    """Runs of one job or of all."""

    def __init__(self, desk: Desk, *, with_job: bool = True, **kwargs: Any) -> None:
        paint = run_painter(desk.now, desk.zone, lambda: ascii_only(self), with_job=with_job)
        super().__init__(RUN_COLUMNS if with_job else HISTORY_COLUMNS, cast("Any", paint), **kwargs)
        self.wanted = RunFilter()
        self._desk = desk
        self._runs: dict[int, ExecutionView] = {}
        self._next: str | None = None

    @property
    def run_under_cursor(self) -> ExecutionView | None:
        """The run the cursor is on."""
        run = self._runs.get(cast("int", self.cursor_key))
        return self._desk.board.newest_run(run) if run else None

    @property
    def count(self) -> str:
        """How many are listed; a plus says that there are more."""
        return f"{len(self._runs)}{'+' if self._next else ''}"

    def nth_fire(self, count: int) -> datetime | None:
        """Return when the run was due that is `count` back, or the oldest listed; None without runs."""
        ordered = sorted(self._runs, reverse=True)[:count]
        return self._runs[ordered[-1]].fire_at if ordered else None

    async def read(self) -> None:
        """Read the newest again. Raises ServerError and Unreachable."""
        page = await self._page(None)
        seam = min((run.id for run in page.items), default=0)
        older = {number: run for number, run in self._runs.items() if number < seam} if page.next else {}
        self._runs = {run.id: run for run in page.items} | older
        if not older:
            self._next = page.next
        self._show()

    def forget(self) -> None:
        """Begin anew: another filter."""
        self._runs, self._next = {}, None

    async def read_older(self) -> None:
        """Read the next window of older runs."""
        if self._next is not None:
            page = await self._page(self._next)
            self._next = page.next
            self._runs |= {run.id: run for run in page.items}
            self._show()

    async def _page(self, cursor: str | None) -> Any:
        wanted = self.wanted
        page = await self._desk.client.executions(
            job=wanted.job,
            state=wanted.state,
            since=wanted.since_instant(self._desk.now()),
            q=wanted.words,
            limit=WINDOW,
            cursor=cursor,
        )
        self._desk.board.learn_runs(page.items)
        return page

    def take(self, runs: list[ExecutionView]) -> bool:
        """Show newer documents of runs; return whether some may belong here that only the server can place."""
        known = {run.id: run for run in runs if run.id in self._runs}
        self._runs |= known
        self.update_rows(cast("dict[Key, Any]", known))
        fresh = [run for run in runs if run.id not in known]
        if (
            fresh
            and self.wanted == RunFilter(job=self.wanted.job)
            and min(run.id for run in fresh) > max(self._runs, default=0)
        ):
            self._runs |= {run.id: run for run in fresh}
            self._show()
            return False
        return bool(fresh)

    def _show(self) -> None:
        ordered = sorted(self._runs, reverse=True)
        rows = [Row(number, self._desk.board.newest_run(self._runs[number])) for number in ordered]
        self.set_rows(rows, total=len(rows) + (WINDOW if self._next else 0))
