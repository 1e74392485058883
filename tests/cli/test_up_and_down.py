"""Starting and stopping the embedded server from the command line."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import DaemonHandle

CRONTAB = "0 4 * * * echo early\n"


@pytest.fixture
def idle() -> Iterator[DaemonHandle]:
    """A state directory on which nothing runs yet."""
    state = Path(tempfile.mkdtemp(prefix="chronos-up-"))
    handle = DaemonHandle(state / "of" / "mine")
    yield handle
    if handle.state.exists():
        handle.stop()
    shutil.rmtree(state)


def test_up_without_a_terminal_starts_imports_once_and_prints_the_status(idle: DaemonHandle, tmp_path: Path) -> None:
    crontab = tmp_path / "crontab"
    crontab.write_text(CRONTAB)

    first = idle.chronos("up", "--import", str(crontab))
    idle.json("job", "edit", "echo", "--", "echo changed by hand")
    second = idle.chronos("up", "--import", str(crontab))
    kept = idle.json("job", "show", "echo")
    stopped = idle.chronos("down", "--now")
    down_again = idle.chronos("down")
    after = idle.chronos("status")

    assert first.returncode == 0
    assert "started the server" in first.stdout
    assert "1 created" in first.stdout
    assert "NEXT FIRE" in first.stdout
    assert (second.returncode, "started" in second.stdout, "created" in second.stdout) == (0, False, False)
    assert kept["spec"]["command"] == "echo changed by hand"
    assert (stopped.returncode, down_again.returncode) == (0, 0)
    assert "no server runs" in down_again.stdout
    assert after.returncode == 6


def test_three_at_once_get_one_server(idle: DaemonHandle) -> None:
    words = [sys.executable, "-m", "chronos_tui", "--state", str(idle.state), "up", "--json"]
    started = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=idle.environ) for _ in range(3)]
    said = [program.communicate(timeout=60)[0] for program in started]

    pids = {idle.json("status")["pid"]}
    assert [program.returncode for program in started] == [0, 0, 0]
    assert all(f'"pid": {pid}' in text for text in said for pid in pids)


def test_a_server_that_cannot_start_says_why(idle: DaemonHandle, tmp_path: Path) -> None:
    idle.environ["CHRONOS_REDIS_URL"] = ""
    idle.environ["CHRONOS_DATABASE_URL"] = "nonsense://nowhere"

    done = idle.chronos("up")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "nonsense" in done.stderr
    assert "chronosd.log" in done.stderr


def test_a_state_directory_that_cannot_be_made_says_so(idle: DaemonHandle, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    done = idle.chronos("--state", str(tmp_path / "file" / "x"), "up")

    assert done.returncode == 1
    assert "not a directory" in done.stderr


def test_a_server_that_was_named_is_not_started(idle: DaemonHandle, tmp_path: Path) -> None:
    done = idle.chronos("--server", f"unix://{tmp_path}/other.sock", "up")

    assert done.returncode == 6
    assert not idle.state.exists()
