"""Follow the output files of all runs: keep the bytes in SQL, show the lines live, give the disk space back.

What SQL holds is the only cursor: a daemon killed at any moment reads on from there without a missing or doubled
byte. Lines are shown after they are committed, so a number once shown is never given to another line. What is read
and how lines are numbered is log_reader's business.

inotify beat polling here: 1,000 quiet runs cost nothing, and a line after a long silence shows within milliseconds,
where polling pays either a system call for every file in every round or the round's length in delay.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from scheduler_daemon.contract.executions import LogLine
from scheduler_daemon.contract.jobs import DEFAULT_OUTPUT_LIMIT_BYTES
from scheduler_daemon.domain.errors import Unavailable
from scheduler_daemon.domain.job_lines import NOTHING
from scheduler_daemon.domain.lines import Text
from scheduler_daemon.domain.masks import Mask
from scheduler_daemon.engine import log_reader
from scheduler_daemon.engine.ending import end
from scheduler_daemon.engine.file_watch import FileWatch
from scheduler_daemon.engine.log_reader import Draft, Run
from scheduler_daemon.engine.spool_file import PUNCH_STRIDE, punch
from scheduler_daemon.services import said
from scheduler_daemon.storage import logs
from scheduler_daemon.storage.session import Database

log = logging.getLogger(__name__)

ROUND_BYTES = 4 * 1024 * 1024
"""Bytes stored by one write of the database; the bound of the sink's memory."""
INTERVAL_S = 0.04
"""Least time between two rounds of a busy sink: what gathers meanwhile shares one commit."""
POLL_S = 0.1
"""How often files are looked at that the kernel does not watch, and lines that wait for their end."""
SWEEP_S = 10.0
"""How often the size of every file is looked at, should the kernel ever have kept quiet."""
RETRY_S = 0.5
"""How long to wait after the database did not answer."""
SHOW_S = 2.0
"""How long one batch of live lines may take before it is given up; SQL has it."""
BACKLOG = 64
"""Rounds of live lines that may wait for a slow reader; older ones are given up."""

Publish = Callable[[Mapping[int, Sequence[LogLine]]], Awaitable[None]]
"""Shows new lines, by run."""


@dataclass(frozen=True, slots=True)
class LogTotals:
    """What a finished run wrote. `lines` counts every line, also of the dropped middle, as far as it was read."""

    output_bytes: int
    lines: int
    dropped_bytes: int


