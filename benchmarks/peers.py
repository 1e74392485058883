"""Those we are measured beside: a raw loop that starts processes, and APScheduler's thread pool. Each its own process.

`python -m benchmarks.peers raw|apscheduler JOBS DUE COMMAND` prints one start a line (ns since 1970). All start
`/bin/sh -c COMMAND` in a session of its own, output to /dev/null, and wait for its end; a start counts when
posix_spawn returns.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_HEAD_START = 1.5
"""Seconds from the order to the instant, for the peers to be up and waiting."""


@dataclass(frozen=True, slots=True)
class Burst:
    """Jobs that were due at one instant. Lateness in ms; CPU in ms a job, of every process that took part."""

    late: list[float]
    cpu_ms: float
    took_ms: float = 0.0


def compiled_loop(folder: Path) -> tuple[str, list[str]]:
    """Return the raw loop's label and its command: in C where there is a compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return "raw loop (os.posix_spawn)", [sys.executable, "-m", "benchmarks.peers", "raw"]
    program = folder / "spawn_loop"
    source = Path(__file__).with_name("spawn_loop.c")
    subprocess.run([compiler, "-O2", "-o", program, source], check=True)
    return "raw loop (C)", [str(program)]


APSCHEDULER = [sys.executable, "-m", "benchmarks.peers", "apscheduler"]


def burst(program: list[str], jobs: int, command: str, *, head_start: float = _HEAD_START) -> Burst:
    """Have a peer start `jobs` at one instant, and return how late they were and what it all cost."""
    due = time.time() + head_start
    with tempfile.TemporaryFile() as out:
        pid = os.posix_spawn(
            program[0],
            [*program, str(jobs), repr(due), command],
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, out.fileno(), 1)],
        )
        _, status, used = os.wait4(pid, 0)
        if status:
            raise RuntimeError(f"{program} ended with {os.waitstatus_to_exitcode(status)}")
        out.seek(0)
        *starts, own = [int(line) for line in out.read().split()]
    if program[0] != sys.executable:
        starts, own = [*starts, own], 0
    spent = (used.ru_utime + used.ru_stime) * 1000 - own / 1e6
    return Burst([start / 1e6 - due * 1000 for start in starts], spent / jobs)


def start(command: str, starts: list[int], lock: threading.Lock) -> int:
    """Start the command, note when, and return its pid."""
    quiet = [(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)]
    pid = os.posix_spawn("/bin/sh", ["/bin/sh", "-c", command], os.environ, file_actions=quiet, setsid=True)
    now = time.time_ns()
    with lock:
        starts.append(now)
    return pid


def _raw(jobs: int, due: float, command: str, before: Callable[[], None]) -> list[int]:
    starts: list[int] = []
    lock = threading.Lock()
    before()
    time.sleep(max(0.0, due - time.time()))
    pids = [start(command, starts, lock) for _ in range(jobs)]
    for pid in pids:
        os.waitpid(pid, 0)
    return starts


def _apscheduler(jobs: int, due: float, command: str, before: Callable[[], None]) -> list[int]:
    """Run with everything as it comes: memory store, thread pool of ten, one date job each."""
    from apscheduler.schedulers.background import BackgroundScheduler

    starts: list[int] = []
    lock = threading.Lock()
    done = threading.Semaphore(0)

    def work() -> None:
        os.waitpid(start(command, starts, lock), 0)
        done.release()

    scheduler = BackgroundScheduler(timezone=UTC)
    for number in range(jobs):
        moment = datetime.fromtimestamp(due, UTC)
        scheduler.add_job(work, "date", run_date=moment, id=str(number), misfire_grace_time=None)
    scheduler.start()
    before()
    for _ in range(jobs):
        done.acquire()
    scheduler.shutdown()
    return starts


def main(name: str, jobs: str, due: str, command: str) -> None:
    """Run one peer; the last line printed is the CPU (ns) it had spent before the jobs were due: not theirs."""
    spent: list[float] = []
    peer = {"raw": _raw, "apscheduler": _apscheduler}[name]
    starts = peer(int(jobs), float(due), command, lambda: spent.append(time.process_time()))
    print("\n".join(map(str, starts)), int(spent[0] * 1e9), sep="\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
