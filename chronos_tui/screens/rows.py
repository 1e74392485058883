"""How jobs and runs look as rows: which columns there are and what stands in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any, NamedTuple

from chronos_tui import format as fmt
from chronos_tui import insights
from chronos_tui.widgets import braille
from chronos_tui.widgets.columns import Column
from chronos_tui.widgets.painter import Cell

if TYPE_CHECKING:
    from scheduler_daemon.contract.executions import ExecutionView
    from scheduler_daemon.contract.insights import Insight
    from scheduler_daemon.contract.jobs import JobView

RISKS = {"critical": "high", "warning": "some", "info": "low"}
STRIP = 24
"""Runs in the strip of outcomes."""
LATE = timedelta(seconds=10)
"""A fire that is so much overdue has not been taken up."""

JOB_COLUMNS = (
    Column("state", "State", 11),
    Column("name", "Name", 16, flex=2, most=44),
    Column("risk", "Risk", 6, priority=1, sorts=False),
    Column("words", "Schedule", 16, flex=3, most=48, priority=3, sorts=False),
    Column("last", "Last", 8, priority=2),
    Column("next", "Next", 8, priority=1),
    Column("took", "Took", 7, priority=4, align="right", sorts=False),
    Column("strip", "Last 24 runs", STRIP, priority=5, sorts=False),
    Column("p95", "p95", 7, priority=6, align="right", sorts=False),
    Column("owner", "Owner", 8, priority=7, sorts=False),
)
INSIGHT_COLUMNS = (
    Column("severity", "Severity", 10, sorts=False),
    Column("job", "Job", 12, flex=2, most=32, priority=1, sorts=False),
    Column("title", "Insight", 24, flex=4, sorts=False),
    Column("sure", "Sure", 4, align="right", priority=6, sorts=False),
    Column("state", "State", 10, priority=4, sorts=False),
    Column("found", "Found", 8, priority=2, sorts=False),
)
RUN_COLUMNS = (
    Column("state", "State", 11),
    Column("id", "Run", 6, align="right", sorts=False),
    Column("job", "Job", 12, flex=3, most=44, sorts=False),
    Column("fire", "Due", 8, priority=2, sorts=False),
    Column("took", "Took", 7, priority=1, align="right", sorts=False),
    Column("why", "Why", 14, flex=3, most=60, priority=3, sorts=False),
    Column("trigger", "Trigger", 8, priority=4, sorts=False),
    Column("cpu", "CPU", 7, priority=5, align="right", sorts=False),
    Column("memory", "Memory", 8, priority=6, align="right", sorts=False),
    Column("output", "Output", 8, priority=7, align="right", sorts=False),
)
HISTORY_COLUMNS = tuple(column for column in RUN_COLUMNS if column.id != "job")


class Past(NamedTuple):
    """The latest runs of a job, oldest first."""

    states: tuple[str, ...] = ()
    durations: tuple[int, ...] = ()
    """Of those that ran to an end, in ms."""

    @property
    def p95(self) -> int | None:
        """The least length that 95 % of the runs do not exceed."""
        ordered = sorted(self.durations)
        return ordered[-(-len(ordered) * 95 // 100) - 1] if ordered else None


class JobRow(NamedTuple):
    """What a row of the jobs table is made of."""

    job: JobView
    past: Past | None
    progress: int | None = None
    """Per cent that its active run says it has done."""
    risk: Insight | None = None
    """The worst of what is open of it."""


def past_of(runs: Sequence[ExecutionView]) -> Past:
    """Return the past from runs in any order."""
    own = (run for run in runs if run.parent_id is None)
    ordered = sorted(own, key=lambda run: run.id)[-STRIP:]
    return Past(
        tuple(str(run.state) for run in ordered),
        tuple(run.duration_ms for run in ordered if run.state.final and run.duration_ms is not None),
    )


def is_snoozed(job: JobView, now: datetime) -> bool:
    """Tell whether fires of a job are skipped for a while."""
    return job.snoozed_until is not None and now < job.snoozed_until


def job_state(job: JobView, now: datetime) -> str:
    """Return the one word for how a job stands."""
    if job.active and job.last is not None and job.last.state in {"running", "starting", "queued"}:
        return job.last.state
    if job.active:
        return "running"
    if job.paused or is_snoozed(job, now):
        return "paused"
    if job.next_fire_at is not None and job.next_fire_at < now - LATE:
        return "late"
    return job.last.state if job.last else "never"


def state_cell(name: str, *, ascii_only: bool = False) -> Cell:
    """Return a state as glyph and word."""
    look = fmt.state(name)
    return Cell(f"{look.ascii if ascii_only else look.glyph} {look.word}", look.tone)


def job_painter(
    now: Callable[[], datetime], zone: tzinfo, ascii_only: Callable[[], bool]
) -> Callable[[JobRow], list[Cell]]:
    """Return what makes the cells of JOB_COLUMNS. A schedule's zone is named where it is not `zone`."""
    here = f", {zone} time"

    def paint(row: JobRow) -> list[Cell]:
        job, past, progress, risk = row
        moment, plain = now(), ascii_only()
        last = job.last
        ended = last and (last.ended_at or last.fire_at)
        took = last.duration_ms if last else None
        p95 = past.p95 if past else None
        return [
            _job_cell(job, progress, moment, plain=plain),
            Cell(job.name, "title"),
            risk_cell(risk, ascii_only=plain),
            Cell(job.words.removesuffix(here), "muted"),
            Cell(fmt.relative(ended, moment) if ended else "" if job.active else "never", "muted"),
            _next(job, moment),
            Cell("" if took is None else fmt.duration(took)),
            strip_cell(past.states if past else (), ascii_only=plain),
            Cell("" if p95 is None else fmt.duration(p95), "muted"),
            Cell(job.owner, "muted"),
        ]

    return paint