class LogSink:
    """Follows runs by their execution ids. `spool` holds `<execution id>/stdout` and `stderr`."""

    def __init__(
        self,
        database: Database,
        spool: Path,
        publish: Publish,
        now: Callable[[], datetime],
        heard: Callable[[Collection[int]], None] = lambda _: None,
        masks: Callable[[int], Awaitable[Mask | None]] | None = None,
    ) -> None:
        """`heard` is told which runs have said something of themselves, once it is kept. `masks` tells what must not
        be shown of a run that began under an earlier daemon."""
        self._heard = heard
        self._masks = masks
        self._database = database
        self._spool = spool
        self._publish = publish
        self._now = now
        self._runs: dict[int, Run] = {}
        self._due: dict[int, None] = {}
        """Runs to look at in the next round, in the order they came up."""
        self._later: set[int] = set()
        """Runs to look at after POLL_S: an unended line waits, or the kernel does not watch."""
        self._ending: set[int] = set()
        self._ended: dict[int, LogTotals | Exception] = {}
        self._punched: dict[tuple[int, str], int] = {}
        self._watch: FileWatch[tuple[int, str]] = FileWatch()
        self._round = asyncio.Lock()
        self._news = asyncio.Event()
        self._live: list[dict[int, list[Text]]] = []
        self._showing = asyncio.Lock()
        self._to_show = asyncio.Event()
        self._show_task: asyncio.Task[None] | None = None

    def expect(self, execution_id: int, *, limit_bytes: int, mask: Mask | None = None) -> None:
        """Take note of a run that is about to start; it costs nothing until it has begun."""
        self._runs[execution_id] = Run(execution_id, limit_bytes, mask)

    def begin(self, ids: Iterable[int]) -> None:
        """Follow expected runs: they have begun, and are not known to have ended."""
        for execution_id in ids:
            if execution_id in self._runs:
                self._wake(execution_id)

    def limit_of(self, execution_id: int) -> int | None:
        """Return how many bytes are kept of each stream of a run; None for one that is not expected."""
        run = self._runs.get(execution_id)
        return None if run is None else run.limit_bytes

    def follow(self, execution_id: int, *, limit_bytes: int, mask: Mask | None = None) -> None:
        """Follow a run that has no stored output yet. The files may come later."""
        self.expect(execution_id, limit_bytes=limit_bytes, mask=mask)
        self.begin([execution_id])

    async def resume(self, execution_id: int, *, limit_bytes: int) -> None:
        """Follow a run from where SQL's copy ends. Raises Unavailable."""
        stored = await self._database.read(lambda db: logs.stored(db, execution_id))
        mask = None if self._masks is None else await self._masks(execution_id)
        self._runs[execution_id] = log_reader.from_storage(execution_id, limit_bytes, stored, mask)
        self._wake(execution_id)

    async def finish(self, execution_id: int) -> LogTotals:
        """Store the rest of an ended run's output and stop following it; call when no process of it writes any more.

        Calls at the same time share their writes. Raises Unavailable, and may then be called again: nothing is lost.
        A run that is not followed is resumed first.
        """
        if execution_id not in self._runs:
            await self.resume(execution_id, limit_bytes=DEFAULT_OUTPUT_LIMIT_BYTES)
        self._ending.add(execution_id)
        self._due[execution_id] = None
        while execution_id not in self._ended:
            async with self._round:
                if execution_id not in self._ended:
                    await self._store_round()
        outcome = self._ended.pop(execution_id)
        await self._show_or_hand_over()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def forget(self, execution_id: int) -> None:
        """Stop following without storing the rest."""
        self._runs.pop(execution_id, None)
        self._due.pop(execution_id, None)
        self._later.discard(execution_id)
        self._ending.discard(execution_id)
        for stream in logs.STREAMS:
            self._watch.disarm((execution_id, stream))
            self._punched.pop((execution_id, stream), None)

    async def step(self) -> bool:
        """Do one round: store, then show. Return whether there is more to do at once. Raises Unavailable."""
        async with self._round:
            self._hear()
            self._look_later()
            more = await self._store_round()
        await self._show()
        return more

    async def run(self) -> None:
        """Do rounds as the files grow, until cancelled."""
        loop = asyncio.get_running_loop()
        if self._watch.fileno() >= 0:
            loop.add_reader(self._watch.fileno(), self._on_change)
        polling = asyncio.create_task(self._poll())
        self._show_task = asyncio.create_task(self._show_for_ever())
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                begun = loop.time()
                await self._run_round()
                await asyncio.sleep(max(0.0, INTERVAL_S - (loop.time() - begun)))
        finally:
            loop.remove_reader(self._watch.fileno())
            await end([polling, self._show_task])
            self._show_task = None

    def close(self) -> None:
        """Give the kernel's watch back; the sink is of no use after this."""
        self._watch.close()

    async def _run_round(self) -> None:
        try:
            more = True
            while more:
                async with self._round:
                    self._hear()
                    more = await self._store_round()
                    self._to_show.set()
        except Unavailable as error:
            log.warning("output waits in its files: %s", error.message)
            await asyncio.sleep(RETRY_S)
            self._news.set()

    async def _poll(self) -> None:
        rounds = 0
        while True:
            await asyncio.sleep(POLL_S)
            rounds += 1
            if rounds * POLL_S >= SWEEP_S:
                rounds = 0
                self._later.update(await asyncio.to_thread(self._grown, list(self._runs.values())))
            if self._later:
                self._look_later()
                self._news.set()

    def _grown(self, runs: list[Run]) -> list[int]:
        return [run.execution_id for run in runs if log_reader.grew(run, self._spool / str(run.execution_id))]

    def _wake(self, execution_id: int) -> None:
        self._due[execution_id] = None
        self._news.set()

    def _on_change(self) -> None:
        self._hear()
        self._news.set()

    def _hear(self) -> None:
        for execution_id, _stream in self._watch.changed():
            if execution_id in self._runs:
                self._due[execution_id] = None

    def _look_later(self) -> None:
        self._due.update(dict.fromkeys(self._later & self._runs.keys()))
        self._later.clear()

    async def _store_round(self) -> bool:
        """Read and store what is due, up to ROUND_BYTES; return whether more is due. The caller holds the lock."""
        taken, self._due = self._due, {}  # what grows meanwhile is due again
        try:
            due = [self._runs[execution_id] for execution_id in taken if execution_id in self._runs]
            for run in due:
                if run.execution_id not in self._ending:
                    self._arm(run.execution_id)
            drafts = await asyncio.to_thread(self._read, due) if due else []
            await self._store(drafts)
            taken = {run.execution_id: None for run in due[len(drafts) :]}
        finally:  # where storing failed nothing is adopted, and all stay due
            self._due = taken | self._due
        return bool(self._due)

    def _arm(self, execution_id: int) -> None:
        """Have the kernel tell of the next write, before the file is read."""
        for stream in logs.STREAMS:
            if not self._watch.arm(f"{self._spool}/{execution_id}/{stream}", (execution_id, stream)):
                self._later.add(execution_id)

    def _read(self, due: Iterable[Run]) -> list[Draft]:
        now = self._now()
        drafts: list[Draft] = []
        total = 0
        for run in due:
            folder = self._spool / str(run.execution_id)
            drafts.append(log_reader.read(run, folder, now, ending=run.execution_id in self._ending))
            total += drafts[-1].read_bytes
            if total >= ROUND_BYTES:
                break
        return drafts

    async def _store(self, drafts: list[Draft]) -> None:
        news = [draft for draft in drafts if draft.chunks or draft.heard or self._state_changed(draft)]
        if news:
            try:
                await self._database.write(_work(news, self._now()))
            except Unavailable:
                raise
            except Exception:  # noqa: BLE001  # one run spoils the batch, whatever way; found and logged there
                refused = await self._store_one_by_one(news)
                drafts = [draft for draft in drafts if draft.run.execution_id not in refused]
        for draft in drafts:
            if draft.run.execution_id in self._runs:
                self._adopt(draft)
        if heard := [draft.run.execution_id for draft in drafts if draft.heard]:
            self._heard(heard)
        live = {draft.run.execution_id: draft.shown for draft in drafts if draft.shown}
        if live:
            self._live.append(live)
            del self._live[:-BACKLOG]

    async def _store_one_by_one(self, drafts: list[Draft]) -> set[int]:
        """Return the runs whose draft the database refuses. They go on from what it has, or are let go."""
        refused: set[int] = set()
        for draft in drafts:
            execution_id = draft.run.execution_id
            try:
                await self._database.write(_work([draft], self._now()))
            except Unavailable:
                raise
            except Exception as error:
                refused.add(execution_id)
                if await self._stored_unheard(draft):
                    continue
                log.exception("the output of run %d cannot be stored; it is no longer followed", execution_id)
                if execution_id in self._ending:
                    self._ended[execution_id] = error
                self.forget(execution_id)
        return refused

    async def _stored_unheard(self, draft: Draft) -> bool:
        """Whether the database has more than we know, from a commit it did not confirm; then go on from there."""
        execution_id = draft.run.execution_id
        stored = await self._database.read(lambda db: logs.stored(db, execution_id))
        if stored.next_seq <= draft.run.next_seq - len(draft.chunks):
            return False
        self._runs[execution_id] = log_reader.from_storage(execution_id, draft.run.limit_bytes, stored, draft.run.mask)
        self._due[execution_id] = None
        return True

    def _state_changed(self, draft: Draft) -> bool:
        old = self._runs.get(draft.run.execution_id)
        return draft.over or old is None or old.dropped_bytes != draft.run.dropped_bytes

    def _adopt(self, draft: Draft) -> None:
        """Go on from what is now committed."""
        run = draft.run
        self._runs[run.execution_id] = run
        if draft.over:
            output = sum(max(stream.size, stream.stored) for stream in run.streams)
            self._ended[run.execution_id] = LogTotals(output, run.lines, run.dropped_bytes)
            self.forget(run.execution_id)
            return
        if draft.more:
            self._due[run.execution_id] = None
        elif run.holding or draft.behind:
            self._later.add(run.execution_id)
        for stream in run.streams:
            key = (run.execution_id, stream.name)
            begin, end = self._punched.get(key, 0), run.kept_behind(stream) // PUNCH_STRIDE * PUNCH_STRIDE
            if end > begin:
                punch(self._spool / str(run.execution_id) / stream.name, begin, end)
                self._punched[key] = end

    async def _show_or_hand_over(self) -> None:
        if self._show_task is None:
            await self._show()
        else:
            self._to_show.set()

    async def _show_for_ever(self) -> None:
        while True:
            await self._to_show.wait()
            self._to_show.clear()
            await self._show()

    async def _show(self) -> None:
        """Hand the committed lines over, in order; trouble there is no loss, SQL has them."""
        async with self._showing:
            while self._live:
                news = {run: [_line(text) for text in shown] for run, shown in self._live.pop(0).items()}
                try:
                    async with asyncio.timeout(SHOW_S):  # wait_for may swallow our own cancelling
                        await self._publish(news)
                except Exception as error:  # noqa: BLE001  # whoever shows lines may fail in any way
                    log.warning("live lines of %d runs not shown: %s", len(news), error)


def _work(drafts: list[Draft], now: datetime) -> Callable[[Connection], None]:
    chunks: list[dict[str, Any]] = [chunk for draft in drafts for chunk in draft.chunks]
    states = [
        {
            "execution_id": draft.run.execution_id,
            "lines": draft.run.lines,
            "dropped_bytes": draft.run.dropped_bytes,
            "complete": draft.over,
        }
        for draft in drafts
    ]
    heard = {draft.run.execution_id: draft.run.said for draft in drafts if draft.heard}
    over = [draft.run.execution_id for draft in drafts if draft.over and draft.run.said is not NOTHING]

    def work(db: Connection) -> None:
        logs.append(db, chunks, states)
        said.keep(db, heard, over, now)

    return work


def _line(text: Text) -> LogLine:
    return LogLine(number=text.number, stream=text.stream, at=text.at, text=text.text, partial=text.partial)
