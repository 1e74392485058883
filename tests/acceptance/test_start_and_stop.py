"""Starting and stopping: one daemon to a directory, started by a plain command, and nothing left of it afterwards."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.api import Api, api_of
from tests.support.daemon import DaemonHandle, processes_of, wait_until

CRONTAB = Path(__file__).parents[2] / "examples" / "crontab"


@pytest.fixture
def idle() -> Iterator[DaemonHandle]:
    """A state directory with no daemon."""
    state = Path(tempfile.mkdtemp(prefix="chronos-test-"))
    handle = DaemonHandle(state)
    try:
        yield handle
    finally:
        handle.stop()
        shutil.rmtree(state, ignore_errors=True)


def test_a_second_daemon_on_one_state_directory_refuses(daemon: DaemonHandle, api: Api) -> None:
    second = daemon.chronosd("serve", timeout=20)

    assert daemon.process is not None
    assert second.returncode == 5
    assert second.stderr.startswith(f"chronosd: a daemon (pid {daemon.process.pid}) already uses ")
    assert len(second.stderr.splitlines()) == 1
    assert api.health()["status"] == "ready"


def test_a_setting_leaves_insights_off_and_health_says_so(api: Api) -> None:
    (part,) = (each for each in api.health()["components"] if each["name"] == "insights")

    assert part == {"name": "insights", "ok": True, "detail": "off: insights.enabled is false"}


def test_up_without_a_terminal_starts_imports_prints_and_exits_and_down_leaves_nothing(idle: DaemonHandle) -> None:
    api = api_of(idle)

    first = idle.chronos("up", "--import", str(CRONTAB))
    jobs = api.jobs()
    again = idle.chronos("up", "--import", str(CRONTAB))

    assert (first.returncode, first.stderr) == (0, "")
    assert "ready" in first.stdout
    assert len(jobs) >= 3
    assert again.returncode == 0
    assert [job["id"] for job in api.jobs()] == [job["id"] for job in jobs]

    mark = "86400.25"
    run = api.run(f"sleep {mark}", grace_ms=100)
    api.until_running([run])
    kept = idle.chronos("down")

    assert kept.returncode == 0
    assert _processes(mark)

    assert idle.chronos("up").returncode == 0
    assert api.execution(run)["state"] == "running"
    assert idle.chronos("down", "--now").returncode == 0
    assert not _processes(mark)
    wait_until(lambda: not processes_of(idle.state))


def test_up_twice_at_once_gives_one_daemon(idle: DaemonHandle) -> None:
    words = [sys.executable, "-m", "chronos_tui", "--state", str(idle.state), "up", "--json"]
    both = [
        subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=idle.environ, text=True)
        for _ in range(2)
    ]

    outputs = [each.communicate(timeout=60)[0] for each in both]

    assert [each.returncode for each in both] == [0, 0]
    assert all('"ready"' in output for output in outputs)
    wait_until(lambda: len(_daemons(idle.state)) == 1)  # the one that came second may still be about to refuse
    assert idle.chronos("down").returncode == 0
    wait_until(lambda: not processes_of(idle.state))


def _daemons(state: Path) -> list[int]:
    return [pid for pid in processes_of(state) if b"\0serve\0" in _words(pid)]


def _words(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _processes(mark: str) -> list[int]:
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if mark.encode() in _words(pid)]
