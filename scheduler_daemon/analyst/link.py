"""The line to the daemon: a report on standard output, and its answer on standard input before the next."""

import asyncio
import os
import sys

from scheduler_daemon.contract.insights import AnalystReport


class Link:
    """One daemon, as long as it is there."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self.closed = False

    @classmethod
    async def open(cls) -> "Link":
        """Take up standard input."""
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        return cls(reader)

    async def tell(self, report: AnalystReport) -> bool:
        """Send a report and wait for the answer; False where it could not be recorded, or the daemon is gone."""
        line = report.model_dump_json().encode() + b"\n"
        try:
            await asyncio.to_thread(_write, line)
        except OSError:
            self.closed = True
            return False
        answer = await self._reader.readline()
        self.closed = not answer
        return answer == b"kept\n"

    async def rest(self, seconds: float) -> None:
        """Sleep, but not longer than the daemon lives."""
        try:
            async with asyncio.timeout(seconds):
                self.closed = not await self._reader.read(1)
        except TimeoutError:
            return


def _write(line: bytes) -> None:
    view = memoryview(line)
    while view:
        view = view[os.write(1, view) :]
