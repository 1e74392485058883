"""Folders of forgotten runs are used again only when nobody can write into them any more."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scheduler_daemon.launcher import confinement, kernel, reuse
from scheduler_daemon.runners.requests import Box
from tests.launcher.bench import Bench, shell


def free_folders(bench: Bench) -> int:
    return len(list((bench.state / "spool").glob(f"{reuse.FREE}[0-9]*")))


async def test_a_forgotten_folder_serves_the_next_run_empty(bench: Bench) -> None:
    await bench.run(*[shell(run, "echo old; echo old >&2", stdin=b"old" if run == 2 else None) for run in range(8)])
    inodes = {(bench.state / "spool" / str(run) / "stdout").stat().st_ino for run in range(8)}

    await bench.runner.forget(range(8))
    await bench.until(lambda: free_folders(bench) == 8)
    await bench.run(*[shell(run, "echo new; cat") for run in range(10, 18)])

    assert {(bench.state / "spool" / str(run) / "stdout").stat().st_ino for run in range(10, 18)} & inodes
    assert all(bench.out(run) == b"new\n" and bench.out(run, "stderr") == b"" for run in range(10, 18))
    assert all(bench.ended[run].exit_code == 0 for run in range(10, 18))


async def test_a_folder_a_left_process_can_write_to_is_not_used_again(bench: Bench) -> None:
    await bench.run(shell(1, "(while :; do echo late; sleep 0.01; done) & exit 0"))

    await bench.runner.forget([1])
    await bench.until(lambda: not (bench.state / "spool" / "1").exists())
    free = free_folders(bench)
    await bench.run(*[shell(run, "sleep 0.1") for run in range(2, 10)])

    assert free == 0
    assert all(bench.out(run) == b"" for run in range(2, 10))


async def test_free_folders_of_an_earlier_launcher_are_removed(open_bench: Callable[..., Bench]) -> None:
    async with open_bench() as first:
        await first.run(shell(1, "true"))
        await first.runner.forget([1])
        await first.until(lambda: free_folders(first) == 1)
        await first.runner.shut_down_if_idle()
        kept = free_folders(first)

    async with open_bench() as second:
        left = free_folders(second)

    assert kept == 1
    assert left == 0


def removers(spool: Path) -> int:
    """Processes that remove folders of this spool, each with what it started."""
    leaders = [one.pid for one in kernel.processes().values() if one.pid == one.session]
    words = [read(f"/proc/{pid}/cmdline").split(b"\0") for pid in leaders]
    return sum(1 for line in words if line[0] in {b"/bin/sh", b"rm"} and line[-2].startswith(os.fsencode(spool)))


def read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def test_what_an_earlier_launcher_kept_is_removed_by_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []
    really = confinement.remove_folders
    monkeypatch.setattr(confinement, "remove_folders", lambda paths: begun.append(really(paths) or 0))
    for number in range(2048):
        (tmp_path / f"{reuse.FREE}1-{number}" / "home").mkdir(parents=True)

    reuse.clear(str(tmp_path))
    os.waitpid(begun[0], 0)

    assert len(begun) == 1
    assert list(tmp_path.iterdir()) == []


async def test_the_folders_of_many_boxes_are_removed_by_few_processes(bench: Bench) -> None:
    runs = range(40)
    await bench.run(*[shell(run, "echo x > $HOME/x", box=Box()) for run in runs])
    most = 0

    await bench.runner.forget(runs)
    while left := list((bench.state / "spool").iterdir()):
        most = max(most, removers(bench.state / "spool"))
        await asyncio.sleep(0)

    assert left == []
    assert most <= len(bench.spawners())


async def test_a_box_that_left_nothing_leaves_its_folder_for_the_next_run(bench: Bench) -> None:
    await bench.run(*[shell(run, "echo old", box=Box()) for run in range(8)])
    inodes = {(bench.state / "spool" / str(run) / "stdout").stat().st_ino for run in range(8)}

    await bench.runner.forget(range(8))
    await bench.until(lambda: free_folders(bench) == 8)
    await bench.run(*[shell(run, "echo new; ls -A $HOME; ls -A /tmp", box=Box()) for run in range(10, 18)])

    assert {(bench.state / "spool" / str(run) / "stdout").stat().st_ino for run in range(10, 18)} & inodes
    assert all(bench.out(run) == b"new\n" and bench.ended[run].exit_code == 0 for run in range(10, 18))


async def test_who_holds_the_home_of_an_earlier_run_open_sees_nothing_of_the_next(bench: Bench) -> None:
    spool = bench.state / "spool"
    await bench.run(*[shell(run, "true", box=Box()) for run in range(8)])
    inodes = {(spool / str(run) / "stdout").stat().st_ino for run in range(8)}
    with contextlib.ExitStack() as stack:
        places = [str(spool / str(run) / name) for run in range(8) for name in ("home", "tmp")]
        held = [stack.enter_context(opened(place)) for place in places]
        await bench.runner.forget(range(8))
        await bench.until(lambda: free_folders(bench) == 8)

        await bench.run(*[shell(run, "touch $HOME/mine /tmp/mine", box=Box()) for run in range(10, 18)])

        assert {(spool / str(run) / "stdout").stat().st_ino for run in range(10, 18)} & inodes
        assert [os.listdir(one) for one in held] == [[]] * 16  # noqa: PTH208 - descriptors


async def test_a_folder_tells_nothing_of_what_was_around_an_earlier_run(bench: Bench) -> None:
    await bench.run(*[shell(run, "true", box=Box()) for run in range(8)])
    await bench.runner.forget(range(8))
    await bench.until(lambda: free_folders(bench) == 8)

    await bench.run(shell(8, "true"), shell(9, "true", box=Box(files="scratch")))

    left = [{entry.name for entry in (bench.state / "spool" / str(run)).iterdir()} for run in (8, 9)]
    assert left == [{"stdout", "stderr", "record"}, {"stdout", "stderr", "record", "status"}]


async def test_a_home_is_given_on_only_as_it_was_made(bench: Bench) -> None:
    await bench.run(*[shell(run, "true", box=Box()) for run in range(8)])
    for run in range(8):
        home = str(bench.state / "spool" / str(run) / "home")
        os.setxattr(home, "user.mark", b"x") if run % 2 else set_no_dump(home)
        os.chmod(home, 0o777 if run < 4 else 0)  # noqa: PTH101 - as a job in the box may do

    await bench.runner.forget(range(8))
    await bench.until(lambda: free_folders(bench) == 8)
    await bench.run(*[shell(run, "stat -c '%a %u' $HOME /tmp; id -u", box=Box()) for run in range(10, 18)])

    assert {bench.out(run) for run in range(10, 18)} == {b"700 65534\n700 65534\n65534\n"}
    homes = [str(bench.state / "spool" / str(run) / "home") for run in range(10, 18)]
    assert {tuple(os.listxattr(home)) for home in homes} == {()}
    assert {flags_of(home) & NO_DUMP for home in homes} == {0}


GET_FLAGS = 0x80086601
"""FS_IOC_GETFLAGS: what chattr(1) sets."""
NO_DUMP = 0x40


def flags_of(path: str) -> int:
    with opened(path) as descriptor:
        return int.from_bytes(fcntl.ioctl(descriptor, GET_FLAGS, bytes(8))[:4], sys.byteorder)


def set_no_dump(path: str) -> None:
    """As `chattr +d` does."""
    flags = flags_of(path) | NO_DUMP
    with opened(path) as descriptor:
        fcntl.ioctl(descriptor, 0x40086602, flags.to_bytes(8, sys.byteorder))


@contextlib.contextmanager
def opened(path: str) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
