"""Lateness and CPU of many `/bin/true` started at once: a serial posix_spawn loop beside the launcher, in one run.

`python -m benchmarks.spawn [jobs] [rounds]`. A start counts when its process exists: for the loop when posix_spawn
returns, for the launcher by `started_at`. CPU is of the loop with its jobs, and of client, launcher, spawners and jobs.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from scheduler_daemon.launcher import kernel
from scheduler_daemon.runners.process import Ended, LaunchRequest, ProcessRunner, Started

Cpu = dict[str, float]
"""CPU seconds by who spent them."""
Round = tuple[list[float], float, Cpu]
"""Lateness of each start and time until all had ended, in seconds; and who worked how long."""


def own_and_jobs(pid: int | None) -> tuple[float, float]:
    """Return the CPU seconds of a process (None: there is none) and of the children it has waited for."""
    if pid is None:
        return 0.0, 0.0
    words = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    user, system, children_user, children_system = (int(word) / os.sysconf("SC_CLK_TCK") for word in words[11:15])
    return user + system, children_user + children_system


def spent_by(launcher: int | None) -> Cpu:
    """Return what we, a launcher, its spawners and their jobs have spent so far."""
    spawners = [one.pid for one in kernel.processes().values() if one.parent == launcher and one.session == launcher]
    spent = [own_and_jobs(pid) for pid in spawners]
    return {
        "client": time.process_time(),
        "launcher": own_and_jobs(launcher)[0],
        "spawners": sum(own for own, _ in spent),
        "jobs": sum(jobs for _, jobs in spent),
    }


def serial(jobs: int) -> Round:
    """Start the jobs one after another, as a scheduler with one spawner does, and wait for them."""
    before, due = os.times(), time.time()
    late = []
    for _ in range(jobs):
        os.posix_spawn("/bin/true", ["true"], {}, setsid=True)
        late.append(time.time() - due)
    for _ in range(jobs):
        os.wait()
    after = os.times()
    own = after.user + after.system - before.user - before.system
    children = after.children_user + after.children_system - before.children_user - before.children_system
    return late, time.time() - due, {"loop": own, "jobs": children}


async def through_launcher(runner: ProcessRunner, spool: Path, first: int, jobs: int) -> Round:
    """Hand the jobs to a launcher in one batch and wait for their ends; then let it have their folders back."""
    before, due = spent_by(runner.launcher_pid), time.time()
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
    took, after = time.time() - due, spent_by(runner.launcher_pid)
    await runner.forget(numbers)
    while any((spool / str(number)).exists() for number in numbers):
        await asyncio.sleep(0.05)
    return late, took, {who: after[who] - before[who] for who in after}


def show(name: str, rows: list[Round], jobs: int) -> tuple[float, float]:
    """Print the medians of the rounds; return p99 and CPU per job in milliseconds."""
    cut = [statistics.quantiles(late, n=100) if len(late) > 1 else [late[0]] * 99 for late, _, _ in rows]
    p50 = statistics.median(row[49] for row in cut) * 1e3
    p99 = statistics.median(row[98] for row in cut) * 1e3
    all_ended = statistics.median(took for _, took, _ in rows) * 1e3
    cpu = statistics.median(sum(spent.values()) for _, _, spent in rows) / jobs * 1e3
    print(f"{name:22} late p50 {p50:7.1f}  p99 {p99:7.1f} ms   all ended {all_ended:7.1f} ms   CPU {cpu:5.2f} ms/job")
    shares = {who: statistics.median(spent[who] for _, _, spent in rows) / jobs * 1e3 for who in rows[0][2]}
    print(f"{'':22} CPU of " + ", ".join(f"{who} {share:.2f}" for who, share in shares.items()))
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
