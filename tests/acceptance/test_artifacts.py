"""Files that a run leaves are kept with it, whatever becomes of its folder, and can be had by everyone who may look."""

import hashlib
import shutil
from pathlib import Path

import pytest

from tests.support.daemon import DaemonHandle, daemon, wait_until

__all__ = ["daemon"]


def test_files_of_a_run_are_listed_got_and_shown(daemon: DaemonHandle, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    command = "mkdir -p out; printf 'a,b\\n' > out/r.csv; ln -s /etc/passwd out/p.csv; echo log > x.log; exit 3"
    flags = ("--artifact", "out/*.csv", "--artifact", "*.log", "--cwd", str(work))
    daemon.json("job", "add", "leaver", *flags, "--", "sh", "-c", command)
    run = str(daemon.json("run", "leaver")["id"])

    found = wait_until(lambda: (got := daemon.json("artifact", "list", run))["items"] and got)
    shutil.rmtree(work)

    assert [(each["name"], each["size"]) for each in found["items"]] == [("out/r.csv", 4), ("x.log", 4)]
    assert found["items"][0]["sha256"] == hashlib.sha256(b"a,b\n").hexdigest()
    assert found["notes"] == ["out/p.csv: left out: a link"]
    assert daemon.chronos("artifact", "get", run, "out/r.csv", "-o", "-", text=False).stdout == b"a,b\n"
    target = tmp_path / "got"
    assert daemon.chronos("artifact", "get", run, "x.log", "-o", str(target)).returncode == 0
    assert target.read_text() == "log\n"
    again = daemon.chronos("artifact", "get", run, "x.log", "-o", str(target))
    missing = daemon.chronos("artifact", "get", run, "nothing")
    assert (again.returncode, missing.returncode) == (2, 3)
    assert "out/r.csv, 4 B" in daemon.chronos("run", "show", run).stdout


def test_a_killed_daemon_collects_what_a_run_left_meanwhile(daemon: DaemonHandle, tmp_path: Path) -> None:
    go = tmp_path / "go"
    command = f"while ! test -e {go}; do sleep 0.05; done; echo done > result.txt"
    daemon.json("job", "add", "slow", "--artifact", "result.txt", "--cwd", str(tmp_path), "--", "sh", "-c", command)
    run = str(daemon.json("run", "slow")["id"])
    wait_until(lambda: daemon.json("run", "show", run)["state"] == "running")

    daemon.kill9()
    go.touch()
    wait_until((tmp_path / "result.txt").exists)
    daemon.start()

    found = wait_until(lambda: daemon.json("artifact", "list", run)["items"])
    assert [each["name"] for each in found] == ["result.txt"]


def test_a_boxed_job_leaves_files_from_its_own_folder_that_is_gone_afterwards(daemon: DaemonHandle) -> None:
    command = "echo kept > a.out; ln /usr/bin/env b.out 2>/dev/null; ln -s /etc/shadow c.out; mkfifo d.out"
    daemon.json("job", "add", "boxed", "--policy", "standard", "--artifact", "*.out", "--", "sh", "-c", command)
    run = daemon.json("run", "boxed")["id"]

    found = wait_until(lambda: (got := daemon.json("artifact", "list", str(run)))["items"] and got)

    assert [each["name"] for each in found["items"]] == ["a.out"]
    assert "c.out: left out: a link" in found["notes"]
    assert "d.out: left out: a FIFO" in found["notes"]
    wait_until(lambda: not (daemon.state / "spool" / str(run) / "home").exists())
    assert daemon.chronos("artifact", "get", str(run), "a.out", "-o", "-").stdout == "kept\n"
    assert (daemon.state / "artifacts").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("pattern", ["/etc/passwd", "../x", "a//b", "", "a/../b"])
def test_a_pattern_that_leads_out_is_refused(daemon: DaemonHandle, pattern: str) -> None:
    done = daemon.chronos("job", "add", "bad", "--artifact", pattern or "a//", "--", "true")

    assert done.returncode == 2
    assert "artifacts" in done.stderr
