"""What running jobs use is seen while they live, and told apart from what the kernel counted."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from redis.asyncio import Redis

from scheduler_daemon.engine import process_table
from scheduler_daemon.engine.sampler import Peak, Sampler, figures
from scheduler_daemon.engine.starts import Starts
from scheduler_daemon.live import usage
from scheduler_daemon.runners.process import Started
from scheduler_daemon.runners.requests import ended

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
HOG = "import sys; held = bytearray(b'x') * (64 << 20); print('held', flush=True); sys.stdin.read()"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOG!r}])"


@contextmanager
def job(code: str) -> Iterator[int]:
    """Run Python code as the launcher runs a job, in a session of its own; yield its pid once it says something."""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        process.stdout.readline()
        yield process.pid
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


class Runner:
    """Knows one run by the pid of its first process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    async def running(self) -> list[Started]:
        return [Started(7, self.pid, NOW)]


def test_what_a_run_uses_is_that_of_all_below_its_first_process() -> None:
    with job(PARENT) as pid:
        use = process_table.uses(process_table.read(), {7: pid, 8: 2**30})[7]

    assert use.rss > 64 << 20
    assert use.processes == 2
    assert use.cpu_s > 0


def test_a_daemonised_child_counts_by_its_session_and_helpers_of_a_box_do_not() -> None:
    def one(pid: int, parent: int, session: int, name: str = "job") -> process_table.Process:
        return process_table.Process(pid, name, parent, session, 1.0, 1, 10)

    table = {p.pid: p for p in (one(5, 1, 5, "bwrap"), one(6, 5, 5), one(7, 1, 5), one(8, 7, 8), one(9, 1, 9))}

    assert process_table.uses(table, {1: 5}) == {1: process_table.Use(3.0, 30, 3)}


async def test_looks_become_series_that_go_by_themselves_and_peaks_that_are_taken_once(redis: Redis) -> None:
    picture: Any = SimpleNamespace(client=redis)
    with job(HOG) as pid:
        sampler = Sampler(Runner(pid), picture, Starts(), lambda: NOW)
        pause = await sampler.step()
        await sampler.step()

    at = int(NOW.timestamp() * 1000)
    memory = await usage.series(redis, 7, "memory", start_ms=at - 1000, end_ms=at + 1000, buckets=10)
    assert pause >= 2.0
    assert memory[0][1] > 64 << 20
    assert await usage.series(redis, 8, "memory", start_ms=at, end_ms=at + 1, buckets=10) == []
    assert 0 < await redis.pttl("cs:use:7:cpu") <= 86_400_000
    peak = sampler.peak(7)
    assert peak is not None
    assert (peak.rss > 64 << 20, peak.processes) == (True, 1)
    sampler.forget([7])
    assert sampler.peak(7) is None


async def test_redis_away_costs_no_look() -> None:
    picture: Any = SimpleNamespace(client=Redis(unix_socket_path="/nowhere"))
    with job(HOG) as pid:
        sampler = Sampler(Runner(pid), picture, Starts(), lambda: NOW)
        await sampler.step()

    assert sampler.peak(7) is not None


def test_what_was_counted_wins_over_what_was_seen_and_each_says_which_it_is() -> None:
    record = {"id": 7, "ended_ns": 1, "usage_source": "wait4", "max_rss_bytes": None, "read_bytes": 512}
    counted = record | {"usage_source": "cgroup", "max_rss_bytes": 5, "processes": 3}

    memory, used = figures(ended(record), Peak(rss=100, processes=2))
    assert (memory, used) == (
        100,
        {
            "read_bytes": 512,
            "write_bytes": None,
            "processes": 2,
            "source": "rusage",
            "sampled": ["max_rss_bytes", "processes"],
            "limit_hit": None,
        },
    )
    memory, used = figures(ended(counted), Peak(rss=100, processes=2))
    assert used is not None
    assert (memory, used["processes"], used["source"], used["sampled"]) == (5, 3, "cgroup", [])
    assert figures(ended({"id": 7, "ended_ns": 1, "unknown": True}), None) == (None, None)
    _, used = figures(ended({"id": 7, "ended_ns": 1, "limit_hit": "pids"}), None)
    assert used is not None
    assert used["limit_hit"] == "pids"
