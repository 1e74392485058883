"""Root starts jobs as other accounts, and these cannot harm those who start them. Left out where we are not root."""

from __future__ import annotations

import os
import pwd
import signal
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from scheduler_daemon.launcher import another
from scheduler_daemon.launcher.another import Newborn
from scheduler_daemon.launcher.command import Unstartable
from tests.launcher.bench import Bench, shell

HARASS = "echo up; while :; do kill -STOP $PPID; renice 19 $PPID; done 2>/dev/null >/dev/null"


async def test_root_starts_a_job_as_another_account(any_bench: Bench) -> None:
    nobody = pwd.getpwnam("nobody")
    script = "id -u; id -g; id -G; cat /etc/shadow; grep -E 'Uid|CapEff|CapPrm' /proc/$$/status"

    end = await any_bench.run(shell(1, script, user="nobody"))

    lines = any_bench.out(1).decode().splitlines()
    uid = str(nobody.pw_uid)
    assert lines[0] == uid
    assert lines[1] == str(nobody.pw_gid)
    assert set(lines[2].split()) == {str(gid) for gid in os.getgrouplist("nobody", nobody.pw_gid)}
    assert lines[3].split()[1:] == [uid] * 4
    assert [int(line.split()[1], 16) for line in lines[4:]] == [0, 0]
    assert b"ermission denied" in any_bench.out(1, "stderr")
    assert end.exit_code == 0


async def test_a_directory_the_account_may_not_enter_is_refused_as_the_kernel_would(bench: Bench) -> None:
    closed = bench.state / "closed"
    closed.mkdir(mode=0o700)

    end = await bench.run(shell(1, "true", user="nobody", cwd=str(closed)))

    assert end.spawn_error is not None
    assert "ermission denied" in end.spawn_error


async def test_a_job_cannot_stop_or_slow_down_its_spawner(any_bench: Bench) -> None:
    await any_bench.start(*[shell(run, HARASS, user="nobody") for run in range(2)])
    spawners = any_bench.spawners()

    await any_bench.run(*[shell(run, "exit 3", user="nobody") for run in range(100, 180)])
    for run in range(2):  # they must not outlive their spawner: another process could get its pid
        await any_bench.runner.cancel(run, "enough", timedelta(0))
    await any_bench.until(lambda: {0, 1} <= any_bench.ended.keys())

    assert all(any_bench.ended[run].exit_code == 3 for run in range(100, 180))
    assert any_bench.spawners() == spawners
    assert [os.getpriority(os.PRIO_PROCESS, pid) for pid in spawners] == [os.getpriority(os.PRIO_PROCESS, 0)] * 4


async def test_other_accounts_get_default_signals_and_no_more_descriptors(bench: Bench) -> None:
    script = "cut -d' ' -f1,6 /proc/$$/stat; grep -E 'SigBlk|SigIgn' /proc/self/status; exec ls /proc/self/fd"

    await bench.run(shell(1, script, user="nobody"))

    words = bench.out(1).split()
    assert words[0] == words[1]
    assert int(words[3], 16) == 0
    assert int(words[5], 16) & ~(3 << 31) == 0
    assert words[6:] == [b"0", b"1", b"2", b"3"]


async def test_what_cannot_start_as_another_account_says_why(bench: Bench) -> None:
    await bench.run(shell(1, "true", user="nobody", argv=("/no/such/shell",)))
    await bench.run(shell(2, "#" * 3_000_000, user="nobody"))

    assert "not found" in (bench.ended[1].spawn_error or "")
    assert "too long" in (bench.ended[2].spawn_error or ""), bench.ended[2]


def test_a_newborn_that_ends_while_we_look_whether_it_is_stopped_has_begun() -> None:
    told, telling = os.pipe()
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    closing = threading.Timer(0.05, os.close, (telling,))
    closing.start()

    another.wait(Newborn(pid, told))

    closing.join()
    assert os.waitpid(pid, 0) == (pid, 0)


def test_a_newborn_stopped_by_its_account_is_not_waited_for() -> None:
    told, telling = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(0)

    with pytest.raises(Unstartable, match="stopped"):
        another.wait(Newborn(pid, told))

    os.close(telling)
    assert not Path(f"/proc/{pid}").exists()
