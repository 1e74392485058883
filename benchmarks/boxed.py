"""What a box costs: runs of policy `standard` through the launcher, beside setpriv and bubblewrap in a raw loop.

`python -m benchmarks.boxed [jobs] [rounds]`, as root; all of a round are due at once. A round is raw, then ours, and
a ratio is the median of those of the rounds: what else the machine does comes and goes. Both sides show the same files,
share nothing, filter calls and run `date`, whose output says when the command itself ran. The raw loop makes home and
/tmp of each job, but keeps no record, no limits, no groups, and sees no end but by wait. CPU is that of a control group
that holds all of a side, for wait tells little of what bubblewrap uses.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import repeat
from pathlib import Path

from benchmarks.report import Figure, percentile, show
from scheduler_daemon.contract.policies import STANDARD
from scheduler_daemon.launcher import boxes, bubblewrap, cgroups, seccomp
from scheduler_daemon.launcher.protocol import Message
from scheduler_daemon.runners.process import Ended, LaunchRequest, ProcessRunner
from scheduler_daemon.runners.requests import Box, Limits

COMMAND = ("/bin/date", "+%s.%N")
ENVIRONMENT = {"PATH": "/usr/bin:/bin"}
GOAL = 1.25
_UID = 1_999_999
Round = tuple[list[float], float, float]
"""Lateness of each command and time until all had ended, and the CPU of all, in seconds."""


class Meter:
    """A control group that counts the CPU of whoever enters it and of all they start."""

    def __init__(self, name: str) -> None:
        old = Path("/sys/fs/cgroup/cpuacct")
        own = cgroups.home() if not old.is_dir() else str(old)
        self.path = f"{own}/chronos-bench-{os.getpid()}-{name}"
        self._old = old.is_dir()
        Path(self.path).mkdir()

    def used(self) -> float:
        """Return the CPU seconds used so far."""
        if self._old:
            return int(Path(self.path, "cpuacct.usage").read_text("ascii")) / 1e9
        lines = Path(self.path, "cpu.stat").read_text("ascii").splitlines()
        return int(dict(line.split() for line in lines)["usage_usec"]) / 1e6


def request_of(number: int) -> LaunchRequest:
    """Return a run as `standard` asks for it."""
    asked = STANDARD.limits
    limits = Limits(memory_bytes=asked.memory_bytes, processes=asked.processes, file_bytes=asked.file_bytes)
    return LaunchRequest(number, COMMAND, ENVIRONMENT, "/", box=Box(), limits=limits)


def raw(folder: Path, jobs: int) -> Round:
    """Start the jobs one after another by setpriv and bubblewrap, in a process of its own that the meter counts."""
    meter = Meter("raw")
    before, due = meter.used(), time.time()
    pid = os.fork()
    if pid == 0:
        try:
            Path(meter.path, "cgroup.procs").write_text("0", "ascii")
            _loop(folder, jobs)
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    took, cpu = time.time() - due, meter.used() - before
    late = [float((folder / str(number) / "stdout").read_text()) - due for number in range(jobs)]
    shutil.rmtree(folder)
    folder.mkdir(mode=0o755)
    os.rmdir(meter.path)  # noqa: PTH106
    return late, took, cpu


def _loop(folder: Path, jobs: int) -> None:
    program = bubblewrap.program().path
    setpriv = shutil.which("setpriv") or "setpriv"
    box: Message = {
        "files": "system",
        "read": [],
        "write": [],
        "network": "host",
        "scratch_bytes": None,
        "seccomp": True,
    }
    request: Message = {"id": 0, "env": ENVIRONMENT, "cwd": "/", "box": box}
    for number in range(jobs):
        place = f"{folder}/{number}"
        os.mkdir(place)  # noqa: PTH102
        for name in (boxes.HOME, boxes.TEMPORARY):
            os.mkdir(f"{place}/{name}")  # noqa: PTH102
            os.chown(f"{place}/{name}", _UID, _UID)
        paths = boxes.Paths(f"{place}/{boxes.HOME}", f"{place}/{boxes.TEMPORARY}", "/nonexistent")
        words = boxes.words(request, "raw", paths, _UID, _UID)
        rules = _in_memory(seccomp.filter_program() or b"")
        words += ["--seccomp", str(rules)]
        told = _in_memory(b"".join(os.fsencode(word) + b"\0" for word in words))
        for descriptor in (rules, told):
            os.set_inheritable(descriptor, True)
        become = [setpriv, f"--reuid={_UID}", f"--regid={_UID}", "--clear-groups"]
        arguments = [*become, program, "--args", str(told), "--", *COMMAND]
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        action = (os.POSIX_SPAWN_OPEN, 1, f"{place}/stdout", flags, 0o600)
        os.posix_spawn(setpriv, arguments, {}, file_actions=[action], setsid=True)
        os.close(rules)
        os.close(told)
    for _ in range(jobs):
        os.wait()


def _in_memory(data: bytes) -> int:
    descriptor = os.memfd_create("bench", os.MFD_CLOEXEC)
    os.write(descriptor, data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


async def ours(state: Path, first: int, jobs: int, runner: ProcessRunner, meter: Meter) -> Round:
    """Hand the jobs to the launcher in one batch, wait for their ends, and let it have their folders back."""
    before, own, due = meter.used(), time.process_time(), time.time()
    numbers = range(first, first + jobs)
    await runner.launch([request_of(number) for number in numbers])
    left = jobs
    async for event in runner.events():
        left -= isinstance(event, Ended)
        if isinstance(event, Ended) and event.exit_code != 0:
            raise RuntimeError(f"a run did not succeed: {event}")
        if left == 0:
            break
    took, cpu = time.time() - due, meter.used() - before + time.process_time() - own
    late = [float((state / "spool" / str(number) / "stdout").read_text()) - due for number in numbers]
    await runner.forget(numbers)
    while any((state / "spool" / str(number)).exists() for number in numbers):
        await asyncio.sleep(0.05)
    return late, took, cpu


async def _start_launcher(state: Path, meter: Meter) -> None:
    """Start the launcher inside the meter's group."""
    pid = os.fork()
    if pid == 0:
        try:
            Path(meter.path, "cgroup.procs").write_text("0", "ascii")
            asyncio.run(_connect_once(state))
            os._exit(0)
        finally:
            os._exit(1)
    assert (await asyncio.to_thread(os.waitpid, pid, 0))[1] == 0


