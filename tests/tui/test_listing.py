"""Lists under filters: what is shown belongs there, nothing is missing in between, and refusals are said in place."""

from __future__ import annotations

import asyncio
import os
import signal

from chronos_tui.board import Dirty
from chronos_tui.screens.executions import ExecutionsScreen
from chronos_tui.screens.jobs import JobsScreen
from chronos_tui.screens.overview import TILES
from chronos_tui.screens.query import parse_run_filter
from chronos_tui.screens.runlist import RunTable
from tests.support.daemon import DaemonHandle
from tests.tui.conftest import Driven, driving
from tests.tui.test_app import add


def runs_screen(driven: Driven) -> ExecutionsScreen:
    screen = driven.app.frames[-1]
    assert isinstance(screen, ExecutionsScreen)
    return screen


async def test_runs_of_other_jobs_never_come_into_a_list_of_one_job(
    shared_daemon: DaemonHandle, driven: Driven
) -> None:
    for name in ("mine", "theirs"):
        add(shared_daemon, name)
    shared_daemon.json("run", "mine", "--wait")
    await driven.press("4", "slash")
    await driven.type("job:mine")
    await driven.until("runs 1")
    await driven.press("enter")
    other = await driven.app.desk.client.run_job("theirs")
    driven.app.desk.board.learn_run(other)

    runs_screen(driven).changed(Dirty(runs={other.id}, new_runs=True))

    assert runs_screen(driven).runs.count == "1"


async def test_a_run_of_the_job_that_is_listed_comes_at_once(shared_daemon: DaemonHandle, driven: Driven) -> None:
    add(shared_daemon, "ours")
    shared_daemon.json("run", "ours", "--wait")
    await driven.press("4", "slash")
    await driven.type("job:ours")
    await driven.until("runs 1")
    await driven.press("enter", "r")

    await driven.until("runs 2")


async def test_no_run_is_missing_between_the_newest_and_older_ones(daemon: DaemonHandle) -> None:
    add(daemon, "many", "true", "--concurrency", "allow")
    async with driving(daemon) as driven:
        await _run(driven, 201)
        await driven.press("4")
        await driven.until("runs 200+")
        await driven.press("G")
        await driven.until("runs 201")
        await driven.press("1")
        await _run(driven, 210)
        await driven.press("4")
        await driven.until("0+")
        table = driven.app.screen.query_one(RunTable)

        await driven.press("G")
        await driven.until("runs 4")
        await driven.press("G")

        await driven.until("runs 411")
        numbers = table.keys_between(0, 500)
        assert numbers == list(range(411, 0, -1))


async def test_what_was_found_by_another_filter_is_not_shown(daemon: DaemonHandle) -> None:
    for name in ("apple", "pear"):
        add(daemon, name)
    async with driving(daemon) as driven:
        await driven.press("2")
        await driven.until("jobs 2")
        screen = driven.app.screen
        assert isinstance(screen, JobsScreen)
        assert daemon.process is not None
        os.kill(daemon.process.pid, signal.SIGSTOP)
        screen.set_filter("pear")
        reading = asyncio.create_task(screen.read())  # as the feed does when something was missed
        await asyncio.sleep(0.05)
        screen.filter = "apple"
        os.kill(daemon.process.pid, signal.SIGCONT)
        await reading

        assert not screen.settled
        assert screen.table.total == 2


async def test_a_filter_that_means_nothing_is_said_in_the_header_once_and_shows_no_rows(
    shared_daemon: DaemonHandle, driven: Driven
) -> None:
    add(shared_daemon, "any-run")
    shared_daemon.json("run", "any-run", "--wait")
    await driven.press("4")
    await driven.until("● ok")
    await driven.press("slash")
    await driven.type("status:s")
    await driven.until("'s' is none of", lambda: "● ok" not in driven.text)
    toasts = len(driven.app._notifications)

    await driven.type("ucceeded")
    await driven.until("● ok", lambda: "is none of" not in driven.text)

    assert toasts == 0


async def test_several_marked_runs_are_cancelled_after_one_question(
    shared_daemon: DaemonHandle, driven: Driven
) -> None:
    for letter in "ab":
        add(shared_daemon, f"both-{letter}", "sleep 60")
    runs = [shared_daemon.json("run", f"both-{letter}")["id"] for letter in "ab"]
    await driven.press("4", "slash")
    await driven.type("both-")
    await driven.until("runs 2", lambda: driven.text.count("▶ running") == 2)
    await driven.press("enter", "asterisk", "x")
    await driven.until("Cancel 2 runs?")

    await driven.press("y")

    await driven.until(lambda: driven.text.count("⊗ cancelled") == 2)
    assert len(runs) == 2


async def test_a_list_that_changes_all_the_time_is_still_read_to_the_end(daemon: DaemonHandle) -> None:
    add(daemon, "busy")
    async with driving(daemon) as driven:
        await driven.press("4")
        await driven.until("runs 0")
        screen = runs_screen(driven)
        assert daemon.process is not None
        os.kill(daemon.process.pid, signal.SIGSTOP)
        reading = asyncio.create_task(screen.refresh_rows())
        await asyncio.sleep(0)
        started = {worker for worker in driven.app.workers if worker.group == "read"}
        for _ in range(5):
            screen.reread_soon(0)
            await asyncio.sleep(0.12)
        begun = {worker for worker in driven.app.workers if worker.group == "read"} - started
        os.kill(daemon.process.pid, signal.SIGCONT)
        await reading

        assert begun == set()


async def _run(driven: Driven, times: int) -> None:
    for begun in range(0, times, 30):
        client = driven.app.desk.client
        await asyncio.gather(*(client.run_job("many") for _ in range(min(30, times - begun))))


def test_the_tile_of_failures_opens_a_list_of_all_that_it_counts() -> None:
    """The server counts runs whose end nobody saw among the failures."""
    assert parse_run_filter(TILES["failed"][2]).state == "failed,unknown"
