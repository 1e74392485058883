"""What is found in real runs is shown, judged and survives the process that finds it; no run waits for any of it."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import DaemonHandle, processes_of, running_daemon, wait_until


@pytest.fixture
def daemon() -> Iterator[DaemonHandle]:
    """A fresh daemon that has insights found."""
    with running_daemon({"CHRONOS_INSIGHTS": "true"}) as handle:
        yield handle


def analysts(daemon: DaemonHandle) -> list[int]:
    return [pid for pid in processes_of(daemon.state) if b"scheduler_daemon.analyst" in _command(pid)]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has just ended
        return b""


def run(daemon: DaemonHandle, times: int) -> None:
    for _ in range(times):
        daemon.chronos("run", "flaky", "--wait")


def test_a_streak_of_real_failures_is_found_and_judged(daemon: DaemonHandle) -> None:
    bad = daemon.state / "bad"
    daemon.json("job", "add", "flaky", "--policy", "trusted", "--", "test", "!", "-e", str(bad))
    run(daemon, 5)
    bad.touch()
    run(daemon, 3)

    (found,) = wait_until(lambda: daemon.json("insight", "list")["items"])
    shown = daemon.chronos("insight", "show", found["id"][:8])
    applied = daemon.chronos("insight", "apply", found["id"])
    dismissed = daemon.json("insight", "dismiss", found["id"], "--reason", "known")

    assert (found["kind"], found["job"], found["state"]) == ("failure_streak", "flaky", "open")
    assert "flaky has failed 3 times in a row" in shown.stdout
    assert "failures in a row: 3, expected 0; runs 6, 7, 8" in shown.stdout
    assert (applied.returncode, dismissed["state"], dismissed["reason"]) == (5, "dismissed", "known")
    assert "proposes no change" in applied.stderr
    assert daemon.json("insight", "list")["items"] == []
    assert [each["id"] for each in daemon.json("insight", "list", "--state", "all")["items"]] == [found["id"]]
    assert daemon.chronos("insight", "list", "--state", "good").returncode == 2


def test_what_was_learnt_outlives_the_process_and_the_daemon(daemon: DaemonHandle) -> None:
    bad = daemon.state / "bad"
    daemon.json("job", "add", "flaky", "--policy", "trusted", "--", "test", "!", "-e", str(bad))
    run(daemon, 5)
    (first,) = wait_until(lambda: analysts(daemon))
    wait_until(lambda: os.getpriority(os.PRIO_PROCESS, first) >= 15)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: analysts(daemon) not in ([], [first]))
    bad.touch()
    run(daemon, 2)
    daemon.kill9()
    daemon.start()
    run(daemon, 1)

    (found,) = wait_until(lambda: daemon.json("insight", "list")["items"])

    assert found["title"] == "flaky has failed 3 times in a row"
    assert len(wait_until(lambda: analysts(daemon))) == 1
