"""The running daemon as a whole: what the API asks of it, how it feels, how it starts and stops its loops."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from scheduler_daemon.contract.insights import AnalystLoad
from scheduler_daemon.contract.system import Component, Health
from scheduler_daemon.domain.errors import ChronosError, Unavailable
from scheduler_daemon.engine.adviser import Adviser
from scheduler_daemon.engine.artifacts import FileKeeper
from scheduler_daemon.engine.asker import Asker
from scheduler_daemon.engine.dispatcher import Dispatcher
from scheduler_daemon.engine.failures import Failures
from scheduler_daemon.engine.log_sink import LogSink
from scheduler_daemon.engine.reaper import Reaper
from scheduler_daemon.engine.relay import Relay
from scheduler_daemon.engine.reserve import Reserve
from scheduler_daemon.engine.sampler import Sampler
from scheduler_daemon.engine.supervisor import Supervisor
from scheduler_daemon.engine.teller import Teller
from scheduler_daemon.engine.ticker import Ticker
from scheduler_daemon.engine.waits import Waits
from scheduler_daemon.runners.process import ProcessRunner
from scheduler_daemon.services import tzdata
from scheduler_daemon.services.fires import Holder
from scheduler_daemon.storage import meta
from scheduler_daemon.storage.artifacts import Place
from scheduler_daemon.storage.session import Database

log = logging.getLogger(__name__)

CHECK_PERIOD = 2.0
"""Seconds between looks at the parts."""
SLOW = 1.0
"""Seconds a commit may take before it is told that they take long."""
RECENT = 5.0
"""Seconds that a failed write is shown; whoever needs it tries again each second."""
PROTECTIONS_SECONDS = 10.0
"""The launcher tries each protection in well under a second; who asks does not wait for one that is not there."""
RESTART_DELAY = 1.0
"""Seconds until a loop that failed by a fault of ours begins again."""
STOP_SECONDS = 30.0
"""How long stopping with all jobs waits for their ends; the launcher goes on killing after that."""


class Daemon:
    """Holds the parts; implements ports.Engine."""

    def __init__(
        self,
        *,
        database: Database,
        ticker: Ticker,
        dispatcher: Dispatcher,
        supervisor: Supervisor,
        waits: Waits,
        sink: LogSink,
        teller: Teller,
        sampler: Sampler,
        failures: Failures,
        files: FileKeeper,
        relay: Relay,
        reaper: Reaper,
        adviser: Adviser,
        asker: Asker,
        runner: ProcessRunner,
        holder: Holder,
        state_dir: Path,
        version: str,
        now: Callable[[], datetime],
    ) -> None:
        self.database = database
        self.ticker = ticker
        self.dispatcher = dispatcher
        self.supervisor = supervisor
        self.waits = waits
        self.sink = sink
        self.teller = teller
        self.sampler = sampler
        self.failures = failures
        self.files = files
        self.relay = relay
        self.reaper = reaper
        self.adviser = adviser
        self.asker = asker
        self.runner = runner
        self._holder = holder
        self._reserve = Reserve(state_dir)
        self._version = version
        self._now = now
        self._started_at = now()
        self._ready = False
        self._troubles: dict[str, str] = {}
        self.stopping = asyncio.Event()
        self.stop_jobs = False

    async def jobs_changed(self, ids: Collection[str]) -> None:
        """Take up jobs that were made, changed, paused or deleted, after their commit."""
        self.relay.wake()
        if ids:
            await self.ticker.changed(ids)

    async def edit(self, work: Callable[[Connection], Sequence[str]]) -> None:
        """Commit a change of the jobs whose ids it returns, and take them up."""
        async with self.editing():
            await self.jobs_changed(await self.database.write(work))

    def editing(self) -> AbstractAsyncContextManager[None]:
        """Let jobs be changed within: what was prepared of their fires beforehand has begun."""
        return self.ticker.editing()

    async def run_now(self, work: Callable[[Any, int], tuple[Any, Any]]) -> Any:
        """Commit `work(connection, free)`, which returns (answer, what follows or None); see to what follows."""
        answer, begun = await self.dispatcher.request_in(work)
        await self.dispatcher.begin(begun)
        return answer

    def room_changed(self) -> None:
        """Look whether runs that wait may start now."""
        self.dispatcher.look()
        self.supervisor.look()

    async def stop(self, execution_id: int, reason: str) -> None:
        """Stop the process of a run that somebody has cancelled."""
        self.relay.wake()
        await self.supervisor.stop(execution_id, reason)

    def shut_down(self, *, stop_jobs: bool) -> None:
        """Begin to stop."""
        self.stop_jobs = stop_jobs
        self.stopping.set()

    def question_asked(self) -> None:
        """Put a question to Claude, after the commit that wrote it down."""
        self.asker.wake()

    async def artifact(self, execution_id: int, start: int, size: int) -> AsyncIterator[bytes]:
        """Return the bytes of a file that a run left. Raises NotFound where it lies with another daemon."""
        return await self.files.read(execution_id, Place(start, size))

    async def protections(self) -> dict[str, str]:
        """Return for each protection "" if it is in force here, else why not. Raises Unavailable without a launcher."""
        try:
            async with asyncio.timeout(PROTECTIONS_SECONDS):
                return await self.dispatcher.protections()
        except TimeoutError:
            raise Unavailable("the launcher does not answer what is in force; ask again later") from None

    def health(self) -> Health:
        """Say what works and what does not."""
        troubles = dict(self._troubles)
        if self.relay.trouble:
            troubles["redis"] = self.relay.trouble
        if not self.runner.connected:
            troubles["launcher"] = "the launcher does not answer; starts wait for it"
        if self.adviser.trouble:
            troubles["insights"] = self.adviser.trouble
        names = dict.fromkeys(("database", "redis", "launcher", "disk", "schedule", "insights", *troubles))
        found = _told(self.adviser.load) if self.adviser.enabled else "off: insights.enabled is false"
        details = {"insights": found} | troubles
        parts = tuple(Component(name=name, ok=name not in troubles, detail=details.get(name, "")) for name in names)
        status = "starting" if not self._ready else "degraded" if troubles else "ready"
        return Health(
            status=status, components=parts, version=self._version, started_at=self._started_at, now=self._now()
        )

    async def start(self) -> None:
        """Take up where the last start ended: runs first, then the clock."""
        await self.supervisor.recover()
        if moved := await self.database.write(lambda db: tzdata.take_up(db, tzdata.version_in_use(), self._now())):
            log.warning("the time zone data changed, and with it the next fire of %d jobs", moved)
        await self.ticker.load()
        boot = _boot_id()
        seen = await self.database.write(lambda db: _swap_boot(db, self._holder.node, boot))
        if seen is not None and seen != boot:
            await self.ticker.reboot()
        self._ready = True

    def loops(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """Return the loops that run until the daemon stops, by the part they are named as in health."""
        return {
            "schedule": self.ticker.run,
            "dispatcher": self.dispatcher.run,
            "supervisor": self.supervisor.run,
            "retries": self.waits.run,
            "launcher events": self.supervisor.listen,
            "wishes": self.supervisor.run_wishes,
            "log finisher": self.supervisor.run_finishing,
            "log sink": self.sink.run,
            "progress": self.teller.run,
            "usage": self.sampler.run,
            "failures": self.failures.run,
            "relay": self.relay.run,
            "heartbeat": self.relay.beat,
            "reaper": self.reaper.run,
            "insights": self.adviser.run,
            "time of insights": self.adviser.run_clock,
            "words": self.asker.run,
            "checks": self._check_for_ever,
        }

    async def keep(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        """Run a loop for ever: a fault is logged and shown in health, and the loop begins again."""
        while True:
            try:
                await loop()
            except ChronosError as error:
                log.error("%s: %s", name, error.message)
                self._troubles[name] = error.message
            except Exception as error:
                log.exception("%s failed; it begins again", name)
                self._troubles[name] = f"failed: {error!r}"
            await asyncio.sleep(RESTART_DELAY)
            asyncio.get_running_loop().call_later(30, self._troubles.pop, name, None)

    async def _check_for_ever(self) -> None:
        while True:
            await self.check()
            await asyncio.sleep(CHECK_PERIOD)

    async def check(self) -> None:
        """Look at the parts that do not report by themselves."""
        try:
            await self.database.read(lambda db: db.execute(text("SELECT 1")))
            failed_at, why = self.database.trouble
            slowest = self.database.pace.slowest()
            if time.monotonic() - failed_at < RECENT:  # on a full disk reads work, and now and then a small write
                self._troubles["database"] = why
            elif slowest >= SLOW:
                self._troubles["database"] = (
                    f"it is slow: a commit took {slowest:.1f} s; runs start late and output is seen late, but none is "
                    "lost; look what else uses the disk"
                )
            else:
                self._troubles.pop("database", None)
        except ChronosError as error:
            self._troubles["database"] = error.message
        if told := await asyncio.to_thread(self._reserve.look):
            self._troubles["disk"] = told
        else:
            self._troubles.pop("disk", None)

    async def stop_all_jobs(self) -> None:
        """Cancel every run and wait until all have ended, but not for ever; nothing starts in their place."""
        self.dispatcher.rest()
        for execution_id in self.dispatcher.active_ids:
            await self.supervisor.stop(execution_id, "the daemon was stopped together with its jobs")
        loop = asyncio.get_running_loop()
        deadline = loop.time() + STOP_SECONDS
        while self.dispatcher.active and loop.time() < deadline:  # noqa: ASYNC110  # once in its life
            await asyncio.sleep(0.05)


def _told(load: AnalystLoad | None) -> str:
    """Say what finding insights takes."""
    if load is None:
        return ""
    return (
        f"learnt from {load.runs:,} runs at {load.run_us / 1000:.2f} ms of processor time each; "
        f"{load.memory_bytes // 1_048_576} MiB; failures are foreseen by the {load.foresees_by}"
    )


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _swap_boot(db: Any, node: str, boot: str) -> str | None:
    """Note which boot of its machine a node has seen; return the one it saw before."""
    key = f"boot_id:{node}"  # machines that share a database boot each for itself
    seen = meta.get(db, key)
    if seen != boot:
        meta.put(db, key, boot)
    return seen
