"""One run: what became of it and why, what it used, and the end of what it wrote."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult
from textual.containers import VerticalScroll

from chronos_tui import format as fmt
from chronos_tui.board import Dirty
from chronos_tui.client.errors import ServerError
from chronos_tui.messages import OpenJob
from chronos_tui.screens.desk import Desk
from chronos_tui.screens.facts import Fact, Facts
from chronos_tui.screens.frame import bound
from chronos_tui.screens.log import shown_lines
from chronos_tui.screens.rows import progress_cell, state_cell, took
from chronos_tui.screens.verbs import RUN_VERBS, RowVerbs
from chronos_tui.widgets import braille
from chronos_tui.widgets.ink import ascii_only
from chronos_tui.widgets.log_view import LogView

if TYPE_CHECKING:
    from scheduler_daemon.contract.executions import ExecutionView, RunFacts
    from scheduler_daemon.contract.jobs import JobView

MOVES = ("down", "up", "left", "right", "first", "last", "page_down", "page_up", "follow")
BARS = 60
"""Most looks drawn of what a run uses."""
ASK_BESIDE = 5
"""How often one asks for how the machine was at a failure."""
LOOK_S = 2.0
"""Seconds between two readings of that."""
SIGNALS = {1: "HUP", 2: "INT", 3: "QUIT", 6: "ABRT", 9: "KILL", 11: "SEGV", 13: "PIPE", 14: "ALRM", 15: "TERM"}


class OutputTail(LogView, inherit_bindings=False):
    """The end of the output, to look at: it moves and follows; `l` opens the log with all its keys."""

    BINDINGS = bound(*(f"log.{name}" for name in MOVES), show=("log.follow",))


class RunScreen(RowVerbs):
    """Facts above, output below."""

    name_in_crumbs = "run"
    help_ids = (*RUN_VERBS, "table.open", *(f"log.{name}" for name in MOVES))
    BINDINGS = bound(*RUN_VERBS, "table.open", show=("row.log", "row.cancel", "row.run", "row.why"))
    DEFAULT_CSS = """
    RunScreen #facts { height: auto; max-height: 60%; }
    RunScreen LogView { height: 1fr; border-top: solid $border-blurred; }
    """

    def __init__(self, desk: Desk, run: int, **kwargs: Any) -> None:
        super().__init__(desk, **kwargs)
        self._run = run
        self._known: ExecutionView | None = None
        """As it was heard of last; the board forgets old runs."""
        self._job: JobView | None = None
        self._began = False
        self._load: list[Fact] = []
        """What it uses and used while it ran, drawn."""
        self._load_read = 0.0
        self._beside: RunFacts | None = None
        self._asked_beside = 0

    def body(self) -> ComposeResult:
        with VerticalScroll(id="facts"):
            yield Facts()
        yield OutputTail(zone=self.desk.zone)

    def run_meant(self) -> ExecutionView | None:
        self._known = self.desk.board.runs.get(self._run, self._known)
        return self._known

    @property
    def thing(self) -> object:
        return self._run

    def crumbs(self) -> Sequence[str]:
        run = self.run_meant()
        return (self.desk.place, "jobs", *([run.job] if run else []), f"run {self._run}")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one(LogView).focus()
        self._show()

    def focus_body(self) -> None:
        self.query_one(LogView).focus()

    async def read(self) -> None:
        run = await self.desk.client.execution(self._run)
        self.desk.board.learn_run(run)
        self.desk.run = self._known = self.desk.board.newest_run(run)
        self.show_place()
        self._show()
        if not self._began:
            self._began = True
            self.attempt(self._follow, group="follow")
        self.attempt(self._read_load, group="load")
        self._asked_beside = 0
        self.attempt(self._read_beside, group="beside")

    async def _read_beside(self) -> None:
        """Read what stands beside the run's document; how the machine was comes a moment after a failure."""
        self._asked_beside += 1
        self._beside = await self.desk.client.facts(self._run)
        self._show()

    def _wants_beside(self, run: ExecutionView) -> bool:
        if self._asked_beside >= ASK_BESIDE or run.state != "failed":
            return False
        return self._beside is None or self._beside.host_facts is None

    async def _read_load(self) -> None:
        """Draw what the run uses; a run too short to be looked at, or long over, has nothing to draw."""
        self._load_read = monotonic()
        room = max(10, min(BARS, self.size.width - 40))
        try:
            series = [await self.desk.client.usage(self._run, metric, buckets=room) for metric in ("cpu", "memory")]
        except ServerError:  # the live picture is away, which the header tells
            return
        self._load = [
            Fact(name, _drawn([point.value for point in each.points], room, write, ascii_only=ascii_only(self)))
            for name, each, write in zip(("processor", "memory"), series, (_share, fmt.size), strict=True)
            if len(each.points) > 1
        ]
        self._show()

    async def _follow(self) -> None:
        from chronos_tui.feed.follow import LogFollower

        if self.desk.feed is None:
            return
        async for batch in LogFollower(self.desk.feed, self._run).batches():
            if batch.lines:
                self.query_one(LogView).append(shown_lines(batch.lines))

    def changed(self, dirty: Dirty) -> None:
        if self._run in dirty.runs or self._follow_it(dirty.runs):
            self._show()

    def _follow_it(self, numbers: set[int]) -> bool:
        """Tell whether some of these runs follow this one; what is not known yet of it is read."""
        runs = self.desk.board.runs
        found = [number for number in numbers if number in runs and runs[number].parent_id == self._run]
        known = {each.id for each in self._beside.handlers} if self._beside else set()
        if not known.issuperset(found):
            self.attempt(self._read_beside, group="beside")
        return bool(found)

    def second(self) -> None:
        self._show()
        run = self.run_meant()
        if self.desk.ready and run is not None and not run.state.final and monotonic() - self._load_read >= LOOK_S:
            self.attempt(self._read_load, group="load")
        if self.desk.ready and run is not None and self._wants_beside(run):
            self.attempt(self._read_beside, group="beside")

    def greyed(self, *, stale: bool) -> None:
        self.query_one(LogView).stale = stale

    def _show(self) -> None:
        run = self.run_meant()
        if run is not None:
            self.query_one(Facts).show(self._facts(run))

    def _facts(self, run: ExecutionView) -> list[Fact]:
        zone, now = self.desk.zone, self.desk.now()
        state = state_cell(str(run.state), ascii_only=ascii_only(self))
        length = took(run, now)
        for_long = f"took {length}" if run.state.final else f"for {length}"
        facts = [
            Fact("state", f"{state.text}, {for_long}" if length else state.text, state.tone),
            Fact("why", ", ".join(filter(None, (outcome(run), run.reason))), "text"),
            Fact("due", f"{fmt.stamp(run.fire_at, zone)}  ({fmt.relative(run.fire_at, now)})"),
            Fact("asked by", f"{run.actor}, {str(run.trigger).replace('_', ' ')}"),
            Fact("attempt", _attempt(run)),
            Fact("told", "\n".join(fmt.told(self._beside.parameters)) if self._beside is not None else ""),
            Fact("follows", f"run {run.parent_id}, as its {run.handler}" if run.parent_id else ""),
        ]
        if run.started_at is not None:
            late = max((run.started_at - run.fire_at).total_seconds() * 1000, 0)
            facts.append(Fact("started", f"{fmt.stamp(run.started_at, zone)}  ({fmt.duration(late)} after it was due)"))
        if run.ended_at is not None:
            facts.append(Fact("ended", fmt.stamp(run.ended_at, zone)))
        if (done := progress_cell(run, ascii_only=ascii_only(self))) is not None:
            facts.append(Fact("progress", done.text, done.tone))
        elif run.progress is not None:
            facts.append(Fact("progress", f"{run.progress}%"))
        facts.append(Fact("figures", ", ".join(fmt.kpi(each.name, each.value, each.unit) for each in run.kpis)))
        if run.warnings:
            facts.append(Fact("warnings", "\n".join((f"{run.warnings}", *run.warned)), "late"))
        facts += self._load
        used = run.usage.model_dump()
        facts.append(Fact("used", ", ".join(fmt.usage(used))))
        facts.append(Fact("counted", fmt.counted_by(used), "muted"))
        facts.append(Fact("then", self._followed()))
        facts += self._left()
        missing = f"; missing: {', '.join(run.policy.missing)}" if run.policy.missing else ""
        policy = run.policy.requested + (f" version {run.policy.version}" if run.policy.version else "")
        facts.append(Fact("where", f"{run.host}, version {run.job_version}, {policy}{missing}", "muted"))
        if self._beside is not None and self._beside.host_facts is not None:
            facts += [Fact(name, text, "muted") for name, text in fmt.host_facts(self._beside.host_facts.model_dump())]
        return [fact for fact in facts if fact.value]

    def _left(self) -> list[Fact]:
        """Say which files the run left, and what was left out."""
        if self._beside is None:
            return []
        kept = self._beside.artifacts
        names = ", ".join(f"{each.name} {fmt.size(each.size)}" for each in kept.items)
        return [Fact("artifacts", names), Fact("left out", "\n".join(kept.notes), "late")]

    def _followed(self) -> str:
        """Say what followed the run, a line each."""
        board, found = self.desk.board, self._beside.handlers if self._beside else ()
        newest = [board.newest_run(each) for each in found]
        return "\n".join(f"{each.handler}: run {each.id}, {fmt.state(str(each.state)).word}" for each in newest)

    def action_choose(self) -> None:
        if (run := self.run_meant()) is not None:
            self.post_message(OpenJob(run.job_id))


def _attempt(run: ExecutionView) -> str:
    """Return which attempt of a run this is; "" for the only one."""
    if run.attempts == 1:
        return ""
    first = f"; the first is run {run.first_id}" if run.attempt else ""
    return f"{run.attempt + 1} of at most {run.attempts}{first}"


def _share(value: float) -> str:
    return f"{value:.0f}%"


def _drawn(values: Sequence[float], width: int, write: Callable[[float], str], *, ascii_only: bool) -> str:
    """Draw how a value went, and say the last and the greatest."""
    bars = braille.sparkline(values[-width:], min(width, len(values)), ascii_only=ascii_only)
    return f"{bars}  {write(values[-1])}, at most {write(max(values))}"


def outcome(run: ExecutionView) -> str:
    """Return why a run ended so, with its exit code or signal."""
    if run.outcome is None:
        return ""
    if run.signal is not None:
        return f"ended by signal {run.signal} ({SIGNALS.get(run.signal, 'unknown')})"
    if run.outcome == "exit_code":
        return "" if run.reason else f"exit code {run.exit_code}"
    if run.outcome == "ok":
        return "exit code 0"
    return str(run.outcome).replace("_", " ")
