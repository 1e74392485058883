"""Run one command and leave nothing of it: a program of its own, of the standard library only.

It is told on its standard input, in a line of JSON, what to run and as whom. When the command has ended, or that input
closes, which it also does when the daemon is killed, everything below is killed: orphans come to us, also those that
have left their group, as by setsid. Then it ends as the command did.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

_PR_SET_CHILD_SUBREAPER = 36
_CANNOT_BE_RUN, _NOT_FOUND = 126, 127
_PAUSE = 0.01


def main() -> NoReturn:
    """Do as we are told."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        os._exit(_CANNOT_BE_RUN)
    wanted = _told()
    child = os.fork()
    if child == 0:
        _become(wanted)
    ended = os.pidfd_open(child)
    select.select([0, ended], [], [])
    _kill_all_below(child)


def _told() -> dict[str, Any]:
    text = b""
    while not text.endswith(b"\n"):
        part = os.read(0, 1 << 16)
        if not part:
            os._exit(_CANNOT_BE_RUN)
        text += part
    told: dict[str, Any] = json.loads(text)
    return told


def _become(wanted: dict[str, Any]) -> NoReturn:
    try:
        os.setsid()
        if wanted["account"] is not None:
            user, group, groups = wanted["account"]
            os.setgroups(groups)
            os.setgid(group)
            os.setuid(user)
        os.umask(wanted["umask"])
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nothing, descriptor)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.chdir(wanted["cwd"])
        os.execve(wanted["argv"][0], wanted["argv"], wanted["env"])  # noqa: S606 - the shell is what is run
    except FileNotFoundError as error:
        os._exit(_NOT_FOUND if error.filename == wanted["argv"][0] else _CANNOT_BE_RUN)
    except BaseException:  # noqa: BLE001 - whatever it was, no second one of us may go on from here
        os._exit(_CANNOT_BE_RUN)


def _kill_all_below(child: int) -> NoReturn:
    """Kill until no child is left, born or adopted, and end as the first one did."""
    how = None
    while True:
        try:
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                if found[0] == child:
                    how = os.waitstatus_to_exitcode(found[1])
        except ChildProcessError:
            break
        for pid in _children():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_PAUSE)
    if how is not None and how < 0:
        if -how != signal.SIGKILL:
            signal.signal(-how, signal.SIG_DFL)
        os.kill(os.getpid(), -how)
    os._exit(_CANNOT_BE_RUN if how is None else how)


def _children() -> list[int]:
    """Return our children, whose pids nobody else can have before we reap them; theirs become ours as they die."""
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                words = Path(entry.path, "stat").read_bytes().rpartition(b")")[2].split()
                if int(words[1]) == os.getpid():
                    found.append(int(entry.name))
    return found


if __name__ == "__main__" and len(sys.argv) == 1:
    main()
