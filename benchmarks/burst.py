"""1,000 jobs due at one instant, and one: the real daemon, APScheduler's thread pool and a raw loop in turn.

`python -m benchmarks.burst [--quick]`. Ours keeps a durable history in SQLite and the live picture in Redis, and
captures the line that each job writes; the others keep nothing. Every job is `/bin/sh -c 'echo ran'`.
"""

import asyncio
import statistics
import sys
import time

from benchmarks import ours, peers
from benchmarks.peers import Burst
from benchmarks.report import Figure, percentile, show

JOBS = 1000
PERIOD = 20
"""Seconds between our bursts; the others take their turns between them."""
COMMAND = "echo ran"
OURS, APS = "chronos", "APScheduler thread pool"


def many(rounds: int, jobs: int = JOBS) -> list[Figure]:
    """Measure bursts."""
    with ours.directory() as state:
        label, raw = peers.compiled_loop(state)
        asyncio.run(ours.register(state, [ours.job(f"job {n}", f"*/{PERIOD} * * * * *", COMMAND) for n in range(jobs)]))
        found: dict[str, list[Burst]] = {OURS: [], label: [], APS: []}
        daemon = ours.Ours(state)
        try:
            for turn in range(rounds + 1):
                due = _next(PERIOD)
                mine = daemon.burst(due, jobs)
                if turn == 0:
                    continue  # the first warms caches up, ours and the machine's
                found[OURS].append(mine)
                for name, program in ((label, raw), (APS, peers.APSCHEDULER)):
                    found[name].append(peers.burst(program, jobs, COMMAND))
        finally:
            daemon.close()
    print(f"{jobs:,} jobs due at one instant, medians of {rounds} interleaved rounds")
    for name, bursts in found.items():
        _line(name, bursts)
    p99, cpu = {name: _p(bursts, 99) for name, bursts in found.items()}, {name: _cpu(b) for name, b in found.items()}
    return [
        Figure(f"{jobs:,} due at once: p99 lateness / APScheduler", p99[OURS] / p99[APS], goal=0.75),
        Figure(f"{jobs:,} due at once: p99 lateness / {label}", p99[OURS] / p99[label], goal=0.9),
        Figure(f"CPU per execution, output kept / {label}", cpu[OURS] / cpu[label], goal=1.35),
        Figure("CPU per execution, output kept / APScheduler", cpu[OURS] / cpu[APS]),
    ]


def single(rounds: int) -> list[Figure]:
    """Measure one job: ours at even seconds, the others in turn at odd ones."""
    with ours.directory() as state:
        label, raw = peers.compiled_loop(state)
        asyncio.run(ours.register(state, [ours.job("one", "*/4 * * * * *", COMMAND)]))
        found: dict[str, list[Burst]] = {OURS: [], label: [], APS: []}
        daemon = ours.Ours(state)
        try:
            for _ in range(rounds):
                due = _next(4)
                found[OURS].append(daemon.burst(due, 1))
                for number, (name, program) in enumerate(((label, raw), (APS, peers.APSCHEDULER))):
                    found[name].append(peers.burst(program, 1, COMMAND, head_start=due + 1.5 + number - time.time()))
        finally:
            daemon.close()
    print(f"one job, medians of {rounds} interleaved rounds")
    for name, bursts in found.items():
        _line(name, bursts)
    p50 = {name: _p(bursts, 50) for name, bursts in found.items()}
    return [
        Figure("one job: lateness / APScheduler", p50[OURS] / p50[APS], goal=1.5),
        Figure(f"one job: lateness / {label}", p50[OURS] / p50[label]),
    ]


def _next(period: int) -> float:
    return (int(time.time() + 1.0) // period + 1) * period


def _p(bursts: list[Burst], share: int) -> float:
    return statistics.median(percentile(burst.late, share) for burst in bursts)


def _cpu(bursts: list[Burst]) -> float:
    return statistics.median(burst.cpu_ms for burst in bursts)


def _line(name: str, bursts: list[Burst]) -> None:
    print(f"  {name:<28} late p50 {_p(bursts, 50):8.1f}  p99 {_p(bursts, 99):8.1f} ms   CPU {_cpu(bursts):6.2f} ms/job")


def figures(*, quick: bool = False) -> list[Figure]:
    """Measure both."""
    return many(3 if quick else 5) + single(5 if quick else 11)


if __name__ == "__main__":
    show(figures(quick="--quick" in sys.argv))
