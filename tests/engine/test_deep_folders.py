"""A job may leave folders as deep as it likes in its own; they go with its run, and the supervisor goes on."""

import os
from pathlib import Path

from scheduler_daemon.engine import supervisor


def test_folders_too_deep_for_a_recursive_walk_are_removed(tmp_path: Path) -> None:
    home = Path.cwd()
    folder = tmp_path / "1"
    folder.mkdir()
    os.chdir(folder)
    for _ in range(2000):
        os.mkdir("d")  # noqa: PTH102 - its whole path is longer than the kernel takes
        os.chdir("d")
    os.chdir(home)

    supervisor._remove([folder])

    assert not folder.exists()
