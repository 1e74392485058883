"""Lateness and CPU of many `/bin/true` started at once: a serial posix_spawn loop beside the launcher, in one run.

`python -m benchmarks.spawn [jobs] [rounds]`. A start counts when its process exists: for the loop when posix_spawn
returns, for the launcher by `started_at`. CPU is of the whole machine without idle, so run it on a quiet one.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from scheduler_daemon.runners.process import Ended, LaunchRequest, ProcessRunner, Started

Round = tuple[list[float], float, float]
"""Lateness of each start, time until all had ended, CPU of the machine; all in seconds."""


def busy_seconds() -> float:
    """CPU seconds the machine has spent, idle and waiting left out."""
    words = Path("/proc/stat").read_text("ascii").split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _wait, irq, softirq = map(int, words[:7])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def serial(jobs: int) -> Round:
    """Start the jobs one after another, as a scheduler with one spawner does, and wait for them."""
    busy, due = busy_seconds(), time.time()
    late = []
    for _ in range(jobs):
        os.posix_spawn("/bin/true", ["true"], {}, setsid=True)
        late.append(time.time() - due)
    for _ in range(jobs):
        os.wait()
    return late, time.time() - due, busy_seconds() - busy


async def through_launcher(runner: ProcessRunner, spool: Path, first: int, jobs: int) -> Round:
    """Hand the jobs to a launcher in one batch and wait for their ends; then let it have their folders back."""
    busy, due = busy_seconds(), time.time()
    numbers = range(first, first + jobs)
    await runner.launch([LaunchRequest(number, ("/bin/true",), {"PATH": "/bin"}, "/") for number in numbers])
    late, ended = [], 0
    async for event in runner.events():
        if isinstance(event, Started):
            late.append(event.started_at.timestamp() - due)
        elif isinstance(event, Ended):
            ended += 1
        if ended == jobs:
            break
    took, spent = time.time() - due, busy_seconds() - busy
    await runner.forget(numbers)
    while any((spool / str(number)).exists() for number in numbers):
        await asyncio.sleep(0.05)
    return late, took, spent


def show(name: str, rows: list[Round], jobs: int) -> tuple[float, float]:
    """Print the medians of the rounds; return p99 and CPU per job in milliseconds."""
    cut = [statistics.quantiles(late, n=100) if len(late) > 1 else [late[0]] * 99 for late, _, _ in rows]
    p50 = statistics.median(row[49] for row in cut) * 1e3
    p99 = statistics.median(row[98] for row in cut) * 1e3
    all_ended = statistics.median(took for _, took, _ in rows) * 1e3
    cpu = statistics.median(spent for _, _, spent in rows) / jobs * 1e3
    print(f"{name:22} late p50 {p50:7.1f}  p99 {p99:7.1f} ms   all ended {all_ended:7.1f} ms   CPU {cpu:5.2f} ms/job")
    return p99, cpu


async def measure(folder: Path, jobs: int, rounds: int) -> None:
    """Measure the three side by side, round by round, after one round to warm up."""
    loop, grouped, bare = [], [], []
    for name in ("grouped", "bare"):
        (folder / name).mkdir()
    async with (
        ProcessRunner(folder / "grouped") as with_groups,
        ProcessRunner(folder / "bare", options=("--no-groups",)) as without,
    ):
        for turn in range(rounds + 1):
            loop.append(serial(jobs))
            grouped.append(await through_launcher(with_groups, folder / "grouped" / "spool", turn * jobs, jobs))
            bare.append(await through_launcher(without, folder / "bare" / "spool", turn * jobs, jobs))
        await with_groups.shut_down_if_idle()
        await without.shut_down_if_idle()
    base = show("serial os.posix_spawn", loop[1:], jobs)
    for name, rows in (("launcher", grouped[1:]), ("launcher, no groups", bare[1:])):
        p99, cpu = show(name, rows, jobs)
        print(f"{'':22} p99 {p99 / base[0]:.2f}x  CPU {cpu / base[1]:.2f}x")


def main() -> None:
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder), jobs, rounds))


if __name__ == "__main__":
    main()
