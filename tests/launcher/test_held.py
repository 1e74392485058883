"""Starts that are handed over ahead of their instant are held until then."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from tests.launcher.bench import Bench, shell


def soon(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


async def test_a_held_start_begins_at_its_instant_and_not_before(bench: Bench) -> None:
    instant = soon(0.4)

    end = await bench.run(shell(1, "date +%s%N", not_before=instant))

    assert end.started_at is not None
    assert end.started_at >= instant
    assert int(bench.out(1)) >= int(instant.timestamp() * 1e9) - 1000


async def test_held_starts_begin_in_the_order_of_their_instants(bench: Bench) -> None:
    for run, seconds in ((1, 0.6), (2, 0.2), (3, 0.4)):
        await bench.runner.launch([shell(run, "true", not_before=soon(seconds))])

    await bench.until(lambda: len(bench.ended) == 3)

    assert sorted(bench.ended, key=lambda run: bench.started[run].started_at) == [2, 3, 1]


async def test_an_instant_that_has_passed_holds_nothing_up(bench: Bench) -> None:
    end = await bench.run(shell(1, "exit 3", not_before=soon(-3600)))

    assert end.exit_code == 3


async def test_a_held_start_that_is_cancelled_never_runs(bench: Bench) -> None:
    await bench.runner.launch([shell(1, "true", not_before=soon(0.3)), shell(2, "true", not_before=soon(0.5))])

    await bench.runner.cancel(1, "not wanted", timedelta(seconds=1))
    await bench.until(lambda: len(bench.ended) == 2)

    assert bench.ended[1].killed_by == "cancel"
    assert bench.ended[1].started_at is None
    assert bench.ended[2].exit_code == 0
    assert 1 not in bench.started


async def test_a_held_start_happens_without_the_one_who_handed_it_over(open_bench: Callable[..., Bench]) -> None:
    async with open_bench() as first:
        await first.runner.launch([shell(1, "exit 5", not_before=soon(0.5))])
        await first.runner.running()

    async with open_bench() as second:
        await second.until(lambda: 1 in second.ended)

    assert second.ended[1].exit_code == 5


async def test_a_held_start_that_dies_with_its_launcher_is_held_by_the_next(bench: Bench) -> None:
    instant = soon(1.5)
    await bench.runner.launch([shell(1, "exit 6", not_before=instant)])
    launcher = bench.runner.launcher_pid
    assert launcher is not None

    os.kill(launcher, signal.SIGKILL)
    await bench.until(lambda: 1 in bench.ended)

    assert bench.ended[1].exit_code == 6
    assert bench.started[1].started_at >= instant
    assert bench.runner.launcher_pid != launcher


async def test_a_launcher_that_holds_a_start_does_not_go(bench: Bench) -> None:
    await bench.runner.launch([shell(1, "true", not_before=soon(0.4))])

    gone = await bench.runner.shut_down_if_idle()
    await bench.until(lambda: 1 in bench.ended)

    assert not gone
