"""Screens come and go while answers are on their way: none of that ends the app or speaks of the feed."""

from __future__ import annotations

import asyncio
import os
import signal

from chronos_tui.messages import OpenJob, OpenRun
from chronos_tui.screens.form import JobForm
from chronos_tui.screens.job import JobScreen
from chronos_tui.screens.run import RunScreen
from chronos_tui.widgets.confirm import Confirm
from tests.support.daemon import DaemonHandle
from tests.tui.conftest import Driven, driving
from tests.tui.test_app import add


async def test_a_number_leaves_many_screens_at_once(shared_daemon: DaemonHandle, driven: Driven) -> None:
    job = add(shared_daemon, "deep")
    run = shared_daemon.json("run", "deep", "--wait")
    driven.app.post_message(OpenJob(job["id"]))
    await driven.until("Configuration", "deep")
    driven.app.post_message(OpenRun(run["id"]))
    await driven.until("asked by")
    await driven.press("l")
    await driven.until("no output")

    await driven.press("1")
    await driven.until("Succeeded")

    await driven.press("2")
    await driven.until("deep", "Name")


async def test_an_answer_that_comes_after_its_screen_is_left_is_nobodys_matter(daemon: DaemonHandle) -> None:
    add(daemon, "late")
    async with driving(daemon) as driven:
        await driven.press("2")
        await driven.until("jobs 1")
        await driven.press("enter")
        await driven.until("Configuration")
        assert daemon.process is not None
        os.kill(daemon.process.pid, signal.SIGSTOP)
        reading = asyncio.create_task(driven.app.snapshot())
        await asyncio.sleep(0)

        await driven.press("escape")
        os.kill(daemon.process.pid, signal.SIGCONT)
        await reading

        await driven.until("Name", "● live")


async def test_a_job_deleted_elsewhere_takes_its_screen_with_it_but_not_what_is_open_over_it(
    shared_daemon: DaemonHandle, driven: Driven
) -> None:
    job = add(shared_daemon, "goes")
    driven.app.post_message(OpenJob(job["id"]))
    await driven.until("Configuration", "goes")
    await driven.press("e")
    await driven.until("Edit goes")

    shared_daemon.chronos("job", "delete", "goes")
    await driven.until(lambda: driven.app.desk.board.is_gone(job["id"]))
    await asyncio.sleep(0.3)
    over = type(driven.app.screen)
    await driven.press("escape")

    await driven.until("Succeeded", "This job was deleted")
    assert over is JobForm


async def test_a_job_that_the_server_no_longer_knows_is_left_and_the_feed_lives_on(
    shared_daemon: DaemonHandle, driven: Driven
) -> None:
    driven.app.post_message(OpenJob("5f0c6f2e-0000-4000-8000-000000000000"))

    await driven.until("This job was deleted", "● live")

    assert not isinstance(driven.app.screen, JobScreen)


async def test_what_the_server_refuses_to_list_says_nothing_of_the_feed(driven: Driven) -> None:
    await driven.press("4", "slash")
    await driven.type("status:bogus")
    await driven.press("enter")
    await driven.until("'bogus' is none of")

    feed = driven.app.desk.feed
    assert feed is not None
    before = feed.session

    await driven.press("R")

    await driven.until(lambda: feed.session not in {None, before}, "● live", seconds=6)


async def test_the_same_thing_opened_again_is_gone_back_to(shared_daemon: DaemonHandle, driven: Driven) -> None:
    add(shared_daemon, "round")
    run = shared_daemon.json("run", "round", "--wait")
    driven.app.post_message(OpenRun(run["id"]))
    await driven.until("asked by")

    await driven.press("enter")
    await driven.until("Configuration", "● ok")
    await driven.press("enter")
    await driven.until(lambda: isinstance(driven.app.screen, RunScreen))

    assert len(driven.app.frames) == 2


async def test_a_frozen_picture_stays_as_it_is_and_says_so_on_every_screen(
    shared_daemon: DaemonHandle, driven: Driven
) -> None:
    add(shared_daemon, "frozen-one")
    await driven.press("2", "slash")
    await driven.type("frozen-")
    await driven.press("enter")
    await driven.until("jobs 1")

    await driven.press("F")
    add(shared_daemon, "frozen-two")
    await driven.app.snapshot()
    held = "jobs 1" in driven.text
    await driven.press("4")
    await driven.until("frozen", "runs")
    await driven.press("2", "F")

    await driven.until("jobs 2", lambda: "frozen  " not in driven.text)
    assert held


async def test_a_question_stays_open_when_its_job_goes_and_a_yes_to_it_counts(
    shared_daemon: DaemonHandle, driven: Driven
) -> None:
    job = add(shared_daemon, "asked-about", "sleep 60")
    run = shared_daemon.json("run", "asked-about")
    driven.app.post_message(OpenJob(job["id"]))
    await driven.until("▶ running")
    await driven.press("x")
    await driven.until("Cancel run")

    shared_daemon.chronos("job", "delete", "asked-about")
    await driven.until(lambda: driven.app.desk.board.is_gone(job["id"]))
    await asyncio.sleep(0.3)
    still = isinstance(driven.app.screen, Confirm)
    await driven.press("y")

    await driven.until("This job was deleted")
    await driven.until(lambda: shared_daemon.json("run", "show", str(run["id"]))["state"] == "cancelled")
    assert still


async def test_quitting_asks_about_what_was_typed_and_not_saved(driven: Driven) -> None:
    driven.app.action_new_job()
    await driven.until("New job")
    await driven.type("half")

    await driven.press("ctrl+q")
    await driven.until("Leave without saving?")
    await driven.press("n")
    await driven.until("half", lambda: isinstance(driven.app.screen, JobForm))
    kept = driven.app.is_running
    await driven.press("ctrl+q", "y")

    await driven.until(lambda: driven.app._exit)
    assert kept
