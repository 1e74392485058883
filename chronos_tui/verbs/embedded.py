"""Starting and stopping the server of a state directory: one process, detached, with its log beside its state."""

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chronos_tui.client import Client, ServerError, Unreachable, calls
from chronos_tui.format import printable
from chronos_tui.settings import Settings
from chronos_tui.verbs.failure import Failure
from scheduler_daemon.contract.places import places

START_SECONDS = 30.0
SETTLE_SECONDS = 3.0
"""A server that was just started says `degraded` until Redis is there; longer than this, it is worth showing."""
STOP_SECONDS = 60.0
POLL_SECONDS = 0.05
LOG_LINES = 6
READY = frozenset({"ready", "degraded"})


def health(client: Client) -> dict[str, Any]:
    """Return the server's Health, also while it is starting. Raises Unreachable."""
    try:
        answer: dict[str, Any] = client.json(calls.health())
    except ServerError as error:
        if error.status != 503 or "components" not in error.document:
            raise
        answer = error.document
    return answer


def ensure_running(settings: Settings, client: Client) -> bool:
    """Start the server unless one answers; return whether it was started here. Two callers at once are safe.

    Raises Failure with the last lines of its log when it ends, or is not ready in time; Unreachable when the server
    is one that was named, which is not ours to start.
    """
    try:
        answer = health(client)
    except Unreachable:
        if not settings.local:
            raise
        _start(settings, client)
        return True
    if answer["status"] not in READY:
        _await_ready(settings, client, lambda: None)
    return False


def _start(settings: Settings, client: Client) -> None:
    log = log_file(settings)
    try:
        Path(settings.state).mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "ab") as sink:
            begin = os.fstat(sink.fileno()).st_size
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "scheduler_daemon", "serve", "--state", settings.state],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                cwd=settings.state,
                start_new_session=True,
            )
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise Failure(f"cannot keep state in {settings.state}: {why}; name another directory with --state") from None

    def ended() -> str | None:
        code = process.poll()
        if code is None or locked(settings):  # the other of two starters won, and is on its way
            return None
        return f"the server ended at once ({_meaning(code)}): {_tail(log, begin)}"

    _await_ready(settings, client, ended)
    process.returncode = process.poll() or 0  # it outlives us; nothing here waits for it


def _await_ready(settings: Settings, client: Client, ended: Callable[[], str | None]) -> None:
    deadline = time.monotonic() + START_SECONDS
    settled = None
    said = "it does not answer"
    while time.monotonic() < deadline:
        try:
            answer = health(client)
        except Unreachable as error:
            said = error.why
            if why := ended():
                raise Failure(f"{why}; see {log_file(settings)}") from None
        else:
            settled = settled or time.monotonic() + SETTLE_SECONDS
            if answer["status"] == "ready" or (answer["status"] in READY and time.monotonic() > settled):
                return
            said = "it is still " + answer["status"]
        time.sleep(POLL_SECONDS)
    raise Failure(f"the server is not ready after {START_SECONDS:.0f} s: {said}; see {log_file(settings)}")


def await_gone(settings: Settings, client: Client) -> None:
    """Wait until nobody answers and, for a server of ours, nobody holds the state directory. Raises Failure."""
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline:
        try:
            client.close()
            client.json(calls.health())
        except Unreachable:
            if not (settings.local and locked(settings)):
                return
        except ServerError:
            pass  # on its way out
        time.sleep(POLL_SECONDS)
    raise Failure(
        f"the server still answers after {STOP_SECONDS:.0f} s; see {log_file(settings)}, or end it by its pid"
    )


def locked(settings: Settings) -> bool:
    """Tell whether a server holds the state directory."""
    try:
        lock = os.open(places(settings.state, os.getuid()).lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def log_file(settings: Settings) -> str:
    """Return where a server started here writes what it has to say."""
    return f"{settings.state}/chronosd.log"


def _tail(log: str, begin: int) -> str:
    """Return the last lines written since byte `begin`, as one."""
    with Path(log).open("rb") as written:
        written.seek(begin)
        lines = written.read()[-4000:].decode("utf-8", "replace").splitlines()
    kept = [printable(line.strip()) for line in lines if line.strip()]
    return " | ".join(kept[-LOG_LINES:]) or "it said nothing"


def _meaning(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
