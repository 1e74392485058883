"""What verbs do to several rows, to one of several, and when the server refuses."""

from __future__ import annotations

import os
import signal

from chronos_tui.screens.form import JobForm
from tests.support.daemon import DaemonHandle
from tests.tui.conftest import Driven, driving
from tests.tui.test_app import add


async def _listed(driven: Driven, words: str, count: int) -> None:
    await driven.press("2", "slash")
    await driven.type(words)
    await driven.until(f"jobs {count}")
    await driven.press("enter")


async def test_a_verb_for_one_is_about_the_row_under_the_cursor_whatever_is_marked(
    shared_daemon: DaemonHandle, driven: Driven
) -> None:
    for letter in "abcdef":
        add(shared_daemon, f"single-{letter}")
    await _listed(driven, "single-", 6)
    await driven.press("asterisk", "g", "j", "j")

    await driven.press("e")

    await driven.until("Edit single-c", lambda: isinstance(driven.app.screen, JobForm))


async def test_several_marked_jobs_run_once_each_after_a_question(shared_daemon: DaemonHandle, driven: Driven) -> None:
    for letter in "abc":
        add(shared_daemon, f"several-{letter}")
    await _listed(driven, "several-", 3)
    await driven.press("asterisk", "r")
    await driven.until("Run 3 jobs now?")

    await driven.press("y")

    await driven.until("3 runs asked for")
    assert all(len(_runs(shared_daemon, f"several-{letter}")) == 1 for letter in "abc")


async def test_marks_do_not_outlive_the_filter_they_were_made_under(
    shared_daemon: DaemonHandle, driven: Driven
) -> None:
    for letter in "ab":
        add(shared_daemon, f"unseen-{letter}")
    add(shared_daemon, "in-sight")
    await _listed(driven, "unseen-", 2)
    await driven.press("asterisk", "escape", "slash")
    await driven.type("in-sight")
    await driven.until("jobs 1", "in-sight")

    await driven.press("enter", "p")

    await driven.until("in-sight: paused")
    assert not any(shared_daemon.json("job", "show", f"unseen-{letter}")["paused"] for letter in "ab")


async def test_what_could_not_be_done_is_said_and_not_called_done(daemon: DaemonHandle) -> None:
    add(daemon, "unheard")
    async with driving(daemon) as driven:
        await driven.press("2")
        await driven.until("jobs 1", "unheard")
        daemon.kill9()
        await driven.until("✖ stale")

        await driven.press("p")

        await driven.until("The server does not answer")
        assert "paused" not in driven.text


async def test_a_verb_is_not_broken_off_by_the_next_one_or_by_leaving(daemon: DaemonHandle) -> None:
    for letter in "ab":
        add(daemon, f"kept-{letter}")
    async with driving(daemon) as driven:
        await driven.press("2")
        await driven.until("jobs 2")
        assert daemon.process is not None
        os.kill(daemon.process.pid, signal.SIGSTOP)
        await driven.press("r", "j", "r", "escape")
        os.kill(daemon.process.pid, signal.SIGCONT)

        await driven.until("kept-a: run", "kept-b: run")


async def test_a_number_of_a_run_that_is_none_is_refused(driven: Driven) -> None:
    await driven.press("colon")
    await driven.type("run ")
    await driven.press("²")
    await driven.press("enter")

    await driven.until("is no number of a run")


def _runs(handle: DaemonHandle, job: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = handle.json("runs", "list", "--job", job)["items"]
    return found
