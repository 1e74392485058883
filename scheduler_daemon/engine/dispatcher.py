"""Start runs: record first, then hand to the launcher, never more at once than the machine is to bear."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple, Protocol

from scheduler_daemon.domain.errors import ChronosError, Unavailable
from scheduler_daemon.domain.isolation import apart
from scheduler_daemon.domain.masks import Mask, mask_of
from scheduler_daemon.engine.conditions import Gate, Held
from scheduler_daemon.engine.guard import Guard
from scheduler_daemon.engine.keeper import Keeper, Ready, needs_secrets
from scheduler_daemon.engine.launch import request_for
from scheduler_daemon.engine.starts import Starts
from scheduler_daemon.runners.process import Ended, LaunchRequest
from scheduler_daemon.services import runs
from scheduler_daemon.services.fires import Due, Holder
from scheduler_daemon.services.runs import Begun, Start, Stop
from scheduler_daemon.storage.session import Database
from scheduler_daemon.storage.vault import Vault

log = logging.getLogger(__name__)

RETRY = 1.0
"""Seconds until waiting runs are looked for again that the database could not give."""
LOOK_AGAIN = 1.0
"""Seconds until waiting runs are looked at again where another daemon may have made room, and told nobody."""
BURST = 400
"""Runs handed to the launcher at once, so that the first do not wait for the last to be written down."""


class Untaken(NamedTuple):
    """The jobs whose dues were not recorded: saved since they came due, or to be decided at their instant only."""

    stale: list[str]
    undecided: list[str]


class Runner(Protocol):
    """What runs an execution."""

    @property
    def connected(self) -> bool:
        """Whether a launch would begin now."""

    async def reachable(self) -> None:
        """Return when a launch would begin."""

    async def launch(self, batch: Sequence[LaunchRequest]) -> None:
        """Start these; each is answered by events."""

    async def cancel(self, execution_id: int, reason: str, grace: timedelta) -> None:
        """Stop a run and everything it started."""

    def withdraw(self, end: Ended) -> None:
        """Tell the end of a run that is not to be launched."""

    async def protections(self, *, again: bool = False) -> dict[str, str]:
        """Return for each protection "" if it is in force, else why not."""


class Follower(Protocol):
    """What reads the output of a run."""

    def expect(self, execution_id: int, *, limit_bytes: int, mask: Mask | None = None) -> None:
        """Take note of a run that is about to start, whose output must not show what the mask covers."""


class Dispatcher:
    """Gives runs to the runner. Counts what is active, so that a fire needs no query for room."""

    def __init__(
        self,
        database: Database,
        runner: Runner,
        follower: Follower,
        *,
        vault: Vault,
        holder: Holder,
        max_active: int,
        recorded: Callable[[], None],
        now: Callable[[], datetime],
        starts: Starts | None = None,
        later: Callable[[Sequence[datetime]], None] | None = None,
        launched: Callable[[Sequence[Start]], None] | None = None,
    ) -> None:
        """`later` hears when the time of runs comes that have come up and wait for one, `launched` of each start."""
        self._launched = launched
        self._database = database
        self._later = later
        self._runner = runner
        self._follower = follower
        self._starts = starts or Starts()
        self._holder = holder
        self._max_active = max_active
        self._recorded = recorded
        self._now = now
        self._guard = Guard(database, runner, self._pass_on, now)
        self._gate = Gate(database, runner, self._launch, now)
        self._keeper = Keeper(database, vault, self._start, runner.withdraw, now)
        self._active: set[int] = set()
        self._waiting = False
        self._room = asyncio.Event()
        self._claims = asyncio.Lock()
        self._doubtful = False
        """A commit was not confirmed: the database may hold claims of ours that we do not know."""

    @property
    def active(self) -> int:
        """How many runs of ours have been handed out and not ended."""
        return len(self._active)

    @property
    def active_ids(self) -> tuple[int, ...]:
        """The runs counted by `active`."""
        return tuple(self._active)

    def rest(self) -> None:
        """Start nothing more: what comes up waits for the next daemon."""
        self._max_active = 0

    def _free(self) -> int:
        return max(0, self._max_active - len(self._active))

    def _wait_for_room(self) -> None:
        """Some runs wait. Room may have come while they were written down, and then nobody else would notice."""
        self._waiting = True
        if self._free():
            self._room.set()

    @asynccontextmanager
    async def _claiming(self) -> AsyncIterator[None]:
        """One claim at a time, so that room is counted right. A failure leaves it open whether the claim was made."""
        async with self._claims:
            try:
                yield
            except Unavailable:
                self._doubtful = True
                self._room.set()
                raise

    async def _start_unknown(self) -> None:
        """Start what we have claimed without hearing that the claim was committed."""
        async with self._claims:
            starts = await self._database.read(lambda db: runs.claimed(db, self._holder, self._active))
            self._doubtful = False
            self._active.update(start.execution_id for start in starts)
        await self.hand_over(starts)

    def adopt(self, ids: Sequence[int], *, waiting: bool) -> None:
        """Count runs that an earlier start of the daemon began; `waiting` tells that some are queued."""
        self._active.update(ids)
        self._waiting = waiting
        self._room.set()

    async def fire(self, dues: Sequence[Due], now: datetime) -> Untaken:
        """Record due instants and start what may start, those to come at their instant; return the jobs left out.

        Raises Unavailable if they could not be recorded; some may have been, and are not again.
        """
        untaken = Untaken([], [])
        for part in (dues[start : start + BURST] for start in range(0, len(dues), BURST)):
            async with self._claiming():
                fired = await self._database.write(
                    partial(runs.fire, dues=part, now=now, holder=self._holder, free=self._free())
                )
                self._active.update(start.execution_id for start in fired.starts)
            untaken.stale.extend(fired.stale)
            untaken.undecided.extend(fired.undecided)
            await self.begin(fired)
        return untaken

    async def request_in(self, work: Callable[[Any, int], tuple[Any, Begun | None]]) -> tuple[Any, Begun | None]:
        """Run `work(connection, free)`, which may claim starts, in a transaction; count what it claimed."""
        async with self._claiming():
            free = self._free()
            answer, begun = await self._database.write(lambda db: work(db, free))
            if begun:
                self._active.update(start.execution_id for start in begun.starts)
        return answer, begun

    async def begin(self, begun: Begun | None) -> None:
        """Do what follows from a commit: start what was claimed, stop what gives way, see to what waits."""
        if begun is None:
            self._recorded()
            return
        if begun.waits:
            self._wait_for_room()
        await self._follow(begun)

    async def _follow(self, begun: Begun) -> None:
        self._recorded()
        if begun.later and self._later:
            self._later(begun.later)
        await self.hand_over(begun.starts)
        await self._stop(begun.stops)

    async def _stop(self, stops: Iterable[Stop]) -> None:
        """Stop those of ours that give way; other daemons see to theirs."""
        for stop in stops:
            if stop.execution_id in self._active:
                await self.cancel(stop.execution_id, stop.reason, stop.grace)

    async def protections(self) -> dict[str, str]:
        """Return for each protection "" if it is in force, else why not; wait for a launcher."""
        return await self._guard.protections()

    async def cancel(self, execution_id: int, reason: str, grace: timedelta) -> None:
        """Stop a run and everything it started, also one that is held before it is launched."""
        if not self._guard.stop(execution_id, reason) and not self._gate.stop(execution_id, reason):
            await self._runner.cancel(execution_id, reason, grace)

    async def close(self) -> None:
        """Leave what is held before it is launched to the next start of the daemon."""
        await self._guard.close()
        await self._gate.close()

    async def hand_over(self, starts: Sequence[Start]) -> None:
        """Give claimed runs to the runner; those that are to be kept apart once it is known what is in force."""
        if guarded := [start for start in starts if apart(start.spec)]:
            self._guard.take(guarded)
            starts = [start for start in starts if not apart(start.spec)]
        await self._pass_on([(start, None) for start in starts])

    async def _pass_on(self, held: Sequence[Held]) -> None:
        """Launch these; those with conditions when it has turned out that all hold."""
        if gated := [each for each in held if each[0].spec.get("conditions")]:
            self._gate.take(gated)
            held = [each for each in held if not each[0].spec.get("conditions")]
        await self._launch(held)

    async def _launch(self, held: Sequence[Held]) -> None:
        """Start these; those that need secrets when they have them."""
        ready = [Ready(start, granted) for start, granted in held]
        if waiting := [one for one in ready if needs_secrets(one.start)]:
            self._keeper.take(waiting)
            ready = [one for one in ready if not needs_secrets(one.start)]
        if ready:
            await self._start(ready)

    async def _start(self, ready: Sequence[Ready]) -> None:
        self._expect_starts([one.start for one in ready])
        if self._launched is not None:
            self._launched([one.start for one in ready])
        now = self._now()
        requests = [request_for(one.start, now, one.granted, one.given) for one in ready]
        for one in ready:
            mask = None if one.given is None else await asyncio.to_thread(mask_of, one.given.values)
            spec, granted = one.start.spec, one.granted
            limit = spec["output_limit_bytes"] if granted is None else granted.output_limit_bytes
            self._follower.expect(one.start.execution_id, limit_bytes=limit, mask=mask)
        await self._runner.launch(requests)

    def _expect_starts(self, starts: Sequence[Start]) -> None:
        now = self._now()
        for instant, group in groupby(starts, key=attrgetter("not_before")):
            delay = 0.0 if instant is None else (instant - now).total_seconds()
            self._starts.add([start.execution_id for start in group], delay)

    def ended(self, ids: Sequence[int]) -> None:
        """Count runs that have ended; what waits may start."""
        self._active.difference_update(ids)
        if self._waiting:
            self._room.set()

    def look(self) -> None:
        """The time of some that wait has come: start them, now or when there is room."""
        self._wait_for_room()

    async def step(self) -> None:
        """Start waiting runs as far as there is room."""
        if self._doubtful:
            await self._start_unknown()
        async with self._claiming():
            free = self._free()
            if not free:
                return
            begun = await self._database.write(
                lambda db: runs.start_waiting(db, now=self._now(), holder=self._holder, free=min(free, BURST))
            )
            self._waiting = begun.waits
            self._active.update(start.execution_id for start in begun.starts)
            if len(begun.starts) == BURST:
                self._room.set()
        await self._follow(begun)

    async def _wait(self) -> None:
        """Wait until there may be room for what waits."""
        shared = self._waiting and self._database.dialect != "sqlite"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_AGAIN if shared else None):  # wait_for may lose a cancellation
                await self._room.wait()
        self._room.clear()

    async def run(self) -> None:
        """Serve what waits, whenever there is room."""
        while True:
            await self._wait()
            try:
                await self.step()
            except ChronosError as error:
                log.error("%s; waiting runs are started later", error.message)
                await asyncio.sleep(RETRY)
                self._room.set()
