"""How the jobs tied to one lie in lines."""

from __future__ import annotations

from chronos_tui.screens import jobgraph
from chronos_tui.screens.graphtable import GraphTable
from chronos_tui.screens.jobgraph import Branch
from scheduler_daemon.contract.dependencies import GraphEdge, GraphNode, JobGraph, TriggerRule
from tests.support.daemon import DaemonHandle
from tests.tui.conftest import Driven, driving


def graph(this: str, *ties: str) -> JobGraph:
    """Return a graph of jobs named by single words, each tie written `a>b`, in the order they first stand in."""
    pairs = [tuple(tie.split(">")) for tie in ties]
    names = dict.fromkeys([name for pair in pairs for name in pair] or [this])
    nodes = tuple(
        GraphNode(
            id=name, name=name, trigger_rule=TriggerRule.ALL_SUCCESS, paused=False, active=0, state=None, outcome=None,
            fire_at=None,
        )
        for name in names
    )  # fmt: skip
    return JobGraph(
        job_id=this, nodes=nodes, edges=tuple(GraphEdge(upstream=one, downstream=two) for one, two in pairs)
    )


def drawn(branches: list[Branch]) -> list[str]:
    """Return the lines as they stand on the screen, with ids for names."""
    return [f"{each.lines}{f'+{each.more}' if each.more else each.job_id}{each.again and '^'}" for each in branches]


def test_a_chain_stands_in_the_order_in_which_it_runs() -> None:
    assert drawn(jobgraph.lay_out(graph("c", "a>b", "b>c", "c>d", "d>e"))) == [
        "   ┌─ a",
        "┌─ b",
        "c",
        "└─ d",
        "   └─ e",
    ]


def test_what_is_behind_both_sides_of_a_diamond_is_drawn_once() -> None:
    diamond = ("a>b", "a>c", "b>d", "c>d", "d>e")

    assert drawn(jobgraph.lay_out(graph("a", *diamond))) == [
        "a",
        "├─ b",
        "│  └─ d",
        "│     └─ e",
        "└─ c",
        "   └─ d^",
    ]
    assert drawn(jobgraph.lay_out(graph("d", *diamond))) == ["   ┌─ a", "┌─ b", "│  ┌─ a", "├─ c", "d", "└─ e"]


def test_a_job_tied_only_through_others_stands_apart() -> None:
    found = jobgraph.lay_out(graph("b", "a>b", "a>c"))

    assert drawn(found) == ["┌─ a", "b", "c"]
    assert [each.apart for each in found] == [False, False, True]


def test_a_fan_of_a_hundred_is_cut_and_the_others_are_counted() -> None:
    fan = graph("a", *(f"a>{number}" for number in range(100)))

    cut, whole = jobgraph.lay_out(fan, fan=20), jobgraph.lay_out(fan, fan=1000)

    assert (len(cut), drawn(cut)[-1], cut[-1].far) == (22, "└─ +80", False)
    assert (len(whole), drawn(whole)[-1]) == (101, "└─ 99")


def test_a_fan_above_a_job_is_counted_at_its_far_end() -> None:
    fan = graph("z", *(f"{number}>z" for number in range(100)))

    assert drawn(jobgraph.lay_out(fan, fan=2)) == ["┌─ +98", "├─ 98", "├─ 99", "z"]


def test_what_is_too_far_away_is_counted_at_the_last_job_that_is_drawn() -> None:
    chain = graph("0", *(f"{number}>{number + 1}" for number in range(50)))

    found = jobgraph.lay_out(chain, depth=2)

    assert drawn(found) == ["0", "└─ 1", "   └─ 2", "      └─ +1"]
    assert (found[-1].job_id, found[-1].far) == ("2", True)


def test_a_job_tied_to_none_is_one_line() -> None:
    assert drawn(jobgraph.lay_out(graph("a"))) == ["a"]


async def test_the_dependencies_of_a_job_lead_to_one_another(shared_daemon: DaemonHandle) -> None:
    wide = "抽" * 40
    for name, *after in (("tie-root",), ("tie-[b]mid", "tie-root"), (wide, "tie-[b]mid")):
        flags = ("--after", *after, "--trigger-rule", "all_done") if after else ()
        shared_daemon.json("job", "add", name, *flags, "--", "true")
    async with driving(shared_daemon, (80, 24)) as driven:
        await _show_dependencies(driven, "tie-root")
        await driven.until("tie-root  (this job)", "└─ tie-[b]mid", "└─ 抽", "all done", "never ran")

        await driven.press("down", "enter")

        await driven.until("› tie-[b]mid")
        await driven.press("right_square_bracket", "right_square_bracket")
        await driven.until("┌─ tie-root", "tie-[b]mid  (this job)")
        await driven.press("escape")
        await driven.until("tie-root  (this job)")


async def test_enter_on_jobs_that_are_only_counted_draws_them(shared_daemon: DaemonHandle, driven: Driven) -> None:
    shared_daemon.json("job", "add", "tie-none", "--", "true")
    await _show_dependencies(driven, "tie-none")
    await driven.until("tied to no job")
    driven.app.screen.query_one(GraphTable).show(graph("hub", *(f"hub>spoke-{number}" for number in range(100))))
    await driven.press("G")
    await driven.until("└─ and 80 more beside these")

    await driven.press("enter", "G")

    await driven.until("└─ spoke-99")


async def _show_dependencies(driven: Driven, name: str) -> None:
    await driven.press("colon")
    await driven.type(f"job {name}")
    await driven.press("enter")
    await driven.until("Dependencies")
    await driven.press("right_square_bracket", "right_square_bracket")
