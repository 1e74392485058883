"""The app's screens and verbs, driven by keys on a real daemon."""

from __future__ import annotations

import asyncio
from typing import Any

from textual.widgets import Input

from chronos_tui.screens.form import JobForm
from tests.support.daemon import DaemonHandle
from tests.tui.conftest import Driven, driving


def add(handle: DaemonHandle, name: str, command: str = "true", *flags: str) -> dict[str, Any]:
    made: dict[str, Any] = handle.json("job", "add", name, *flags, "--", command)
    return made


async def test_back_keeps_filter_order_and_cursor(shared_daemon: DaemonHandle, driven: Driven) -> None:
    for letter in "abc":
        add(shared_daemon, f"keep-{letter}")
    await driven.press("2", "slash")
    await driven.type("keep")
    await driven.until("jobs 3")
    await driven.press("enter", "o", "O")
    await driven.until("Last▼")
    await driven.press("G")
    chosen = driven.app.screen.table.cursor_key
    await driven.press("enter")
    await driven.until("Configuration")

    await driven.press("escape")

    await driven.until("/keep", "Last▼", "jobs 3")
    assert driven.app.screen.table.cursor_key == chosen


async def test_run_pause_and_their_effect_show_at_once(shared_daemon: DaemonHandle, driven: Driven) -> None:
    add(shared_daemon, "verbs", "echo done", "--schedule", "0 9 * * *")
    await _only(driven, "verbs")

    await driven.press("r")
    await driven.until("● ok")
    await driven.press("p")
    await driven.until("‖ paused")
    await driven.press("p")

    await driven.until("● ok", lambda: "‖ paused" not in driven.text)


async def test_a_job_is_deleted_only_when_its_name_is_typed(shared_daemon: DaemonHandle, driven: Driven) -> None:
    add(shared_daemon, "doomed")
    await _only(driven, "doomed")

    await driven.press("D")
    await driven.until("Delete doomed?")
    await driven.type("doom")
    await driven.press("enter")
    await driven.until("nothing was done")
    await driven.type("ed")
    await driven.press("enter")

    await driven.until("jobs 0")
    assert shared_daemon.chronos("job", "show", "doomed").returncode == 3


async def test_the_form_says_what_a_schedule_means_and_saves_nothing_wrong(
    shared_daemon: DaemonHandle, driven: Driven
) -> None:
    add(shared_daemon, "formed", "true", "--schedule", "0 9 * * *")
    await _only(driven, "formed")
    await driven.press("e")
    await driven.until("Edit formed", "At 09:00 every day", "next")

    await driven.press("end", "backspace")
    await driven.until("The expression has 4 fields")
    await driven.press("enter")
    await asyncio.sleep(0.5)
    refused = isinstance(driven.app.screen, JobForm), shared_daemon.json("job", "show", "formed")["version"]
    await driven.press("1", "enter")
    await driven.until("version 2")

    assert refused == (True, 1)
    assert shared_daemon.json("job", "show", "formed")["spec"]["schedule"]["expressions"] == ["0 9 * * 1"]


async def test_the_form_names_the_jobs_that_a_job_runs_after_and_sends_only_what_was_changed(
    shared_daemon: DaemonHandle,
) -> None:
    first = add(shared_daemon, "form-first")
    add(shared_daemon, "form-then", "true", "--after", "form-first")
    async with driving(shared_daemon, (80, 24)) as driven:
        await _only(driven, "form-then")
        await driven.press("e")
        await driven.until("Edit form-then", "After")
        await driven.until("form-first")
        form = driven.app.screen
        assert isinstance(form, JobForm)
        assert not form.unsaved

        form.query_one("#priority", Input).value = "nine"
        await driven.press("f2")
        await driven.until("'nine' is no number")
        form.query_one("#priority", Input).value = "9"
        await driven.press("f2")
        await driven.until("version 2")

    versions = shared_daemon.json("job", "show", "form-then")
    assert (versions["spec"]["after"], versions["spec"]["priority"]) == ([first["id"]], 9)


async def test_the_form_chooses_a_policy_and_says_what_it_gives(shared_daemon: DaemonHandle) -> None:
    shared_daemon.json("policy", "create", "form-quiet", "--network", "none", "--timeout", "9m")
    add(shared_daemon, "form-apart")
    async with driving(shared_daemon, (80, 24)) as driven:
        await _only(driven, "form-apart")
        await driven.press("e")
        await driven.until("Edit form-apart")
        form = driven.app.screen
        assert isinstance(form, JobForm)
        form.query_one("#policy", Input).focus()
        await driven.until("grants")
        await driven.press("f3")
        await driven.until("Enter chooses", "form-quiet")
        await driven.press("end", "enter")
        await driven.until("files system, network none", "at most 9m 00s")

        texts = {
            "limits": "memory=64M cpus=0.5", "artifacts": "out/*.csv", "output_kept": "30d 2G", "on_failure": "echo no",
            "secrets": "TOKEN", "network": "host",
        }  # fmt: skip
        for name, text in texts.items():
            form.query_one(f"#{name}", Input).value = text
        await driven.press("f2")
        await driven.until("'TOKEN' is no assignment")
        form.query_one("#secrets", Input).value = ""
        await driven.press("f2")
        await driven.until("the job asks for the network of the host")  # the server's word, beside its field
        form.query_one("#network", Input).value = ""
        await driven.press("f2")
        await driven.until("version 2")

    spec = shared_daemon.json("job", "show", "form-apart")["spec"]
    assert (spec["policy"], spec["network"], spec["artifacts"]) == ("form-quiet", None, ["out/*.csv"])
    assert (spec["limits"]["memory_bytes"], spec["limits"]["cpus"]) == (64 << 20, 0.5)
    assert spec["output_kept"] == {"days": 30, "runs": None, "bytes": 2 << 30}
    assert spec["on_failure"]["command"] == "echo no"


