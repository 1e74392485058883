"""How the jobs that are tied to one are laid out in lines: what it runs after above it, what runs after it below.

Pure: which jobs are tied is the server's to say, how a line looks is for `graphtable`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from scheduler_daemon.contract.dependencies import JobGraph

FAN = 20
"""Jobs drawn beside each other; the others are counted."""
DEPTH = 6
"""Steps drawn away from the job; what lies further is counted."""
_MIRROR = str.maketrans("└", "┌")


class Branch(NamedTuple):
    """One line. Where `more` counts jobs that are not drawn, `job_id` is the one they hang on."""

    job_id: str
    lines: str = ""
    """What leads from the job to this one, three cells a step."""
    again: str = ""
    """Where what lies behind it is drawn, if that is not here."""
    more: int = 0
    far: bool = False
    """Whether the others are not drawn for being too far, not for being too many."""
    apart: bool = False
    """Neither before nor after the job: tied to it through others."""


def lay_out(graph: JobGraph, *, fan: int = FAN, depth: int = DEPTH) -> list[Branch]:
    """Return the lines from what comes first to what comes last; what lies behind a job is drawn once."""
    before, after = _neighbours(graph)
    above = _tree(graph.job_id, {key: found[::-1] for key, found in before.items()}, fan, depth, "as below")
    below = _tree(graph.job_id, after, fan, depth, "as above")
    tied = _reached(graph.job_id, before) | _reached(graph.job_id, after)
    apart = [node.id for node in graph.nodes if node.id not in tied]
    lines = [branch._replace(lines=branch.lines.translate(_MIRROR)) for branch in reversed(above)]
    lines += [Branch(graph.job_id), *below, *(Branch(key, apart=True) for key in apart[:fan])]
    if apart[fan:]:
        lines.append(Branch(graph.job_id, more=len(apart[fan:]), apart=True))
    return lines


Ties = Mapping[str, Sequence[str]]


def _neighbours(graph: JobGraph) -> tuple[Ties, Ties]:
    """Return what each job runs after, and what runs after it, both in the order of the nodes."""
    order = {node.id: at for at, node in enumerate(graph.nodes)}
    before: dict[str, list[str]] = {}
    after: dict[str, list[str]] = {}
    for edge in sorted(graph.edges, key=lambda edge: (order[edge.upstream], order[edge.downstream])):
        before.setdefault(edge.downstream, []).append(edge.upstream)
        after.setdefault(edge.upstream, []).append(edge.downstream)
    return before, after


def _reached(root: str, ties: Ties) -> set[str]:
    found, open_ones = {root}, [root]
    while open_ones:
        new = [key for key in ties.get(open_ones.pop(), ()) if key not in found]
        found.update(new)
        open_ones += new
    return found


def _tree(root: str, ties: Ties, fan: int, depth: int, elsewhere: str) -> list[Branch]:
    """Return a line for each job below each that it is tied to, `root` itself left out."""
    lines: list[Branch] = []
    told = {root}

    def grow(key: str, lead: str, left: int) -> None:
        keys = ties.get(key, ())
        shown, rest = (keys[:fan], keys[fan:]) if left else ((), keys)
        for at, each in enumerate(shown, start=1):
            is_last = at == len(shown) and not rest
            known = each in told
            told.add(each)
            lines.append(
                Branch(each, lead + ("└─ " if is_last else "├─ "), elsewhere if known and each in ties else "")
            )
            if not known:
                grow(each, lead + ("   " if is_last else "│  "), left - 1)
        if rest:
            lines.append(Branch(key, lead + "└─ ", more=len(rest), far=not left))

    grow(root, "", depth)
    return lines
