"""Become the one launcher of a state directory: lock, socket, a session of its own. Then `server` takes over."""

from __future__ import annotations

import fcntl
import gc
import os
import signal
import socket
import sys
from pathlib import Path

from scheduler_daemon.launcher import accounts, bubblewrap, cgroups, controllers, kernel, reuse
from scheduler_daemon.launcher.protocol import reachable
from scheduler_daemon.launcher.server import Server

_SPAWNERS = 4
_LOCK = "launcher.lock"


def main(arguments: list[str]) -> int:
    """Start a launcher in the background and return 0 when it listens, also if another already does; 1 if it cannot."""
    state, path = Path(arguments[0]), Path(arguments[1])
    count = int(arguments[arguments.index("--spawners") + 1]) if "--spawners" in arguments else _SPAWNERS
    ready, done = os.pipe()
    if os.fork() != 0:
        os.close(done)
        answer = os.read(ready, 1)
        return 0 if answer == b"+" else 1
    os.close(ready)
    if "--bwrap" in arguments:
        bubblewrap.wanted = arguments[arguments.index("--bwrap") + 1]
    status = 1
    try:
        status = _serve(state, path, count, done, grouped="--no-groups" not in arguments)
    except BaseException:  # noqa: BLE001 - a forked child must never return into its parent's frames
        sys.excepthook(*sys.exc_info())
    sys.stderr.flush()
    os._exit(status)


def _serve(state: Path, path: Path, count: int, done: int, *, grouped: bool) -> int:
    os.setsid()
    os.umask(0o077)
    os.chdir("/")
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    kernel.pass_over(signal.SIGHUP, signal.SIGINT, signal.SIGPIPE)
    lock = os.open(state / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.write(done, b"+")
        return 0
    os.ftruncate(lock, 0)
    os.write(lock, f"{os.getpid()}\n".encode())
    spool = state / "spool"
    spool.mkdir(mode=0o700, exist_ok=True)
    reuse.clear(str(spool))
    if os.geteuid() == 0 and (told := accounts.settle()):
        sys.stderr.write(f"launcher: {told}\n")
    kernel.become_subreaper("chronos-launch")
    name = group_name(state)
    group = cgroups.find_parent(name) if grouped else None
    limiters = controllers.find_parents(name) if grouped else {}
    server = Server(_listen(path), str(spool), name, group, limiters, count, lambda: _is_held(lock, state))
    gc.freeze()  # nothing made so far is garbage, and little is made in rings later
    gc.set_threshold(50_000)
    server.prepare()
    os.write(done, b"+")
    os.close(done)
    server.run()
    if _is_held(lock, state):  # else it may be another launcher's by now
        path.unlink(missing_ok=True)
    for parent in (group, *limiters.values()):
        if parent is not None:
            cgroups.remove_parent(parent)
    return 0


def _is_held(lock: int, state: Path) -> bool:
    """Tell whether the lock in the state directory is the one we hold: nobody has taken the directory away."""
    try:
        return os.path.samestat(os.fstat(lock), os.stat(state / _LOCK))  # noqa: PTH116
    except FileNotFoundError:
        return False


def group_name(state: Path) -> str:
    """Return the name of the control group that holds all jobs of a state directory."""
    status = state.stat()
    return f"chronos-{status.st_dev:x}-{status.st_ino:x}"


def _listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    os.umask(0o177)  # the socket must never exist with more than 0600
    with reachable(path) as name:
        listener.bind(name)
    os.umask(0o077)
    listener.listen(64)
    listener.setblocking(False)
    return listener
