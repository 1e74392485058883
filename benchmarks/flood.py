"""What one job's 100,000 lines a second cost the daemon, and how late other jobs' lines are live meanwhile.

The daemon, launcher and Redis are real. The other jobs print the time; a subscriber to their channels, as the terminal
is one, compares it with when it hears the line.
"""

import asyncio
import statistics
import sys
import time
from pathlib import Path

from benchmarks import ours
from benchmarks.report import Figure
from chronos_tui.client import calls
from chronos_tui.client.live import LiveClient
from chronos_tui.feed.feed import Feed
from scheduler_daemon.contract.channels import log as log_channel

RATE = 100_000
WARM_S = 3
OTHERS = 3

_FLOOD = """
import os, sys, time
rate, seconds = int(sys.argv[1]), float(sys.argv[2])
begun, written = time.monotonic(), 0
while written < rate * seconds:
    due = min(int((time.monotonic() - begun) * rate), int(rate * seconds)) - written
    os.write(1, b"".join(b"%08d a line of output as jobs write them, of about eighty bytes in all, ok\\n" % n
                         for n in range(written, written + due)))
    written += due
    time.sleep(0.005)
print("took", time.monotonic() - begun)
"""
_CLOCK = "import time\nwhile True: print(time.time(), flush=True); time.sleep(0.1)"


class _Nobody:
    def heard(self, event: object) -> None:
        """Not of interest."""

    def link_changed(self, link: object) -> None:
        """Not of interest."""

    async def snapshot(self) -> None:
        """Nothing is shown."""


def _peak_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def _start(daemon: ours.Ours, name: str, *words: str, **spec: object) -> int:
    command = " ".join(f"'{word}'" for word in (sys.executable, "-c", *words))
    made = daemon.client.json(calls.create_job({"spec": {"name": name, "command": command, **spec}}))
    return int(daemon.client.json(calls.run_job(made["id"]))["id"])


async def _listen(daemon: ours.Ours, runs: list[int], until: asyncio.Event) -> list[float]:
    """Return how many ms after its printing each line was heard."""
    found: list[float] = []
    async with LiveClient(daemon.client.address) as client:
        feed = Feed(client, _Nobody())
        task = asyncio.create_task(feed.run())
        try:
            while feed.link.kind != "live":
                await asyncio.sleep(0.01)
            await asyncio.gather(*(_hear(client, feed, run, found, until) for run in runs))
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    return found


async def _hear(client: LiveClient, feed: Feed, run: int, found: list[float], until: asyncio.Event) -> None:
    assert feed.session is not None
    await client.follow_log(run, feed.session.id)
    async with feed.hear(log_channel(run)) as queue:
        await feed.subscribe(log_channel(run))
        while not until.is_set():
            message = await queue.get()
            if message is not None:
                found += [(time.time() - float(line["text"])) * 1000 for line in message.lines]


async def _measure(daemon: ours.Ours, seconds: int) -> list[Figure]:
    assert daemon.handle.process is not None
    pid = daemon.handle.process.pid
    others = [_start(daemon, f"clock {n}", _CLOCK) for n in range(OTHERS)]
    over = asyncio.Event()
    listening = asyncio.create_task(_listen(daemon, others, over))
    await asyncio.sleep(WARM_S)
    base = _peak_mib(pid)
    flood = _start(daemon, "flood", _FLOOD, str(RATE), str(seconds), output_limit_bytes=1 << 30)
    begun = time.monotonic()
    cpu = daemon.cpu_ms()
    await asyncio.to_thread(_until_kept, daemon, flood)
    took, cpu = time.monotonic() - begun, daemon.cpu_ms() - cpu
    lines = daemon.client.json(calls.log(flood, tail=1))["lines"]
    over.set()
    late = sorted(await listening)
    for run in others:
        daemon.client.json(calls.cancel(run))
    note = f"{lines[-1]['number'] - 1:,} lines, daemon and Redis {cpu / 1000:.1f} s CPU"
    return [
        Figure("lines of one job kept a second", (lines[-1]["number"] - 1) / took, "lines", 0.9 * RATE, True, note),
        Figure("memory of the daemon at most", _peak_mib(pid), "MiB", 150, note=f"{base:.0f} before"),
        Figure("lines of other jobs heard after, p99", late[int(len(late) * 0.99)], "ms", 300,
               note=f"median {statistics.median(late):.0f}, of {len(late)}"),
    ]  # fmt: skip


def _until_kept(daemon: ours.Ours, run: int) -> None:
    deadline = time.monotonic() + 300
    while not daemon.client.json(calls.log(run, tail=1))["ended"]:
        if time.monotonic() > deadline:
            raise RuntimeError("the flood was not kept within 5 minutes")
        time.sleep(0.1)


def figures(*, quick: bool = False) -> list[Figure]:
    """Measure with the real daemon."""
    with ours.directory() as state:
        daemon = ours.Ours(state)
        try:
            return asyncio.run(_measure(daemon, 5 if quick else 20))
        finally:
            daemon.close()
