"""Attach to each failed run how the machine was. A burst of failures costs one look a second, and holds nobody up."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial

from scheduler_daemon.contract.host import DiskFacts, HostFacts
from scheduler_daemon.contract.policies import Files
from scheduler_daemon.domain.errors import ChronosError
from scheduler_daemon.engine import host
from scheduler_daemon.engine.granting import current
from scheduler_daemon.engine.launch import folder_of
from scheduler_daemon.services import snapshots
from scheduler_daemon.storage.session import Database

log = logging.getLogger(__name__)

SHARED = timedelta(seconds=1)
"""Failures so close to each other share a look."""
STALE = timedelta(seconds=30)
"""Of a failure so long ago, as of one while the daemon was away, the machine tells nothing any more."""
AT_ONCE = 500
FOLDERS = 16
"""Working folders asked about with one look; there are rarely more among failures of one second."""
LOOKING = 4
"""Of them at once."""
WAITING = 10_000
"""Failures that may wait for a look; later ones go without."""


class Failures:
    """Looks at the machine when runs fail."""

    def __init__(self, database: Database, state: str, host: str, now: Callable[[], datetime]) -> None:
        self._database = database
        self._state = state
        self._host = host
        self._now = now
        self._failed: dict[int, None] = {}
        self._come = asyncio.Event()
        self._last: HostFacts | None = None

    def failed(self, execution_id: int, at: datetime) -> None:
        """This run has failed."""
        if self._now() - at <= STALE and len(self._failed) < WAITING:
            self._failed[execution_id] = None
            self._come.set()

    async def step(self) -> None:
        """Attach a look to each run that has failed. Raises Unavailable; those runs go without."""
        while self._failed:
            facts = await self._look()
            ids = list(self._failed)[:AT_ONCE]
            for execution_id in ids:
                del self._failed[execution_id]
            specs = await self._database.read(partial(snapshots.specs, ids=ids))
            kept = await current(self._database, {spec["policy"] for spec in specs.values()})
            hosts = {name for name, (policy, _) in kept.items() if policy.files is Files.HOST}
            folders = {run: folder_of(spec, boxed=spec["policy"] not in hosts) for run, spec in specs.items()}
            disks = await self._disks({folder for folder in folders.values() if folder})
            await self._database.write(partial(snapshots.attach, facts=facts, folders=folders, disks=disks))

    async def _look(self) -> HostFacts:
        now = self._now()
        if self._last is None or not timedelta() <= now - self._last.at <= SHARED:
            self._last = await host.take(self._state, self._host, now)
        return self._last

    async def _disks(self, folders: set[str]) -> Mapping[str, DiskFacts]:
        gate = asyncio.Semaphore(LOOKING)

        async def look(folder: str) -> DiskFacts:
            async with gate:
                return await host.disk_of(folder)

        wanted = sorted(folders)[:FOLDERS]
        return dict(zip(wanted, await asyncio.gather(*map(look, wanted)), strict=True))

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await self._come.wait()
            self._come.clear()
            try:
                await self.step()
            except ChronosError as error:
                log.warning("how the machine was at some failures is not kept: %s", error.message)
