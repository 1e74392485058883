"""Look whether the conditions of a run hold, right before its process would start; have it launched, or tell its end.

It is known by then how the run is kept apart, and a launcher is there: nothing else is waited for once they hold.

A run is claimed all the while. If the daemon is killed, the run is handed over again by the next start of it, and its
conditions are looked at anew: it never starts without. They are looked at in their order, up to the first that does
not hold. What is seen means what `domain.conditions` says.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Final, Protocol

from pydantic import TypeAdapter

from scheduler_daemon.contract.conditions import (
    CommandCondition,
    Condition,
    Conditions,
    FileCondition,
    MetricCondition,
    StateCondition,
    WindowCondition,
    said,
)
from scheduler_daemon.domain import conditions as domain
from scheduler_daemon.domain.conditions import Finding
from scheduler_daemon.domain.errors import ChronosError
from scheduler_daemon.domain.isolation import Granted
from scheduler_daemon.engine.launch import request_for
from scheduler_daemon.engine.probes import look_at, try_command
from scheduler_daemon.runners.requests import Ended, withheld
from scheduler_daemon.services import conditions as services
from scheduler_daemon.services.conditions import Facts
from scheduler_daemon.services.runs import Start
from scheduler_daemon.storage.session import Database

log = logging.getLogger(__name__)

AT_ONCE: Final = 32
"""Files and commands that are looked at; more wait, and no time limit of theirs has begun."""
SHARE: Final = 16
"""Of these for one account, so that slow ones hold up no other's."""
RETRY: Final = 1.0
"""Seconds until the database is asked again that did not answer."""
LONGEST_SLEEP: Final = 30.0
"""Seconds. The wall clock may be set while a start is held."""

_read: Final = TypeAdapter[tuple[Condition, ...]](Conditions).validate_python


Held = tuple[Start, Granted | None]
"""A run and how it is kept apart; None as its account at a shell."""


class Runner(Protocol):
    """What starts the runs whose conditions hold."""

    @property
    def connected(self) -> bool:
        """Whether a launch would begin now."""

    async def reachable(self) -> None:
        """Return when a launch would begin."""

    def withdraw(self, end: Ended) -> None:
        """Tell the end of a run that is not to be launched."""


class Gate:
    """Holds runs with conditions. `launch` starts those that may start, `runner` is told the ends of the others."""

    def __init__(
        self,
        database: Database,
        runner: Runner,
        launch: Callable[[Sequence[Held]], Awaitable[None]],
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._launch = launch
        self._runner = runner
        self._now = now
        self._open: dict[int, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        """All of them: those that hand over what may start too."""
        self._stopped: dict[int, str] = {}
        self._closing = False
        self._room = asyncio.Semaphore(AT_ONCE)
        self._shares: defaultdict[str | None, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(SHARE))

    def take(self, held: Sequence[Held]) -> None:
        """Look at the conditions of these, each for itself."""
        for start, granted in held:
            if start.execution_id not in self._open:
                name = f"conditions of run {start.execution_id}"
                task = asyncio.create_task(self._pass(start, granted), name=name)
                self._open[start.execution_id] = task
                self._tasks.add(task)
                task.add_done_callback(partial(self._done, start.execution_id))

    def stop(self, execution_id: int, reason: str) -> bool:
        """Cancel a run that is held here; what was started to look at its conditions is killed. False if it is not."""
        task = self._open.get(execution_id)
        if task is None:
            return False
        if execution_id not in self._stopped:
            self._stopped[execution_id] = reason
            task.cancel()
        return True

    async def close(self) -> None:
        """Look at nothing any more, and tell nothing."""
        self._closing = True
        for task in self._open.values():
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _pass(self, start: Start, granted: Granted | None) -> None:
        number = start.execution_id
        try:
            end = await self._decide(start)
        except Exception as error:
            log.exception("the conditions of run %d could not be looked at", number)
            end = withheld(number, self._now(), untold=f"they could not be looked at: {error}")
        del self._open[number]  # from here on it is no more ours to stop
        if number in self._stopped:
            return
        if end is None:
            await self._start(start, granted)
        else:
            self._runner.withdraw(end)

    async def _start(self, start: Start, granted: Granted | None) -> None:
        """Launch a run, and anew after a fault that nobody expected: the launcher starts a run once only."""
        while not self._closing:
            try:
                await self._launch([(start, granted)])
            except Exception:
                log.exception("run %d could not be handed over; tried again in %g s", start.execution_id, RETRY)
                await asyncio.sleep(RETRY)
            else:
                return

    def _done(self, number: int, task: asyncio.Task[None]) -> None:
        """Tell the end of a run that was stopped, also before anybody looked; when the daemon goes, nothing is told."""
        self._tasks.discard(task)
        self._open.pop(number, None)
        reason = self._stopped.pop(number, None)
        if reason is not None:
            self._runner.withdraw(withheld(number, self._now(), cancelled=reason))

    async def _decide(self, start: Start) -> Ended | None:
        """Return the end of a run that is not to start, None for one that is."""
        while (left := self._left(start)) > 0:  # noqa: ASYNC110  # the wall clock is no event
            await asyncio.sleep(min(left, LONGEST_SLEEP))
        while True:
            await self._runner.reachable()
            end = await self._look(start)
            if end is not None or self._runner.connected:
                return end

    async def _look(self, start: Start) -> Ended | None:
        wanted = _read(start.spec["conditions"])
        for condition in wanted:
            facts = await self._facts(start, wanted)  # anew: looking at the one before may have taken minutes
            if facts.stopped is not None:
                return withheld(start.execution_id, self._now(), cancelled=facts.stopped)
            finding = await self._find(condition, start, facts)
            if not finding.holds:
                return self._kept(start, condition, finding, facts)
        return None

    def _left(self, start: Start) -> float:
        """Return for how many seconds a start is still to be held."""
        return (start.not_before - self._now()).total_seconds() if start.not_before else 0.0

    def _kept(self, start: Start, condition: Condition, finding: Finding, facts: Facts) -> Ended:
        told = f"{said(condition, facts.names.get(getattr(condition, 'job', None) or ''))}: {finding.found}"
        if finding.holds is None:
            return withheld(start.execution_id, self._now(), untold=told)
        return withheld(start.execution_id, self._now(), unmet=told)

    async def _facts(self, start: Start, wanted: Sequence[Condition]) -> Facts:
        while True:
            try:
                return await self._database.read(
                    lambda db: services.facts(db, start.execution_id, start.job_id, wanted, self._now())
                )
            except ChronosError as error:
                log.error("%s; the conditions of run %d wait", error.message, start.execution_id)
                await asyncio.sleep(RETRY)

    async def _find(self, condition: Condition, start: Start, facts: Facts) -> Finding:
        match condition:
            case FileCondition() | CommandCondition():
                async with self._shares[start.spec["user"]], self._room:
                    return await self._try(condition, start)
            case WindowCondition():
                return domain.window_finding(condition, start.spec["schedule"]["zone"], self._now())
            case StateCondition():
                return domain.state_finding(condition, facts.jobs.get(condition.job))
            case MetricCondition():
                return domain.metric_finding(condition, facts.jobs.get(condition.job or start.job_id))

    async def _try(self, condition: FileCondition | CommandCondition, start: Start) -> Finding:
        request = request_for(start, self._now())
        if isinstance(condition, FileCondition):
            return domain.file_finding(condition, await look_at(condition.path, request))
        argv = (start.spec["shell"], "-c", condition.command)
        return domain.command_finding(await try_command(argv, request, condition.timeout_ms / 1000))
