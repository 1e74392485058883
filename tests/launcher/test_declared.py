"""A declared path shows what it led to when the job was started, however often it is exchanged meanwhile."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scheduler_daemon.runners.requests import Box, Limits
from tests.launcher.bench import Bench, shell

KNOWN = (
    "symbolic link",
    "Race condition",
    "Can't bind mount",
    "Can't get type of source",
    "Can't find source path",
)
RENAME_EXCHANGE, AT_FDCWD = 2, -100


@pytest.fixture
def place(bench: Bench) -> Path:
    """A folder that all may enter, beside the daemon's."""
    folder = bench.state.with_name(f"{bench.state.name}-shown")
    folder.mkdir()
    for one in (folder, *folder.parents):
        if one.stat().st_mode & 0o055 != 0o055:
            one.chmod(0o755)
    return folder


@contextmanager
def exchanging(one: Path, other: Path) -> Iterator[None]:
    """Exchange two names again and again, each time at one stroke."""
    libc, over = ctypes.CDLL(None, use_errno=True), threading.Event()

    def exchange() -> None:
        while not over.is_set():
            libc.renameat2(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE)

    thread = threading.Thread(target=exchange)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("how", ["read", "write"])
async def test_a_path_that_becomes_a_link_meanwhile_shows_nothing_else(bench: Bench, place: Path, how: str) -> None:
    for name in ("granted", "secret"):
        (place / name).mkdir(mode=0o755)
        (place / name / "file").write_text(name)
    (place / "link").symlink_to(place / "secret")
    box = Box(read=(str(place / "granted"),)) if how == "read" else Box(write=(str(place / "granted"),))
    runs = range(60)

    with exchanging(place / "granted", place / "link"):
        await bench.run(*[shell(run, f"cat {place}/granted/file", box=box) for run in runs])

    shown = [bench.out(run) for run in runs if bench.ended[run].spawn_error is None]
    why = {bench.ended[run].spawn_error for run in runs} - {None}
    assert set(shown) <= {b"granted"}
    assert {text for text in why if text and not any(known in text for known in KNOWN)} == set()


async def test_a_folder_on_the_way_that_is_exchanged_shows_nothing_else(bench: Bench, place: Path) -> None:
    for name in ("way", "other"):
        (place / name / "granted").mkdir(parents=True)
        (place / name / "granted" / "file").write_text(name)
    (place / "link").symlink_to(place / "other")
    box = Box(read=(str(place / "way" / "granted"),))

    with exchanging(place / "way", place / "link"):
        await bench.run(*[shell(run, f"cat {place}/way/granted/file", box=box) for run in range(60)])

    assert {bench.out(run) for run in range(60) if bench.ended[run].spawn_error is None} <= {b"way"}


async def test_what_the_account_may_not_enter_is_not_shown_to_it(bench: Bench, place: Path) -> None:
    (place / "closed").mkdir(mode=0o700)
    (place / "closed" / "open").mkdir(mode=0o777)

    end = await bench.run(shell(1, "echo began", box=Box(read=(str(place / "closed" / "open"),))))

    assert "Permission denied" in (end.spawn_error or "")
    assert bench.out(1) == b""


async def test_many_paths_and_files_are_held_also_with_few_descriptors(bench: Bench, place: Path) -> None:
    for number in range(40):
        (place / f"file{number}").write_text(f"{number}\n")
    box = Box(read=tuple(str(place / f"file{number}") for number in range(40)))
    script = f"cd {place}; cat file? file??; ls /proc/self/fd | wc -l"

    await bench.run(shell(1, script, box=box, limits=Limits(open_files=16)))

    words = bench.out(1).split()
    assert sorted(map(int, words[:-1])) == list(range(40))
    assert words[-1] == b"4"


@pytest.mark.parametrize("path", ["{}/a/../b", "{}/a/", "{}//a", "//etc"])
async def test_a_detour_is_refused_with_the_plain_path(bench: Bench, place: Path, path: str) -> None:
    (place / "a").mkdir()

    end = await bench.run(shell(1, "echo began", box=Box(read=(path.format(place),))))

    assert "takes a detour; declare /" in (end.spawn_error or "")
