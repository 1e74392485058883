"""Take something of the machine away from one process and all that it starts, and from nobody else."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

from scheduler_daemon.launcher import seccomp, startup

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER = 38, 22, 2


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("lines", ctypes.c_char_p))


def lose_namespaces() -> None:
    """Have every call that makes a namespace refused to this process from now on, and to all that it starts."""
    program = seccomp.filter_program()
    assert program is not None
    libc = ctypes.CDLL(None, use_errno=True)
    given = _Program(len(program) // 8, program)
    assert libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert libc.prctl(_PR_SET_SECCOMP, _FILTER, ctypes.byref(given), 0, 0) == 0


def start_launcher_without_namespaces(state: Path, socket: Path) -> None:
    """Start a launcher on a state directory that can make no namespace."""
    command = [sys.executable, "-m", "tests.support.masks", str(state), str(socket)]
    with (state / "launcher.log").open("ab") as log:
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=60, check=True)


if __name__ == "__main__":
    lose_namespaces()
    sys.exit(startup.main(sys.argv[1:]))
