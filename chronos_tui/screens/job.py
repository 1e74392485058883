"""One job: how it stands, how it went, its runs, when it fires next, what it is tied to, what it is set to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from chronos_tui import format as fmt
from chronos_tui.board import Dirty
from chronos_tui.client.errors import ServerError
from chronos_tui.messages import OpenJob, OpenRun, Window
from chronos_tui.screens import jobfacts
from chronos_tui.screens.desk import Desk
from chronos_tui.screens.facts import Fact, Facts
from chronos_tui.screens.frame import bound
from chronos_tui.screens.graphtable import GraphTable
from chronos_tui.screens.query import RunFilter
from chronos_tui.screens.runlist import RunTable
from chronos_tui.screens.verbs import VERBS, RowVerbs
from chronos_tui.widgets.chart import Chart
from chronos_tui.widgets.ink import ascii_only
from chronos_tui.widgets.line_table import LineTable

if TYPE_CHECKING:
    from scheduler_daemon.contract.executions import ExecutionView
    from scheduler_daemon.contract.jobs import JobView

PANES = ("Runs", "Schedule", "Dependencies", "Configuration", "Versions", "KPIs")
FACTS = ("Schedule", "Configuration", "Versions", "KPIs")
BUCKETS = 60
KPI_RUNS = 100
"""Runs whose figures are drawn."""
SPANS = {"10 minutes": 600, "hour": 3600, "6 hours": 21_600, "day": 86_400, "week": 604_800, "30 days": 2_592_000}
_LABELS: dict[str, tuple[Callable[[float], str], tuple[float, float] | None]] = {
    **dict.fromkeys(("duration_ms", "cpu_ms", "delay_ms"), (fmt.duration, None)),
    **dict.fromkeys(("max_rss_bytes", "output_bytes"), (fmt.size, None)),
    "ok": (fmt.percent, (0.0, 1.0)),
}
"""How the scale of a figure is written, and its bounds."""
REREAD_S = 1.0
NOT_FOUND = 404


class JobScreen(RowVerbs):
    """Facts and charts above; below, one of five panes."""

    name_in_crumbs = "job"
    help_ids = ("move.*", "table.open", "tabs.*", *VERBS)
    BINDINGS = bound(*VERBS, "tabs.*", show=("row.run", "row.log", "row.pause", "row.edit", "tabs.next"))
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012 - Textual calls it an instance variable
    VERTICAL_BREAKPOINTS = [(0, "-low"), (16, "-middle"), (28, "-high")]  # noqa: RUF012 - Textual calls it an instance variable
    DEFAULT_CSS = """
    JobScreen #charts { height: 7; display: none; margin: 1 0 0 0; }
    JobScreen.-high #charts { display: block; }
    JobScreen.-window #charts { display: block; }
    JobScreen.-window #success-chart { display: none; }
    JobScreen.-window.-middle #summary { display: none; }
    JobScreen.-low #charts { display: none; }
    JobScreen #charts Chart { width: 1fr; height: 6; margin: 0 1; }
    JobScreen #charts .chart { width: 1fr; height: 7; }
    JobScreen .caption { height: 1; padding: 0 1; color: $text-muted; }
    JobScreen #tabs { height: 1; padding: 0 1; background: $surface; }
    JobScreen #summary { max-height: 50%; }
    JobScreen.-low #summary { display: none; }
    JobScreen .pane { height: 1fr; }
    JobScreen VerticalScroll:focus { background: $surface; }
    """

    def __init__(self, desk: Desk, job_id: str, **kwargs: Any) -> None:
        super().__init__(desk, **kwargs)
        self._job_id = job_id
        self._pane = 0
        self._span = "hour"
        self._window: Window | None = None
        """The figure that is looked at; None for the usual charts."""
        self._goes_to: int | None = None
        """A run to put the cursor on when it is there."""

    def look_at(self, window: Window) -> None:
        """Show a figure of the runs around an instant, and the run that shows it."""
        self._window, self._goes_to = window, window.run
        self.add_class("-window")
        if self.desk.ready:
            self.attempt(self.read)

    def body(self) -> ComposeResult:
        yield Facts(id="summary")
        with Horizontal(id="charts"):
            with VerticalScroll(classes="chart", can_focus=False):
                yield Static("", classes="caption", id="duration-caption", markup=False)
                yield Chart(label=fmt.duration, style="area", tone="running", id="duration")
            with VerticalScroll(classes="chart", id="success-chart", can_focus=False):
                yield Static("", classes="caption", id="success-caption", markup=False)
                yield Chart(label=fmt.percent, style="area", tone="ok", limits=(0.0, 1.0), id="success")
        yield Static("", id="tabs", markup=False)
        yield RunTable(self.desk, with_job=False, classes="pane", id="runs")
        yield GraphTable(self.desk, classes="pane", id="dependencies")
        for name in FACTS:
            with VerticalScroll(classes="pane", id=name.lower()):
                yield Facts()

    @property
    def table(self) -> RunTable:
        return self.query_one(RunTable)

    @property
    def _graph(self) -> GraphTable:
        return self.query_one(GraphTable)

    @property
    def job(self) -> JobView | None:
        """The job as it is known now."""
        return self.desk.board.jobs.get(self._job_id)

    @property
    def thing(self) -> object:
        return self._job_id

    def crumbs(self) -> Sequence[str]:
        return (self.desk.place, "jobs", self.job.name if self.job else "…")

    def on_mount(self) -> None:
        super().on_mount()
        self.table.wanted = RunFilter(job=self._job_id)
        self._show_job()
        self._show_pane()

    def focus_body(self) -> None:
        (self.table if self._pane == 0 else self.query_one(f"#{PANES[self._pane].lower()}")).focus()

    # What is shown

    def come_up(self) -> None:
        if not self._leave_if_gone():
            super().come_up()

    def _leave_if_gone(self) -> bool:
        """Go back from a job that was deleted; what is open over this screen is left alone until it closes."""
        gone = self.desk.board.is_gone(self._job_id)
        if gone and self.on_top:
            self.tell("This job was deleted")
            self.app.pop_screen()
        return gone

    async def read(self) -> None:
        try:
            job = await self.desk.client.job(self._job_id)
        except ServerError as error:
            if error.status != NOT_FOUND:
                raise
            self.desk.board.forget_job(self._job_id)
            self._leave_if_gone()
            return
        self.desk.board.learn_job(job)
        self.desk.job = self.desk.board.newest(job)
        self.show_place()
        self._show_job()
        await self.table.read()
        if self._goes_to is not None:
            self.table.go_to(self._goes_to)
            self._goes_to = None
        self._show_tabs()
        await asyncio.gather(self._read_charts(), self._read_pane())

    async def _read_window(self, window: Window) -> None:
        """Draw a figure over the shortest span that has its instant in its newer half, or as near as there is."""
        age = (self.desk.now() - window.at).total_seconds()
        span = next((name for name, seconds in SPANS.items() if 2 * age <= seconds), "30 days")
        found = await self.desk.client.series(self._job_id, window.metric, since_s=SPANS[span], buckets=BUCKETS)
        label, limits = _LABELS.get(window.metric, (fmt.count, None))
        chart = self.query_one("#duration", Chart)
        chart.relabel(label, limits)
        chart.show(jobfacts.buckets(found.points, self.desk.now(), SPANS[span], BUCKETS))
        at = fmt.clock(window.at, self.desk.now(), self.desk.zone)
        self.query_one("#duration-caption", Static).update(f"{window.title}, last {span}; run {window.run} at {at}")

    async def _read_charts(self) -> None:
        if self._window is not None:
            await self._read_window(self._window)
            return
        if not self.has_class("-high"):
            return
        self._span = self._fitting_span()
        seconds = SPANS[self._span]
        client = self.desk.client
        durations, ok = await asyncio.gather(
            client.series(self._job_id, "duration_ms", since_s=seconds, buckets=BUCKETS),
            client.series(self._job_id, "ok", since_s=seconds, buckets=BUCKETS),
        )
        now = self.desk.now()
        self.query_one("#duration", Chart).show(jobfacts.buckets(durations.points, now, seconds, BUCKETS))
        self.query_one("#success", Chart).show(jobfacts.buckets(ok.points, now, seconds, BUCKETS))
        last = f"last {self._span}"
        self.query_one("#duration-caption", Static).update(f"Duration, {last}")
        shares = [point.value for point in ok.points]
        share = f": {fmt.percent(sum(shares) / len(shares))}" if shares else ""
        self.query_one("#success-caption", Static).update(f"Success, {last}{share}")

    def _fitting_span(self) -> str:
        """Return the shortest span that the newest runs fill."""
        oldest = self.table.nth_fire(BUCKETS)
        age = (self.desk.now() - oldest).total_seconds() if oldest else 0
        return next((name for name, seconds in SPANS.items() if age <= seconds), "30 days")

    async def _read_pane(self) -> None:
        job, name = self.job, PANES[self._pane]
        if job is None or name == "Runs":
            return
        if name == "Dependencies":
            self._graph.show(await self.desk.client.job_graph(job.id))
            return
        shown = self.query_one(f"#{name.lower()} Facts", Facts)
        if name == "Configuration":
            shown.show(jobfacts.configuration(job))
        elif name == "Schedule":
            fires = await self.desk.client.fires(job.id, count=10)
            shown.show(jobfacts.schedule(job, fires, self.desk.now(), self.desk.zone))
        elif name == "KPIs":
            shown.show(await self._kpi_facts(job))
        else:
            versions = await self.desk.client.job_versions(job.id)
            shown.show(jobfacts.versions(versions.items, self.desk.zone))

    async def _kpi_facts(self, job: JobView) -> list[Fact]:
        client = self.desk.client
        kpis, runs = await asyncio.gather(client.job_kpis(job.id), client.executions(job=job.id, limit=KPI_RUNS))
        values: dict[str, list[float]] = {}
        for run in reversed(runs.items):
            for kpi in run.kpis:
                values.setdefault(kpi.name, []).append(kpi.value)
        return jobfacts.kpis(kpis.items, values, ascii_only=ascii_only(self))

    def _show_job(self) -> None:
        if self.job is not None:
            self.query_one("#summary", Facts).show(jobfacts.summary(self.job, self.desk.now(), self.desk.zone))

    def _show_tabs(self) -> None:
        words = [f" {name} {self.table.count} " if name == "Runs" else f" {name} " for name in PANES]
        shown, first = self.query_one("#tabs", Static), 0
        while first < self._pane and len("".join(words[first : self._pane + 1])) > self.size.width - 2:
            first += 1  # the first ones give way, so that the one that is open can be seen
        tabs = [(text, "reverse bold" if at == self._pane else "") for at, text in enumerate(words)]
        shown.update(Content.assemble(*tabs[first:]))

    def _show_pane(self) -> None:
        for at, name in enumerate(PANES):
            self.query_one(f"#{name.lower()}").display = at == self._pane
        self._show_tabs()
        self.focus_body()

    def changed(self, dirty: Dirty) -> None:
        if self._job_id in dirty.jobs:
            if self._leave_if_gone():
                return
            self._show_job()
        runs = [
            run for number in dirty.runs if (run := self.desk.board.runs.get(number)) and run.job_id == self._job_id
        ]
        if (runs and self.table.take(runs)) or self._job_id in dirty.jobs or self._graph_is_old(dirty):
            self.reread_soon(REREAD_S)

    def _graph_is_old(self, dirty: Dirty) -> bool:
        return PANES[self._pane] == "Dependencies" and not self._graph.tied.isdisjoint(dirty.jobs)

    def second(self) -> None:
        self._show_job()
        self.table.repaint_cells()

    def greyed(self, *, stale: bool) -> None:
        self.table.stale = self._graph.stale = stale

    # What the user does

    def jobs_meant(self) -> Sequence[JobView]:
        return [self.job] if self.job else []

    def run_meant(self) -> ExecutionView | None:
        return None

    def action_cancel(self) -> None:
        run = self.table.run_under_cursor if self._pane == 0 else None
        if run is not None and not run.state.final:
            self.act(partial(self._cancel_runs, [run]))
        else:
            super().action_cancel()

    def action_log(self) -> None:
        run = self.table.run_under_cursor if self._pane == 0 else None
        if run is None:
            super().action_log()
        else:
            self.open_log(run)

    def action_why(self) -> None:
        """Explain the run under the cursor, the fire that comes next where fires are shown, or else the job."""
        from chronos_tui.screens.explain import Explain

        run, job = self.table.run_under_cursor if self._pane == 0 else None, self.job
        if run is not None:
            self.why_of(run)
        elif job is not None and PANES[self._pane] == "Schedule":
            self.app.push_screen(Explain(self.desk, job.id, job.name, at=job.next_fire_at))
        else:
            super().action_why()

    def action_next_tab(self) -> None:
        self._turn(1)

    def action_previous_tab(self) -> None:
        self._turn(-1)

    def _turn(self, by: int) -> None:
        self._pane = (self._pane + by) % len(PANES)
        self._show_pane()
        if self.desk.ready:
            self.attempt(self._read_pane, group="pane")

    @on(LineTable.WindowWanted)
    def _load_older(self) -> None:
        self.attempt(self._read_older, group="older")

    async def _read_older(self) -> None:
        await self.table.read_older()
        self._show_tabs()

    @on(LineTable.Chosen)
    def _open(self, event: LineTable.Chosen) -> None:
        if event.table is self._graph:
            job_id = self._graph.opened()
            if job_id is not None and job_id != self._job_id:
                self.post_message(OpenJob(job_id))
            return
        self.post_message(OpenRun(cast("int", event.key)))

    @on(LineTable.Highlighted)
    def _moved(self) -> None:
        self.desk.run = self.table.run_under_cursor or self.desk.run
