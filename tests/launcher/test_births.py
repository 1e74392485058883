"""Starts that do not come about: they hold up no other, and are given up."""

from __future__ import annotations

import ctypes
import os
import select
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scheduler_daemon.launcher import another, births
from scheduler_daemon.launcher.birth import Mark
from scheduler_daemon.runners.requests import Box
from tests.launcher.bench import Bench, shell
from tests.support.daemon import wait_until


@contextmanager
def silent_folder() -> Iterator[Path]:
    """A file system that never answers whoever looks into it."""
    libc = ctypes.CDLL(None, use_errno=True)
    with tempfile.TemporaryDirectory(prefix="chronos-silent-") as name:
        Path(name).chmod(0o755)
        server = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        how = f"fd={server},rootmode=40000,user_id=0,group_id=0,allow_other"
        try:
            assert libc.mount(b"silent", name.encode(), b"fuse", 0, how.encode()) == 0, os.strerror(ctypes.get_errno())
            yield Path(name)
        finally:
            os.close(server)
            libc.umount2(name.encode(), 2)


async def test_starts_that_wait_for_a_folder_hold_up_no_others(bench: Bench) -> None:
    with silent_folder() as folder:
        stuck = [shell(run, "true", box=Box(write=(f"{folder}/x",))) for run in range(40)]
        await bench.runner.launch(stuck)

        await bench.run(*[shell(run, "echo fine", box=Box()) for run in range(100, 108)])

        assert not bench.ended.keys() & set(range(40))
    assert {bench.out(run) for run in range(100, 108)} == {b"fine\n"}
    await bench.until(lambda: len(bench.ended) == 48)
    assert bench.ended[0].spawn_error == f"box: {folder}/x: Transport endpoint is not connected"


def test_a_start_that_never_comes_about_is_given_up_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(births, "LONGEST", 0.1)
    request = {"id": 7, "argv": ["true"], "cwd": "/", "umask": 0o022}
    files = (None, os.open(tmp_path / "out", os.O_CREAT | os.O_WRONLY), os.open(tmp_path / "err", os.O_CREAT))
    steps = another.Steps([lambda: time.sleep(600)], [], [])
    newborn = another.start(None, request, None, ["true"], {}, files, steps)
    waiting = births.Births(select.poll())
    waiting.add(births.Birth(request, str(tmp_path), Mark("x", 1), newborn, None, None, 0))

    one, why = wait_until(lambda: next(waiting.heard(), None))

    assert one.run == 7
    assert why.startswith("it did not begin within 0.1 s; see whether")
    assert len(waiting) == 0
    assert os.WTERMSIG(os.waitpid(newborn.pid, 0)[1]) == 9
