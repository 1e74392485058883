"""Reach the launcher of a state directory, starting one if there is none. Two who try at once get the same one."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from scheduler_daemon.launcher.protocol import MAX_LINE, reachable

_PROGRAM = Path(__file__).resolve().parents[1] / "launcher" / "__main__.py"
_START_TIMEOUT = 20.0
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "LANG")
"""All of our environment the launcher gets; jobs get none of it."""


class NoLauncherError(Exception):
    """No launcher listens and none could be started; the text says why."""


async def connect(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
    """Connect to a listening launcher, or return None."""
    try:
        with reachable(path) as name:
            return await asyncio.open_unix_connection(name, limit=MAX_LINE)
    except OSError:
        return None


async def connect_or_start(
    state_dir: Path, path: Path, options: tuple[str, ...]
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the launcher, starting one first if needed. Raises NoLauncherError."""
    link = await connect(path)
    if link is None:
        await _start(state_dir, path, options)
        link = await connect(path)
    if link is None:
        raise NoLauncherError(f"a launcher holds {state_dir} but does not answer on {path}")
    return link


async def _start(state_dir: Path, path: Path, options: tuple[str, ...]) -> None:
    """Run the launcher's starter to its end: it returns when a launcher listens."""
    try:
        log = os.open(state_dir / "launcher.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise NoLauncherError(f"{error.filename}: {error.strerror}") from error
    arguments = [sys.executable, "-I", "-S", "-E", str(_PROGRAM), str(state_dir), str(path), *options]
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    try:
        starter = await asyncio.create_subprocess_exec(
            *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd="/"
        )
        code = await asyncio.wait_for(starter.wait(), _START_TIMEOUT)
    except (OSError, TimeoutError) as error:
        raise NoLauncherError(f"the launcher did not start: {error!r}") from error
    finally:
        os.close(log)
    if code != 0:
        raise NoLauncherError(f"the launcher did not start; see {state_dir / 'launcher.log'}")
