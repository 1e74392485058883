"""Follow runs from the launcher's word to their recorded end; take up what an earlier start of the daemon left."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from scheduler_daemon.domain.errors import ChronosError
from scheduler_daemon.domain.lifecycle import Report
from scheduler_daemon.engine.dispatcher import Dispatcher
from scheduler_daemon.runners.process import Ended, Started
from scheduler_daemon.services import runs
from scheduler_daemon.services.runs import Holder
from scheduler_daemon.storage import executions
from scheduler_daemon.storage.session import Database

log = logging.getLogger(__name__)

RETRY = 1.0
"""Seconds until ends are written again that the database could not take."""
AT_ONCE = 500
"""Changes written in one transaction."""


class Runner(Protocol):
    """What runs executions and tells of their ends."""

    def events(self) -> AsyncIterator[Started | Ended]:
        """Tell what happens; an end is told again until it is forgotten."""

    async def cancel(self, execution_id: int, reason: str, grace: timedelta) -> None:
        """Stop a run and everything it started."""

    async def forget(self, execution_id: int) -> None:
        """The end is recorded and the output kept: drop both."""

    async def known(self) -> Collection[int]:
        """Return the runs whose life the launcher or the spool knows of."""


class Sink(Protocol):
    """What keeps output."""

    async def resume(self, execution_id: int, *, limit_bytes: int) -> None:
        """Read on from where SQL's copy ends."""

    async def finish(self, execution_id: int) -> Any:
        """Read to the end; return when all is kept."""


