"""A list of runs, newest first, that grows downwards as far as one looks and upwards as runs come."""

from __future__ import annotations

from collections.abc import Sequence
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


KEPT = 5000
"""Runs listed at most while one looks at the newest."""


class RunTable(LineTable):
    """Runs of one job or of all."""

    def __init__(self, desk: Desk, *, with_job: bool = True, **kwargs: Any) -> None:
        paint = run_painter(desk.now, desk.zone, lambda: ascii_only(self), with_job=with_job)
        super().__init__(RUN_COLUMNS if with_job else HISTORY_COLUMNS, cast("Any", paint), **kwargs)
        self.wanted = RunFilter()
        self._desk = desk
        self._runs: dict[int, ExecutionView] = {}
        self._next: str | None = None
        self._whole_to = 0
        """Up to this run, which was the newest when they were read, none is missing between those listed."""

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

    @property
    def runs_marked(self) -> list[ExecutionView]:
        """The runs that are marked, newest first."""
        numbers = sorted((number for number in self._runs if number in self.marked), reverse=True)
        return [self._desk.board.newest_run(self._runs[number]) for number in numbers]

    async def read(self) -> None:
        """Read the newest again. Raises ServerError and Unreachable."""
        wanted = self.wanted
        page = await self._page(None)
        if wanted != self.wanted:
            return
        older = self._older_than(page.items) if page.next and not self._too_many else {}
        self._runs = {run.id: run for run in page.items} | older
        self._whole_to = max((run.id for run in page.items), default=0)
        if not older:
            self._next = page.next
        self._show()

    def _older_than(self, newest: Sequence[ExecutionView]) -> dict[int, ExecutionView]:
        """Return the runs listed that go on where `newest` end; none if some may be missing in between."""
        seam = min((run.id for run in newest), default=0)
        if seam > self._whole_to:
            return {}
        return {number: run for number, run in self._runs.items() if number < seam and self._still_wanted(run)}

    def _still_wanted(self, run: ExecutionView) -> bool:
        states = self.wanted.state
        return states is None or str(self._desk.board.newest_run(run).state) in states.split(",")

    @property
    def _too_many(self) -> bool:
        """Whether so many are listed that the oldest go, unless one looks at them."""
        return len(self._runs) > KEPT and self.cursor_position < WINDOW

    def forget(self) -> None:
        """Begin anew: another filter."""
        self._runs, self._next, self._whole_to = {}, None, 0

    async def read_older(self) -> None:
        """Read the next window of older runs."""
        asked = self.wanted, self._next
        if self._next is not None:
            page = await self._page(self._next)
            if asked == (self.wanted, self._next):
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
        fresh = [run for run in runs if run.id not in known and self.wanted.job in {None, run.job_id, run.job}]
        newest = max(self._runs, default=0)
        if not fresh or self.wanted != RunFilter(job=self.wanted.job) or min(run.id for run in fresh) < newest:
            return bool(fresh)
        self._runs |= {run.id: run for run in fresh}
        self._show()
        return self._too_many

    def _show(self) -> None:
        ordered = sorted(self._runs, reverse=True)
        rows = [Row(number, self._desk.board.newest_run(self._runs[number])) for number in ordered]
        self.set_rows(rows, total=len(rows) + (WINDOW if self._next else 0))
