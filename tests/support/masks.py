"""Take something of the machine away from one process and all that it starts, and from nobody else."""

from __future__ import annotations

import ctypes
import os
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
    starter = os.fork()
    if starter == 0:
        try:
            lose_namespaces()
            os._exit(startup.main([str(state), str(socket)]))
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(starter, 0)[1]) == 0
