"""What was learnt of real runs survives the process that learns it, and the daemon; no run waits for any of it."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from chronos_tui.client import calls
from tests.support.api import Api, api_of
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


def run(api: Api, job: str, times: int) -> None:
    for _ in range(times):
        api.until_final(int(api.ask(calls.run_job(job))["id"]))


def test_what_was_learnt_outlives_the_process_and_the_daemon(daemon: DaemonHandle) -> None:
    bad = daemon.state / "bad"
    api = api_of(daemon)
    job = api.create(f"test ! -e {bad}", name="flaky")["id"]
    run(api, job, 5)
    (first,) = wait_until(lambda: analysts(daemon))
    wait_until(lambda: os.getpriority(os.PRIO_PROCESS, first) >= 15)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: analysts(daemon) not in ([], [first]))
    bad.touch()
    run(api, job, 2)
    daemon.kill9()
    daemon.start()
    run(api, job, 1)

    (found,) = wait_until(lambda: api.ask(calls.insights())["items"], seconds=60)

    assert found["title"] == "flaky has failed 3 times in a row"
    assert len(wait_until(lambda: analysts(daemon))) == 1
