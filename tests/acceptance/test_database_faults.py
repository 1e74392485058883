"""The database fills its disk, goes away or comes back: the daemon says so, and loses nothing it acknowledged."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import pytest

from chronos_tui.client import ServerError, Unreachable, calls
from tests.support.api import Api, Doc, api_of
from tests.support.daemon import DaemonHandle, running_daemon, wait_until
from tests.support.databases import PostgresServer

EACH_SECOND = {"expressions": ["* * * * * *"]}


def _creates(api: Api, name: str) -> bool:
    """Try to make a job; tell whether that was acknowledged."""
    try:
        api.create("true", name=name)
    except (ServerError, Unreachable):
        return False
    return True


def _assert_every_second_has_one_run(runs: list[Doc]) -> None:
    seconds = sorted(datetime.fromisoformat(run["fire_at"]).timestamp() for run in runs)
    assert seconds == [seconds[0] + n for n in range(len(seconds))]


class SmallDisk:
    """A shortage of space on a file system of its own, which only root can mount."""

    said = "full"

    def __init__(self, folder: Path) -> None:
        self._ballast = folder / "ballast"

    def begin(self) -> None:
        """Fill the disk to the last byte."""
        for size in (65_536, 512):
            with suppress(OSError), self._ballast.open("ab", buffering=0) as file:
                while file.write(b"\0" * size):
                    pass

    def end(self) -> None:
        """Give space."""
        self._ballast.unlink()


class SmallFiles:
    """A shortage without root: the daemon's files may not grow."""

    said = "disk I/O error"

    def __init__(self, daemon: DaemonHandle) -> None:
        self._daemon = daemon

    def begin(self) -> None:
        """Let no file grow."""
        self._limit(1)

    def end(self) -> None:
        """Let files grow."""
        self._limit(resource.RLIM_INFINITY)

    def _limit(self, size: int) -> None:
        assert self._daemon.process is not None
        resource.prlimit(self._daemon.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


Shortage = SmallDisk | SmallFiles


@contextmanager
def _folder(*, mount: bool) -> Iterator[Path]:
    """A directory, on a small file system of its own if asked."""
    folder = Path(tempfile.mkdtemp(prefix="chronos-disk-"))
    if mount:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        if mount:
            subprocess.run(["umount", "-l", folder], check=True)
        shutil.rmtree(folder)


def test_a_full_disk_is_said_and_nothing_acknowledged_is_lost() -> None:
    may_mount = os.geteuid() == 0
    with _folder(mount=may_mount) as folder:
        state = folder / "state"
        state.mkdir(mode=0o700)
        daemon = DaemonHandle(state)
        try:
            daemon.start()
            shortage: Shortage = SmallDisk(folder) if may_mount else SmallFiles(daemon)
            _fill_and_recover(daemon, folder / "go", shortage)
        finally:
            daemon.stop()


def _fill_and_recover(daemon: DaemonHandle, go: Path, shortage: Shortage) -> None:
    api = api_of(daemon)
    api.create("echo fired", name="each-second", schedule=EACH_SECOND, concurrency="allow")
    running = api.run(f"while [ ! -e {go} ]; do sleep 0.05; done; echo through")
    made = {f"before-{n}" for n in range(20) if _creates(api, f"before-{n}")}
    wait_until(lambda: api.executions("each-second"))

    shortage.begin()
    wait_until(lambda: any(not _tried(api, f"full-{n}", made) for n in range(400)))
    if isinstance(shortage, SmallDisk):
        assert "MiB are free" in api.until_failing("disk")
    assert shortage.said in api.until_failing("database", seconds=10)

    shortage.end()
    go.touch()
    wait_until(lambda: _tried(api, "after", made))
    wait_until(lambda: "database" not in api.failing())

    assert api.until_final(running)["state"] == "succeeded"
    api.finished_log(running)
    assert api.output(running) == b"through\n"
    cannot_write = ("exit_code", "exit code 1")  # what `echo` ends with on a full disk
    _assert_fires_went_on(api, frozenset({cannot_write}))
    assert made <= {job["name"] for job in api.jobs()}
    daemon.terminate()
    file = sqlite3.connect(daemon.state / "chronos.db")
    assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    file.close()


def _tried(api: Api, name: str, made: set[str]) -> bool:
    if not _creates(api, name):
        return False
    made.add(name)
    return True


def _assert_fires_went_on(api: Api, ends: frozenset[tuple[str, str]] = frozenset()) -> None:
    """Every second has one run; `ends` are those that are true without being good."""
    count = len(api.executions("each-second"))
    wait_until(lambda: len(api.executions("each-second")) > count + 1)
    api.ask(calls.pause_job("each-second"))
    runs = wait_until(lambda: _all_ended(api.executions("each-second")))
    _assert_every_second_has_one_run(runs)
    others = {(run["outcome"], run["reason"]) for run in runs if run["outcome"] not in {"ok", "paused", "misfire"}}
    assert {end for end in others if "spool file" not in end[1]} <= ends


def _all_ended(runs: list[Doc]) -> list[Doc]:
    return runs if all(run["ended_at"] for run in runs) else []


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """The URL of an empty database that keeps what it has acknowledged over a crash of its server."""
    name = postgres.create()
    postgres.execute(f"ALTER DATABASE {name} SET synchronous_commit = on")
    yield postgres.url(name)
    postgres.drop(name)


def test_the_daemon_on_postgres_outlives_itself_and_its_server(
    postgres: PostgresServer, postgres_url: str, tmp_path: Path
) -> None:
    with running_daemon({"CHRONOS_DATABASE_URL": postgres_url}) as daemon:
        api = api_of(daemon)
        made = {f"before-{n}" for n in range(20) if _creates(api, f"before-{n}")}
        waiting = f"echo begun; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done; echo through; exit 7"
        adopted = api.run(waiting)
        api.create("echo fired", name="each-second", schedule=EACH_SECOND, concurrency="allow")
        api.until_running([adopted])
        wait_until(lambda: api.executions("each-second"))

        daemon.kill9()
        daemon.start()
        assert api.execution(adopted)["state"] == "running"

        postgres.stop(signal.SIGQUIT)
        try:
            assert api.until_failing("database")
            assert not _creates(api, "while-away")
            (tmp_path / "go").touch()
            wait_until(lambda: "tried again" in daemon.log_tail())
        finally:
            postgres.start()
        wait_until(lambda: "database" not in api.failing())

        assert api.until_final(adopted)["exit_code"] == 7
        api.finished_log(adopted)
        assert api.output(adopted) == b"begun\nthrough\n"
        _assert_fires_went_on(api)
        assert made <= {job["name"] for job in api.jobs()}
        done = daemon.chronosd("doctor")
        assert done.returncode == 0, (done.stdout, done.stderr)
        assert done.stdout.endswith("\n0 differences between the live picture and SQL.\n")


def test_a_database_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    state = Path(tempfile.mkdtemp(prefix="chronos-test-"))
    daemon = DaemonHandle(state, {"CHRONOS_DATABASE_URL": f"postgresql://me@/none?host={tmp_path}"})
    try:
        done = daemon.chronosd("serve", timeout=30)
    finally:
        daemon.stop()
        shutil.rmtree(state, ignore_errors=True)

    assert done.returncode == 6
    assert done.stderr.startswith("chronosd: the database does not answer")
    assert len(done.stderr.splitlines()) == 1
