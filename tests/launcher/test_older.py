"""What is to be kept apart is not given to a launcher of an older version, which would start it without."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

from scheduler_daemon.runners.process import Box, LaunchRequest, ProcessRunner


class Older:
    """A launcher that greets as it is told, notes what it is to start, and answers no start."""

    def __init__(self) -> None:
        self.boxes = True
        self.started: list[int] = []
        self._writers: list[asyncio.StreamWriter] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve the daemon."""
        self._writers.append(writer)
        async for line in reader:
            message = json.loads(line)
            if message["op"] == "ping":
                self._say(writer, {"event": "pong", "pid": 1, "boxes": self.boxes})
            elif message["op"] == "subscribe":
                self._say(writer, {"event": "listed"})
            elif message["op"] == "start":
                self.started.append(message["id"])

    def _say(self, writer: asyncio.StreamWriter, message: dict[str, object]) -> None:
        writer.write(json.dumps(message).encode() + b"\n")

    async def heard(self, count: int) -> None:
        """Wait until so many starts have come."""
        async with asyncio.timeout(20):
            while len(self.started) < count:
                await asyncio.sleep(0.01)

    def hang_up(self) -> None:
        """End every connection."""
        for writer in self._writers:
            writer.close()


@contextlib.asynccontextmanager
async def served(older: Older, path: Path) -> AsyncIterator[None]:
    server = await asyncio.start_unix_server(older, path)
    try:
        yield
    finally:
        server.close()
        older.hang_up()


async def test_what_waits_for_an_answer_is_not_given_to_an_older_one_that_comes_after(tmp_path: Path) -> None:
    older = Older()
    boxed = LaunchRequest(1, ("/bin/true",), {}, "/", box=Box())
    plain = LaunchRequest(2, ("/bin/true",), {}, "/")
    async with served(older, tmp_path / "s"), ProcessRunner(tmp_path, tmp_path / "s") as runner:
        await runner.launch([boxed, plain])
        await older.heard(2)

        older.boxes = False
        older.hang_up()
        await older.heard(3)
        async with asyncio.timeout(20):
            end = await anext(runner.events())

    assert older.started == [1, 2, 2]
    assert (end.execution_id, "older version" in (end.blocked or "")) == (1, True)