async def _connect_once(state: Path) -> None:
    async with ProcessRunner(state):
        pass


async def measure(folder: Path, jobs: int, rounds: int) -> tuple[list[Round], list[Round]]:
    """Return the rounds of both sides, one after the other, after one to warm up."""
    state, loop = folder / "state", folder / "raw"
    state.mkdir(mode=0o700)
    loop.mkdir(mode=0o755)
    folder.chmod(0o755)
    meter = Meter("ours")
    await _start_launcher(state, meter)
    theirs, mine = [], []
    async with ProcessRunner(state) as runner:
        try:
            for turn in range(rounds + 1):
                theirs.append(raw(loop, jobs))
                mine.append(await ours(state, turn * jobs, jobs, runner, meter))
                if turn:
                    print(
                        f"round {turn}: "
                        + ", ".join(f"{name} {_of(theirs[-1], mine[-1], part):.2f}x" for name, part in _PARTS)
                    )
        finally:
            await runner.shut_down_if_idle()
    while not cgroups.remove(meter.path):  # the launcher takes a moment to go
        cgroups.remove_parent(meter.path)
        await asyncio.sleep(0.05)
    return theirs[1:], mine[1:]


def _p99(one: Round) -> float:
    return percentile(one[0], 99)


def _cpu(one: Round) -> float:
    return one[2]


_PARTS = (("CPU", _cpu), ("p99", _p99))


def _of(raw_round: Round, our_round: Round, part: Callable[[Round], float]) -> float:
    """Return how much more of something one of our rounds took than the raw one beside it."""
    return part(our_round) / part(raw_round)


def figures(*, quick: bool) -> list[Figure]:
    """Return CPU and lateness of boxed runs beside a raw loop."""
    return _figures(200 if quick else 1000, 1 if quick else 5)


def _figures(jobs: int, rounds: int) -> list[Figure]:
    if os.geteuid() != 0:
        raise RuntimeError("only root can have jobs run as accounts of their own")
    with tempfile.TemporaryDirectory(prefix="chronos-bench-") as folder:
        theirs, mine = asyncio.run(measure(Path(folder), jobs, rounds))
    late = [statistics.median(map(_p99, side)) for side in (theirs, mine)]
    cpu = [statistics.median(map(_cpu, side)) / jobs * 1e3 for side in (theirs, mine)]
    more = [statistics.median(map(_of, theirs, mine, repeat(part))) for _, part in _PARTS]
    return [
        Figure("raw setpriv and bubblewrap, CPU of a run", cpu[0], "ms"),
        Figure("policy standard, CPU of a run", cpu[1], "ms"),
        Figure("CPU of a boxed run / raw", more[0], "x", GOAL),
        Figure(f"{jobs} raw at once, p99 lateness of the command", late[0] * 1e3, "ms"),
        Figure(f"{jobs} boxed at once, p99 lateness of the command", late[1] * 1e3, "ms"),
        Figure("p99 lateness of boxed runs / raw", more[1], "x", GOAL),
    ]


if __name__ == "__main__":
    show(_figures(int(sys.argv[1]) if len(sys.argv) > 1 else 1000, int(sys.argv[2]) if len(sys.argv) > 2 else 3))
