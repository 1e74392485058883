"""Run executions as processes through the launcher: hand over launches, hear starts and ends without a gap.

The launcher outlives us: whatever it knows is told anew when we come back. What an end means for a run, and when it
may be forgotten with its spool folder, is left to the supervisor.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from scheduler_daemon.contract.policies import Protection
from scheduler_daemon.runners.link import NoLauncherError, connect_or_start
from scheduler_daemon.runners.requests import (
    Box,
    Ended,
    LaunchRequest,
    Limits,
    Started,
    ended,
    refused,
    started,
    withheld,
)

__all__ = ["Box", "Ended", "LaunchRequest", "Limits", "NoLauncherError", "ProcessRunner", "Started", "spool_folder"]

_OLD_LAUNCHER = "the launcher is of an older version: let its jobs end and start the daemon again"
_RECONNECT_FIRST, _RECONNECT_MOST = 0.05, 2.0


def spool_folder(state_dir: Path, execution_id: int) -> Path:
    """Return where stdin, stdout, stderr and the record of an execution lie."""
    return state_dir / "spool" / str(execution_id)


class ProcessRunner:
    """A client of the launcher of one state directory; use it as an async context manager, from one event loop."""

    def __init__(self, state_dir: Path, socket_path: Path | None = None, *, options: tuple[str, ...] = ()) -> None:
        """`options` are passed to the launcher, should we be the one to start it."""
        self._state_dir = state_dir
        self._path = socket_path or state_dir / "launcher.sock"
        self._options = options
        self._writer: asyncio.StreamWriter | None = None
        self._events: asyncio.Queue[Started | Ended] = asyncio.Queue()
        self._launches: dict[int, bytes] = {}
        self._apart: set[int] = set()
        """Those of the launches that ask for a box or limits."""
        self._cancels: dict[int, bytes] = {}
        self._running: dict[int, Started] = {}
        self._ended: set[int] = set()
        self._listed = asyncio.Event()
        """The launcher has told what it is and what it knows, on this connection."""
        self._farewell: asyncio.Future[bool] | None = None
        self._protections: dict[str, str] = {}
        self._probing = False
        self._probed = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self.launcher_pid: int | None = None
        self._keeps_apart = True
        """Whether the launcher knows boxes and limits; one of an older version would start the job without."""

    async def __aenter__(self) -> Self:
        """Connect to the launcher or start one. Raises NoLauncherError."""
        await asyncio.to_thread(lambda: (self._state_dir / "spool").mkdir(mode=0o700, parents=True, exist_ok=True))
        reader = await self._connect()
        self._loop = asyncio.create_task(self._serve(reader), name="process-runner")
        await self._listed.wait()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the launcher and its jobs running."""
        if self._loop is not None:
            self._loop.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._loop
        await self._close()

    @property
    def connected(self) -> bool:
        """Whether a launcher is there now that takes launches; while not, they wait."""
        return self._listed.is_set()

    async def reachable(self) -> None:
        """Return when a launcher takes launches."""
        await self._listed.wait()

    async def launch(self, batch: Sequence[LaunchRequest]) -> None:
        """Have these started, in this order. Returns when they are handed over; Started or Ended tells the rest.

        A launch is repeated after a reconnect until it is answered; the launcher starts an execution once only.
        """
        faults: dict[int, OSError] = {}
        if any(request.stdin is not None for request in batch):
            faults = await asyncio.to_thread(_spool_inputs, self._state_dir, batch)
        for run, fault in faults.items():
            self._tell_end(refused(run, f"its input could not be written: {fault.strerror}", datetime.now(UTC)))
        wanted = [request for request in batch if request.execution_id not in faults]
        self._launches |= {request.execution_id: _start_line(request) for request in wanted}
        self._apart.update(request.execution_id for request in wanted if request.box or request.limits)
        if self._listed.is_set():  # else they go with all others once it is known what the launcher can do
            await self._send(self._open_lines([request.execution_id for request in wanted]))

    def _open_lines(self, ids: Iterable[int]) -> list[bytes]:
        """Return what the launcher is told of these launches; end those that it would start weaker than is asked."""
        wanted = list(ids)
        if not self._keeps_apart:
            for run in self._apart.intersection(wanted):
                self._tell_end(withheld(run, datetime.now(UTC), blocked=f"it is to be kept apart, and {_OLD_LAUNCHER}"))
        lines = [self._launches[run] for run in wanted if run in self._launches]
        return lines + [self._cancels[run] for run in wanted if run in self._cancels]

    async def cancel(self, execution_id: int, reason: str, grace: timedelta) -> None:
        """End a run: TERM to all its processes, KILL after `grace`, and its Ended when none is left.

        Harmless if it ended already; one that has not begun never will, be it launched before or after.
        """
        request = {"op": "cancel", "id": execution_id, "reason": reason, "grace_ms": int(grace.total_seconds() * 1000)}
        self._cancels[execution_id] = _line(request)
        await self._send([self._cancels[execution_id]])

    def withdraw(self, end: Ended) -> None:
        """Tell the end of a run that is not to be launched, as if the launcher had refused it."""
        self._tell_end(end)

    async def forget(self, execution_ids: Iterable[int]) -> None:
        """Have ended runs forgotten and their spool folders with all output taken away: record what matters first."""
        ids = list(execution_ids)
        for execution_id in ids:
            self._ended.discard(execution_id)
            self._cancels.pop(execution_id, None)
        await self._send([_line({"op": "forget", "id": execution_id}) for execution_id in ids])

    async def running(self) -> list[Started]:
        """Return the runs that live now, as far as told."""
        return list(self._running.values())

    def known(self) -> frozenset[int]:
        """Return the runs the launcher has told of and not been asked to forget; whole once the context is entered."""
        return frozenset(self._running) | self._ended

    async def events(self) -> AsyncIterator[Started | Ended]:
        """Yield starts and ends as they come; each end at least once until it is forgotten, some twice."""
        while True:
            yield await self._events.get()

    async def protections(self, *, again: bool = False) -> dict[str, str]:
        """Return for each protection by name "" if it is in force, else why it is not and the remedy.

        The launcher tries them once an hour; `again` has it try them now.
        """
        self._probed.clear()
        self._probing = True
        await self._send([_line({"op": "probe", "again": again})])
        await self._probed.wait()
        self._probing = False
        return dict(self._protections)

    async def shut_down_if_idle(self) -> bool:
        """Have the launcher go if it has no running job, for a daemon that stops for good. True once it is gone."""
        self._farewell = asyncio.get_running_loop().create_future()
        await self._send([_line({"op": "shutdown"})])
        gone = await self._farewell if self.connected else False
        if gone and self._loop is not None:
            await self._loop
        self._farewell = None
        return gone

    async def _connect(self) -> asyncio.StreamReader:
        reader, self._writer = await connect_or_start(self._state_dir, self._path, self._options)
        self._writer.write(_line({"op": "ping"}) + _line({"op": "subscribe"}))
        if self._probing:
            self._writer.write(_line({"op": "probe", "again": False}))
        return reader

    async def _send(self, lines: Iterable[bytes]) -> None:
        """Send if there is a launcher; what must not be lost is sent again after a reconnect."""
        writer = self._writer
        if writer is None:
            return
        with contextlib.suppress(OSError):
            writer.write(b"".join(lines))
            await writer.drain()

    async def _serve(self, reader: asyncio.StreamReader) -> None:
        while True:
            await self._hear(reader)
            await self._close()
            farewell = self._farewell
            if farewell is not None and farewell.done() and farewell.result():
                return
            if farewell is not None and not farewell.done():
                farewell.set_result(False)
            reader = await self._reconnect()

    async def _hear(self, reader: asyncio.StreamReader) -> None:
        """Hear the launcher until it is gone."""
        rest = b""
        while True:
            try:
                data = await reader.read(1 << 18)
            except OSError:
                return
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._take(json.loads(line))

    async def _reconnect(self) -> asyncio.StreamReader:
        pause = _RECONNECT_FIRST
        while True:
            try:
                return await self._connect()
            except NoLauncherError:
                await asyncio.sleep(pause)
                pause = min(pause * 2, _RECONNECT_MOST)

    async def _close(self) -> None:
        writer, self._writer = self._writer, None
        self._listed.clear()
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _take(self, message: dict[str, Any]) -> None:
        match message["event"]:
            case "started":
                self._tell_start(started(message))
            case "ended":
                self._tell_end(ended(message))
            case "refused" if message["op"] == "start" and message["id"] in self._launches:
                self._tell_end(
                    refused(message["id"], f"refused by the launcher: {message['reason']}", datetime.now(UTC))
                )
            case "bye" | "busy" as answer if self._farewell is not None and not self._farewell.done():
                self._farewell.set_result(answer == "bye")
            case "pong":
                self.launcher_pid = message["pid"]
                self._keeps_apart = message.get("boxes") is True
            case "protections":
                self._tell_protections(message["missing"])
            case "refused" if message["op"] == "probe":
                self._tell_protections(dict.fromkeys(Protection, _OLD_LAUNCHER))
            case "listed":
                self._listed.set()
                lines = self._open_lines(list(self._launches))
                lines += [line for run, line in self._cancels.items() if run not in self._launches]
                if self._writer is not None:
                    self._writer.write(b"".join(lines))

    def _tell_protections(self, missing: dict[str, str]) -> None:
        self._protections = missing
        self._probed.set()

    def _tell_start(self, news: Started) -> None:
        self._answered(news.execution_id)
        self._running[news.execution_id] = news
        self._events.put_nowait(news)

    def _tell_end(self, news: Ended) -> None:
        self._answered(news.execution_id)
        self._cancels.pop(news.execution_id, None)
        self._running.pop(news.execution_id, None)
        self._ended.add(news.execution_id)
        self._events.put_nowait(news)

    def _answered(self, execution_id: int) -> None:
        self._launches.pop(execution_id, None)
        self._apart.discard(execution_id)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_dump = json.JSONEncoder(separators=(",", ":")).encode


