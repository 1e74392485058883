"""Start jobs through a real launcher and wait for what becomes of them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

from scheduler_daemon.launcher import kernel, spool
from scheduler_daemon.runners.process import Ended, LaunchRequest, ProcessRunner, Started, spool_folder


def shell(run: int, script: str, **more: Any) -> LaunchRequest:
    """A request for a shell script with a plain environment."""
    base = LaunchRequest(run, ("/bin/sh", "-c", script), {"PATH": "/usr/bin:/bin"}, "/", grace=timedelta(seconds=0.3))
    return replace(base, **more)


def processes_marked(state: Path, run: int) -> list[int]:
    """Living processes that carry the mark of a run in their environment."""
    start = spool.load(str(spool_folder(state, run)), spool.START)
    if start is None:
        return []
    mark = start["mark"]
    found = []
    for pid, one in kernel.processes().items():
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        if one.living and f"CHRONOS_RUN={mark}".encode() in environment:
            found.append(pid)
    return found


def processes_called(word: str) -> list[int]:
    """Living processes with this exact word in their command line."""
    found = []
    for pid, one in kernel.processes().items():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if one.living and word.encode() in words:
            found.append(pid)
    return found


class Bench:
    """A runner with its events collected."""

    def __init__(self, runner: ProcessRunner, state: Path) -> None:
        self.runner = runner
        self.state = state
        self.started: dict[int, Started] = {}
        self.ended: dict[int, Ended] = {}
        self._collector: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.runner.__aenter__()
        self._collector = asyncio.create_task(self._collect())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._collector is not None:
            self._collector.cancel()
            await asyncio.gather(self._collector, return_exceptions=True)
        await self.runner.__aexit__(None, None, None)

    async def _collect(self) -> None:
        async for event in self.runner.events():
            if isinstance(event, Started):
                self.started[event.execution_id] = event
            else:
                self.ended[event.execution_id] = event

    async def until(self, holds: Any, seconds: float = 15.0) -> None:
        """Wait until `holds()` is true; fail after a deadline."""
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, "waited in vain"
            await asyncio.sleep(0.005)

    async def start(self, *requests: LaunchRequest) -> None:
        """Launch and wait until all have started."""
        await self.runner.launch(requests)
        await self.until(lambda: all(one.execution_id in self.started for one in requests))

    async def run(self, *requests: LaunchRequest) -> Ended:
        """Launch, wait until all have ended, and return the end of the last."""
        await self.runner.launch(requests)
        await self.until(lambda: all(one.execution_id in self.ended for one in requests), 60)
        return self.ended[requests[-1].execution_id]

    def out(self, run: int, name: str = "stdout") -> bytes:
        return (spool_folder(self.state, run) / name).read_bytes()

    async def says(self, run: int, text: str) -> None:
        """Wait until the output of a run holds this text."""
        await self.until(lambda: text.encode() in self.out(run))

    def spawners(self) -> list[int]:
        """The pids of the launcher's spawners."""
        launcher = self.runner.launcher_pid
        mine = (one for one in kernel.processes().values() if one.parent == launcher and one.living)
        return [one.pid for one in mine if one.session == launcher]

    def spawner_of(self, run: int) -> int:
        one = kernel.process(self.started[run].pid)
        assert one is not None
        return one.parent
