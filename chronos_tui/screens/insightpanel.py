"""What was found, beside the row it is about: in lines one can go through, those of evidence lead to what they show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from chronos_tui import format as fmt
from chronos_tui import insights as words
from chronos_tui.messages import Window
from chronos_tui.screens.desk import Desk
from chronos_tui.screens.facts import folded
from chronos_tui.widgets.columns import Column
from chronos_tui.widgets.ink import ascii_only
from chronos_tui.widgets.line_table import LineTable
from chronos_tui.widgets.painter import Cell
from chronos_tui.widgets.rows import Key, Row

if TYPE_CHECKING:
    from scheduler_daemon.contract.insights import Insight

SHOWN = 5
"""Insights of one job that are written out."""
INDENT = "  "


class Target(NamedTuple):
    """Where a line of evidence leads."""

    run: int
    line: int | None = None
    window: Window | None = None
    job_id: str = ""


class PanelLine(NamedTuple):
    """One line of the panel; before it is folded, of any length."""

    text: str
    tone: str = "text"
    target: Target | None = None
    indent: str = ""


class InsightPanel(LineTable):
    """Some insights, one below the other."""

    def __init__(self, desk: Desk, nothing: str, **kwargs: Any) -> None:
        """`nothing` is said where there are none."""
        column = Column("insight", "What was found", 20, flex=1, sorts=False)
        super().__init__((column,), cast("Any", self._paint), **kwargs)
        self._desk = desk
        self._nothing = nothing
        self._insights: tuple[Insight, ...] = ()
        self._targets: dict[Key, Target | None] = {}
        self._said: list[str] = []

    @property
    def insight(self) -> Insight | None:
        """The first one: what a verb is about."""
        return self._insights[0] if self._insights else None

    def show(self, insights: Sequence[Insight]) -> None:
        """Write these out, the first ones in full."""
        if tuple(insights) != self._insights or not self._targets:
            self._insights = tuple(insights)
            self._fold()
            self.scroll_to(y=0, animate=False, force=True)

    def tick(self) -> None:
        """Say anew how long ago things were."""
        said = [line.text for line in self._lines()]
        if said != self._said:
            self._fold()

    def target(self, key: Key) -> Target | None:
        """Return where a line leads."""
        return self._targets.get(key)

    def go_to_evidence(self) -> None:
        """Put the cursor on the first line that leads somewhere, if there is one."""
        first = next((key for key, target in self._targets.items() if target is not None), None)
        if first is not None:
            self.go_to(first)

    def on_resize(self) -> None:
        self._fold()

    def _fold(self) -> None:
        room = max(self.size.width - 3, 16)
        rows: list[Row] = []
        lines = list(self._lines())
        self._said = [line.text for line in lines]
        for line in lines:
            parts = folded(fmt.printable(line.text), room - len(line.indent)) if line.text else [""]
            for part in parts:
                rows.append(Row(len(rows), PanelLine(line.indent + part, line.tone, line.target)))
        self._targets = {row.key: row.data.target for row in rows}
        self.set_rows(rows)

    def _lines(self) -> Iterator[PanelLine]:
        if not self._insights:
            yield PanelLine(self._nothing, "muted")
        for position, insight in enumerate(self._insights[:SHOWN]):
            if position:
                yield PanelLine("")
            yield from insight_lines(insight, self._desk.now(), plain=ascii_only(self))
        if len(self._insights) > SHOWN:
            yield PanelLine(f"and {len(self._insights) - SHOWN} more (7 lists all)", "muted")

    def _paint(self, line: PanelLine) -> list[Cell]:
        return [Cell(line.text, line.tone)]


def insight_lines(insight: Insight, now: datetime, *, plain: bool = False) -> Iterator[PanelLine]:
    """Yield what is known of an insight, unfolded."""
    document = insight.model_dump(mode="json")
    look = words.severity(insight.severity)
    glyph = look.ascii if plain else look.glyph
    yield PanelLine(f"{glyph} {insight.title}", look.tone)
    yield PanelLine(
        f"{look.word}, {insight.confidence:.0%} sure, {standing(insight, now)}; found {fmt.relative(insight.at, now)} "
        f"by {words.source(document)}",
        "muted",
    )
    for line in insight.text.splitlines():
        yield PanelLine(line)
    for item, kept in zip(document["evidence"], insight.evidence, strict=True):
        target = _target(kept, insight)
        arrow = "" if target is None else ("> " if plain else "→ ")
        for at, line in enumerate(words.evidence(item)):
            yield PanelLine(arrow + line if at == 0 else line, "accent" if at == 0 else "text", target, INDENT)
    for line in words.prediction(document["prediction"]):
        yield PanelLine(f"expected: {line}", "text")
    for line in words.change(document["action"]):
        tone = "ok" if line.startswith("+") else "failed" if line.startswith("-") else "title"
        yield PanelLine(line, tone, None, INDENT)
    for line in words.measured(document["measured"]):
        yield PanelLine(line)
    if verbs := can_do(insight, now):
        yield PanelLine(verbs, "muted")


def standing(insight: Insight, now: datetime) -> str:
    """Say in what state it is, and by whom."""
    by = f" by {insight.decided_by}" if insight.decided_by and insight.state not in {"open", "expired"} else ""
    until = f" until {fmt.relative(insight.snoozed_until, now)}" if insight.snoozed_until else ""
    why = f" ({insight.reason})" if insight.reason else ""
    word = {"reverted": "taken back"}.get(insight.state, insight.state)
    return f"{word}{by}{until}{why}"


def can_do(insight: Insight, now: datetime) -> str:
    """Return the keys that mean something now."""
    if insight.state == "applied" and insight.undo_until is not None and insight.undo_until > now:
        return "u undo"
    if insight.state in {"reverted", "expired", "applied"}:
        return ""
    first = "A apply   " if insight.action else ""
    usual = "b usual now   " if insight.model == "watch" else ""
    return f"{first}v accept   X dismiss   {usual}s snooze"


def _target(evidence: Any, insight: Insight) -> Target | None:
    if evidence.kind == "log":
        return Target(evidence.run_id, evidence.first_line)
    if not evidence.run_ids:
        return None
    run, shown = evidence.run_ids[-1], words.series(evidence.metric, insight.kind)
    if shown is None or insight.job_id is None:
        return Target(run)
    return Target(run, window=Window(*shown, at=insight.at, run=run), job_id=insight.job_id)
