"""Run something as an account without rights, also where the interpreter lies in a closed home."""

from __future__ import annotations

import contextlib
import os
import pwd
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chronos_tui.client import calls
from scheduler_daemon.launcher import kernel
from tests.support.api import Api, api_of
from tests.support.daemon import DaemonHandle, running_daemon

NOBODY = pwd.getpwnam("nobody")
"""Looked up here: who has just given up root may not read the table."""


def own(path: Path) -> None:
    """Give a folder and what is in it to that account."""
    for one in (path, *path.rglob("*")):
        os.chown(one, NOBODY.pw_uid, NOBODY.pw_gid)


def become_nobody() -> None:
    """As root, in a process of one's own: be that account for good, with a way to the interpreter in its own view."""
    base = Path(sys.base_prefix)
    closed = [one for one in reversed(base.parents) if not one.stat().st_mode & 0o001]
    if closed:
        kernel.leave_mounts()
        held = os.open(base, os.O_PATH)
        kernel.mounting("tmpfs", str(closed[0]), "tmpfs", 0, "mode=0755")()
        base.mkdir(parents=True)
        kernel.mounting(f"/proc/self/fd/{held}", str(base), None, kernel.MS_BIND, None)()
        os.close(held)
    os.setgroups([])
    os.setresgid(NOBODY.pw_gid, NOBODY.pw_gid, NOBODY.pw_gid)
    os.setresuid(NOBODY.pw_uid, NOBODY.pw_uid, NOBODY.pw_uid)


class HumbleApi(Api):
    """The API as that account asks it: the daemon knows whoever connects by the kernel's word."""

    def ask(self, call: calls.Call) -> Any:
        with _as_nobody():
            return super().ask(call)

    def raw(self, call: calls.Call) -> bytes:
        with _as_nobody():
            return super().raw(call)


@contextlib.contextmanager
def _as_nobody() -> Iterator[None]:
    os.seteuid(NOBODY.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)


@contextlib.contextmanager
def humble_daemon() -> Iterator[tuple[DaemonHandle, Api]]:
    """Run a daemon as an account without rights: as whoever runs the tests, or as nobody where that is root."""
    if os.geteuid() != 0:
        with running_daemon() as handle:
            yield handle, api_of(handle)
        return
    with running_daemon({"HOME": "/"}, before=own, become=become_nobody) as handle:
        yield handle, HumbleApi(handle.state)