def risk_cell(insight: Insight | None, *, ascii_only: bool = False) -> Cell:
    """Return how much the worst of what was found of a job matters."""
    if insight is None:
        return Cell("")
    look = insights.severity(insight.severity)
    return Cell(f"{look.ascii if ascii_only else look.glyph} {RISKS[insight.severity]}", look.tone)


def insight_painter(
    now: Callable[[], datetime], zone: tzinfo, ascii_only: Callable[[], bool]
) -> Callable[[Any], list[Cell]]:
    """Return what makes the cells of INSIGHT_COLUMNS."""

    def paint(insight: Insight) -> list[Cell]:
        look = insights.severity(insight.severity)
        verdict = insight.measured.verdict if insight.measured else None
        return [
            Cell(f"{look.ascii if ascii_only() else look.glyph} {look.word}", look.tone),
            Cell(insight.job or "all jobs", "title"),
            Cell(insights.headline(insight.title, insight.job)),
            Cell(f"{insight.confidence:.0%}", "muted"),
            Cell(*insights.stage(insight.state, verdict, proposes=insight.action is not None)),
            Cell(fmt.clock(insight.at, now(), zone), "muted"),
        ]

    return paint


def _job_cell(job: JobView, progress: int | None, now: datetime, *, plain: bool) -> Cell:
    name = job_state(job, now)
    cell = state_cell(name, ascii_only=plain)
    if name != "running" or progress is None:
        return cell
    return Cell(f"{cell.text.removesuffix('running')}run {progress}%", cell.tone)


def _next(job: JobView, now: datetime) -> Cell:
    if job.paused:
        return Cell("paused", "paused")
    if job.next_fire_at is None:
        return Cell("never", "muted") if job.schedule else Cell("on call", "muted")
    late = job.next_fire_at < now - LATE
    return Cell(fmt.relative(job.next_fire_at, now), "late" if late else "text")


def strip_cell(states: Sequence[str], *, ascii_only: bool = False) -> Cell:
    """Return the latest runs as glyphs, each in the tone of its state."""
    glyphs = braille.outcomes(states, STRIP, ascii_only=ascii_only)
    runs: list[tuple[int, str]] = []
    for _, tone in glyphs:
        if runs and runs[-1][1] == tone:
            runs[-1] = (runs[-1][0] + 1, tone)
        else:
            runs.append((1, tone))
    return Cell("".join(glyph for glyph, _ in glyphs), "muted", tuple(runs))


def run_painter(
    now: Callable[[], datetime], zone: tzinfo, ascii_only: Callable[[], bool], *, with_job: bool = True
) -> Callable[[Any], list[Cell]]:
    """Return what makes the cells of RUN_COLUMNS, or of HISTORY_COLUMNS."""

    def paint(run: ExecutionView) -> list[Cell]:
        moment, usage = now(), run.usage
        cells = [
            state_cell(str(run.state), ascii_only=ascii_only()),
            Cell(str(run.id), "muted"),
            Cell(run.job, "title"),
            Cell(fmt.clock(run.fire_at, moment, zone)),
            Cell(took(run, moment)),
            progress_cell(run, ascii_only=ascii_only())
            or Cell(why(run), "failed" if fmt.state(str(run.state)).tone == "failed" else "muted"),
            Cell(str(run.trigger).replace("_", " "), "muted"),
            Cell("" if usage.cpu_ms is None else fmt.duration(usage.cpu_ms), "muted"),
            Cell("" if usage.max_rss_bytes is None else fmt.size(usage.max_rss_bytes), "muted"),
            Cell("" if usage.output_bytes is None else fmt.size(usage.output_bytes), "muted"),
        ]
        return cells if with_job else cells[:2] + cells[3:]

    return paint


def progress_cell(run: ExecutionView, *, ascii_only: bool = False) -> Cell | None:
    """Return how far an active run says it has come, None if it does not say."""
    if run.progress is None or run.state.final:
        return None
    return Cell(fmt.bar(run.progress, 10, ascii_only=ascii_only), "running")


def took(run: ExecutionView, now: datetime) -> str:
    """Return how long a run took, or has taken so far."""
    if run.duration_ms is not None:
        return fmt.duration(run.duration_ms)
    if run.started_at is None or run.state.final:
        return ""
    return fmt.duration(max((now - run.started_at).total_seconds(), 0) // 1 * 1000)


def why(run: ExecutionView) -> str:
    """Return why a run is as it is, in a few words."""
    if run.reason:
        return run.reason
    if run.outcome not in {None, "ok"}:
        return str(run.outcome).replace("_", " ")
    return f"{run.warnings} warning{'s' * (run.warnings > 1)}" if run.warnings else ""
