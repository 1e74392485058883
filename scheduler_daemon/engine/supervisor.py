"""Follow runs from the launcher's word to their recorded end; take up what an earlier start of the daemon left."""

import asyncio
import logging
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from scheduler_daemon.contract.executions import State
from scheduler_daemon.domain.errors import ChronosError
from scheduler_daemon.domain.isolation import output_limit
from scheduler_daemon.domain.lifecycle import Report, verdict
from scheduler_daemon.engine.artifacts import FileKeeper
from scheduler_daemon.engine.dispatcher import Dispatcher
from scheduler_daemon.engine.granting import current
from scheduler_daemon.engine.sampler import Sampler, figures
from scheduler_daemon.engine.starts import Starts
from scheduler_daemon.runners.process import Ended, Started
from scheduler_daemon.services import runs
from scheduler_daemon.services.fires import Holder
from scheduler_daemon.services.runs import Start
from scheduler_daemon.storage import executions
from scheduler_daemon.storage.session import Database

log = logging.getLogger(__name__)

RETRY = 1.0
"""Seconds until ends are written again that the database could not take."""
WISHES = 1.0
"""Seconds between looks for wishes that were made at another daemon."""
AT_ONCE = 500
"""Changes written in one transaction."""
GATHER_EACH, GATHER_MOST = 0.002, 0.25
"""Seconds to wait for more changes, for each that is waiting, and at most. One alone is written almost at once; while a
burst starts its processor time belongs to the starts, and a run that ends meanwhile needs one write instead of two."""

MOST_BYTES = 2**63 - 1
"""The greatest size that can be recorded; two files that a job has stretched may claim to be larger."""


class Runner(Protocol):
    """What runs executions and tells of their ends."""

    def events(self) -> AsyncIterator[Started | Ended]:
        """Tell what happens; an end is told again until it is forgotten."""

    async def forget(self, execution_ids: Iterable[int]) -> None:
        """The ends are recorded and the output is kept."""

    def known(self) -> frozenset[int]:
        """Return the runs the launcher has told of and not been asked to forget."""


