"""What a job's patterns name is copied, and nothing else, whatever the job has put into its folder."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from scheduler_daemon.engine import collector


def collect(
    folder: Path | None, *patterns: str, most: int = 1 << 20, count: int = 100, plain: bool = False, **told: Any
) -> tuple[dict[str, bytes], list[str]]:
    """Run the collector as the daemon does; return contents by name, and the notes."""
    pack = os.memfd_create("pack")
    request = {
        "account": None, "folder": None if folder is None else str(folder), "folder_fd": None, "plain": plain,
        "patterns": list(patterns), "pack": pack, "bytes": most, "count": count, "since_s": 0, **told,
    }  # fmt: skip
    kept = [pack] + ([request["folder_fd"]] if request["folder_fd"] is not None else [])
    done = subprocess.run(
        [sys.executable, "-I", "-S", collector.__file__],
        input=json.dumps(request).encode(), capture_output=True, check=True, pass_fds=kept, timeout=30, cwd="/",
    )  # fmt: skip
    answer = json.loads(done.stdout)
    contents = {each["name"]: os.pread(pack, each["size"], each["start"]) for each in answer["files"]}
    os.close(pack)
    return contents, answer["notes"]


def fill(folder: Path, **files: str) -> None:
    """Make files; `__` in a name is a folder's end, and one dot stands before the last three letters."""
    for name, text in files.items():
        path = folder / (name.replace("__", "/")[:-4] + "." + name[-3:])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (["*.csv"], ["a.csv"]),
        (["out/*.csv"], ["out/b.csv"]),
        (["*/*.csv"], ["out/b.csv"]),
        (["**/*.csv"], ["a.csv", "out/b.csv", "out/deep/c.csv"]),
        (["out/**"], ["out/b.csv", "out/deep/c.csv", "out/x.log"]),
        (["out/**/*.csv"], ["out/b.csv", "out/deep/c.csv"]),
        (["[ab].csv", "out/?.log"], ["a.csv", "out/x.log"]),
        (["*.csv", "a.*", "**/a.csv"], ["a.csv"]),
        ([".hidden/*.csv"], [".hidden/h.csv"]),
        (["out"], []),
        (["none/*"], []),
    ],
)
def test_patterns_name_files_as_a_shell_does(tmp_path: Path, patterns: list[str], names: list[str]) -> None:
    fill(tmp_path, a_csv="1", out__b_csv="2", out__deep__c_csv="3", out__x_log="4")
    fill(tmp_path / ".hidden", h_csv="5")

    contents, notes = collect(tmp_path, *patterns)

    assert list(contents) == names
    assert notes == []


def test_contents_are_whole_and_bytes_stay_bytes(tmp_path: Path) -> None:
    data = os.urandom(3 << 20)
    (tmp_path / "a.bin").write_bytes(data)
    (tmp_path / "b.bin").write_bytes(b"")

    contents, _ = collect(tmp_path, "*.bin", most=4 << 20)

    assert contents == {"a.bin": data, "b.bin": b""}


def test_what_was_there_before_the_run_is_not_its(tmp_path: Path) -> None:
    fill(tmp_path, a_csv="1")

    contents, notes = collect(tmp_path, "*.csv", since_s=time.time() + 60)

    assert contents == {}
    assert notes == ["a.csv: left out: it is older than the run"]


def test_links_fifos_sockets_and_devices_are_left_out_and_never_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("s")
    folder = tmp_path / "job"
    folder.mkdir()
    (folder / "link.out").symlink_to(tmp_path / "secret")
    (folder / "hard.out").hardlink_to(tmp_path / "secret")
    (folder / "inner").symlink_to(tmp_path)
    os.mkfifo(folder / "fifo.out")
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(folder)
        server.bind("sock.out")
    if os.geteuid() == 0:
        os.mknod(folder / "null.out", 0o20666, os.makedev(1, 3))

    contents, notes = collect(folder, "*.out", "inner/*", "**/secret")

    assert contents == {}
    said = "\n".join(notes)
    for part in ("link.out: left out: a link", "hard.out: left out: it has 2 names", "fifo.out: left out: a FIFO"):
        assert part in said
    assert "sock.out: left out: a socket" in said
    assert os.geteuid() != 0 or "null.out: left out: a device" in said


def test_a_folder_on_the_way_that_is_a_link_is_refused_where_it_must_be_plain(tmp_path: Path) -> None:
    fill(tmp_path / "real", a_csv="1")
    (tmp_path / "way").symlink_to(tmp_path / "real")

    followed, _ = collect(tmp_path / "way", "*.csv")
    refused, notes = collect(tmp_path / "way", "*.csv", plain=True)

    assert (list(followed), refused) == (["a.csv"], {})
    assert notes == ["the folder of the run: Not a directory"]


def test_sizes_and_counts_are_bounded(tmp_path: Path) -> None:
    fill(tmp_path, a_txt="x" * 600, b_txt="x" * 600, c_txt="x" * 300)
    for n in range(10):
        (tmp_path / f"{n}.num").write_text("1")

    contents, notes = collect(tmp_path, "*.txt", most=1000)
    few, cut = collect(tmp_path, "*.num", count=3)

    assert list(contents) == ["a.txt", "c.txt"]
    assert notes == ["b.txt: left out: 600 bytes are more than is left of 1000"]
    assert list(few) == ["0.num", "1.num", "2.num"]
    assert cut == ["3.num: left out, and what follows: more than 3 files"]


def test_a_huge_folder_and_a_deep_one_end(tmp_path: Path) -> None:
    for n in range(collector.MOST_ENTRIES + 10):
        (tmp_path / f"f{n}").touch()
    deep = tmp_path / "d"
    for _ in range(60):
        deep = deep / "d"
    deep.mkdir(parents=True)

    _, notes = collect(tmp_path, "**/*.none")
    _, deeper = collect(tmp_path / "d", "**/*.none")

    assert any("more than 20000 names" in note for note in notes)
    assert any("too deep" in note for note in deeper)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_as_another_account_it_reads_only_what_that_may_and_owns(tmp_path: Path) -> None:
    folder = tmp_path / "job"
    fill(folder, own_out="mine", roots_out="root's", shut_out="no")
    (folder / "shut.out").chmod(0)
    for path in (folder, folder / "own.out", folder / "shut.out"):
        os.chown(path, 901_234, 901_234)
    folder.chmod(0o700)
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)

    contents, notes = collect(None, "*.out", account=(901_234, 901_234, []), folder_fd=descriptor)

    os.close(descriptor)
    assert contents == {"own.out": b"mine"}
    assert notes == ["roots.out: left out: it belongs to another account", "shut.out: Permission denied"]
