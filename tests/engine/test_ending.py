"""A loop that swallows a cancelling is ended all the same."""

import asyncio

import pytest

from scheduler_daemon.engine.ending import end


async def test_a_task_that_swallows_a_cancelling_ends() -> None:
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed == 3:
                    raise

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)

    await end([task])

    assert task.cancelled()


@pytest.mark.parametrize("fails", [True, False])
async def test_tasks_that_have_ended_are_no_trouble(fails: bool) -> None:
    async def over() -> None:
        if fails:
            raise OSError("gone")

    task = asyncio.create_task(over())
    await asyncio.sleep(0)

    await end([task])

    assert task.done()
