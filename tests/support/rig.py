"""A clock that tests set, and a ticker on a real database whose starts are noted instead of becoming processes."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from scheduler_daemon.domain.masks import Mask
from scheduler_daemon.engine.dispatcher import Dispatcher
from scheduler_daemon.engine.ticker import Ticker
from scheduler_daemon.runners.process import Ended, LaunchRequest
from scheduler_daemon.services.fires import Holder
from scheduler_daemon.storage.session import Database
from tests.support.world import HOLDER, NO_KEY, NOON


async def eventually(done: Callable[[], object], seconds: float = 20) -> None:
    """Wait until something has come true."""
    async with asyncio.timeout(seconds):
        while not done():
            await asyncio.sleep(0.01)


class Clock:
    """The wall clock as tests set it."""

    def __init__(self) -> None:
        self.now: datetime = NOON

    def __call__(self) -> datetime:
        """Read it."""
        return self.now

    def forward(self, **span: float) -> None:
        """Set it forward, or back by a negative span."""
        self.now += timedelta(**span)


class Launches:
    """A runner and follower that note what they are given."""

    def __init__(self) -> None:
        self.started: list[int] = []
        self.requests: list[LaunchRequest] = []
        self.stopped: dict[int, tuple[str, timedelta]] = {}
        self.lacking: dict[str, str] = {}
        self.tried_anew = 0
        self.not_before: dict[int, datetime | None] = {}
        self.withdrawn: list[Ended] = []
        self.answers = asyncio.Event()
        """Whether there is a launcher to be asked."""
        self.answers.set()

    @property
    def connected(self) -> bool:
        """Tell whether there is a launcher."""
        return self.answers.is_set()

    async def reachable(self) -> None:
        """Return when there is a launcher."""
        await self.answers.wait()

    async def launch(self, batch: Sequence[LaunchRequest]) -> None:
        """Note them as started."""
        self.started += [request.execution_id for request in batch]
        self.requests += batch
        self.not_before |= {request.execution_id: request.not_before for request in batch}
        await asyncio.sleep(0)

    async def cancel(self, execution_id: int, reason: str, grace: timedelta) -> None:
        """Note it as stopped."""
        self.stopped[execution_id] = reason, grace

    def withdraw(self, end: Ended) -> None:
        """Note the end of one that is not to start."""
        self.withdrawn.append(end)

    async def protections(self, *, again: bool = False) -> dict[str, str]:
        """Return what it was told is missing."""
        await self.answers.wait()
        self.tried_anew += again
        return self.lacking

    def expect(self, execution_id: int, *, limit_bytes: int, mask: Mask | None = None) -> None:
        """The output is nobody's business here."""


class Rig:
    """A ticker with everything below it."""

    def __init__(
        self, database: Database, max_active: int, lead: timedelta = timedelta(), holder: Holder = HOLDER
    ) -> None:
        self.clock = Clock()
        self.launches = Launches()
        self.database = database
        self.holder = holder
        self.dispatcher = Dispatcher(
            database,
            self.launches,
            self.launches,
            vault=NO_KEY,
            holder=holder,
            max_active=max_active,
            recorded=lambda: None,
            now=self.clock,
        )
        self.ticker = Ticker(database, self.dispatcher, self.clock, timedelta(seconds=5), lead)

    async def until(self, end: datetime) -> None:
        """Let the clock run: from each moment the ticker wants to come back at to the next."""
        while True:
            upcoming = await self.ticker.step()
            if upcoming is None or upcoming > end:
                self.clock.now = end
                return
            self.clock.now = max(self.clock.now, upcoming)