class Sink(Protocol):
    """What keeps output."""

    def begin(self, ids: Iterable[int]) -> None:
        """Read the output of these runs as they write it."""

    def limit_of(self, execution_id: int) -> int | None:
        """Return how many bytes are kept of each stream of a run; None for one that is not expected."""

    def forget(self, execution_id: int) -> None:
        """Stop reading."""

    async def resume(self, execution_id: int, *, limit_bytes: int) -> None:
        """Read on from where SQL's copy ends."""

    async def finish(self, execution_id: int) -> Any:
        """Read to the end; return when all is kept. Calls at the same time share their writes."""


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
        starts: Starts | None = None,
        again: Callable[[Sequence[datetime]], None] | None = None,
        sampler: Sampler | None = None,
        failed: Callable[[int, datetime], None] | None = None,
        files: FileKeeper | None = None,
    ) -> None:
        """`again` hears when runs that have failed are tried again; `sampler` has looked at runs while they lived.

        `failed` hears at once of each run that has failed, and when. `files` collects some before a folder goes.
        """
        self._files = files
        self._failed = failed
        self._again = again or _nobody
        self._sampler = sampler
        self._database = database
        self._runner = runner
        self._sink = sink
        self._dispatcher = dispatcher
        self._starting = starts or Starts()
        self._spool = spool
        self._holder = holder
        self._wishes = asyncio.Event()
        self._told: set[int] = set()
        """Runs that were stopped because somebody wanted it, and have not ended."""
        # A file has one daemon, and its runs are ours even where it was moved to another state directory.
        self._node = None if database.dialect == "sqlite" else holder.node
        self._recorded = recorded
        self._now = now
        self._started: dict[int, datetime] = {}
        self._ended: dict[int, Ended] = {}
        self._news = asyncio.Event()
        self._finishing: dict[int, bool] = {}
        """Ended runs whose folder is still there; True once their log is whole, also where there is none."""
        self._to_finish = asyncio.Event()
        self._strays: set[int] = set()
        """Runs of the launcher that the database does not know: of another database, most likely."""

    async def recover(self) -> None:
        """Take up the runs of an earlier start: adopt what lives, start what never was, let the ends come in.

        A claimed run that the launcher does not know is handed over again: the launcher starts a run once only. One
        that had begun and is known to nobody has an end that nobody saw. What is to be cancelled is cancelled first.
        """
        rows = await self._database.read(lambda db: executions.active(db, self._node))
        ours = [row for row in rows if row.state != "queued"]
        known = self._runner.known()
        self._dispatcher.adopt([row.id for row in ours], waiting=len(ours) < len(rows))
        await self._adopt_logs(known)
        claimed = [row.id for row in ours if row.id not in known and row.state == "starting"]
        for row in ours:
            if row.cancel_actor and (row.id in known or row.id in claimed):
                await self.stop(row.id, row.cancel_reason or "")  # before it is handed over: then nothing of it runs
        await self._dispatcher.hand_over(await self._starts(claimed))
        self._take([_lost(row, self._now()) for row in ours if row.id not in known and row.state != "starting"])
        log.info("took up %d runs, of which the launcher knows %d", len(ours), len(known & {row.id for row in ours}))

    async def _starts(self, ids: Iterable[int]) -> list[Start]:
        wanted = list(ids)
        return await self._database.read(lambda db: runs.take_over(db, wanted, node=self._node))

    async def _adopt_logs(self, known: Iterable[int]) -> None:
        """Read on in the output of every run the launcher knows; drop what the database does not know."""
        starts = {start.execution_id: start for start in await self._starts(known)}
        if self._files is not None:
            self._files.expect(starts.values())
            self._files.done = self._to_finish.set
        kept = await current(self._database, {start.spec["policy"] for start in starts.values()})
        for execution_id in known:
            if execution_id in starts:
                spec = starts[execution_id].spec
                limit = spec["output_limit_bytes"]
                if policy := kept.get(spec["policy"]):
                    limit = output_limit(policy.policy, limit)
                await self._sink.resume(execution_id, limit_bytes=limit)
            else:
                self._strays.add(execution_id)
                log.warning("the launcher tells of run %d, which the database does not know; it is left", execution_id)

    async def listen(self) -> None:
        """Take what the runner tells, for ever."""
        async for event in self._runner.events():
            self._take([event])

    def _take(self, events: Sequence[Started | Ended]) -> None:
        for event in events:
            self._starting.done(event.execution_id)
            if isinstance(event, Started):
                self._started[event.execution_id] = event.started_at
            elif event.execution_id not in self._finishing and event.execution_id not in self._strays:
                if self._failed is not None and event.execution_id not in self._ended and _has_failed(event):
                    self._failed(event.execution_id, event.ended_at)
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

        def work(db: Any) -> list[datetime]:
            runs.started(db, starts, now)
            return runs.ended(db, written, now)

        try:
            again = await self._database.write(work)
        except BaseException as error:
            self._started = starts | self._started
            self._ended = {end.execution_id: end for end in ends} | self._ended
            self._news.set()
            if not isinstance(error, ChronosError):
                raise
            log.error(
                "%s; %d ends and %d starts are written again in %g s", error.message, len(ends), len(starts), RETRY
            )
            await asyncio.sleep(RETRY)
            return
        if self._sampler is not None:
            self._sampler.forget([end.execution_id for end in ends])
        self._recorded()
        self._again(again)
        if any(instant <= now for instant in again):
            self._dispatcher.look()
            self.look()
        self._sink.begin(starts)
        if ends:
            self._dispatcher.ended([end.execution_id for end in ends])
            sizes = zip(ends, written, strict=True)
            if self._files is not None:
                self._files.begin({end.execution_id: None if end.spawn_error else end.started_at for end in ends})
            self._finishing |= {e.execution_id: not w.output_bytes and not e.leftover for e, w in sizes}
            self._to_finish.set()

    async def finish_step(self) -> None:
        """Keep the output of ended runs, and let the launcher forget them and clear their spool folders.

        A log ends at once, the folder goes once nothing is collected from it any more.
        """
        ids = [run for run, whole in self._finishing.items() if not whole]
        outcomes = await asyncio.gather(*map(self._sink.finish, ids), return_exceptions=True)
        whole = [run for run, outcome in zip(ids, outcomes, strict=True) if not isinstance(outcome, BaseException)]
        self._finishing |= dict.fromkeys(whole, True)
        kept = [run for run, whole in self._finishing.items() if whole and not self._is_needed(run)]
        for run in kept:
            self._sink.forget(run)
        unknown = set(kept) - self._runner.known()
        if unknown:
            await asyncio.to_thread(_remove, [self._spool / str(execution_id) for execution_id in unknown])
        await self._runner.forget(kept)
        for run in kept:
            del self._finishing[run]
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    def _is_needed(self, execution_id: int) -> bool:
        """Tell whether files are still being collected from the folder of a run."""
        return self._files is not None and self._files.is_open(execution_id)

    def _as_recorded(self, end: Ended) -> runs.Ended:
        peak = None if self._sampler is None else self._sampler.peak(end.execution_id)
        sizes = self._sizes(end.execution_id)
        kept = self._sink.limit_of(end.execution_id)
        if end.limit_hit is None and kept is not None and any(size > kept for size in sizes):
            end = replace(end, limit_hit="output")
        memory, used = figures(end, peak)
        return runs.Ended(
            end.execution_id,
            _report(end),
            end.started_at,
            end.ended_at,
            None if end.cpu_ms is None else round(end.cpu_ms),
            memory,
            min(sum(sizes), MOST_BYTES),
            used,
        )

    def _sizes(self, execution_id: int) -> list[int]:
        """Return how many bytes a run has written to each of its streams."""
        found = []
        for stream in ("stdout", "stderr"):
            try:
                found.append(os.stat(f"{self._spool}/{execution_id}/{stream}").st_size)  # noqa: PTH116  # half Path's price
            except OSError:  # never started, or swept
                continue
        return found

    async def stop(self, execution_id: int, reason: str) -> None:
        """Stop a run within its job's grace; its end comes as an event."""
        for start in await self._starts([execution_id]):
            await self._dispatcher.cancel(execution_id, reason, timedelta(milliseconds=start.spec["grace_ms"]))

    async def run_wishes(self) -> None:
        """Stop runs of ours that another daemon, or what became of other runs, wants stopped, for ever."""
        alone = self._database.dialect == "sqlite"
        while True:
            if alone:
                await self._wishes.wait()
                self._wishes.clear()
            else:
                await asyncio.sleep(WISHES)
            if self._dispatcher.active:
                await self.obey()

    def look(self) -> None:
        """Runs that came up behind others may replace some of ours."""
        self._wishes.set()

    async def obey(self) -> None:
        """Stop the runs of ours that are wanted stopped, each once."""
        wishes = await self._database.read(lambda db: executions.to_stop(db, self._holder.node))
        for execution_id in wishes.keys() - self._told:
            await self.stop(execution_id, wishes[execution_id])
        self._told = set(wishes)

    async def run(self) -> None:
        """Write for ever."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._ended or self._started:
                await self._gather()
                await self.step()

    async def _gather(self) -> None:
        """Wait for more: the longer, the more has come; and until nothing is being started."""
        waited = 0.0
        while (wanted := min(GATHER_MOST, GATHER_EACH * (len(self._started) + len(self._ended)))) > waited:
            await asyncio.sleep(wanted - waited)
            waited = wanted
        if len(self._ended) < AT_ONCE:  # more would hold room that waiting runs want
            await self._starting.calm()

    async def run_finishing(self) -> None:
        """Keep logs of ended runs for ever, behind the writing of ends."""
        while True:
            await self._to_finish.wait()
            self._to_finish.clear()
            try:
                await self.finish_step()
            except ChronosError as error:
                log.error("%s; the rest of some logs is kept later", error.message)
                await asyncio.sleep(RETRY)
                self._to_finish.set()


def _report(end: Ended) -> Report:
    return Report(
        exit_code=end.exit_code,
        signal=end.signal,
        killed_by=end.killed_by,
        cancel_reason=end.reason or "",
        spawn_error=end.spawn_error,
        blocked=end.blocked,
        secretless=end.secretless,
        unknown=end.unknown,
        unmet=end.unmet,
        untold=end.untold,
        limit_hit=end.limit_hit,
        note=end.note or "",
    )


def _has_failed(end: Ended) -> bool:
    return verdict(_report(end)).state is State.FAILED


def _nobody(_: Sequence[datetime]) -> None:
    """Hear nothing."""


def _remove(folders: Iterable[Path]) -> None:
    for folder in folders:
        try:
            shutil.rmtree(folder, ignore_errors=True)
        except RecursionError:  # a job may make folders in its own as deep as it likes
            subprocess.run(["/bin/rm", "-rf", "--", folder], check=False)


def _lost(row: Any, now: datetime) -> Ended:
    return Ended(
        execution_id=row.id,
        exit_code=None,
        signal=None,
        started_at=row.started_at,
        ended_at=now,
        cpu_ms=None,
        max_rss_bytes=None,
        usage_source=None,
        killed_by=None,
        reason=None,
        spawn_error=None,
        killed=0,
        leftover=0,
        survivors=0,
        unknown=True,
    )