class Supervisor:
    """Writes what happens to runs. Batches by itself: while one batch is written, the next gathers."""

    def __init__(
        self,
        database: Database,
        runner: Runner,
        sink: Sink,
        dispatcher: Dispatcher,
        *,
        spool: Path,
        holder: Holder,
        recorded: Callable[[], None],
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._runner = runner
        self._sink = sink
        self._dispatcher = dispatcher
        self._spool = spool
        self._holder = holder
        self._recorded = recorded
        self._now = now
        self._started: dict[int, datetime] = {}
        self._ended: dict[int, Ended] = {}
        self._news = asyncio.Event()
        self._finishing: set[int] = set()

    async def recover(self) -> None:
        """Take up the runs of an earlier start: adopt what lives, start what never was, let the ends come in."""
        rows = await self._database.read(lambda db: executions.active(db, self._holder.host))
        ours = [row for row in rows if row.state != "queued"]
        known = set(await self._runner.known())
        specs = await self._database.read(lambda db: runs.take_over(db, [row.id for row in ours], holder=self._holder))
        by_id = {start.execution_id: start for start in specs}
        for row in ours:
            if row.id in known:
                await self._sink.resume(row.id, limit_bytes=by_id[row.id].spec["output_limit_bytes"])
        self._dispatcher.adopt([row.id for row in ours], waiting=len(ours) < len(rows))
        await self._cancel_again([row for row in ours if row.cancel_actor and row.id in known])
        never = [by_id[row.id] for row in ours if row.id not in known and row.state == "starting"]
        gone = [row for row in ours if row.id not in known and row.state != "starting"]
        await self._dispatcher.hand_over(never)
        self._take([_lost(row, self._now()) for row in gone])
        log.info(
            "took up %d runs: %d known to the launcher, %d to start, %d lost",
            len(ours),
            len(known),
            len(never),
            len(gone),
        )

    async def _cancel_again(self, rows: Sequence[Any]) -> None:
        for row in rows:
            await self._runner.cancel(row.id, row.cancel_reason or "", timedelta(seconds=10))

    async def finish_logs(self) -> None:
        """Keep the rest of the output of runs whose end was recorded just before the daemon died."""
        known = set(await self._runner.known())
        rows = await self._database.read(lambda db: executions.by_ids(db, known))
        ended = [row for row in rows if row.ended_at is not None]
        starts = await self._database.read(
            lambda db: runs.take_over(db, [row.id for row in ended], holder=self._holder)
        )
        for start in starts:
            await self._sink.resume(start.execution_id, limit_bytes=start.spec["output_limit_bytes"])
            await self._finish(start.execution_id)
        for stray in known - {row.id for row in rows}:
            log.warning("the spool holds run %d, which the database does not know; it is dropped", stray)
            await self._runner.forget(stray)

    async def listen(self) -> None:
        """Take what the runner tells, for ever."""
        async for event in self._runner.events():
            self._take([event])

    def _take(self, events: Sequence[Started | Ended]) -> None:
        for event in events:
            if isinstance(event, Started):
                self._started[event.execution_id] = event.started_at
            elif event.execution_id not in self._finishing:
                self._ended[event.execution_id] = event
        if events:
            self._news.set()

    async def step(self) -> None:
        """Write what has gathered. A start whose end is known too is written once, as the end."""
        ends = [self._ended.pop(key) for key in list(self._ended)[:AT_ONCE]]
        for end in ends:
            self._started.pop(end.execution_id, None)
        starts = {key: self._started.pop(key) for key in list(self._started)[:AT_ONCE]}
        if not ends and not starts:
            return
        now = self._now()
        written = [self._as_recorded(end) for end in ends]

        def work(db: Any) -> None:
            runs.started(db, starts, now)
            runs.ended(db, written, now)

        try:
            await self._database.write(work)
        except ChronosError as error:
            log.error(
                "%s; %d ends and %d starts are written again in %g s", error.message, len(ends), len(starts), RETRY
            )
            self._started = starts | self._started
            self._ended = {end.execution_id: end for end in ends} | self._ended
            await asyncio.sleep(RETRY)
            self._news.set()
            return
        ids = [end.execution_id for end in ends]
        self._dispatcher.ended(ids)
        self._recorded()
        self._finishing.update(ids)

    async def finish_step(self) -> None:
        """Keep the output of ended runs and let the launcher forget them."""
        for execution_id in list(self._finishing):
            await self._finish(execution_id)
            self._finishing.discard(execution_id)

    async def _finish(self, execution_id: int) -> None:
        await self._sink.finish(execution_id)
        await self._runner.forget(execution_id)

    def _as_recorded(self, end: Ended) -> runs.Ended:
        report = Report(
            exit_code=end.exit_code,
            signal=end.signal,
            killed_by=end.killed_by,
            cancel_reason=end.reason,
            spawn_error=end.spawn_error,
            unknown=end.unknown,
        )
        return runs.Ended(
            end.execution_id,
            report,
            end.started_at,
            end.ended_at,
            end.cpu_ms,
            end.max_rss_bytes,
            self._size(end.execution_id),
        )

    def _size(self, execution_id: int) -> int:
        folder = self._spool / str(execution_id)
        total = 0
        for stream in ("stdout", "stderr"):
            try:
                total += (folder / stream).stat().st_size
            except OSError:  # never started, or swept
                continue
        return total

    async def stop(self, execution_id: int, reason: str, grace: timedelta) -> None:
        """Stop a run; its end comes as an event."""
        await self._runner.cancel(execution_id, reason, grace)

    async def run(self) -> None:
        """Write for ever."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._ended or self._started:
                await self.step()

    async def run_finishing(self) -> None:
        """Keep logs of ended runs for ever, behind the writing of ends."""
        while True:
            if not self._finishing:
                await asyncio.sleep(0.05)
                continue
            try:
                await self.finish_step()
            except ChronosError as error:
                log.error("%s; the rest of some logs is kept later", error.message)
                await asyncio.sleep(RETRY)


def _lost(row: Any, now: datetime) -> Ended:
    return Ended(
        execution_id=row.id,
        exit_code=None,
        signal=None,
        started_at=row.started_at,
        ended_at=now,
        cpu_ms=None,
        max_rss_bytes=None,
        killed_by=None,
        reason="",
        spawn_error=None,
        leftover=0,
        unknown=True,
    )
