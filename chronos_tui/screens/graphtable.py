"""The jobs tied to one, as a table whose first column draws what runs after what. How they lie is `jobgraph`'s."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

from chronos_tui import format as fmt
from chronos_tui.screens import jobgraph
from chronos_tui.screens.desk import Desk
from chronos_tui.screens.jobgraph import Branch
from chronos_tui.screens.rows import state_cell
from chronos_tui.widgets.columns import Column
from chronos_tui.widgets.ink import ascii_only
from chronos_tui.widgets.line_table import LineTable
from chronos_tui.widgets.painter import Cell
from chronos_tui.widgets.rows import Row

if TYPE_CHECKING:
    from scheduler_daemon.contract.dependencies import GraphNode, JobGraph

COLUMNS = (
    Column("job", "What runs after what", 20, flex=1, sorts=False),
    Column("state", "State", 11, sorts=False),
    Column("rule", "Rule", 18, priority=1, sorts=False),
    Column("set", "Run set", 16, priority=2, sorts=False),
    Column("why", "Why", 16, priority=3, sorts=False),
)
ALL = 10_000
_PLAIN = str.maketrans("┌└├│─…", "++||-.")


class Tied(NamedTuple):
    """A line and the job it is about."""

    branch: Branch
    node: GraphNode
    is_this: bool
    is_alone: bool
    in_set: bool
    """Whether its last run is of the run set that the last run of this job is of."""


class GraphTable(LineTable):
    """What a job runs after above it, what runs after it below."""

    def __init__(self, desk: Desk, **kwargs: Any) -> None:
        super().__init__(COLUMNS, cast("Any", self._cells_of), **kwargs)
        self._desk = desk
        self._graph: JobGraph | None = None
        self._fan = jobgraph.FAN
        self._branches: list[Branch] = []

    @property
    def tied(self) -> frozenset[str]:
        """The ids of all jobs of the graph."""
        return frozenset(node.id for node in self._graph.nodes) if self._graph else frozenset()

    def show(self, graph: JobGraph) -> None:
        """Show a graph; the cursor stays on its line, and begins on the job itself."""
        is_first, self._graph = self._graph is None, graph
        self._branches = jobgraph.lay_out(graph, fan=self._fan)
        nodes = {node.id: node for node in graph.nodes}
        own, is_alone = nodes[graph.job_id].fire_at, len(nodes) == 1
        rows, seen = [], dict.fromkeys(nodes, 0)
        for branch in self._branches:
            node = nodes[branch.job_id]
            is_this = node.id == graph.job_id and not branch.more
            tied = Tied(branch, node, is_this, is_alone, node.fire_at == own)
            seen[node.id] += 1
            rows.append(Row((node.id, bool(branch.more), seen[node.id]), tied))
        self.set_rows(rows)
        if is_first:
            self.go_to((graph.job_id, False, 1))

    def opened(self) -> str | None:
        """Return the id of the job that Enter leads to; None where it drew the jobs that were only counted."""
        branch = self._branches[self.cursor_position]
        if branch.more and not branch.far and self._graph is not None:
            self._fan = ALL
            self.show(self._graph)
            return None
        return branch.job_id

    def _cells_of(self, tied: Tied) -> list[Cell]:
        branch, node = tied.branch, tied.node
        plain = ascii_only(self)
        lines = branch.lines.translate(_PLAIN) if plain else branch.lines
        if branch.more:
            where = "further on" if branch.far else "tied through others" if branch.apart else "beside these"
            return [_drawn(lines, f"and {branch.more} more {where}", "muted"), *[Cell("")] * (len(COLUMNS) - 1)]
        note = "  (this job)" if tied.is_this else f", {branch.again}" if branch.again else ""
        note = ", tied through others" if branch.apart else note
        state = "paused" if node.paused else "running" if node.active else node.state or "never"
        rule = str(node.trigger_rule).replace("_", " ") if self._runs_after(node.id) else ""
        return [
            _drawn(lines, fmt.printable(node.name) + note, "title" if tied.is_this else "text"),
            state_cell(state, ascii_only=plain),
            Cell("tied to no job" if tied.is_alone else rule, "muted"),
            Cell(self._set_of(node), "text" if tied.in_set else "muted"),
            Cell("" if node.outcome in (None, "ok") else str(node.outcome).replace("_", " "), "muted"),
        ]

    def _runs_after(self, job_id: str) -> bool:
        return self._graph is not None and any(edge.downstream == job_id for edge in self._graph.edges)

    def _set_of(self, node: GraphNode) -> str:
        return fmt.clock(node.fire_at, self._desk.now(), self._desk.zone) if node.fire_at else ""


def _drawn(lines: str, text: str, tone: str) -> Cell:
    return Cell(lines + text, tone, ((len(lines), "muted"), (len(text), tone)) if lines else ())
