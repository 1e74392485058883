"""Looking at one run: it is not forgotten while it is shown, what a search says of its log is true, and why it ran."""

from __future__ import annotations

from chronos_tui.board import RUNS_KEPT
from chronos_tui.messages import OpenLog, OpenRun
from tests.support.daemon import DaemonHandle
from tests.tui.conftest import Driven, driving
from tests.tui.test_app import add


async def test_a_run_on_screen_is_known_though_thousands_came_after_it(
    shared_daemon: DaemonHandle, driven: Driven
) -> None:
    add(shared_daemon, "old-one")
    number = shared_daemon.json("run", "old-one", "--wait")["id"]
    driven.app.post_message(OpenRun(number))
    await driven.until("asked by", "old-one")
    board = driven.app.desk.board

    for after in range(RUNS_KEPT * 2):
        board.learn_run(board.runs[max(board.runs)].model_copy(update={"id": 1_000_000 + after}))
    forgotten, meant = number not in board.runs, driven.app.screen.run_meant()

    assert forgotten
    assert meant.id == number


async def test_a_search_tells_of_lines_that_are_not_read_here(shared_daemon: DaemonHandle, driven: Driven) -> None:
    add(shared_daemon, "long-log", "echo needle; seq 1 2500")
    number = shared_daemon.json("run", "long-log", "--wait")["id"]
    driven.app.post_message(OpenLog(number))
    await driven.until("2500", "end")

    await driven.press("slash")
    await driven.type("needle")
    await driven.press("enter")
    await driven.until("Line 1 holds it", "from 502 on")
    await driven.press("slash")
    await driven.type("needless")
    await driven.press("enter")

    await driven.until("Not found in the whole log")


async def test_a_log_that_holds_all_it_can_says_so_instead_of_doing_nothing(
    shared_daemon: DaemonHandle, driven: Driven
) -> None:
    add(shared_daemon, "longest-log", "seq 1 13000")
    number = shared_daemon.json("run", "longest-log", "--wait")["id"]
    driven.app.post_message(OpenLog(number))
    await driven.until("13000", "end")
    view = driven.app.screen.view
    while not view.full:
        held = view.held
        await driven.press("g", "g")
        await driven.until(lambda held=held: view.held > held)

    await driven.press("g", "g")

    await driven.until(f"chronos log {number} prints all")


async def test_the_form_and_the_job_show_the_coming_fires_and_what_clock_changes_do_to_them(
    shared_daemon: DaemonHandle, driven: Driven
) -> None:
    add(shared_daemon, "clocked", "true", "--schedule", "30 2 * * *", "--zone", "Europe/Berlin")
    await driven.press("2", "slash")
    await driven.type("clocked")
    await driven.until("jobs 1", "clocked")
    await driven.press("enter", "e")
    await driven.until("At 02:30 every day", "clocks", "is skipped", "02:30:00 CE")
    await driven.press("escape", "enter")
    await driven.until("Configuration")

    await driven.press("right_square_bracket")

    await driven.until("At 02:30 every day", "clocks", "is skipped", "02:30:00 CE")
    assert driven.text.count("02:30:00 CE") == 10


async def test_why_goes_from_fire_to_fire_and_to_any_time_that_is_typed(
    shared_daemon: DaemonHandle, driven: Driven
) -> None:
    add(shared_daemon, "asked-ahead", "true", "--schedule", "30 2 1 1 *", "--zone", "UTC")
    await driven.press("colon")
    await driven.type("job asked-ahead")
    await driven.press("enter")
    await driven.until("Dependencies")
    await driven.press("right_square_bracket")
    await driven.until("At 02:30")
    year = shared_daemon.json("job", "show", "asked-ahead")["next_fire_at"][:4]

    await driven.press("w")
    await driven.until(f"asked-ahead at {year}-01-01 02:30:00", "next fire")
    await driven.press("n")
    await driven.until(f"asked-ahead at {int(year) + 1}-01-01 02:30:00")
    await driven.press("t", *["backspace"] * 30)
    await driven.type("soon")
    await driven.press("enter")
    await driven.until("'soon' is not a time; write it as")
    await driven.press(*["backspace"] * 4)
    await driven.type(f"{year}-01-02")
    await driven.press("enter")

    await driven.until(f"asked-ahead at {year}-01-02 00:00:00")


async def test_why_on_the_runs_of_a_job_is_about_the_run_under_the_cursor(
    shared_daemon: DaemonHandle, driven: Driven
) -> None:
    add(shared_daemon, "asked-run", "echo 'tar: archive is [bold]damaged[/]: no such file'; exit 3")
    shared_daemon.chronos("run", "asked-run", "--wait")
    await driven.press("colon")
    await driven.type("job asked-run")
    await driven.press("enter")
    await driven.until("Runs 1", "exit code 3")

    await driven.press("w")
    await driven.until("tar: archive is [bold]damaged[/]: no such file", "It ended with exit code 3", "why it ran then")
    await driven.press("s")

    await driven.until("asked-run at 2", "was made by")


async def test_a_time_can_be_typed_at_the_smallest_size(shared_daemon: DaemonHandle) -> None:
    add(shared_daemon, "asked-small", "true", "--schedule", "30 2 1 1 *", "--zone", "UTC")
    async with driving(shared_daemon, (40, 10)) as driven:
        await driven.press("colon")
        await driven.type("job asked-small")
        await driven.press("enter")
        await driven.until("› asked-small", "Runs 0")
        await driven.press("right_square_bracket", "w")
        await driven.until("asked-small at")
        await driven.press("end", "t")

        await driven.until("-01-01T02:30:00")


async def test_the_run_screen_shows_how_far_a_run_is_and_what_it_leaves(
    shared_daemon: DaemonHandle, driven: Driven
) -> None:
    add(shared_daemon, "teller", "echo ::progress 70; sleep 1; echo ::kpi rows=5; exit 3", "--on-failure", "echo sorry")
    number = shared_daemon.json("run", "teller")["id"]
    driven.app.post_message(OpenRun(number))

    await driven.until("progress", "70%")
    await driven.until("rows 5", "on_failure: run", "load")
