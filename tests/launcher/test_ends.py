"""Ends are true, and a cancel or a timeout leaves no process."""

from __future__ import annotations

import asyncio
import random
import time
from datetime import UTC, datetime, timedelta

import pytest

from scheduler_daemon.launcher import kernel, spool, sweep
from scheduler_daemon.runners.process import LaunchRequest
from tests.launcher.bench import Bench, processes_called, processes_marked, shell

SHORT = timedelta(seconds=0.2)


async def test_exit_codes_and_signals_are_true(any_bench: Bench) -> None:
    await any_bench.run(*[shell(code, f"exit {code}") for code in (0, 1, 7, 126, 255)])
    await any_bench.run(shell(900, "kill -9 $$"), shell(901, "kill -SEGV $$"))

    assert [any_bench.ended[code].exit_code for code in (0, 1, 7, 126, 255)] == [0, 1, 7, 126, 255]
    assert [any_bench.ended[run].signal for run in (900, 901)] == [9, 11]
    assert any_bench.ended[900].exit_code is None


async def test_an_end_carries_times_and_usage_and_is_on_disk(bench: Bench) -> None:
    before = datetime.now(UTC)

    end = await bench.run(shell(1, "x=; i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done"))

    assert end.started_at is not None
    assert before - timedelta(seconds=0.1) <= end.started_at < end.ended_at <= datetime.now(UTC)
    assert end.cpu_ms is not None
    assert end.cpu_ms > 5
    assert end.usage_source == "wait4"
    written = spool.load(str(bench.state / "spool" / "1"), spool.EXIT)
    assert written is not None
    assert written["exit_code"] == 0


async def test_peak_memory_is_the_jobs_own_or_not_told(bench: Bench) -> None:
    await bench.run(shell(1, "true"), shell(2, "exec head -c 64M /dev/zero | tail -n 1 >/dev/null"))

    assert bench.ended[1].max_rss_bytes is None
    assert 64 << 20 <= (bench.ended[2].max_rss_bytes or 0) < 128 << 20


async def test_what_a_run_reads_from_disks_and_writes_to_them_is_counted(bench: Bench) -> None:
    path = bench.state / "written"

    end = await bench.run(shell(1, f"dd if=/dev/zero of={path} bs=1M count=4 conv=fsync 2>/dev/null"))

    assert (end.write_bytes or 0) >= 4 << 20
    assert end.read_bytes is not None


async def test_a_run_ends_with_its_main_process_and_counts_what_it_leaves(any_bench: Bench) -> None:
    end = await any_bench.run(shell(1, "sleep 61.5 & sleep 61.5 & exit 4"))

    assert end.exit_code == 4
    assert end.leftover == 2


ESCAPES = {
    "background": "sleep 300 & wait",
    "double fork": "( ( sleep 300 & ) & ); sleep 300",
    "own session": "setsid -f sleep 300; sleep 300",
    "own session, clean environment": "setsid -f env -i sleep 300; sleep 300",
    "TERM ignored": "trap '' TERM; setsid -f sh -c \"trap '' TERM; sleep 300 & sleep 300\"; sleep 300",
    "stopped": "sh -c 'kill -STOP $$' & sleep 300",
    "main ends at TERM": "trap 'exit 5' TERM; setsid -f sh -c \"trap '' TERM; sleep 300\"; sleep 300 & wait",
}


@pytest.mark.parametrize("script", ESCAPES.values(), ids=ESCAPES.keys())
async def test_a_cancel_reaches_everything(any_bench: Bench, script: str) -> None:
    word = f"300.{random.randrange(10**9)}"
    await any_bench.start(shell(1, script.replace("300", word) + "; :"))
    await any_bench.until(lambda: len(processes_called(word)) >= min(2, script.count("300")))

    await any_bench.runner.cancel(1, "asked by ada", SHORT)
    await any_bench.until(lambda: 1 in any_bench.ended)

    end = any_bench.ended[1]
    assert processes_called(word) == []
    assert processes_marked(any_bench.state, 1) == []
    assert end.killed_by == "cancel"
    assert end.reason == "asked by ada"
    assert end.killed >= 1  # who goes with its children at TERM may be gone before its own turn
    assert end.survivors == 0


