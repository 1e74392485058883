"""What was found in how jobs run: a list, the worst first, and the one under the cursor in full, with its evidence."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from textual import on
from textual.app import ComposeResult
from textual.containers import Container

from chronos_tui import insights as words
from chronos_tui.board import Dirty
from chronos_tui.messages import OpenJob
from chronos_tui.screens.desk import Desk
from chronos_tui.screens.frame import bound
from chronos_tui.screens.insightpanel import InsightPanel
from chronos_tui.screens.insightverbs import INSIGHT_VERBS, SHOWN_VERBS, InsightVerbs
from chronos_tui.screens.listing import RESORT_S, Listing
from chronos_tui.screens.query import InsightFilter, parse_insight_filter
from chronos_tui.screens.rows import INSIGHT_COLUMNS, insight_painter
from chronos_tui.widgets.ink import ascii_only
from chronos_tui.widgets.line_table import LineTable
from chronos_tui.widgets.rows import Row

if TYPE_CHECKING:
    from scheduler_daemon.contract.insights import Insight
    from scheduler_daemon.contract.jobs import JobView

MOST = 500
"""Insights listed; a filter finds others."""
VERBS = ("row.run", "row.pause", "row.edit", "row.log", "row.why", "row.copy")


class InsightsScreen(InsightVerbs, Listing):
    """The insights table and the panel."""

    name_in_crumbs = "insights"
    help_ids = ("move.*", "table.open", "list.filter", *INSIGHT_VERBS, *VERBS)
    BINDINGS = bound(
        "list.filter",
        *INSIGHT_VERBS,
        *VERBS,
        "app.back",
        show=("list.filter", *SHOWN_VERBS),
    )
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (80, "-normal"), (120, "-wide")]  # noqa: RUF012 - Textual calls it an instance variable
    DEFAULT_CSS = """
    InsightsScreen #beside { layout: vertical; height: 1fr; }
    InsightsScreen.-wide #beside { layout: horizontal; }
    InsightsScreen #insights { height: 2fr; }
    InsightsScreen InsightPanel { height: 3fr; border-top: solid $accent; }
    InsightsScreen.-wide #insights { width: 1fr; height: 1fr; }
    InsightsScreen.-wide InsightPanel { width: 48; height: 1fr; border-top: none; border-left: solid $accent; }
    InsightsScreen.-narrow InsightPanel { display: none; border-top: none; }
    InsightsScreen.-narrow #beside.-reading InsightPanel { display: block; }
    InsightsScreen.-narrow #beside.-reading #insights { display: none; }
    """

    def __init__(self, desk: Desk, **kwargs: Any) -> None:
        super().__init__(desk, **kwargs)
        self._listed: dict[str, Insight] = {}
        self._more = False

    def body(self) -> ComposeResult:
        paint = insight_painter(self.desk.now, self.desk.zone, lambda: ascii_only(self))
        with Container(id="beside"):
            yield LineTable(INSIGHT_COLUMNS, cast("Any", paint), id="insights")
            yield InsightPanel(self.desk, "Nothing was found. Runs are looked at as they end.")

    @property
    def table(self) -> LineTable:
        return self.query_one("#insights", LineTable)

    @property
    def panel(self) -> InsightPanel:
        """The insight under the cursor, in full."""
        return self.query_one(InsightPanel)

    def second(self) -> None:
        super().second()
        self.panel.tick()

    def counted(self) -> str:
        return f"{len(self._listed)}{'+' if self._more else ''}"

    # What is shown

    async def read_rows(self) -> None:
        asked = self.filter
        wanted = parse_insight_filter(asked)
        page = await self.desk.client.insights(
            state=wanted.states, job=wanted.job, kind=wanted.kind, severity=wanted.severity, limit=MOST
        )
        for insight in page.items:
            self.desk.board.learn_insight(insight)
        if asked != self.filter:
            return
        found = sorted(map(self._newest, page.items), key=_weight, reverse=True)
        self._listed = {each.id: each for each in found if self._fits(each, wanted)}
        self._more = page.next is not None
        self._show()

    def show_nothing(self) -> None:
        self._listed, self._more = {}, False
        self._show()

    def _show(self) -> None:
        self.table.set_rows([Row(key, each) for key, each in self._listed.items()])
        self._show_panel()

    def _newest(self, insight: Insight) -> Insight:
        known = self.desk.board.insights.get(insight.id, insight)
        return known if known.version >= insight.version else insight

    def _show_panel(self) -> None:
        insight = self.insight_meant()
        self.panel.show([insight] if insight else [])

    def changed(self, dirty: Dirty) -> None:
        known = {key: self.desk.board.insights[key] for key in dirty.insights if key in self._listed}
        self._listed |= known
        self.table.update_rows(cast("Any", known))
        if known:
            self._show_panel()
        wanted = parse_insight_filter(self.filter)
        if dirty.insights - known.keys() or not all(self._fits(each, wanted) for each in known.values()):
            self.reread_soon(RESORT_S)

    def _fits(self, insight: Insight, wanted: InsightFilter) -> bool:
        """Whether this list shows it."""
        if wanted.states and insight.state not in wanted.states:
            return False
        measured = insight.measured
        last = max((at for at in (insight.decided_at, measured and measured.at) if at), default=None)
        verdict = measured.verdict if measured else None
        if wanted.lately and not words.is_current(insight.state, verdict, last, self.desk.now()):
            return False
        return _holds(insight, wanted.words)

    # What the user does

    def insight_meant(self) -> Insight | None:
        insight = self._listed.get(str(self.table.cursor_key))
        return self._newest(insight) if insight else None

    def jobs_meant(self) -> Sequence[JobView]:
        insight = self.insight_meant()
        job = self.desk.board.jobs.get(insight.job_id) if insight and insight.job_id else None
        return [job] if job else []

    @on(LineTable.Highlighted)
    def _moved(self, event: LineTable.Highlighted) -> None:
        if event.table is self.panel:
            return
        self._show_panel()
        insight = self.insight_meant()
        if insight and insight.job_id and insight.job_id not in self.desk.board.jobs and self.desk.ready:
            self.attempt(partial(self._learn_job, insight.job_id), group="job")

    async def _learn_job(self, job_id: str) -> None:
        self.desk.board.learn_job(await self.desk.client.job(job_id))

    @on(LineTable.Chosen)
    def _open(self, event: LineTable.Chosen) -> None:
        """From the list into the insight; from there to what a line of evidence shows, or to the job."""
        if event.table is self.table:
            self.query_one("#beside").add_class("-reading")
            self.panel.focus()
            self.panel.go_to_evidence()
            return
        insight, target = self.insight_meant(), self.panel.target(event.key)
        if target is not None:
            self.follow(target)
        elif insight and insight.job_id:
            self.post_message(OpenJob(insight.job_id))

    def action_back(self) -> None:
        if self.panel.has_focus:
            self.query_one("#beside").remove_class("-reading")
            self.table.focus()
        else:
            super().action_back()


def _weight(insight: Insight) -> tuple[bool, int, datetime]:
    return insight.state == "open", words.RANK[insight.severity], insight.at


def _holds(insight: Insight, wanted: Sequence[str]) -> bool:
    text = f"{insight.title} {insight.job} {insight.kind} {insight.text}".lower()
    return all(word in text for word in wanted)
