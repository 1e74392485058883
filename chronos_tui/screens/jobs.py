"""All jobs, one row each, live: filtered and ordered by the server, in windows, so that ten thousand are like ten."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from textual import on
from textual.app import ComposeResult
from textual.containers import Container

from chronos_tui.board import Dirty
from chronos_tui.messages import OpenJob
from chronos_tui.screens.desk import Desk, beside
from chronos_tui.screens.frame import bound
from chronos_tui.screens.insightpanel import InsightPanel
from chronos_tui.screens.insightverbs import INSIGHT_VERBS, InsightVerbs
from chronos_tui.screens.listing import RESORT_S, Listing
from chronos_tui.screens.rows import JOB_COLUMNS, STRIP, JobRow, Past, job_painter, past_of
from chronos_tui.screens.verbs import VERBS
from chronos_tui.widgets.ink import ascii_only
from chronos_tui.widgets.line_table import LineTable
from chronos_tui.widgets.rows import WINDOW, Row

if TYPE_CHECKING:
    from scheduler_daemon.contract.insights import Insight
    from scheduler_daemon.contract.jobs import JobView

INSIGHTS_S = 20.0
"""Open insights are asked for at most so often; those that come are heard."""
INSIGHTS = 1000


class JobsScreen(InsightVerbs, Listing):
    """The jobs table, and beside it, where one asks for it, what was found of the job under the cursor."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (80, "-normal"), (120, "-wide")]  # noqa: RUF012 - Textual calls it an instance variable
    DEFAULT_CSS = """
    JobsScreen #beside { layout: vertical; height: 1fr; }
    JobsScreen.-wide #beside { layout: horizontal; }
    JobsScreen InsightPanel { display: none; height: 1fr; border-top: solid $accent; }
    JobsScreen.-wide InsightPanel { width: 48; height: 1fr; border-top: none; border-left: solid $accent; }
    JobsScreen #beside.-open InsightPanel { display: block; }
    JobsScreen #jobs { height: 2fr; }
    JobsScreen.-wide #jobs { width: 1fr; height: 1fr; }
    """

    name_in_crumbs = "jobs"
    help_ids = ("move.*", "table.open", "mark.*", "sort.*", "list.filter", *VERBS, "insight.panel", *INSIGHT_VERBS)
    BINDINGS = bound(
        "list.filter",
        *VERBS,
        "insight.panel",
        *INSIGHT_VERBS,
        "app.back",
        show=("list.filter", "row.run", "row.cancel", "row.pause", "row.edit", "row.log", "insight.panel"),
    )

    def __init__(self, desk: Desk, **kwargs: Any) -> None:
        super().__init__(desk, **kwargs)
        self.sort, self.reverse = "name", False
        self._pasts: dict[str, tuple[int, Past]] = {}
        """By job: the past, and the run that was its last when it was read."""
        self._progress: dict[str, int] = {}
        """By job: per cent that its active run says it has done."""
        self._risks: dict[str, Insight] = {}
        """By job: the worst of what is open of it."""
        self._insights_at: float | None = None
        self._moved_at = 0.0
        self._asked_at = 0.0

    def body(self) -> ComposeResult:
        paint = job_painter(self.desk.now, self.desk.zone, lambda: ascii_only(self))
        with Container(id="beside"):
            yield LineTable(JOB_COLUMNS, cast("Any", paint), marks=True, id="jobs")
            yield InsightPanel(self.desk, "Nothing was found of this job.")

    @property
    def table(self) -> LineTable:
        return self.query_one("#jobs", LineTable)

    @property
    def panel(self) -> InsightPanel:
        """What was found of the job under the cursor."""
        return self.query_one(InsightPanel)

    def on_mount(self) -> None:
        super().on_mount()
        self.table.show_sort(self.sort, reverse=self.reverse)

    # What is shown

    def second(self) -> None:
        super().second()
        if self.panel.display:
            self.panel.tick()

    @property
    def _asked(self) -> tuple[str, str]:
        """What the server is asked for: the filter, and the order."""
        return self.filter, f"-{self.sort}" if self.reverse else self.sort

    async def read_rows(self) -> None:
        asked, middle = self._asked, self.table.scroll_offset.y + self.table.size.height // 2
        first = max(middle - WINDOW // 2, 0)
        self._asked_at = asyncio.get_running_loop().time()
        page = await self._page(first)
        if first and not page.items:
            first, page = 0, await self._page(0)
        if asked == self._asked:
            self.table.set_rows([self._row(job) for job in page.items], first=first, total=page.total)
            self._want_pasts()
            self._want_insights()
            if any(job.active for job in page.items):
                self.attempt(self._read_active, group="active")

    async def _read_active(self) -> None:
        """Learn how far the runs have come that began before one looked."""
        page = await self.desk.client.executions(state="running", limit=WINDOW)
        self.desk.board.learn_runs(page.items)

    async def _page(self, first: int) -> Any:
        words, order = self._asked
        page = await self.desk.client.jobs(
            q=words or None, sort=order, limit=WINDOW, cursor=f"~{first}" if first else None
        )
        self.desk.board.learn_jobs(page.items)
        return page

    def _row(self, job: JobView) -> Row:
        known = self._pasts.get(job.id)
        return Row(job.id, self._job_row(job, known[1] if known else None))

    def _job_row(self, job: JobView, past: Past | None) -> JobRow:
        return JobRow(self.desk.board.newest(job), past, self._progress.get(job.id), self._risks.get(job.id))

    @on(LineTable.WindowWanted)
    def _load_window(self, event: LineTable.WindowWanted) -> None:
        self.attempt(partial(self._load, event.first), group=f"window {event.first}")

    async def _load(self, first: int) -> None:
        asked = self._asked
        page = await self._page(first)
        if asked == self._asked:
            self.table.load(first, [self._row(job) for job in page.items])
            self._want_pasts()

    def changed(self, dirty: Dirty) -> None:
        jobs = self.desk.board.jobs
        touched = dirty.jobs | self._moved_on(dirty.runs) | self._found(dirty.insights)
        self.table.update_rows({job_id: self._row(jobs[job_id]).data for job_id in touched if job_id in jobs})
        if gone := [job_id for job_id in dirty.jobs if self.desk.board.is_gone(job_id)]:
            self.table.remove_rows(gone)
            self.show_place()
        if dirty.jobs and (dirty.new_jobs or self.filter or self.sort != "name"):
            since = asyncio.get_running_loop().time() - max(self._asked_at, self._moved_at)
            self.reread_soon(RESORT_S - since)
        self._want_pasts()

    def _moved_on(self, numbers: set[int]) -> set[str]:
        """Take in how far runs have come; return the jobs whose rows show another progress for it."""
        touched = set()
        for number in sorted(numbers):
            run = self.desk.board.runs.get(number)
            if run is None:
                continue
            progress = None if run.state.final else run.progress
            if self._progress.get(run.job_id) != progress:
                touched.add(run.job_id)
                self._progress.pop(run.job_id, None)
                if progress is not None:
                    self._progress[run.job_id] = progress
        return touched

    # What was found

    def _want_insights(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._insights_at is None or now - self._insights_at > INSIGHTS_S:
            self._insights_at = now
            self.attempt(self._read_insights, group="insights")

    async def _read_insights(self) -> None:
        page = await self.desk.client.insights(state=("open",), limit=INSIGHTS)
        for insight in page.items:
            self.desk.board.learn_insight(insight)

    def _found(self, ids: set[str]) -> set[str]:
        """Take in what was found or judged; return the jobs whose rows show it."""
        board = self.desk.board
        touched = {job for key in ids if key in board.insights and (job := board.insights[key].job_id)}
        for job_id in touched:
            self._risks.pop(job_id, None)
            if found := board.open_insights(job_id):
                self._risks[job_id] = found[0]
        if touched:
            self._show_panel()
        return touched

    def _show_panel(self) -> None:
        if self.panel.display and (job := self.job_meant()) is not None:
            self.panel.show(self.desk.board.open_insights(job.id) or self._judged(job.id))

    def _judged(self, job_id: str) -> list[Insight]:
        """Return what was applied lately: it can be taken back from here."""
        return [each for each in self.desk.board.insights.values() if each.job_id == job_id and each.state == "applied"]

    def action_insights(self) -> None:
        self.query_one("#beside").toggle_class("-open")
        if not self.query_one("#beside").has_class("-open") and self.panel.has_focus:
            self.table.focus()
        self.call_after_refresh(self._show_panel)

    def insight_meant(self) -> Insight | None:
        return self.panel.insight if self.panel.display else None

    @property
    def busy(self) -> bool:
        """Rows keep their order while the cursor moves."""
        return asyncio.get_running_loop().time() - self._moved_at < RESORT_S / 2

    # The strip and p95 of the rows in view

    def _want_pasts(self) -> None:
        if self.desk.ready and self.size.width >= 100:
            beside(self, self._read_pasts, group="pasts")

    async def _read_pasts(self) -> None:
        await asyncio.sleep(0.15)
        for job in self._in_view():
            last = job.last.id if job.last else 0
            if job.active == 0 and self._pasts.get(job.id, (-1,))[0] == last:
                continue
            if (page := await self.said(self.desk.client.executions(job=job.id, limit=STRIP), quiet=True)) is None:
                return
            past = past_of(page.items)
            self._pasts[job.id] = (last, past)
            self.table.update_rows({job.id: self._job_row(job, past)})

    def _in_view(self) -> list[JobView]:
        top = self.table.scroll_offset.y
        keys = self.table.keys_between(top, top + self.table.size.height)
        jobs = self.desk.board.jobs
        return [jobs[str(key)] for key in keys if str(key) in jobs]

    # What the user does

    def jobs_meant(self) -> Sequence[JobView]:
        jobs = self.desk.board.jobs
        marked = [jobs[str(key)] for key in self.table.marked if str(key) in jobs]
        return sorted(marked, key=lambda job: job.name) or ([one] if (one := self.job_meant()) else [])

    def job_meant(self) -> JobView | None:
        return self.desk.board.jobs.get(str(self.table.cursor_key))

    @on(LineTable.Chosen)
    def _open(self, event: LineTable.Chosen) -> None:
        if event.table is self.panel:
            self.follow(self.panel.target(event.key))
        else:
            self.post_message(OpenJob(str(event.key)))

    @on(LineTable.Highlighted)
    def _moved(self, event: LineTable.Highlighted) -> None:
        if event.table is self.panel:
            return
        self._moved_at = asyncio.get_running_loop().time()
        self._show_panel()
        self.desk.job = self.desk.board.jobs.get(str(event.key), self.desk.job)
        self._want_pasts()

    @on(LineTable.SortWanted)
    def _order(self, event: LineTable.SortWanted) -> None:
        self.sort, self.reverse = event.column, event.reverse
        self.table.show_sort(self.sort, reverse=self.reverse)
        self.attempt(self.refresh_rows)
