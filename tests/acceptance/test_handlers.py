"""A real job that ends is followed by its handler, once, whatever becomes of the daemon meanwhile."""

import time
from typing import Any

from tests.support.daemon import DaemonHandle, daemon, wait_until

__all__ = ["daemon"]

TELL = "env | grep ^CHRONOS_ | grep -v CHRONOS_RUN= | sort"


def handlers_of(daemon: DaemonHandle, run: int) -> list[dict[str, Any]]:
    """Return what followed a run, once all of it has ended."""
    found: list[dict[str, Any]] = daemon.json("run", "show", str(run))["handlers"]
    return found if all(each["ended_at"] for each in found) else []


def test_a_failure_is_followed_by_a_run_that_knows_of_it(daemon: DaemonHandle) -> None:
    daemon.json("job", "add", "bad", "--on-failure", TELL, "--on-success", "echo no", "--", "sh", "-c", "exit 7")
    run = daemon.json("run", "bad")["id"]

    (handler,) = wait_until(lambda: handlers_of(daemon, run))

    told = dict(line.split("=", 1) for line in daemon.chronos("log", str(handler["id"])).stdout.splitlines())
    fire_at = told.pop("CHRONOS_FIRE_AT")
    assert fire_at[:16] == daemon.json("run", "show", str(run))["fire_at"][:16]
    assert told == {
        "CHRONOS_JOB": "bad",
        "CHRONOS_HANDLER": "on_failure",
        "CHRONOS_PARENT_RUN": str(run),
        "CHRONOS_PARENT_STATE": "failed",
        "CHRONOS_PARENT_OUTCOME": "exit_code",
        "CHRONOS_PARENT_REASON": "exit code 7",
        "CHRONOS_PARENT_EXIT_CODE": "7",
        "CHRONOS_PARENT_SIGNAL": "",
        "CHRONOS_PARENT_ATTEMPT": "1",
    }
    assert (handler["state"], handler["trigger"], handler["parent_id"]) == ("succeeded", "handler", run)
    shown = daemon.chronos("run", "show", str(run)).stdout
    assert f"on_failure: run {handler['id']}" in shown
    assert f"run {run}, as its on_failure" in daemon.chronos("run", "show", str(handler["id"])).stdout
    assert daemon.json("job", "show", "bad")["last"]["id"] == run


def test_a_cancel_is_followed_and_a_handler_that_takes_too_long_is_ended(daemon: DaemonHandle) -> None:
    daemon.json("job", "add", "long", "--on-cancel", "sleep 60", "--handler-timeout", "300ms", "--", "sleep", "60")
    run = daemon.json("run", "long")["id"]
    wait_until(lambda: daemon.json("run", "show", str(run))["state"] == "running")
    daemon.json("cancel", str(run), "--reason", "enough")

    (handler,) = wait_until(lambda: handlers_of(daemon, run))

    assert (handler["handler"], handler["state"], handler["outcome"]) == ("on_cancel", "failed", "timed_out")
    assert daemon.json("run", "show", str(handler["id"]))["handlers"] == []


def test_a_handler_runs_once_though_the_daemon_is_killed_before_and_after_the_end(daemon: DaemonHandle) -> None:
    go, count = daemon.state / "go", daemon.state / "count"
    command = f"while ! test -e {go}; do sleep 0.05; done; exit 1"
    daemon.json("job", "add", "dying", "--on-failure", f"echo x >> {count}; sleep 1", "--", "sh", "-c", command)
    run = daemon.json("run", "dying")["id"]
    wait_until(lambda: daemon.json("run", "show", str(run))["state"] == "running")

    daemon.kill9()
    go.touch()
    time.sleep(0.5)  # it ends while nobody is there
    daemon.start()
    wait_until(lambda: daemon.json("run", "show", str(run))["handlers"])
    daemon.kill9()
    daemon.start()
    (handler,) = wait_until(lambda: handlers_of(daemon, run))

    assert handler["state"] == "succeeded"
    assert count.read_text() == "x\n"
