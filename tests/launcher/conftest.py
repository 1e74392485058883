"""A real launcher for each test, gone with all its jobs afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from scheduler_daemon.launcher import cgroups, controllers, kernel, startup
from scheduler_daemon.runners.process import ProcessRunner
from tests.launcher.bench import Bench

_ROOTS = ("kill_race", "as_root", "unprivileged", "box_as_root", "box_unprivileged", "bubblewrap", "declared", "powers")
collect_ignore = [] if os.geteuid() == 0 else [f"test_{name}.py" for name in _ROOTS]
"""Run by somebody else than root, all other tests are the unprivileged ones."""


def state_processes(state: Path) -> list[int]:
    """The launchers and spawners of a state directory, and whoever has a file of its spool open, at whatever number."""
    found = []
    for pid in kernel.processes():
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
            opened = [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]
        except OSError:
            continue
        is_ours = b"launcher/__main__.py" in line and os.fsencode(state) in line
        if is_ours or any(name.startswith(f"{state}/spool/") for name in opened):
            found.append(pid)
    return found


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture(params=["groups", "no groups"])
def options(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return () if request.param == "groups" else ("--no-groups",)


@pytest.fixture
async def open_bench(state: Path) -> AsyncIterator[Callable[..., Bench]]:
    """Make benches on the test's state directory; whatever runs there at the end is killed."""

    name = startup.group_name(state)

    def make(*options: str) -> Bench:
        return Bench(ProcessRunner(state, options=options), state)

    yield make
    for _ in range(3):  # a dying launcher or spawner may leave one more to see
        for pid in state_processes(state):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    parents = controllers.find_parents(name)
    group = Path(f"{cgroups.home()}/{name}")
    end = time.monotonic() + 2
    while group.exists() and time.monotonic() < end:  # the killed take a moment to leave it
        cgroups.remove_parent(str(group))
        await asyncio.sleep(0.01)
    while any(map(os.path.exists, parents.values())) and time.monotonic() < end:
        for parent in parents.values():
            cgroups.remove_parent(parent)
        await asyncio.sleep(0.01)


@pytest.fixture
async def bench(open_bench: Callable[..., Bench]) -> AsyncIterator[Bench]:
    async with open_bench() as made:
        yield made


@pytest.fixture
async def any_bench(open_bench: Callable[..., Bench], options: tuple[str, ...]) -> AsyncIterator[Bench]:
    """With control groups and without: what must hold where the kernel helps and where it does not."""
    async with open_bench(*options) as made:
        yield made


@pytest.fixture
async def humble() -> AsyncIterator[Bench]:
    """A bench on a launcher that runs as nobody."""
    nobody = pwd.getpwnam("nobody")
    state = Path(tempfile.mkdtemp(prefix="chronos-humble-"))
    os.chown(state, nobody.pw_uid, nobody.pw_gid)
    kernel.boot_id()  # loads what nobody may not read where the interpreter lies in a closed home
    starter = os.fork()
    if starter == 0:
        try:
            os.setgroups([])
            os.setresgid(nobody.pw_gid, nobody.pw_gid, nobody.pw_gid)
            os.setresuid(nobody.pw_uid, nobody.pw_uid, nobody.pw_uid)
            os._exit(startup.main([str(state), str(state / "launcher.sock")]))
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(starter, 0)[1]) == 0
    async with Bench(ProcessRunner(state), state) as bench:
        yield bench
        for pid in [*bench.spawners(), bench.runner.launcher_pid]:
            assert pid is not None
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    shutil.rmtree(state)
