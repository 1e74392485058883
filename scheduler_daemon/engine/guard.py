"""Hold runs that are to be kept apart until it is known what is in force; let go what may start, refuse the rest.

What a run needs is decided in the domain. While the launcher cannot be asked such runs wait: none is run weaker.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from pydantic import ValidationError

from scheduler_daemon.contract.jobs import JobSpec
from scheduler_daemon.domain.errors import ChronosError, Invalid
from scheduler_daemon.domain.isolation import (
    Granted,
    missing,
    policy_named,
    required,
    resolve,
    wanted,
    why_refused,
)
from scheduler_daemon.runners.requests import Ended, withheld
from scheduler_daemon.services.runs import Start
from scheduler_daemon.storage import executions
from scheduler_daemon.storage.session import Database

log = logging.getLogger(__name__)

RETRY = 1.0
"""Seconds until it is tried again to record how runs are kept apart."""

_Launch = Callable[[Sequence[tuple[Start, Granted | None]]], Awaitable[None]]


class Runner(Protocol):
    """What knows the protections of the machine."""

    async def protections(self, *, again: bool = False) -> dict[str, str]:
        """Return for each protection "" if it is in force, else why not."""

    def withdraw(self, end: Ended) -> None:
        """Tell the end of a run that is not to be launched."""


class Guard:
    """Decides on runs beside those that need no decision, which never wait for it."""

    def __init__(self, database: Database, runner: Runner, launch: _Launch, now: Callable[[], datetime]) -> None:
        self._database = database
        self._runner = runner
        self._launch = launch
        self._now = now
        self._one = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, starts: Sequence[Start]) -> None:
        """Start or refuse these, soon. Should we end before, the next daemon finds them claimed and not begun."""
        task = asyncio.create_task(self._see_to(starts), name="guard")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _see_to(self, starts: Sequence[Start]) -> None:
        """Decide, and anew after a fault that nobody expected: the launcher starts a run once only."""
        while True:
            try:
                await self._decide(starts)
            except Exception:
                log.exception("it could not be decided how runs are kept apart; tried again in %g s", RETRY)
                await asyncio.sleep(RETRY)
            else:
                return

    async def _decide(self, starts: Sequence[Start]) -> None:
        granted: dict[int, Granted] = {}
        refused: dict[int, str] = {}
        for start in starts:
            try:
                granted[start.execution_id] = _resolved(start)
            except (Invalid, ValidationError) as error:
                refused[start.execution_id] = f"its job cannot be run as it is kept: {error}"
        lacking = await self._lacking(granted.values())
        told = {}
        for run, what in granted.items():
            absent = missing(wanted(what), lacking)
            told[run] = {
                "requested": what.policy.name,
                "in_force": sorted(one.value for one in wanted(what) if one.value not in absent),
                "missing": list(absent),
            }
            if needed := missing(required(what), lacking):
                refused[run] = why_refused(what.policy.name, needed)
                told[run]["in_force"] = []
        await self._record(told)
        for run, why in refused.items():
            self._runner.withdraw(withheld(run, self._now(), blocked=why))
        await self._launch([(one, granted[one.execution_id]) for one in starts if one.execution_id not in refused])

    async def _lacking(self, granted: Any) -> dict[str, str]:
        """Return why protections are not in force; tried anew before a run is refused for it."""
        async with self._one:
            lacking = await self._runner.protections()
            if any(missing(required(what), lacking) for what in granted):
                lacking = await self._runner.protections(again=True)
        return lacking

    async def _record(self, told: Mapping[int, Mapping[str, Any]]) -> None:
        while told:
            try:
                await self._database.write(partial(executions.set_policies, policies=told))
            except ChronosError as error:
                log.error("%s; runs that are to be kept apart start later", error.message)
                await asyncio.sleep(RETRY)
            else:
                return


def _resolved(start: Start) -> Granted:
    spec = JobSpec.model_validate(start.spec)
    return resolve(policy_named(spec.policy), spec)
