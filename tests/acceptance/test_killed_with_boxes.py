"""Daemon, launcher, spawners, or all of them are killed while jobs run in boxes: output and ends stay true."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

import pytest

from scheduler_daemon.launcher import kernel
from tests.support.api import Api
from tests.support.daemon import DaemonHandle, wait_until
from tests.support.humble import humble_daemon

TELLING = "i=0; while [ $i -lt 40 ]; do i=$((i+1)); printf 'line %d of {n} \\377\\n' $i; sleep 0.05; done; exit {n}"
RUNS = 6


def expected(number: int) -> bytes:
    return b"".join(b"line %d of %d \xff\n" % (line, number) for line in range(1, 41))


def launcher_of(handle: DaemonHandle) -> int:
    return int((handle.state / "launcher.lock").read_text())


def spawners_of(launcher: int) -> list[int]:
    return [one.pid for one in kernel.processes().values() if one.parent == launcher and one.session == launcher]


def victims_of(handle: DaemonHandle, who: str) -> list[int]:
    assert handle.process is not None
    launcher = launcher_of(handle)
    chosen = {"daemon": [handle.process.pid], "launcher": [launcher], "helpers": spawners_of(launcher)}
    return [pid for pids in chosen.values() for pid in pids] if who == "all" else chosen[who]


def begin(api: Api) -> list[int]:
    policies = ("standard", "trusted", "standard")
    return [api.run(TELLING.format(n=number), policy=policies[number % 3], cwd="/") for number in range(RUNS)]


@pytest.fixture(scope="module", params=["as we are", "unprivileged"])
def served(request: pytest.FixtureRequest) -> Iterator[tuple[DaemonHandle, Api]]:
    """A daemon as who runs the tests, which may be root, and one as an account without rights."""
    if request.param == "unprivileged":
        with humble_daemon() as (handle, api):
            yield handle, api
        return
    yield request.getfixturevalue("daemon"), request.getfixturevalue("api")


@pytest.mark.parametrize("who", ["daemon", "launcher", "helpers", "all"])
def test_killed_while_jobs_run_output_is_whole_and_no_exit_code_is_invented(
    served: tuple[DaemonHandle, Api], who: str
) -> None:
    handle, api = served
    runs = begin(api)
    api.until_running(runs)
    spool = handle.state / "spool"
    wait_until(lambda: all((spool / str(run) / "stdout").stat().st_size for run in runs))

    for victim in victims_of(handle, who):
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
    if who in {"daemon", "all"}:
        assert handle.process is not None
        handle.process.wait(10)
        handle.start()

    ends = [api.until_final(run, seconds=60) for run in runs]
    for number, run in enumerate(runs):
        api.finished_log(run)
        assert api.output(run) == expected(number)
    for number, end in enumerate(ends):
        known = end["exit_code"] is not None
        assert known or end["state"] == "unknown"
        assert not known or end["exit_code"] == number
        assert known or (who == "all" and number % 3 == 1)  # a box notes its exit code itself
