"""The verbs of whoever runs the server work with no daemon there, and before there ever was one."""

import asyncio
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

from scheduler_daemon.contract.places import places
from scheduler_daemon.contract.policies import Protection
from scheduler_daemon.runners.process import ProcessRunner
from tests.support.daemon import processes_of, running_daemon


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
    assert again.returncode == 0, again.stderr
    assert again.stdout.endswith("0 differences between the live picture and SQL.\n")
    assert processes_of(state) == []
    assert (migrated.returncode, users.returncode) == (0, 0)
    assert json.loads(users.stdout) == {"items": [], "next": None}


def test_doctor_tries_each_protection_and_says_who_needs_it(daemon) -> None:
    told = json.loads(chronosd(daemon.state, "doctor", "--json").stdout)
    words = chronosd(daemon.state, "doctor").stdout

    assert [one["name"] for one in told["protections"]] == list(Protection)
    by_name = {one["name"]: one for one in told["protections"]}
    assert by_name["files"]["in_force"]
    assert by_name["files"]["required_by"] == ["standard", "strict"]
    assert by_name["kill"]["required_by"] == ["trusted", "standard", "strict"]
    assert "in force  seccomp" in words
    assert daemon.healthy()


def test_doctor_knows_the_policies_that_somebody_has_made() -> None:
    with running_daemon() as handle:
        handle.json("policy", "create", "quiet", "--network", "none")
        handle.stop()

        told = chronosd(handle.state, "doctor", "--json")

    by_name = {one["name"]: one for one in json.loads(told.stdout)["protections"]}
    assert by_name["network"]["required_by"] == ["strict", "quiet"]
    assert by_name["files"]["required_by"] == ["standard", "strict", "quiet"]


def test_doctor_fails_where_standard_cannot_be_given_and_says_what_to_do(state: Path) -> None:
    async def start_launcher() -> None:
        socket = Path(places(str(state), os.getuid()).launcher_socket)
        async with ProcessRunner(state, socket, options=("--bwrap", "/nowhere/bwrap")):
            pass  # it stays

    asyncio.run(start_launcher())
    told = chronosd(state, "doctor", "--json")
    asyncio.run(start_launcher())
    words = chronosd(state, "doctor")

    assert (told.returncode, words.returncode) == (1, 1)
    document = json.loads(told.stdout)
    files = next(one for one in document["protections"] if one["name"] == "files")
    assert (files["in_force"], files["enable"]) == (False, "apt-get install bubblewrap")
    assert "no bubblewrap" in files["why_not"]
    assert document["refused_policies"] == ["standard", "strict"]
    assert "do: apt-get install bubblewrap" in words.stdout
    assert "Runs of policy standard, strict are not started here." in words.stdout


def test_the_first_admin_is_whoever_started_the_daemon(daemon) -> None:
    users = chronosd(daemon.state, "user", "list", "--json")

    me = pwd.getpwuid(os.getuid()).pw_name
    assert json.loads(users.stdout)["items"] == [{"name": me, "role": "admin", "uid": os.getuid(), "enabled": True}]


def test_a_setting_that_makes_no_sense_is_wrong_use(state: Path) -> None:
    refused = chronosd(state, "serve", "--tcp", "0.0.0.0:80")

    assert refused.returncode == 2
    assert "127.0.0.1:PORT" in refused.stderr
    assert processes_of(state) == []
