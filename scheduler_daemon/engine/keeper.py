"""Give runs their secrets at the last moment, or refuse them where one is missing; say what their output hides."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from scheduler_daemon.domain.errors import Unavailable
from scheduler_daemon.domain.isolation import Granted
from scheduler_daemon.domain.masks import Blackout, Mask, mask_of
from scheduler_daemon.runners.requests import Ended, withheld
from scheduler_daemon.services import parameters
from scheduler_daemon.services.runs import Start
from scheduler_daemon.services.secrets import Given
from scheduler_daemon.storage.session import Database
from scheduler_daemon.storage.vault import Vault

log = logging.getLogger(__name__)

RETRY = 1.0
"""Seconds until secrets are asked for again that the database could not give."""


class Ready(NamedTuple):
    """A run that has all it needs to start."""

    start: Start
    granted: Granted | None
    given: Given | None = None


class Keeper:
    """Hands out secrets beside the runs that need none, which never wait for it."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        launch: Callable[[Sequence[Ready]], Awaitable[None]],
        withdraw: Callable[[Ended], None],
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._vault = vault
        self._launch = launch
        self._withdraw = withdraw
        self._now = now
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, waiting: Sequence[Ready]) -> None:
        """Start or refuse these, soon. Should we end before, the next daemon finds them claimed and not begun."""
        task = asyncio.create_task(self._see_to(waiting), name="keeper")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _see_to(self, waiting: Sequence[Ready]) -> None:
        """Do it, and anew after a fault that nobody expected: the launcher starts a run once only."""
        while True:
            try:
                await self._give(waiting)
            except Exception:
                log.exception("runs could not be given their secrets; tried again in %g s", RETRY)
                await asyncio.sleep(RETRY)
            else:
                return

    async def _give(self, waiting: Sequence[Ready]) -> None:
        answers = await self._database.read(lambda db: [_given(db, self._vault, one.start) for one in waiting])
        ready = []
        for one, answer in zip(waiting, answers, strict=True):
            if isinstance(answer, str):
                self._withdraw(withheld(one.start.execution_id, self._now(), secretless=answer))
            else:
                ready.append(one._replace(given=answer))
        if ready:
            await self._launch(ready)


def needs_secrets(start: Start) -> bool:
    """Tell whether a run is given secrets: of its job, or by whoever asked for it."""
    return bool(start.spec.get("secrets")) or (start.told is not None and start.told.sealed is not None)


def _given(db: Connection, vault: Vault, start: Start) -> Given | str:
    sealed = None if start.told is None else start.told.sealed
    return parameters.given(db, vault, start.job_id, start.spec, sealed)


async def mask_of_run(database: Database, vault: Vault, execution_id: int) -> Mask | None:
    """Return what the output of a run that has begun must not show: all of it where its secrets cannot be opened.

    Raises Unavailable while the database does not answer.
    """
    try:
        values = await database.read(lambda db: _known(db, vault, execution_id))
    except LookupError as error:
        log.error("the output of run %d is kept without a word of it: %s", execution_id, error)
        return Blackout()
    return mask_of(values)


def _known(db: Connection, vault: Vault, execution_id: int) -> frozenset[bytes]:
    try:
        return parameters.known_to(db, vault, execution_id)
    except Unavailable as error:  # of the key, not of the database
        raise LookupError(f"a secret of it cannot be opened: {error.message}") from None
