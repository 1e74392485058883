"""The verbs of whoever runs the server work with no daemon there, and before there ever was one."""

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import processes_of


@pytest.fixture
def state() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="cs-d-", dir="/tmp"))
    yield folder / "state"
    shutil.rmtree(folder, ignore_errors=True)


def chronosd(state: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CHRONOS_")}
    command = [sys.executable, "-m", "scheduler_daemon", *words, "--state", str(state)]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, env=environ, check=False)


def test_a_state_directory_that_was_never_used_is_looked_at_without_a_fault(state: Path) -> None:
    doctor = chronosd(state, "doctor", "--reconcile", "--json")
    again = chronosd(state, "doctor")
    migrated = chronosd(state, "migrate")
    users = chronosd(state, "user", "list", "--json")

    assert (doctor.returncode, json.loads(doctor.stdout)["differences"]) == (0, []), doctor.stderr
    assert (again.returncode, again.stdout) == (0, "0 differences between the live picture and SQL.\n"), again.stderr
    assert (migrated.returncode, users.returncode) == (0, 0)
    assert json.loads(users.stdout) == {"items": [], "next": None}


def test_the_first_admin_is_whoever_started_the_daemon(daemon) -> None:
    users = chronosd(daemon.state, "user", "list", "--json")

    me = pwd.getpwuid(os.getuid()).pw_name
    assert json.loads(users.stdout)["items"] == [{"name": me, "role": "admin", "uid": os.getuid(), "enabled": True}]


def test_a_setting_that_makes_no_sense_is_wrong_use(state: Path) -> None:
    refused = chronosd(state, "serve", "--tcp", "0.0.0.0:80")

    assert refused.returncode == 2
    assert "127.0.0.1:PORT" in refused.stderr
    assert processes_of(state) == []
