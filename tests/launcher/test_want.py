"""What the launcher does when the machine has no more to give, and with requests nobody should send."""

from __future__ import annotations

import json
import os
import resource
import selectors
import signal
import socket
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from scheduler_daemon.launcher import adoption, cgroups, kernel, spool, startup
from tests.launcher.bench import Bench, shell


async def test_a_launcher_without_descriptors_waits_and_forks_its_spawners_later(bench: Bench) -> None:
    launcher = bench.runner.launcher_pid
    assert launcher is not None
    limits = resource.prlimit(launcher, resource.RLIMIT_NOFILE)
    resource.prlimit(launcher, resource.RLIMIT_NOFILE, (len(list(Path(f"/proc/{launcher}/fd").iterdir())), limits[1]))

    os.kill(bench.spawners()[0], signal.SIGKILL)
    await bench.until(lambda: len(bench.spawners()) == 3)
    resource.prlimit(launcher, resource.RLIMIT_NOFILE, limits)
    await bench.until(lambda: len(bench.spawners()) == 4)
    end = await bench.run(shell(1, "exit 3"))

    assert end.exit_code == 3
    assert bench.runner.launcher_pid == launcher


async def test_a_job_that_gets_no_control_group_is_not_in_that_of_the_job_before(
    open_bench: Callable[..., Bench], state: Path
) -> None:
    async with open_bench("--spawners", "1") as bench:
        group = Path(f"{cgroups.home()}/{startup.group_name(state)}")
        if group.exists():  # where the machine lets us have none, no job gets one anyway
            await bench.until(lambda: len(list(group.glob("*/"))) == 1)  # the spawner waits in it for the next job
            (group / "cgroup.max.descendants").write_text("1")
        await bench.runner.launch([shell(1, "sleep 60"), shell(2, "sleep 1; exit 3")])
        await bench.until(lambda: {1, 2} <= bench.started.keys())

        await bench.runner.cancel(1, "not wanted", timedelta())
        await bench.until(lambda: {1, 2} <= bench.ended.keys())

        assert bench.ended[1].killed_by == "cancel"
        assert bench.ended[2].exit_code == 3


async def test_jobs_get_our_limit_of_descriptors_and_the_launcher_all_it_may(bench: Bench) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    await bench.run(shell(1, "ulimit -Sn; ulimit -Hn"))

    assert bench.runner.launcher_pid is not None
    assert bench.out(1).split() == [str(soft).encode(), str(hard).encode()]
    assert resource.prlimit(bench.runner.launcher_pid, resource.RLIMIT_NOFILE) == (hard, hard)


def test_an_adopted_job_that_lives_is_not_called_dead_for_want_of_a_watch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "pidfd_open", refuse)
    with subprocess.Popen(["sleep", "60"]) as sleeper, selectors.DefaultSelector() as selector:
        one = kernel.process(sleeper.pid)
        assert one is not None
        start = {
            "pid": one.pid,
            "started_ns": 0,
            "ticks": one.ticks,
            "boot": kernel.boot_id(),
            "spawner": 0,
            "spawner_ticks": 0,
        }
        taken = adoption.Adoption(str(tmp_path), None, {}, selector)

        taken._watch(1, start)
        news = taken.look(1e9, frozenset())
        sleeper.kill()
        sleeper.wait()
        later = taken.look(2e9, frozenset())

    assert news == []
    assert [record["unknown"] for _, record in later] == [True]


def refuse(_pid: int) -> int:
    raise OSError(24, "Too many open files")


async def test_a_text_that_is_no_text_is_refused_and_kills_no_spawner(bench: Bench) -> None:
    before = bench.spawners()

    end = await bench.run(shell(1, "echo \ud800"))

    assert "surrogate" in (end.spawn_error or "")
    assert bench.spawners() == before


async def test_an_absurd_grace_is_refused_and_the_launcher_stays(bench: Bench) -> None:
    await bench.start(shell(1, "sleep 60"))
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(bench.state / "launcher.sock"))
        peer.sendall(json.dumps({"op": "cancel", "id": 1, "grace_ms": 10**400}).encode() + b"\n")
        answer = peer.recv(4096)

    await bench.runner.cancel(1, "", timedelta(0))
    await bench.until(lambda: 1 in bench.ended)

    assert b"grace_ms" in answer
    assert bench.ended[1].killed_by == "cancel"


async def test_a_limit_of_real_time_work_is_left_alone_and_stops_no_start(open_bench: Callable[..., Bench]) -> None:
    async with open_bench("--no-groups") as bench:
        for spawner in bench.spawners():
            resource.prlimit(spawner, resource.RLIMIT_RTTIME, (200_000, 200_000))

        end = await bench.run(shell(1, "exit 3"))

    assert end.exit_code == 3


async def test_the_input_of_a_refused_run_is_taken_away(bench: Bench) -> None:
    await bench.run(shell(1, "\ud800", stdin=b"secret"))

    await bench.runner.forget([1])

    await bench.until(lambda: not (bench.state / "spool" / "1").exists())


def test_a_record_of_which_a_part_was_written_is_no_record(tmp_path: Path) -> None:
    folder = tmp_path / "1"
    folder.mkdir()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
    try:
        with pytest.raises(OSError, match="part"):
            spool.save_text(str(folder), spool.EXIT, b'{"id":1,"text":"' + b"x" * 10_000 + b'"}\n')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    seen = spool.load(str(folder), spool.EXIT)
    spool.save(str(folder), spool.EXIT, {"id": 1, "exit_code": 3})

    assert seen is None
    assert spool.load(str(folder), spool.EXIT) == {"id": 1, "exit_code": 3}
