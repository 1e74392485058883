"""Look at the world as the account of a job sees it: whether there is a file, how a command ends.

Nothing that a command has started is left when it has ended, when its time is over, when nobody waits for it any more,
or when we are killed: see `tether`. What it writes is nobody's.
What is seen means what `domain.conditions` says.
"""

import asyncio
import contextlib
import json
import os
import pwd
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from scheduler_daemon.domain.conditions import Look, Tried
from scheduler_daemon.engine.launch import PATH
from scheduler_daemon.runners.requests import LaunchRequest

FILE_SECONDS: Final = 30.0
"""A file system that does not answer is not waited for longer."""
ROOM_SECONDS: Final = 3.0
"""The same, where it is only nice to know."""
DYING_SECONDS: Final = 5.0
"""What is killed while it waits for such a one does not die before that answers; nor is it waited for."""

_THERE: Final = ("/bin/sh", "-c", 'exec stat -L -c "" -- "$1" 2>&1 >/dev/null', "sh")
_ROOM: Final = ("/bin/sh", "-c", 'exec stat -f -c "%S %b %a %c %d" -- "$1" 2>&1', "sh")
_BARE: Final = {"PATH": PATH, "LC_ALL": "C"}
"""Ours may hold what is not for other accounts, which may read that of their processes."""
_TETHER: Final = (sys.executable, "-I", "-S", "-E", str(Path(__file__).with_name("tether.py")))
_ACCOUNTS_SECONDS: Final = 60
"""What the system says of an account is believed so long."""
_ABSENT: Final = (b"No such file or directory", b"Not a directory")


class _NoAccount(Exception):  # noqa: N818 - an answer
    """Nothing can be run as the account of the job."""


class _Account(NamedTuple):
    uid: int
    gid: int
    groups: tuple[int, ...]


async def look_at(path: str, request: LaunchRequest) -> Look:
    """Return what there is at a path for the account of a run."""
    try:
        async with asyncio.timeout(FILE_SECONDS):
            account = await _account(request.user)
            return await _look_as(path, _become(account))  # never in a thread of ours: a dead file system would keep it
    except _NoAccount as error:
        return Look(there=False, fault=str(error))
    except TimeoutError:
        return Look(there=False, fault=f"no answer within {FILE_SECONDS:g} s")
    except OSError as error:
        return Look(there=False, fault=error.strerror or str(error))


async def _look_as(path: str, become: dict[str, Any]) -> Look:
    process = await asyncio.create_subprocess_exec(
        *_THERE, path, cwd="/", env=_BARE, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL, start_new_session=True, **become,
    )  # fmt: skip
    async with ended_after(process):
        written, _ = await process.communicate()
    if process.returncode == 0:
        return Look(there=True)
    why = written.strip()
    if why.endswith(_ABSENT):
        return Look(there=False)
    return Look(
        there=False,
        fault=why.rpartition(b": ")[2].decode("utf-8", "replace") or f"stat ended with {process.returncode}",
    )


async def room_at(path: str) -> tuple[int, int, int, int, int] | str:
    """Return of the file system at a path its block size, blocks, free blocks, files and free files, or why not."""
    try:
        process = await asyncio.create_subprocess_exec(
            *_ROOM, path, cwd="/", env=_BARE, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        async with ended_after(process), asyncio.timeout(ROOM_SECONDS):
            written, _ = await process.communicate()
    except TimeoutError:
        return f"no answer within {ROOM_SECONDS:g} s"
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    words = written.split()
    if process.returncode == 0 and len(words) == 5 and all(word.isdigit() for word in words):
        unit, total, free, files, free_files = map(int, words)
        return unit, total, free, files, free_files
    return written.strip().rpartition(b": ")[2].decode("utf-8", "replace") or f"stat ended with {process.returncode}"


async def try_command(argv: Sequence[str], request: LaunchRequest, seconds: float) -> Tried:
    """Run a command as the process of a run would be, and return how it ended; after so many seconds it is killed."""
    try:
        account = await _account(request.user)
        process = await asyncio.create_subprocess_exec(
            *_TETHER, cwd="/", env=_BARE, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    except _NoAccount as error:
        return Tried(None, str(error))
    except (OSError, ValueError) as error:
        return Tried(None, f"it could not be started: {getattr(error, 'strerror', None) or error}")
    wanted = {"argv": argv, "env": dict(request.env), "cwd": request.cwd, "umask": request.umask, "account": account}
    async with _let_go_after(process) as held:
        held.write(json.dumps(wanted).encode("ascii") + b"\n")
        try:
            async with asyncio.timeout(seconds):
                return Tried(await process.wait())
        except TimeoutError:
            return Tried(None, f"it took longer than {seconds:g} s and was killed")


@contextlib.asynccontextmanager
async def _let_go_after(process: asyncio.subprocess.Process) -> AsyncIterator[asyncio.StreamWriter]:
    """Close the input of a tether, which kills all there is below it, and wait for its end."""
    held = process.stdin
    assert held is not None
    try:
        yield held
    finally:
        held.close()
        if process.returncode is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DYING_SECONDS):
                    await process.wait()


@contextlib.asynccontextmanager
async def ended_after(process: asyncio.subprocess.Process) -> AsyncIterator[None]:
    """Kill the process group when nobody waits for the process any more."""
    try:
        yield
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DYING_SECONDS):
                    await process.wait()


async def _account(user: str | None) -> _Account | None:
    """Return whom a process is to be made; None to stay who we are. Raises _NoAccount."""
    if user is None:
        return None
    account = await asyncio.to_thread(_account_of, user, int(time.monotonic()) // _ACCOUNTS_SECONDS)
    if account.uid == os.geteuid():
        return None
    if os.geteuid() != 0:
        raise _NoAccount(f"user {user}: only root may look as somebody else")
    return account


@lru_cache(maxsize=256)
def _account_of(user: str, _when: int) -> _Account:
    """Ask the system, which may ask a server."""
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise _NoAccount(f"user {user}: no such account") from None
    return _Account(entry.pw_uid, entry.pw_gid, tuple(os.getgrouplist(user, entry.pw_gid)))


def _become(account: _Account | None) -> dict[str, Any]:
    return {} if account is None else {"user": account.uid, "group": account.gid, "extra_groups": account.groups}
