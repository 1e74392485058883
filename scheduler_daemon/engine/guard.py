"""Hold runs that are to be kept apart until it is known what is in force; pass on what may start, refuse the rest.

What a run needs is decided in the domain. While the launcher cannot be asked such runs wait: none is run weaker.
"""

import asyncio
import logging
import os
import pwd
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from pydantic import ValidationError

from scheduler_daemon.contract.jobs import JobSpec
from scheduler_daemon.contract.policies import Files
from scheduler_daemon.domain.errors import ChronosError, Invalid
from scheduler_daemon.domain.isolation import (
    Granted,
    missing,
    required,
    resolve,
    unknown,
    wanted,
    why_refused,
)
from scheduler_daemon.engine.ending import end
from scheduler_daemon.engine.granting import current
from scheduler_daemon.runners.requests import Ended, withheld
from scheduler_daemon.services.policies import Kept
from scheduler_daemon.services.runs import Start
from scheduler_daemon.storage import executions
from scheduler_daemon.storage.session import Database

log = logging.getLogger(__name__)

RETRY = 1.0
"""Seconds until it is tried again to record how runs are kept apart."""

_PassOn = Callable[[Sequence[tuple[Start, Granted | None]]], Awaitable[None]]


class Runner(Protocol):
    """What knows the protections of the machine."""

    async def protections(self, *, again: bool = False) -> dict[str, str]:
        """Return for each protection "" if it is in force, else why not."""

    def withdraw(self, end: Ended) -> None:
        """Tell the end of a run that is not to be launched."""


class Guard:
    """Decides on runs beside those that need no decision, which never wait for it."""

    def __init__(self, database: Database, runner: Runner, pass_on: _PassOn, now: Callable[[], datetime]) -> None:
        self._database = database
        self._runner = runner
        self._pass_on = pass_on
        self._now = now
        self._one = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: set[int] = set()

    def take(self, starts: Sequence[Start]) -> None:
        """Pass on or refuse these, soon. Should we end before, the next daemon finds them claimed and not begun."""
        self._held.update(start.execution_id for start in starts)
        task = asyncio.create_task(self._see_to(starts), name="guard")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stop(self, execution_id: int, reason: str) -> bool:
        """Cancel a run that is held here. False if it is not."""
        if execution_id not in self._held:
            return False
        self._held.discard(execution_id)
        self._runner.withdraw(withheld(execution_id, self._now(), cancelled=reason))
        return True

    async def protections(self) -> dict[str, str]:
        """Return for each protection "" if it is in force, else why not; one asks at a time."""
        async with self._one:
            return await self._runner.protections()

    async def close(self) -> None:
        """Decide on nothing any more, and tell nothing."""
        await end(self._tasks)

    async def _see_to(self, starts: Sequence[Start]) -> None:
        """Decide on these; after a fault that nobody expected on each for itself, so that one holds up no other."""
        try:
            await self._decide(starts)
        except Exception:
            log.exception("it could not be decided how runs are kept apart; tried again in %g s", RETRY)
            await asyncio.gather(*map(self._see_to_one, starts))

    async def _see_to_one(self, start: Start) -> None:
        """Decide, and anew after a fault: the launcher starts a run once only."""
        while start.execution_id in self._held:
            await asyncio.sleep(RETRY)
            try:
                await self._decide([start])
            except Exception:
                log.exception("it could not be decided how run %d is kept apart", start.execution_id)

    async def _decide(self, starts: Sequence[Start]) -> None:
        granted: dict[int, Granted] = {}
        refused: dict[int, str] = {}
        kept = await current(self._database, {start.spec["policy"] for start in starts})
        for start in starts:
            try:
                granted[start.execution_id] = _resolved(start, kept)
            except (Invalid, ValidationError) as error:
                refused[start.execution_id] = f"its job cannot be run as it is kept: {error}"
        lacking = await self._lacking(granted.values())
        told = {}
        for run, what in granted.items():
            absent = missing(wanted(what), lacking)
            told[run] = {
                "requested": what.policy.name,
                "version": kept[what.policy.name].version,
                "in_force": sorted(one.value for one in wanted(what) if one.value not in absent),
                "missing": list(absent),
            }
            if needed := missing(required(what), lacking):
                refused[run] = why_refused(what.policy.name, needed)
                told[run]["in_force"] = []
        await self._record(told)
        held = [start for start in starts if start.execution_id in self._held]
        self._held.difference_update(start.execution_id for start in held)
        try:
            await self._pass_on(
                [(start, granted[start.execution_id]) for start in held if start.execution_id not in refused]
            )
        except BaseException:
            self._held.update(start.execution_id for start in held)
            raise
        for start in held:
            if why := refused.get(start.execution_id):
                self._runner.withdraw(withheld(start.execution_id, self._now(), blocked=why))

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


def _resolved(start: Start, kept: Mapping[str, Kept]) -> Granted:
    spec = JobSpec.model_validate(start.spec)
    if spec.policy not in kept:
        raise unknown(spec.policy)
    policy = kept[spec.policy].policy
    if policy.files is Files.HOST and not policy.root and _is_root(spec.user):
        raise Invalid(f"policy {policy.name!r} runs nothing as root, and the job would run so; name an account")
    return resolve(policy, spec)


def _is_root(account: str | None) -> bool:
    """Tell whether a job of an account, None for the daemon's own, is root's by whatever name."""
    if account is None:
        return os.geteuid() == 0
    try:
        return pwd.getpwnam(account).pw_uid == 0
    except KeyError:  # the launcher refuses it
        return False
