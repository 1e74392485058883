"""Daemon, launcher and spawners may die at any moment: jobs live on, and their ends are true or called unknown."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import shutil
import signal
import socket
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from scheduler_daemon.launcher import controllers, kernel, spool, startup
from scheduler_daemon.runners.requests import Box, Limits
from tests.launcher.bench import Bench, processes_called, processes_marked, shell

UNTIL_TOLD = "echo up; while [ ! -e go ]; do sleep 0.02; done; exit {code}"


def waiting(bench: Bench, run: int, code: int, **more: object) -> object:
    """A job that ends with `code` once the file `go` exists in the state directory."""
    return shell(run, UNTIL_TOLD.format(code=code), cwd=str(bench.state), **more)


async def test_a_spawner_killed_leaves_true_exit_codes(any_bench: Bench) -> None:
    await any_bench.start(*[waiting(any_bench, run, run) for run in range(1, 9)])
    for spawner in {any_bench.spawner_of(run) for run in range(1, 9)}:
        os.kill(spawner, signal.SIGKILL)

    (any_bench.state / "go").touch()
    await any_bench.until(lambda: len(any_bench.ended) == 8)

    assert {run: end.exit_code for run, end in any_bench.ended.items()} == {run: run for run in range(1, 9)}


@pytest.mark.parametrize("box", [None, Box()], ids=["plain", "boxed"])
async def test_spawners_killed_in_a_burst_lose_no_run_and_start_none_twice(bench: Bench, box: Box | None) -> None:
    burst = [shell(run, "echo once; exit 3", box=box) for run in range(200)]
    await bench.runner.launch(burst)
    await bench.until(lambda: len(bench.started) > 20)

    for spawner in bench.spawners():
        os.kill(spawner, signal.SIGKILL)
    await bench.until(lambda: len(bench.ended) == 200, 60)

    ends = bench.ended.values()
    assert all(end.exit_code == 3 or end.unknown for end in ends)
    assert sum(end.unknown for end in ends) <= 4
    assert all(bench.out(run) == b"once\n" for run, end in bench.ended.items() if not end.unknown)


async def test_a_client_that_goes_away_changes_nothing(open_bench: Callable[..., Bench]) -> None:
    async with open_bench() as first:
        await first.start(waiting(first, 1, 6))
        launcher = first.runner.launcher_pid

    async with open_bench() as second:
        await second.until(lambda: 1 in second.started)
        (second.state / "go").touch()
        await second.until(lambda: 1 in second.ended)

    assert second.runner.launcher_pid == launcher
    assert second.ended[1].exit_code == 6


async def test_ends_while_nobody_listened_are_told_until_forgotten(open_bench: Callable[..., Bench]) -> None:
    async with open_bench() as first:
        await first.start(waiting(first, 1, 6))
    (first.state / "go").touch()
    await first.until(lambda: spool.load(str(first.state / "spool" / "1"), spool.EXIT) is not None)

    async with open_bench() as second:
        await second.until(lambda: 1 in second.ended)
        await second.runner.forget([1])
    async with open_bench() as third:
        await third.run(shell(2, "true"))

    assert second.ended[1].exit_code == 6
    assert 1 not in third.ended


async def test_a_dead_launcher_is_replaced_and_its_jobs_end_true(any_bench: Bench) -> None:
    await any_bench.start(*[waiting(any_bench, run, run) for run in range(1, 5)])
    launcher = any_bench.runner.launcher_pid
    assert launcher is not None

    os.kill(launcher, signal.SIGKILL)
    await any_bench.until(lambda: any_bench.runner.launcher_pid != launcher)
    (any_bench.state / "go").touch()
    await any_bench.until(lambda: len(any_bench.ended) == 4)

    assert {run: end.exit_code for run, end in any_bench.ended.items()} == {run: run for run in range(1, 5)}


async def test_launcher_and_spawners_dead_jobs_live_and_their_end_is_unknown(any_bench: Bench) -> None:
    await any_bench.start(*[waiting(any_bench, run, run) for run in range(1, 5)])
    pids = [any_bench.started[run].pid for run in range(1, 5)]
    victims = [*any_bench.spawners(), any_bench.runner.launcher_pid]

    for victim in reversed(victims):
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
    await any_bench.until(lambda: any_bench.runner.launcher_pid not in victims)
    living = [one.living for pid in pids if (one := kernel.process(pid)) is not None]
    (any_bench.state / "go").touch()
    await any_bench.until(lambda: len(any_bench.ended) == 4)

    assert living == [True] * 4
    assert all(end.unknown and end.exit_code is None for end in any_bench.ended.values())
    assert all(any_bench.out(run) == b"up\n" for run in range(1, 5))


async def test_an_adopted_job_is_cancelled_and_timed_out_like_any_other(any_bench: Bench) -> None:
    stubborn = "trap '' TERM; echo up; setsid -f sleep 80; while :; do sleep 80; done"
    await any_bench.start(shell(1, stubborn), shell(2, stubborn, timeout=timedelta(seconds=1)))
    launcher = any_bench.runner.launcher_pid
    assert launcher is not None
    os.kill(launcher, signal.SIGKILL)
    await any_bench.until(lambda: any_bench.runner.launcher_pid != launcher)

    await any_bench.runner.cancel(1, "after all", timedelta(seconds=0.1))
    await any_bench.until(lambda: len(any_bench.ended) == 2)

    assert [any_bench.ended[run].killed_by for run in (1, 2)] == ["cancel", "timeout"]
    assert [any_bench.ended[run].signal for run in (1, 2)] == [9, 9]
    assert processes_marked(any_bench.state, 1) == processes_marked(any_bench.state, 2) == []


async def test_two_who_start_at_once_share_one_launcher(open_bench: Callable[..., Bench]) -> None:
    benches = [open_bench() for _ in range(4)]

    await asyncio.gather(*[bench.__aenter__() for bench in benches])
    end = await benches[0].run(shell(1, "exit 2"))
    pids = {bench.runner.launcher_pid for bench in benches}
    for bench in benches:
        await bench.__aexit__()

    assert len(pids) == 1
    assert end.exit_code == 2


async def test_a_launcher_goes_when_idle_and_stays_while_a_job_runs(bench: Bench) -> None:
    await bench.start(waiting(bench, 1, 0))

    refused = await bench.runner.shut_down_if_idle()
    (bench.state / "go").touch()
    await bench.until(lambda: 1 in bench.ended)
    gone = await bench.runner.shut_down_if_idle()

    assert not refused
    assert gone


async def test_a_launcher_goes_when_its_state_directory_is_gone_but_not_before_its_jobs(
    open_bench: Callable[..., Bench], tmp_path_factory: pytest.TempPathFactory
) -> None:
    done = tmp_path_factory.mktemp("elsewhere") / "done"
    async with open_bench() as bench:
        await bench.start(shell(1, f"sleep 2.5; touch {done}"))
        launcher, spawners = bench.runner.launcher_pid, bench.spawners()
    assert launcher is not None

    shutil.rmtree(bench.state)
    await bench.until(lambda: not Path(f"/proc/{launcher}").exists(), 30)

    assert done.exists()
    await bench.until(lambda: not any(Path(f"/proc/{spawner}").exists() for spawner in spawners))


@pytest.mark.parametrize("box", [None, Box()], ids=["plain", "boxed"])
async def test_a_start_refused_by_the_machine_at_any_step_fails_with_the_reason_and_costs_no_spawner(
    open_bench: Callable[..., Bench], box: Box | None
) -> None:
    async with open_bench("--spawners", "1") as bench:
        await bench.run(shell(0, "true", box=box))
        (spawner,) = bench.spawners()
        most = resource.prlimit(spawner, resource.RLIMIT_NOFILE)
        taken = {int(entry.name) for entry in Path(f"/proc/{spawner}/fd").iterdir()}
        fewest = min(set(range(64)) - taken)

        for allowed in range(fewest, max(taken) + 12):
            resource.prlimit(spawner, resource.RLIMIT_NOFILE, (allowed, most[1]))
            await bench.run(shell(allowed, "echo ran", box=box))
        resource.prlimit(spawner, resource.RLIMIT_NOFILE, most)
        last = await bench.run(shell(1, "echo ran", box=box))

        refused = [run for run, end in bench.ended.items() if end.spawn_error is not None]
        assert refused == list(range(fewest, fewest + len(refused)))
        assert 2 <= len(refused) < max(taken) + 12 - fewest
        assert all("Too many open files" in (bench.ended[run].spawn_error or "") for run in refused)
        assert not any(bench.out(run) for run in refused if (bench.state / "spool" / str(run) / "stdout").exists())
        assert (last.exit_code, bench.spawners()) == (0, [spawner])


async def test_a_client_that_never_reads_holds_up_nobody(bench: Bench) -> None:
    deaf = socket.socket(socket.AF_UNIX)
    deaf.connect(str(bench.state / "launcher.sock"))
    deaf.sendall(b'{"op":"subscribe"}\n' * 2000 + b"not json\n[]\n" + b'{"op":"start","id":"../x"}\n{"op":"nope"}\n')

    end = await bench.run(*[shell(run, "exit 1") for run in range(100)])
    deaf.close()

    assert end.exit_code == 1


async def test_the_socket_is_private_and_rubbish_is_answered(bench: Bench) -> None:
    path = bench.state / "launcher.sock"
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(str(path))

    peer.sendall(b'{"op":"start","id":"../x"}\n')
    answer = await asyncio.to_thread(peer.recv, 4096)
    peer.close()

    assert path.stat().st_mode & 0o777 == 0o600
    assert b"refused" in answer


async def test_a_spawner_that_wakes_after_its_launcher_died_starts_nothing_again(bench: Bench) -> None:
    stopped = bench.spawners()
    launcher = bench.runner.launcher_pid
    assert launcher is not None
    for spawner in stopped:
        os.kill(spawner, signal.SIGSTOP)
    tally = bench.state / "tally"
    runs = [shell(run, f"echo {run} >>{tally}") for run in range(1, 5)]
    await bench.runner.launch(runs)
    ping = await asyncio.open_unix_connection(str(bench.state / "launcher.sock"))
    ping[1].write(b'{"op":"ping"}\n')
    await ping[0].readline()

    os.kill(launcher, signal.SIGKILL)
    await bench.until(lambda: len(bench.ended) == 4)
    await bench.runner.forget(range(1, 5))
    await bench.until(lambda: not any((bench.state / "spool" / str(run)).exists() for run in range(1, 5)))
    for spawner in stopped:
        os.kill(spawner, signal.SIGCONT)
    await bench.until(lambda: not any(kernel.process(spawner) for spawner in stopped))
    ping[1].close()

    assert sorted(tally.read_text().split()) == ["1", "2", "3", "4"]


async def lose_all_but_the_jobs(bench: Bench, *runs: int) -> None:
    """Kill launcher and spawners, as if it had been before they wrote down the start of these runs."""
    victims = [bench.runner.launcher_pid, *bench.spawners()]
    for victim in victims:
        assert victim is not None
        os.kill(victim, signal.SIGSTOP)
    for run in runs:
        (bench.state / "spool" / str(run) / "record").unlink()
    for victim in victims:
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
    await bench.until(lambda: bench.runner.launcher_pid not in victims)


async def test_a_box_found_by_its_mark_alone_keeps_exit_code_limits_and_groups(any_bench: Bench) -> None:
    limits = Limits(processes=9, memory_bytes=64 << 20)
    run = random.randrange(1_000, 90_000)  # without groups an account's processes are counted on the whole machine
    await any_bench.start(shell(run, "echo up; sleep 1.5; exit 7", box=Box(), limits=limits))
    await any_bench.says(run, "up")

    await lose_all_but_the_jobs(any_bench, run)
    await any_bench.until(lambda: run in any_bench.ended)

    end = any_bench.ended[run]
    assert (end.exit_code, end.unknown) == (7, False)
    await any_bench.until(lambda: not groups_of(any_bench, run))


async def test_a_box_that_ended_while_nobody_knew_of_it_tells_its_exit_code(any_bench: Bench) -> None:
    await any_bench.start(shell(1, "echo up; sleep 0.2; exit 7", box=Box()))
    await any_bench.says(1, "up")

    await lose_all_but_the_jobs(any_bench, 1)
    await any_bench.until(lambda: 1 in any_bench.ended)

    assert (any_bench.ended[1].exit_code, any_bench.ended[1].unknown) == (7, False)


async def test_a_cancel_reaches_all_of_what_is_found_by_its_mark_alone(any_bench: Bench) -> None:
    word = f"300.{random.randrange(10**9)}"
    hide = (
        f"trap '' TERM; setsid -f env -i sh -c \"trap '' TERM; sleep {word} & sleep {word}\"; echo up; sleep {word}; :"
    )
    limits = Limits(processes=20)
    await any_bench.start(shell(1, hide, box=Box(), limits=limits), shell(2, hide, limits=limits), shell(3, hide))
    await any_bench.until(lambda: len(processes_called(word)) >= 9)

    await lose_all_but_the_jobs(any_bench, 1, 2, 3)
    for run in (1, 2, 3):
        await any_bench.runner.cancel(run, "after all", timedelta(seconds=0.1))
    await any_bench.until(lambda: len(any_bench.ended) == 3)

    assert processes_called(word) == []
    assert [any_bench.ended[run].killed_by for run in (1, 2, 3)] == ["cancel"] * 3
    assert [any_bench.ended[run].survivors for run in (1, 2, 3)] == [0] * 3
    await any_bench.until(lambda: not groups_of(any_bench, 1) and not groups_of(any_bench, 2))


async def test_a_repeated_launch_tells_the_times_of_what_is_found_by_its_mark_alone(any_bench: Bench) -> None:
    stubborn = "trap '' TERM; echo up; while :; do sleep 80; done"
    before = shell(1, stubborn, timeout=timedelta(seconds=2), box=Box())
    after = shell(2, stubborn, timeout=timedelta(seconds=2))
    await any_bench.start(before, after)

    await lose_all_but_the_jobs(any_bench, 1, 2)
    await any_bench.runner.launch([before])  # as a daemon does that has had no answer
    await any_bench.until(lambda: 1 in any_bench.ended)
    await any_bench.runner.launch([after])
    await any_bench.until(lambda: 2 in any_bench.ended)

    assert [any_bench.ended[run].killed_by for run in (1, 2)] == ["timeout", "timeout"]


def groups_of(bench: Bench, run: int) -> list[str]:
    """The limiting groups of a run that are there."""
    return list(controllers.existing(controllers.find_parents(startup.group_name(bench.state)), run).values())
