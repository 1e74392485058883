"""Have insights found: start the process that learns from runs, record what it tells, start it again when it ends.

It is one process of all daemons that share a database. Nothing of the scheduler waits for it: what it tells is read
here in threads and recorded with the other writes, and it waits for our answer.
"""

import asyncio
import contextlib
import logging
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import ValidationError
from sqlalchemy import Connection

from scheduler_daemon.contract.insights import AnalystLoad, AnalystReport, RunsSaid
from scheduler_daemon.domain.errors import ChronosError
from scheduler_daemon.services import failures, insights, retry_advice
from scheduler_daemon.storage import meta
from scheduler_daemon.storage.session import Database

LEASE = timedelta(seconds=60)
RENEW = 20.0
"""Seconds between renewals of the lease, and between looks whether another daemon has let it go."""
PATIENCE = 5.0
"""Seconds from the daemon's start to that of the process: what is due then is more urgent."""
FIRST_DELAY, LONGEST_DELAY = 1.0, 300.0
"""Seconds until the process is started again; doubled each time it ends soon."""
LONG_LIFE = 60.0
"""Seconds after which an end is the first again."""
LINE_LIMIT = 4 * 1024 * 1024
STOP = 5.0
PASS_TIME = 30.0
"""Seconds between looks for insights whose time is over."""
NOTHING_SAID = RunsSaid()

log = logging.getLogger(__name__)


class Adviser:
    """Attends to the process that finds insights."""

    def __init__(
        self,
        database: Database,
        *,
        url: str,
        learnt: Path,
        holder: str,
        recorded: Callable[[], None],
        edit: Callable[[Callable[[Connection], Sequence[str]]], Awaitable[None]],
        now: Callable[[], datetime],
        review_every: timedelta = timedelta(hours=24),
        enabled: bool = True,
    ) -> None:
        """`learnt` is the file of the process; `holder` names this daemon among those that share the database.

        `edit` commits a change of the jobs that it returns, and sees to their fires.
        """
        self._database = database
        self._command = (sys.executable, "-m", "scheduler_daemon.analyst", str(learnt))
        self._environ = {**os.environ, "CHRONOS_ANALYST_DATABASE": url, "OPENBLAS_NUM_THREADS": "1"}
        self._environ["CHRONOS_ANALYST_REVIEW_S"] = str(review_every.total_seconds())
        self._edit = edit
        self._holder = holder
        self._recorded = recorded
        self._now = now
        self.enabled = enabled
        self.trouble = ""
        """Why no insights are found; empty while they are, here or by another daemon."""
        self.load: AnalystLoad | None = None
        """As the process told last; None where there is none."""

    async def run(self) -> None:
        """Have the process run for ever while the lease is ours, if there is to be one."""
        if not self.enabled:
            await asyncio.Event().wait()
        await asyncio.sleep(PATIENCE)
        delay = FIRST_DELAY
        loop = asyncio.get_running_loop()
        while True:
            if not await self._lead():
                await asyncio.sleep(RENEW)
                continue
            began = loop.time()
            try:
                why = await self._attend()
            finally:
                self.load = None
            if not why:
                continue
            delay = FIRST_DELAY if loop.time() - began > LONG_LIFE else min(delay * 2, LONGEST_DELAY)
            self.trouble = f"the process that finds insights {why}; it is started again after {delay:g} s"
            log.warning("%s", self.trouble)
            await asyncio.sleep(delay)

    async def run_clock(self) -> None:
        """Let insights expire, and wake those that were snoozed, for ever."""
        while True:
            await self.pass_time()
            await asyncio.sleep(PASS_TIME)

    async def pass_time(self) -> None:
        """Do so once."""
        try:
            now = self._now()
            while await self._database.write(lambda db: insights.pass_time(db, now)):
                self._recorded()
        except ChronosError as error:
            log.warning("insights expire later: %s", error.message)

    async def _lead(self) -> bool:
        now = self._now()
        try:
            return await self._database.write(lambda db: meta.take_lease(db, "analyst", self._holder, now, now + LEASE))
        except ChronosError as error:
            log.debug("who finds insights is settled later: %s", error.message)
            return False

    async def _attend(self) -> str:
        """Start the process and answer it until it ends or the lease is lost.

        Returns how it ended, "" if we ended it.
        """
        process = await asyncio.create_subprocess_exec(
            *self._command, stdin=PIPE, stdout=PIPE, limit=LINE_LIMIT, start_new_session=True, env=self._environ
        )
        log.info("insights are found by process %d", process.pid)
        answering = asyncio.create_task(self._answer(process))
        try:
            while True:
                done, _ = await asyncio.wait({answering}, timeout=RENEW)
                if done:
                    await answering
                    return f"ended with code {await process.wait()}"
                if not await self._lead():
                    return ""
        except (OSError, ValueError) as error:  # a ValueError is of a line that is too long, or none of ours
            return f"was ended, for what it said cannot be read: {error}"
        finally:
            answering.cancel()
            await _end(process)

    async def _answer(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        while line := await process.stdout.readline():
            report = await asyncio.to_thread(_read, line)
            kept = await self._record(report)
            self.load = report.load or self.load
            process.stdin.write(b"kept\n" if kept else b"later\n")
            await process.stdin.drain()

    async def _record(self, report: AnalystReport) -> bool:
        try:
            new = await self._keep(report)
        except ChronosError as error:
            log.warning("what was found is recorded later: %s", error.message)
            return False
        self.trouble = ""
        if new:
            self._recorded()
        return True

    async def _keep(self, report: AnalystReport) -> bool:
        """Record a report; return whether there is anything that others are to be told."""
        now, new = self._now(), 0
        if report.said != NOTHING_SAID:
            await self._database.write(lambda db: failures.record(db, report.said))
        if report.findings:
            new = await self._database.write(lambda db: insights.keep(db, report.findings, now))
        learnt = report.retries
        if learnt is not None:
            await self._database.write(lambda db: retry_advice.keep(db, learnt, now))
        if report.measured:
            await self._edit(lambda db: insights.measure(db, report.measured, now))
        return bool(new or report.measured)


def _read(line: bytes) -> AnalystReport:
    try:
        return AnalystReport.model_validate_json(line)
    except ValidationError as error:
        raise ValueError(str(error.errors(include_input=False, include_url=False)[:3])) from None


async def _end(process: Process) -> None:
    """End it: closing its input tells it to; it has a moment."""
    if process.stdin is not None:
        process.stdin.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STOP):
            await process.wait()
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