async def test_a_job_that_forks_all_the_time_is_killed(any_bench: Bench) -> None:
    word = f"0.{random.randrange(10**9)}"
    await any_bench.start(
        shell(1, f"trap '' TERM; f() {{ while :; do sleep {word} & sleep {word}; done; }}; f & f & f")
    )

    await any_bench.runner.cancel(1, "stop", SHORT)
    await any_bench.until(lambda: 1 in any_bench.ended)

    assert processes_marked(any_bench.state, 1) == []


async def test_a_job_that_goes_at_term_is_not_killed(bench: Bench) -> None:
    await bench.start(shell(1, "trap 'echo bye; exit 9' TERM; echo ready; while :; do sleep 0.01; done"))
    await bench.says(1, "ready")

    await bench.runner.cancel(1, "enough", timedelta(seconds=20))
    await bench.until(lambda: 1 in bench.ended)

    assert bench.ended[1].exit_code == 9
    assert bench.ended[1].killed_by == "cancel"
    assert bench.out(1).endswith(b"bye\n")


async def test_a_timeout_strikes_with_term_then_kill(any_bench: Bench) -> None:
    begun = time.monotonic()

    end = await any_bench.run(
        shell(1, "trap '' TERM; sleep 50 & while :; do sleep 50; done", timeout=SHORT, grace=SHORT)
    )

    assert 0.3 < time.monotonic() - begun < 5
    assert end.killed_by == "timeout"
    assert end.signal == 9
    assert processes_marked(any_bench.state, 1) == []


async def test_a_cancel_in_the_queue_starts_nothing(bench: Bench) -> None:
    many = [shell(run, "sleep 0.2") for run in range(400)]
    await bench.runner.launch(many)
    await bench.runner.cancel(399, "no more", SHORT)

    await bench.until(lambda: len(bench.ended) == 400, 60)

    assert bench.ended[399].killed_by == "cancel"
    assert bench.ended[399].started_at is None or 399 in bench.started


async def test_a_cancel_that_comes_before_the_launch_counts(bench: Bench) -> None:
    await bench.runner.cancel(1, "changed my mind", SHORT)
    await bench.run(shell(2, "true"))

    end = await bench.run(shell(1, "echo ran; sleep 30"))

    assert end.killed_by == "cancel"
    assert end.spawn_error is None


async def test_early_cancels_leave_nothing_and_every_run_ends(any_bench: Bench) -> None:
    chance = random.Random(4)
    forking = "setsid -f sh -c 'sleep 77 & sleep 77' ; (sleep 77 &) ; sleep 77"
    runs = [shell(run, forking, grace=SHORT) for run in range(60)]

    async def cancel_soon(run: int) -> None:
        await asyncio.sleep(chance.random() * 0.05)
        await any_bench.runner.cancel(run, "early", timedelta(0))

    await any_bench.runner.launch(runs)
    await asyncio.gather(*[cancel_soon(run) for run in range(60)])
    await any_bench.until(lambda: len(any_bench.ended) == 60, 30)

    assert [run for run in range(60) if processes_marked(any_bench.state, run)] == []
    assert {end.killed_by for end in any_bench.ended.values()} == {"cancel"}


async def test_a_burst_of_three_hundred_all_end_true(bench: Bench) -> None:
    burst = [LaunchRequest(run, ("/bin/sh", "-c", f"exit {run % 7}"), {}, "/") for run in range(300)]

    await bench.run(*burst)

    assert [bench.ended[run].exit_code for run in range(300)] == [run % 7 for run in range(300)]


async def test_a_recycled_pid_is_never_signalled(bench: Bench) -> None:
    await bench.start(shell(1, "sleep 40"))
    pid = bench.started[1].pid
    bystander = kernel.process(pid)
    assert bystander is not None

    sent = kernel.send(pid, bystander.ticks - 1, kernel.signal.SIGKILL)
    census = sweep.Census()
    census.take(frozenset())
    found = census.of(sweep.Target(pid, bystander.ticks - 1, "another", 0, None))

    assert not sent
    assert found == []
    assert kernel.is_living(pid, bystander.ticks)