async def test_another_editor_in_between_is_said_and_nothing_is_lost(
    shared_daemon: DaemonHandle, driven: Driven
) -> None:
    add(shared_daemon, "shared", "true", "--schedule", "0 9 * * *")
    await _only(driven, "shared")
    await driven.press("e")
    await driven.until("Edit shared")
    shared_daemon.json("job", "edit", "shared", "--description", "by another")

    await driven.press("end", "backspace", "5")
    await driven.press("enter")

    await driven.until("version")
    assert isinstance(driven.app.screen, JobForm)
    spec = shared_daemon.json("job", "show", "shared")["spec"]
    assert (spec["description"], spec["schedule"]["expressions"]) == ("by another", ["0 9 * * *"])


async def test_a_copy_is_paused_and_has_all_that_the_form_does_not_show(
    shared_daemon: DaemonHandle, driven: Driven
) -> None:
    add(shared_daemon, "origin", "cat", "--grace", "3s", "--schedule", "@daily")
    await _only(driven, "origin")

    await driven.press("c")
    await driven.until("Copy of origin")
    await driven.press("enter")
    await driven.until("Configuration", "origin-copy")

    copy = shared_daemon.json("job", "show", "origin-copy")
    assert (copy["paused"], copy["spec"]["grace_ms"]) == (True, 3000)


async def test_why_explains_a_run(shared_daemon: DaemonHandle, driven: Driven) -> None:
    add(shared_daemon, "asked", "exit 3")
    shared_daemon.chronos("run", "asked", "--wait")
    await driven.press("4", "slash")
    await driven.type("asked")
    await driven.until("runs 1", "exit code 3")

    await driven.press("enter", "w")
    await driven.until("asked failed and wrote nothing", "ended with exit code 3")
    await driven.press("s")

    await driven.until("exit code 3", "was made by")


async def test_commands_open_what_they_name(shared_daemon: DaemonHandle, driven: Driven) -> None:
    add(shared_daemon, "named")

    await driven.press("colon")
    await driven.type("job named")
    await driven.press("enter")
    await driven.until("named", "Configuration")
    await driven.press("colon")
    await driven.type("nonsense")
    await driven.press("enter")

    await driven.until("no command 'nonsense'")


async def test_every_screen_is_whole_at_the_smallest_size(shared_daemon: DaemonHandle) -> None:
    add(shared_daemon, "small")
    shared_daemon.chronos("run", "small", "--wait")

    async with driving(shared_daemon, (40, 10)) as driven:
        await driven.until("running", "State")
        await driven.press("2")
        await driven.until("Name", "? help")
        await driven.press("slash")
        await driven.type("small")
        await driven.until("jobs 1")
        await driven.press("enter", "enter")
        await driven.until("Runs 1")
        await driven.press("enter")
        await driven.until("run ")
        await driven.press("l")
        await driven.until("log", "? help")


async def test_without_redis_the_app_asks_the_api_and_says_so(daemon: DaemonHandle) -> None:
    add(daemon, "steady")
    async with driving(daemon) as driven:
        await driven.press("2")
        await driven.until("steady")
        pid = int(next(daemon.state.joinpath("redis").glob("*.pid")).read_text())
        _stop(pid)
        await driven.until("polling")
        add(daemon, "meanwhile")
        await driven.until("meanwhile", "jobs 2")
        _go_on(pid)

        await driven.until("● live", seconds=30)


def _stop(pid: int) -> None:
    import os
    import signal

    os.kill(pid, signal.SIGSTOP)


def _go_on(pid: int) -> None:
    import os
    import signal

    os.kill(pid, signal.SIGCONT)


async def _only(driven: Driven, name: str) -> None:
    """Show the jobs screen with one job."""
    await driven.press("2", "slash")
    await driven.type(name)
    await driven.until("jobs 1", name)
    await driven.press("enter")


async def test_the_figures_of_a_jobs_runs_are_a_tab(shared_daemon: DaemonHandle, driven: Driven) -> None:
    add(shared_daemon, "counted", "echo ::kpi rows=$CHRONOS_PARAM_ROWS unit=rows", "--param", "rows integer default=3")
    for rows in ("3", "9"):
        shared_daemon.chronos("run", "counted", "--wait", "--param", f"rows={rows}")
    await _only(driven, "counted")
    await driven.press("enter")
    await driven.until("Configuration")

    await driven.press("left_square_bracket")  # back from the first is the last

    await driven.until("9 rows in run", "between 3 and 9", "▁█")


async def test_a_question_is_answered_over_the_screen_one_is_on(shared_daemon: DaemonHandle, driven: Driven) -> None:
    add(shared_daemon, "asked-about", "true", "--schedule", "0 9 * * *")
    await driven.press("2", "a")
    await driven.until(": ask")
    await driven.type("how is asked-about?")
    await driven.press("enter")

    await driven.until("asked-about: At 09:00", "It never ran.", "Esc close")

    await driven.press("escape")
    await driven.until("jobs ")
