"""The machine has no more to give: the schedule goes on, everybody can see what is wrong, and nothing is corrupt."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from scheduler_daemon.engine import reserve
from tests.support.api import Api, api_of
from tests.support.daemon import DaemonHandle, running_daemon, wait_until

EACH_SECOND = {"expressions": ["* * * * * *"]}


@pytest.fixture
def small_disk() -> Iterator[DaemonHandle]:
    """A daemon on a disk of 160 MiB of its own."""

    def mount(state: Path) -> None:
        kept = (state / "chronos.toml").read_bytes()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160M,mode=0700", "chronos-test", str(state)], check=True)
        (state / "chronos.toml").write_bytes(kept)

    with running_daemon(before=mount) as handle:
        state = handle.state
        try:
            yield handle
        finally:
            handle.stop()
            subprocess.run(["umount", "-l", str(state)], check=True)


def fill(path: Path) -> None:
    """Write until nothing more fits."""
    with path.open("ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 16))
        except OSError:
            return


@contextmanager
def slow_disk(pid: int) -> Iterator[None]:
    """Hold up each write and each flush of a process by 150 ms."""
    calls = "pwrite64,fsync,fdatasync"
    held = ["-e", f"trace={calls}", "-e", f"inject={calls}:delay_enter=150000"]
    tracer = subprocess.Popen(["strace", "-f", "-qq", "-o", "/dev/null", *held, "-p", str(pid)])
    try:
        yield
    finally:
        tracer.terminate()
        tracer.wait(20)


def succeeded(api: Api, job: str) -> int:
    return sum(1 for run in api.executions(job) if run["state"] == "succeeded")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_on_a_full_disk_the_schedule_goes_on_and_the_alarm_is_seen(small_disk: DaemonHandle) -> None:
    api = api_of(small_disk)
    api.create("true", name="tick", schedule=EACH_SECOND)
    kept = small_disk.state / "reserve"
    wait_until(lambda: kept.exists() and kept.stat().st_size == reserve.SIZE)

    fill(small_disk.state / "filler")
    said = wait_until(lambda: "nothing is kept in reserve" in api.failing().get("disk", "") and api.failing()["disk"])
    before = succeeded(api, "tick")
    wait_until(lambda: succeeded(api, "tick") >= before + 3)
    status = small_disk.chronos("status").stdout
    other = api.until_final(api.run("echo kept; exit 7"))
    (small_disk.state / "filler").unlink()
    wait_until(lambda: "disk" not in api.failing() and kept.stat().st_size == reserve.SIZE)

    assert "MiB are free" in said
    assert "degraded" in status
    assert "make room" in " ".join(status.split())
    assert other["exit_code"] == 7
    with closing(sqlite3.connect(small_disk.state / "chronos.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_without_descriptors_the_schedule_goes_on_and_all_is_well_afterwards(daemon: DaemonHandle, api: Api) -> None:
    fired = daemon.state / "fired"
    api.create(f"echo x >> {fired}", name="tick", schedule=EACH_SECOND)
    wait_until(fired.exists)
    assert daemon.process is not None
    pid = daemon.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)

    resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(list(Path(f"/proc/{pid}/fd").iterdir())), before[1]))
    count = len(fired.read_text())
    wait_until(lambda: len(fired.read_text()) >= count + 6)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    api.until_ready(seconds=60)
    runs = api.executions("tick")

    assert daemon.process.poll() is None
    assert {run["state"] for run in runs} <= {"succeeded", "running", "starting", "queued", "skipped"}
    assert len({run["fire_at"] for run in runs}) == len(runs)
    with closing(sqlite3.connect(daemon.state / "chronos.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_on_a_slow_disk_the_schedule_goes_on_and_the_alarm_is_seen(daemon: DaemonHandle, api: Api) -> None:
    api.create("true", name="slow-tick", schedule=EACH_SECOND, concurrency="allow")
    wait_until(lambda: succeeded(api, "slow-tick"))
    assert daemon.process is not None

    with slow_disk(daemon.process.pid):
        said = wait_until(lambda: "it is slow" in api.failing().get("database", "") and api.failing()["database"])
        before = succeeded(api, "slow-tick")
        wait_until(lambda: succeeded(api, "slow-tick") >= before + 3, seconds=60)
    wait_until(lambda: "database" not in api.failing(), seconds=60)
    wait_until(lambda: api.executions("slow-tick")[-1]["state"] == "succeeded")

    fires = [datetime.fromisoformat(run["fire_at"]) for run in api.executions("slow-tick")]
    assert "a commit took" in said
    assert len(fires) == len(set(fires))
    assert sorted(fires) == [min(fires) + timedelta(seconds=second) for second in range(len(fires))]
    with closing(sqlite3.connect(daemon.state / "chronos.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