def _line(message: dict[str, Any]) -> bytes:
    return _dump(message).encode("ascii") + b"\n"


def _start_line(request: LaunchRequest) -> bytes:
    timeout = request.timeout
    return _line(
        {
            "op": "start",
            "id": request.execution_id,
            "argv": request.argv,
            "env": dict(request.env),
            "cwd": request.cwd,
            "umask": request.umask,
            "user": request.user,
            "stdin": request.stdin is not None,
            "timeout_ms": None if timeout is None else int(timeout.total_seconds() * 1000),
            "grace_ms": int(request.grace.total_seconds() * 1000),
            "not_before_ns": None if request.not_before is None else _nanoseconds(request.not_before),
            "box": None if request.box is None else _box_line(request.box),
            "limits": None if request.limits is None else asdict(request.limits),
            "capabilities": request.capabilities,
        }
    )


def _box_line(box: Box) -> dict[str, Any]:
    """Say what a box is; a launcher that we began before an update knows no devices, and may be asked for none."""
    told = asdict(box)
    return told if box.devices else {name: value for name, value in told.items() if name != "devices"}


def _nanoseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def _spool_inputs(state_dir: Path, batch: Sequence[LaunchRequest]) -> dict[int, OSError]:
    """Write the inputs; return why some could not be written."""
    faults = {}
    for request in batch:
        if request.stdin is not None:
            try:
                _spool_input(spool_folder(state_dir, request.execution_id), request.stdin)
            except OSError as error:
                faults[request.execution_id] = error
    return faults


def _spool_input(folder: Path, text: bytes) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(folder / "stdin", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text)
