"""Boxes that a launcher makes which is not root: by user namespaces alone, and without control groups."""

from __future__ import annotations

import random
from datetime import timedelta

from scheduler_daemon.runners.requests import Box, Limits
from tests.launcher.bench import Bench, processes_called, shell


async def test_its_boxes_hide_all_but_the_system(humble: Bench) -> None:
    script = f"ls -d {humble.state}; ls /root /home; ls -d /proc/[0-9]* | wc -l; id -un; echo mine > $HOME/x; exit 7"

    end = await humble.run(shell(1, script, box=Box()))

    assert end.exit_code == 7
    words = humble.out(1).decode().split()
    assert int(words[0]) <= 5
    assert words[1:] == ["nobody"]
    assert humble.out(1, "stderr").count(b"No such file") == 3


async def test_the_daemons_folder_is_hidden_where_one_above_it_is_declared(humble: Bench) -> None:
    end = await humble.run(shell(1, f"ls -A {humble.state}; exit 3", box=Box(read=(str(humble.state.parent),))))

    assert end.exit_code == 3
    assert humble.out(1) == b""


async def test_a_folder_above_the_daemons_is_not_given_to_be_written(humble: Bench) -> None:
    end = await humble.run(shell(1, "echo began", box=Box(write=(str(humble.state.parent),))))

    assert end.spawn_error is not None
    assert "holds the daemon's own folder" in end.spawn_error
    assert humble.out(1) == b""


async def test_what_a_job_closes_against_itself_goes_with_the_run(humble: Bench) -> None:
    await humble.run(shell(1, "mkdir -p /job/shut/in; chmod 000 /job/shut; exit 0", box=Box()))

    await humble.runner.forget([1])

    await humble.until(lambda: not list((humble.state / "spool").glob("*")))


async def test_its_cancel_reaches_all_in_a_box(humble: Bench) -> None:
    word = f"300.{random.randrange(10**9)}"
    await humble.start(shell(1, f"trap '' TERM; setsid -f env -i sleep {word}; sleep {word}; sleep {word}", box=Box()))
    await humble.until(lambda: len(processes_called(word)) == 2)

    await humble.runner.cancel(1, "enough", timedelta(seconds=0.1))
    await humble.until(lambda: 1 in humble.ended)

    assert humble.ended[1].survivors == 0
    assert processes_called(word) == []


async def test_limits_of_each_process_hold_without_groups(humble: Bench) -> None:
    limits = Limits(open_files=16, cpu_ms=1000)

    end = await humble.run(shell(1, "ulimit -n; ulimit -t; exec sh -c 'while :; do :; done'", limits=limits))

    assert humble.out(1) == b"16\n1\n"
    assert end.limit_hit == "cpu_time"


async def test_an_exit_code_that_may_be_that_of_spent_processor_time_is_told_with_both_meanings(humble: Bench) -> None:
    spent = await humble.run(shell(1, "exec sh -c 'while :; do :; done'", limits=Limits(cpu_ms=1000), box=Box()))

    assert spent.exit_code == 152
    assert spent.note == "128+24: SIGXCPU inside the box or an exit with that code"
