"""How much output the log sink absorbs, how soon a line shows, and what quiet runs cost.

`python -m benchmarks.log_sink` runs on SQLite in a temporary directory; the writers are processes of their own.
"""

import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from scheduler_daemon.contract.executions import LogLine
from scheduler_daemon.engine.log_sink import LogSink
from scheduler_daemon.storage.migrations import migrate
from scheduler_daemon.storage.session import Database, open_database
from tests.support.rows import add_executions

FLOOD = """
import os, sys, time
out = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
rate, seconds = int(sys.argv[2]), float(sys.argv[3])
begun, written = time.monotonic(), 0
while (past := time.monotonic() - begun) < seconds:
    due = int(past * rate) - written
    os.write(out, b"".join(b"%08d a line of output as jobs write them, of about eighty bytes in all, ok\\n" % n
                           for n in range(written, written + due)))
    written += due
    time.sleep(0.005)
"""


class Bench:
    """A running sink, and when each run's last line showed."""

    def __init__(self, database: Database, spool: Path) -> None:
        self.database, self.spool = database, spool
        self.shown: dict[int, int] = {}
        self.sink = LogSink(database, spool, self._publish, lambda: datetime.now(UTC))

    async def _publish(self, news: Mapping[int, Sequence[LogLine]]) -> None:
        self.shown |= {execution_id: lines[-1].number for execution_id, lines in news.items()}

    async def start(self, count: int) -> list[int]:
        ids = await self.database.write(lambda db: add_executions(db, count))
        for execution_id in ids:
            folder = self.spool / str(execution_id)
            folder.mkdir(parents=True)
            (folder / "stdout").touch()
            (folder / "stderr").touch()
            self.sink.follow(execution_id, limit_bytes=1 << 30)
        return ids


async def delays(bench: Bench, ids: list[int], samples: int) -> list[float]:
    """Return the milliseconds from a write to its line's being shown, one for each sample."""
    found = []
    for n in range(samples):
        execution_id = ids[n % len(ids)]
        before = bench.shown.get(execution_id, 0)
        begun = time.perf_counter()
        with (bench.spool / str(execution_id) / "stdout").open("ab") as file:
            file.write(b"a line\n")
        while bench.shown.get(execution_id, 0) == before:
            await asyncio.sleep(0.001)
        found.append((time.perf_counter() - begun) * 1000)
        await asyncio.sleep(0.05)
    return sorted(found)


async def measure(directory: Path) -> None:
    url = f"sqlite:///{directory / 'bench.db'}"
    await asyncio.to_thread(migrate, url)
    database = open_database(url)
    bench = Bench(database, directory / "spool")
    running = asyncio.create_task(bench.sink.run())

    quiet = await bench.start(1000)
    await asyncio.sleep(2)
    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.sleep(10)
    share = (time.process_time() - cpu) / (time.perf_counter() - wall)
    print(f"1,000 quiet runs            {share * 100:.2f} % of a core")
    late = await delays(bench, quiet, 60)
    print(f"a line among 1,000 runs     shown after p50 {late[30]:.1f} ms, p95 {late[57]:.1f} ms")

    flood = (await bench.start(1))[0]
    path = bench.spool / str(flood) / "stdout"
    cpu = time.process_time()
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    writer = await asyncio.to_thread(subprocess.Popen, [sys.executable, "-c", FLOOD, path, "100000", "10"])
    lags = []
    while writer.poll() is None:
        await asyncio.sleep(0.25)
        lags.append(path.stat().st_size // 76 - bench.shown.get(flood, 0))
    begun = time.perf_counter()
    totals = await bench.sink.finish(flood)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"100,000 lines/s for 10 s    {totals.lines:,} lines, {totals.output_bytes / 1e6:.0f} MB; "
        f"behind at most {max(lags[1:]):,} lines, at the end {time.perf_counter() - begun:.2f} s; "
        f"CPU {time.process_time() - cpu:.1f} s; peak RSS {peak} MB ({base} before)"
    )

    big = (await bench.start(1))[0]
    block = os.urandom(300_000) + (b"y" * 79 + b"\n") * 10_000
    with (bench.spool / str(big) / "stdout").open("ab") as file:
        for _ in range(100):
            file.write(block)
    begun = time.perf_counter()
    totals = await bench.sink.finish(big)
    took = time.perf_counter() - begun
    print(
        f"a backlog of {totals.output_bytes / 1e6:.0f} MB         stored at {totals.output_bytes / took / 1e6:.0f} MB/s"
    )

    many = await bench.start(1000)
    for execution_id in many:
        (bench.spool / str(execution_id) / "stdout").write_bytes(b"done\n")
    begun, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(bench.sink.finish(execution_id) for execution_id in many))
    took = time.perf_counter() - begun
    print(f"1,000 runs ending at once   {took:.2f} s, CPU {time.process_time() - cpu:.2f} ms each")

    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    bench.sink.close()
    await database.close()


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(measure(Path(directory)))


if __name__ == "__main__":
    main()
