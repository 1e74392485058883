"""A real daemon for tests: its own process, state directory, Redis and launcher, and the real `chronos` to speak to it.

A conftest imports the fixtures it needs: `from tests.support.daemon import daemon, shared_daemon`. `daemon` is fresh
for each test; `shared_daemon` serves a whole run, for tests that only look or make names of their own.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

READY_SECONDS = 30.0
STOP_SECONDS = 20.0


class DaemonHandle:
    """One state directory and the daemon on it, which may be killed and started again."""

    def __init__(self, state: Path, environ: dict[str, str] | None = None, *, become: Callable[[], None] | None = None):
        self.state = state
        self.become = become
        """What the daemon does before it is one, such as to give up root."""
        self.environ = _clean_environ(state) | (environ or {})
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the daemon and wait until it is ready. Raises AssertionError with the end of its log."""
        self.launch()
        self.await_ready()

    def launch(self) -> None:
        """Start the daemon without waiting."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "scheduler_daemon", "serve", "--state", str(self.state)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environ,
                start_new_session=True,
                preexec_fn=self.become,  # noqa: PLW1509 - only this thread's locks matter, and it has none
            )

    def await_ready(self) -> None:
        """Wait until the daemon answers that it is ready, or degraded."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if self.process is not None and self.process.poll() is not None:
                raise AssertionError(f"the daemon ended with {self.process.returncode}:\n{self.log_tail()}")
            if self.healthy():
                return
            time.sleep(0.05)
        raise AssertionError(f"the daemon was not ready after {READY_SECONDS:.0f} s:\n{self.log_tail()}")

    def healthy(self, statuses: frozenset[str] = frozenset({"ready", "degraded"})) -> bool:
        """Tell whether it answers and has taken its work up."""
        from chronos_tui.client import Client, ServerError, Unreachable, calls
        from chronos_tui.settings import Address
        from scheduler_daemon.contract.places import places

        client = Client(Address(path=places(str(self.state), os.getuid()).api_socket))
        try:
            return client.json(calls.health())["status"] in statuses
        except (Unreachable, ServerError):
            return False
        finally:
            client.close()

    def chronos(
        self, *arguments: str, stdin: str | bytes | None = None, timeout: float = 60, text: bool = True
    ) -> subprocess.CompletedProcess[Any]:
        """Run `chronos --state STATE arguments` without a terminal and return what it printed and its exit code."""
        return subprocess.run(
            [sys.executable, "-m", "chronos_tui", "--state", str(self.state), *arguments],
            input=stdin if stdin is not None else ("" if text else b""),
            capture_output=True,
            text=text,
            timeout=timeout,
            env=self.environ,
            check=False,
        )

    def chronosd(self, verb: str, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run `chronosd verb --state STATE arguments` beside the daemon, as `chronos` does."""
        return subprocess.run(
            [sys.executable, "-m", "scheduler_daemon", verb, "--state", str(self.state), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=self.environ,
            check=False,
        )

    def json(self, *arguments: str, stdin: str | None = None) -> Any:
        """Run a verb with --json, expect it to succeed, and return its document."""
        at = arguments.index("--") if "--" in arguments else len(arguments)
        done = self.chronos(*arguments[:at], "--json", *arguments[at:], stdin=stdin)
        assert done.returncode == 0, (arguments, done.returncode, done.stderr)
        return json.loads(done.stdout)

    def kill9(self) -> None:
        """Kill the daemon alone; its jobs, launcher and Redis go on."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(STOP_SECONDS)

    def restart(self) -> None:
        """End the daemon politely if it lives, and start it again."""
        self.terminate()
        self.start()

    def terminate(self) -> None:
        """Send TERM and wait; jobs run on."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        self.process.wait(STOP_SECONDS)

    def stop(self) -> None:
        """End everything that belongs to the state directory, jobs, launcher and Redis too, whatever became of it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            if self.healthy():
                self.chronos("down", "--now", timeout=STOP_SECONDS)
            self.terminate()
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(STOP_SECONDS)
        for pid in [*processes_of(self.state), *_below(processes_of(self.state))]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @property
    def log(self) -> Path:
        """What the daemon wrote."""
        return self.state / "test-daemon.log"

    def log_tail(self) -> str:
        """Return the end of what it wrote."""
        return self.log.read_text(errors="replace")[-4000:]


def processes_of(state: Path) -> list[int]:
    """Return every process that names the state directory in its command line or environment, but not this one."""
    wanted = os.fsencode(state)
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if wanted in (entry / "cmdline").read_bytes() or wanted in (entry / "environ").read_bytes():
                found.append(int(entry.name))
    return found


def _below(pids: list[int]) -> list[int]:
    """Return every descendant of the given processes: jobs stay below the launcher that started them."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found: list[int] = []
    waiting = list(pids)
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def wait_until(done: Callable[[], Any], *, seconds: float = 20, every: float = 0.05) -> Any:
    """Ask until the answer is true, and return it. Raises AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (answer := done()):
        assert time.monotonic() < deadline, f"still not so after {seconds} s"
        time.sleep(every)
    return answer


@contextlib.contextmanager
def running_daemon(
    environ: dict[str, str] | None = None,
    *,
    settings: str = "",
    before: Callable[[Path], None] | None = None,
    become: Callable[[], None] | None = None,
) -> Iterator[DaemonHandle]:
    """Run a daemon on a state directory of its own, with the text of a `chronos.toml`, and leave nothing behind.

    `before` may prepare the state directory.
    """
    state = Path(tempfile.mkdtemp(prefix="chronos-test-"))
    (state / "chronos.toml").write_text(settings, encoding="utf-8")
    handle = DaemonHandle(state, {"CHRONOS_CONFIG": str(state / "chronos.toml")} | (environ or {}), become=become)
    try:
        if before is not None:
            before(state)
        handle.start()
        yield handle
    finally:
        handle.stop()
        shutil.rmtree(state, ignore_errors=True)


def _clean_environ(state: Path) -> dict[str, str]:
    """Return the environment without what would lead a program to another server or other settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CHRONOS_")}
    return kept | {
        "XDG_CONFIG_HOME": str(state / "config"),
        "CHRONOS_DEFAULT_POLICY": "trusted",
        "CHRONOS_INSIGHTS": "false",  # a process more, which tests of something else can spare
        "TZ": "UTC",
        "COLUMNS": "120",
        "NO_COLOR": "1",
    }


@pytest.fixture
def daemon() -> Iterator[DaemonHandle]:
    """A fresh daemon."""
    with running_daemon() as handle:
        wait_until(lambda: handle.healthy(frozenset({"ready"})))  # Redis too
        yield handle


@pytest.fixture(scope="session")
def shared_daemon() -> Iterator[DaemonHandle]:
    """A daemon for every test of the run that asks for this one."""
    with running_daemon() as handle:
        wait_until(lambda: handle.healthy(frozenset({"ready"})))  # Redis too
        yield handle
