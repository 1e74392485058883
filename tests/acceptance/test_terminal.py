"""The terminal app as people meet it: the real `chronos` in tmux on a real daemon with real jobs."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import DaemonHandle, wait_until
from tests.support.terminal import Terminal, terminal

CRONTAB = """\
* * * * * echo every minute
* * * * * for n in $(seq 1 600); do echo "tick $n"; sleep 0.2; done
0 9 * * 1-5 echo weekdays at nine
"""


@pytest.fixture
def daemon(fresh_daemon: DaemonHandle) -> DaemonHandle:
    """Each test's own: what the screen shows is counted."""
    return fresh_daemon


@pytest.fixture
def app(daemon: DaemonHandle) -> Iterator[Terminal]:
    """`chronos` on the daemon, live."""
    environ = {name: value for name, value in daemon.environ.items() if name != "NO_COLOR"}
    command = [sys.executable, "-m", "chronos_tui", "--state", str(daemon.state)]
    with terminal(command, environ) as window:
        window.until("overview", "● live")
        yield window


def test_import_see_a_fire_read_its_log_live_cancel_filter_resize_and_quit(
    daemon: DaemonHandle, app: Terminal, tmp_path: Path
) -> None:
    crontab = tmp_path / "crontab"
    crontab.write_text(CRONTAB)
    daemon.chronos("job", "add", "clockwork", "--schedule", "*/2 * * * * *", "--", "true")
    daemon.chronos("job", "add", "ticker", "--", "for n in $(seq 1 600); do echo tick $n; sleep 0.1; done")

    daemon.chronos("import", "crontab", str(crontab))
    app.press("2")
    app.until("jobs 5", "clockwork", "At 09:00 on")

    _sees_a_fire_within_its_second(app)
    _reads_a_log_while_it_streams(app)
    _cancels(app)
    _filters(app)
    app.resize(40, 10)
    app.until("/status:cancelled", "⊗ cancelled ticker", "? help")
    app.press("C-q")
    wait_until(lambda: app.ended)


def _sees_a_fire_within_its_second(app: Terminal) -> None:
    app.press("4")
    app.until("runs", "clockwork")

    # A busy machine may hold up one fire or another: the middle one of five tells.
    delays = sorted(_delay_of_next_fire(app) for _ in range(5))
    assert delays[2] < 1.5
    assert delays[-1] < 60  # none before its second

    app.press("2")
    app.until("jobs 5", "ticker")


def _delay_of_next_fire(app: Terminal) -> float:
    before = _begun(app)
    fresh = wait_until(lambda: {run: line for run, line in _begun(app).items() if run not in before}, every=0.02)
    seen, due = time.time(), next(iter(fresh.values())).split()[4]
    hours, minutes, seconds = map(int, due.split(":"))
    return (seen - (hours * 3600 + minutes * 60 + seconds)) % 86_400


def _begun(app: Terminal) -> dict[str, str]:
    """Return the lines of runs that are more than prepared, by the number of the run."""
    lines = [line for line in app.lines if "clockwork" in line and "starting" not in line and "queued" not in line]
    return {line.split()[2]: line for line in lines}


def _reads_a_log_while_it_streams(app: Terminal) -> None:
    app.press("/")
    app.type("ticker")
    app.until("jobs 1")
    app.press("Enter", "r")
    app.until("▶ running")
    app.press("l")
    app.until("log", "tick 5")
    app.until("tick 15", seconds=5)


def _cancels(app: Terminal) -> None:
    app.press("x")
    app.until("Cancel run")
    app.press("y")
    app.until("⊗ cancelled", "end")
    app.press("Escape")


def _filters(app: Terminal) -> None:
    app.until("jobs 1", "/ticker", "⊗ cancelled")
    app.press("Escape")
    app.until("jobs 5", "clockwork")
    app.press("/")
    app.type("status:cancelled")
    app.until("jobs 1", "ticker")
    app.press("Enter")


def test_a_killed_daemon_shows_as_stale_within_three_seconds_and_the_cursor_stays(
    daemon: DaemonHandle, app: Terminal
) -> None:
    names = "abcdefghijklmnopqrst"
    daemon.chronos("import", "crontab", "-", stdin="".join(f"0 9 * * * job-{name}\n" for name in names))
    app.press("2")
    app.until("jobs 20", "job-g")
    app.press(*"jjjjjj")
    app.press("y")
    app.until("Copied job-g")

    daemon.kill9()
    took = app.until("✖ stale", seconds=4)
    daemon.start()
    app.until("● live", seconds=8)
    app.until_gone("Copied job-g")
    app.press("y")
    app.until("Copied job-g")

    assert took < 3


def test_an_idle_app_writes_little(daemon: DaemonHandle, app: Terminal) -> None:
    daemon.chronos("job", "add", "quiet", "--schedule", "0 0 1 1 *", "--", "true")
    app.press("2")
    app.until("jobs 1", "quiet")

    def written() -> int:
        before = app.output.stat().st_size
        time.sleep(2)
        return app.output.stat().st_size - before

    assert wait_until(lambda: (seen := written()) < 2 * 400 and seen, seconds=20) > 0  # the clock alone


def test_the_first_frame_is_there_before_the_daemon_is_asked(daemon: DaemonHandle, app: Terminal) -> None:
    first = app.output.read_bytes().decode(errors="replace")

    connecting, live = first.find("connecting"), first.find(" live")

    assert 0 < connecting < live
