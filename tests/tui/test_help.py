"""The help of every screen lists what works there, and nothing else."""

from __future__ import annotations

import pytest

from chronos_tui import keymap
from chronos_tui.messages import OpenJob, OpenLog, OpenRun
from tests.support.daemon import DaemonHandle
from tests.tui.conftest import Driven
from tests.tui.test_app import add


@pytest.mark.parametrize("name", list(keymap.SCREENS))
async def test_every_key_in_the_help_is_bound_here_and_does_something(
    name: str, shared_daemon: DaemonHandle, driven: Driven
) -> None:
    job = add(shared_daemon, f"helped-{name}", "true", "--schedule", "0 0 1 1 *")
    run = shared_daemon.json("run", f"helped-{name}", "--wait")
    opened = {"job": OpenJob(job["id"]), "run": OpenRun(run["id"]), "log": OpenLog(run["id"])}
    if name in opened:
        driven.app.post_message(opened[name])
    else:
        driven.app.action_go(name)
    await driven.until(lambda: driven.app.frames[-1].name_in_crumbs == (name if name != "executions" else "runs"))
    screen = driven.app.frames[-1]

    listed = {action.id for _, ids in screen.places() for action in keymap.actions(*ids)}

    nodes = [driven.app, screen, *screen.query("*")]
    bound = {
        (binding.id, node)
        for node in nodes
        for _, binding in node._bindings
        if (does := binding.action.partition("(")[0]).startswith("app.")
        or (hasattr(node, f"action_{does}") and node.check_action(does, ()))
    }
    assert listed <= {id_ for id_, _ in bound}, listed - {id_ for id_, _ in bound}


async def test_a_list_without_an_order_or_marks_does_not_offer_them(driven: Driven) -> None:
    await driven.press("?")
    await driven.until("open the row")

    assert "mark" not in driven.text
    assert "sort" not in driven.text
