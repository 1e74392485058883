"""The first screen: counts, what fails now, what comes next, what just ran."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from chronos_tui import format as fmt
from chronos_tui.board import Dirty
from chronos_tui.messages import OpenJob, OpenList, OpenRun
from chronos_tui.screens.desk import Desk
from chronos_tui.screens.frame import bound
from chronos_tui.screens.rows import RUN_COLUMNS, run_painter
from chronos_tui.screens.verbs import RUN_VERBS, RowVerbs
from chronos_tui.widgets.columns import Column
from chronos_tui.widgets.ink import ascii_only
from chronos_tui.widgets.line_table import LineTable
from chronos_tui.widgets.painter import Cell
from chronos_tui.widgets.rows import Row
from chronos_tui.widgets.tiles import Tile

if TYPE_CHECKING:
    from scheduler_daemon.contract.executions import ExecutionView
    from scheduler_daemon.contract.jobs import JobView
    from scheduler_daemon.contract.system import Counts, Fire

RUNS = 200
"""Latest runs read: listed, and the ground of the sparklines."""
BUCKETS = 24
COUNT_S = 1.0
"""Counts are asked for at most so often."""
RECOUNT_S = 10.0

FIRE_COLUMNS = (
    Column("next", "Next", 8, sorts=False),
    Column("job", "Job", 10, flex=1, sorts=False),
    Column("at", "At", 9, priority=1, sorts=False),
)
FAILING_COLUMNS = (
    Column("job", "Failing", 10, flex=1, sorts=False),
    Column("why", "Why", 10, flex=1, priority=1, sorts=False),
    Column("ago", "Since", 8, sorts=False),
)
TILES = {
    "jobs": ("Jobs", "jobs", ""),
    "active": ("Running", "executions", "status:running,starting,queued"),
    "failed": ("Failed, 24 h", "executions", "status:failed,unknown since:1d"),
    "ok": ("Succeeded, 24 h", "executions", "status:succeeded since:1d"),
    "missed": ("Missed, 24 h", "executions", "status:missed since:1d"),
    "insights": ("Insights", "insights", ""),
    "p95": ("p95 of latest", "executions", ""),
}
"""What each tile counts, and the list it opens."""


class OverviewScreen(RowVerbs):
    """Tiles and three lists."""

    name_in_crumbs = "overview"
    help_ids = ("move.*", "table.open", *RUN_VERBS)
    BINDINGS = bound(*RUN_VERBS, show=("row.log", "row.cancel", "row.run"))
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (80, "-normal"), (120, "-wide")]  # noqa: RUF012 - Textual calls it an instance variable
    VERTICAL_BREAKPOINTS = [(0, "-low"), (20, "-middle"), (32, "-high")]  # noqa: RUF012 - Textual calls it an instance variable
    DEFAULT_CSS = """
    OverviewScreen #tiles { height: 3; margin: 0 0 1 0; }
    OverviewScreen #tiles Tile { margin: 0 1 0 0; }
    OverviewScreen #lists { height: 2fr; margin: 0 0 1 0; }
    OverviewScreen #latest { height: 3fr; }
    OverviewScreen .title { height: 1; padding: 0 2; color: $text-muted; text-style: bold; }
    OverviewScreen #counts { display: none; height: 1; padding: 0 2; }
    OverviewScreen #failing-box { width: 1fr; margin: 0 2 0 0; }
    OverviewScreen #fires-box { width: 1fr; }
    OverviewScreen.-narrow #failing-box, OverviewScreen.-middle #lists { margin: 0; }
    OverviewScreen.-narrow #p95, OverviewScreen.-narrow #missed, OverviewScreen.-narrow #ok { display: none; }
    OverviewScreen.-narrow #fires-box { display: none; }
    OverviewScreen.-normal #missed, OverviewScreen.-normal #p95 { display: none; }
    OverviewScreen.-middle #tiles { margin: 0; }
    OverviewScreen.-low #tiles, OverviewScreen.-low #lists { display: none; }
    OverviewScreen.-low #counts { display: block; }
    """

    def __init__(self, desk: Desk, **kwargs: Any) -> None:
        super().__init__(desk, **kwargs)
        self._counted_at = 0.0

    def body(self) -> ComposeResult:
        plain: Callable[[], bool] = lambda: ascii_only(self)  # noqa: E731
        with Horizontal(id="tiles"):
            for name, (words, _, _) in TILES.items():
                yield Tile(words, id=name)
        yield Static("", id="counts", markup=False)
        with Horizontal(id="lists"):
            with Vertical(id="failing-box"):
                yield LineTable(FAILING_COLUMNS, cast("Any", self._paint_failing), id="failing")
            with Vertical(id="fires-box"):
                yield LineTable(FIRE_COLUMNS, cast("Any", self._paint_fire), id="fires")
        yield LineTable(RUN_COLUMNS, cast("Any", run_painter(self.desk.now, self.desk.zone, plain)), id="latest")

    def on_mount(self) -> None:
        super().on_mount()
        self.latest.focus()

    def focus_body(self) -> None:
        self.latest.focus()

    @property
    def latest(self) -> LineTable:
        return self.query_one("#latest", LineTable)

    def _paint_fire(self, fire: Fire) -> list[Cell]:
        now = self.desk.now()
        return [
            Cell(fmt.relative(fire.at, now), "accent"),
            Cell(fire.job, "title"),
            Cell(fmt.clock(fire.at, now, self.desk.zone), "muted"),
        ]

    def _paint_failing(self, job: JobView) -> list[Cell]:
        last, look = job.last, fmt.state(job.last.state if job.last else "never")
        glyph = look.ascii if ascii_only(self) else look.glyph
        since = (last.ended_at or last.fire_at) if last else None
        return [
            Cell(f"{glyph} {job.name}", look.tone),
            Cell(str(last.outcome or last.state).replace("_", " ") if last else "", "muted"),
            Cell(fmt.relative(since, self.desk.now()) if since else "", "muted"),
        ]

    # What is shown

    async def read(self) -> None:
        client = self.desk.client
        self._counted_at = asyncio.get_running_loop().time()
        status, failing, runs = await asyncio.gather(
            client.status(), client.jobs(q="status:failed", sort="-last", limit=50), client.executions(limit=RUNS)
        )
        self.desk.board.learn_jobs(failing.items)
        self.desk.board.learn_runs(runs.items)
        self.query_one("#fires", LineTable).set_rows([Row(fire.job_id, fire) for fire in status.next_fires])
        self.query_one("#failing", LineTable).set_rows([Row(job.id, job) for job in failing.items])
        self._show_runs()
        self._show_counts(status.counts)

    def _show_runs(self) -> None:
        newest = sorted(self.desk.board.runs.values(), key=lambda run: run.id, reverse=True)[:RUNS]
        self.latest.set_rows([Row(run.id, run) for run in newest])

    def _show_counts(self, counts: Counts) -> None:
        runs = sorted(self.desk.board.runs.values(), key=lambda run: run.id)[-RUNS:]
        parts = [runs[at * len(runs) // BUCKETS : (at + 1) * len(runs) // BUCKETS] for at in range(BUCKETS)]
        p95 = _p95(runs)
        show = {name: self.query_one(f"#{name}", Tile).show for name in TILES}
        show["jobs"](str(counts.jobs), note=f"{counts.paused} paused" if counts.paused else "")
        queued = f"{counts.queued} queued" if counts.queued else ""
        show["active"](str(counts.running), tone="running" if counts.running else "text", note=queued)
        bad = "failed" if counts.failed_24h else "text"
        show["failed"](fmt.count(counts.failed_24h), tone=bad, values=_counts(parts, "failed"))
        show["ok"](fmt.count(counts.succeeded_24h), tone="ok", values=_counts(parts, "succeeded"))
        show["missed"](fmt.count(counts.missed_24h), tone="late" if counts.missed_24h else "text")
        critical = f"{counts.insights_critical} critical" if counts.insights_critical else ""
        tone = "failed" if critical else "late" if counts.insights else "text"
        show["insights"](fmt.count(counts.insights), tone=tone, note=critical)
        show["p95"](
            "–" if p95 is None else fmt.duration(p95), note=f"{len(runs)} runs", values=[_p95(part) for part in parts]
        )
        words = f"{counts.jobs} jobs  {counts.running} running  {counts.failed_24h} failed"
        self.query_one("#counts", Static).update(words)

    def changed(self, dirty: Dirty) -> None:
        if dirty.runs:
            if dirty.new_runs:
                self._show_runs()
            else:
                runs = self.desk.board.runs
                self.latest.update_rows({number: runs[number] for number in dirty.runs if number in runs})
        self.reread_soon(COUNT_S - (asyncio.get_running_loop().time() - self._counted_at))

    def second(self) -> None:
        for table in self.query(LineTable):
            table.repaint_cells()
        if asyncio.get_running_loop().time() - self._counted_at > RECOUNT_S and not self.desk.stale:
            self.reread_soon(0)

    def greyed(self, *, stale: bool) -> None:
        for table in self.query(LineTable):
            table.stale = stale
        for tile in self.query(Tile):
            tile.stale = stale

    # What the user does

    def run_meant(self) -> ExecutionView | None:
        return self.desk.board.runs.get(cast("int", self.latest.cursor_key)) if self.latest.has_focus else None

    def jobs_meant(self) -> Sequence[JobView]:
        focused = self.focused
        key = focused.cursor_key if isinstance(focused, LineTable) else None
        run = self.run_meant()
        known = self.desk.board.jobs.get(run.job_id if run else str(key))
        return [known] if known else []

    @on(LineTable.Highlighted)
    def _moved(self) -> None:
        self.desk.run = self.run_meant() or self.desk.run

    @on(LineTable.Chosen)
    def _open(self, event: LineTable.Chosen) -> None:
        self.post_message(OpenRun(cast("int", event.key)) if event.table is self.latest else OpenJob(str(event.key)))

    @on(Tile.Chosen)
    def _open_list(self, event: Tile.Chosen) -> None:
        _, screen, wanted = TILES[event.tile.id or "jobs"]
        self.post_message(OpenList(screen, wanted))


def _counts(parts: Sequence[Sequence[ExecutionView]], state: str) -> list[float | None]:
    return [float(sum(run.state == state for run in part)) if part else None for part in parts]


def _p95(runs: Sequence[ExecutionView]) -> float | None:
    lengths = sorted(run.duration_ms for run in runs if run.duration_ms is not None)
    return float(lengths[-(-len(lengths) * 95 // 100) - 1]) if lengths else None
