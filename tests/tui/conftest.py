"""The app on a real daemon: one for all tests of the run that only look or make names of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from textual.pilot import Pilot

from chronos_tui.app import ChronosApp
from chronos_tui.settings import load
from tests.support.daemon import DaemonHandle, daemon, shared_daemon
from tests.support.screen import picture

__all__ = ["daemon", "shared_daemon"]


class Driven:
    """A running app, its keys and its picture."""

    def __init__(self, app: ChronosApp, pilot: Pilot[None]) -> None:
        self.app, self.pilot = app, pilot

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def type(self, text: str) -> None:
        """Type into whatever has the focus."""
        named = {" ": "space", "*": "asterisk", "/": "slash", "-": "minus", ":": "colon", "_": "underscore"}
        await self.pilot.press(*(named.get(character, character) for character in text))

    @property
    def text(self) -> str:
        return "\n".join(picture(self.app))

    async def until(self, *wanted: str | Callable[[], Any], seconds: float = 20) -> None:
        """Wait until all texts stand on the screen, or all conditions hold."""
        deadline = asyncio.get_running_loop().time() + seconds
        while not all(one() if callable(one) else one in self.text for one in wanted):
            assert asyncio.get_running_loop().time() < deadline, f"no {wanted} after {seconds} s in:\n{self.text}"
            await asyncio.sleep(0.05)


@asynccontextmanager
async def driving(handle: DaemonHandle, size: tuple[int, int] = (120, 36)) -> AsyncIterator[Driven]:
    """Run the app on a daemon, live."""
    app = ChronosApp(load(str(handle.state), None, {"HOME": str(handle.state)}))
    async with app.run_test(size=size, notifications=True) as pilot:
        driven = Driven(app, pilot)
        await driven.until("● live")
        yield driven


@pytest.fixture
async def driven(shared_daemon: DaemonHandle) -> AsyncIterator[Driven]:
    """The app on the shared daemon."""
    async with driving(shared_daemon) as running:
        yield running
