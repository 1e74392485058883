"""Two hundred runs, each cancelled at a random moment of its first 50 ms: nothing is left, and every end is true."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta

import pytest

from scheduler_daemon.runners.process import LaunchRequest
from scheduler_daemon.runners.requests import Box
from tests.launcher.bench import Bench, processes_called, shell

RUNS, AT_ONCE = 200, 20
STILL = "sleep {0} & sleep {0} & wait"
FORKING = "setsid -f sh -c '(sleep {0} &) ; setsid -f sleep {0}; (trap \"\" TERM; sleep {0})'; (sleep {0} &); sleep {0}"


async def race(bench: Bench, script: str, box: Box | None, runs: int = RUNS) -> None:
    chance = random.Random(script)
    word = f"77.{random.randrange(10**9)}"

    async def cancel_soon(request: LaunchRequest) -> None:
        await bench.runner.launch([request])
        if request.execution_id % 2:  # the others are cancelled from the first moment on, also while they begin
            await bench.until(lambda: request.execution_id in bench.started or request.execution_id in bench.ended, 60)
        await asyncio.sleep(chance.random() * 0.05)
        await bench.runner.cancel(request.execution_id, "early", timedelta(0))
        await bench.until(lambda: request.execution_id in bench.ended, 60)

    for first in range(0, runs, AT_ONCE):
        requests = [shell(run, script.format(word), box=box) for run in range(first, first + AT_ONCE)]
        await asyncio.gather(*map(cancel_soon, requests))

    ends = [bench.ended[run] for run in range(runs)]
    assert processes_called(word) == []
    assert {(end.killed_by, end.reason, end.survivors, end.unknown) for end in ends} == {("cancel", "early", 0, False)}
    begun = [end for end in ends if end.execution_id in bench.started]
    assert len(begun) >= runs // 2
    assert all((end.signal or (end.exit_code or 0) - 128) in {9, 15} for end in begun)
    assert all((end.signal, end.exit_code) == (None, None) for end in ends if end not in begun)


@pytest.mark.parametrize("script", [STILL, FORKING], ids=["children", "double forks"])
@pytest.mark.parametrize("box", [None, Box()], ids=["trusted", "standard"])
async def test_a_race_of_kills_leaves_nothing(bench: Bench, box: Box | None, script: str) -> None:
    await race(bench, script, box)


@pytest.mark.parametrize("box", [None, Box()], ids=["trusted", "standard"])
async def test_nor_does_it_without_control_groups(open_bench: object, box: Box | None) -> None:
    async with open_bench("--no-groups") as bench:  # type: ignore[operator]
        await race(bench, FORKING, box, 60)


async def test_nor_does_it_where_the_launcher_is_not_root(humble: Bench) -> None:
    await race(humble, FORKING, Box(), 60)
