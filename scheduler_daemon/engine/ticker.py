"""Know when each job fires next, and record each fire when it comes. A heap in memory; no polling."""

import asyncio
import heapq
import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection

from scheduler_daemon.contract.executions import Trigger
from scheduler_daemon.contract.jobs import Concurrency
from scheduler_daemon.contract.schedule import Misfire, Schedule
from scheduler_daemon.domain.calendar_days import Calendar
from scheduler_daemon.domain.errors import ChronosError
from scheduler_daemon.domain.misfire import owed, suppressed
from scheduler_daemon.domain.occasions import Times, Timetable, timetable
from scheduler_daemon.engine.dispatcher import Dispatcher
from scheduler_daemon.services import calendars
from scheduler_daemon.services.fires import Due
from scheduler_daemon.storage import clocks, executions
from scheduler_daemon.storage.session import Database

log = logging.getLogger(__name__)

LEAD = timedelta(seconds=0.5)
"""How long before its instant a fire is prepared: a burst of a thousand is written and handed over in that time."""
LONGEST_SLEEP = 30.0
"""Seconds. The wall clock may be set while we sleep; then we are late by no more than this."""
PAGE = 1000
"""Jobs read at once when the clock starts."""
BATCH = 100
"""Jobs recorded in the first transaction of a burst, few so that the first of them start early..."""
GREATEST_BATCH = 800
"""...and in the later ones, that take twice as many each time."""
RETRY = 1.0
"""Seconds until a fire is tried again that the database could not record."""
_RETRY = timedelta(seconds=RETRY)


class Entry:
    """What the ticker keeps of a job: small, for there may be 100,000."""

    __slots__ = ("compiled", "concurrency", "fires_at", "handled", "misfire", "misfire_grace_ms", "version")

    def __init__(self, row: Any, compiled: Times) -> None:
        self.compiled = compiled
        self.version: int = row.version
        self.concurrency = Concurrency(row.concurrency)
        self.misfire = Misfire(row.misfire)
        self.misfire_grace_ms: int = row.misfire_grace_ms
        self.handled: datetime = row.last_handled
        self.fires_at: float | None = None


class Ticker:
    """Fires jobs. `now` reads the wall clock in UTC.

    A fire is recorded and handed to the launcher up to `lead` before its instant, so that all that is left to do at
    the instant is to start it. What cannot be decided so early, such as a fire that an earlier run may be in the way
    of, is decided at the instant.
    """

    def __init__(
        self,
        database: Database,
        dispatcher: Dispatcher,
        now: Callable[[], datetime],
        on_time: timedelta,
        lead: timedelta = LEAD,
    ) -> None:
        self._database = database
        self._dispatcher = dispatcher
        self._now = now
        self._on_time = on_time
        self._entries: dict[str, Entry] = {}
        self._heap: list[tuple[float, str]] = []
        self._punctual: list[tuple[float, str]] = []
        """The jobs to be looked at when their instant has come and not before."""
        self._lead = lead
        self._batch = BATCH
        self._edits = 0
        self._ahead_until = datetime.min.replace(tzinfo=UTC)
        """The last instant that was handed over ahead."""
        self._changed = asyncio.Event()
        self._reading = asyncio.Lock()

    @property
    def jobs(self) -> int:
        """How many jobs have a schedule."""
        return len(self._entries)

    async def load(self) -> None:
        """Read every job, a page at a time: there may be 100,000."""
        self._entries.clear()
        self._heap.clear()
        self._punctual.clear()
        last = ""
        while page := await self._database.read(lambda db, last=last: _page(db, last)):  # type: ignore[misc]  # mypy cannot type the default
            self._take(*page)
            last = page[0][-1].id
        _schedule.cache_clear()

    async def changed(self, ids: Collection[str]) -> None:
        """Read these jobs anew, which were made, changed, paused or deleted, and wait for what another daemon had
        prepared of their fires before it could know.
        """
        await self.refresh(ids)
        if self._database.dialect == "sqlite":  # a file has one daemon
            return
        now = self._now()
        instant = await self._database.read(lambda db: executions.last_ahead(db, ids, now))
        if instant is not None:
            await asyncio.sleep(min(instant - now, self._lead).total_seconds())

    async def refresh(self, ids: Iterable[str]) -> None:
        """Read these jobs anew."""
        wanted = list(ids)
        async with self._reading:  # who reads later takes later, so that an older reading never wins
            rows, ready = await self._database.read(lambda db: _with_calendars(db, clocks.of(db, wanted)))
            for job_id in wanted:
                self._entries.pop(job_id, None)
            self._take(rows, ready)
        self._changed.set()

    def _take(self, rows: Iterable[Any], ready: Mapping[str, Calendar]) -> None:
        for row in rows:
            try:
                schedule = _schedule(row.schedule)
                if not schedule.expressions:
                    continue
                compiled = timetable(schedule, row.id, ready)
            except (ChronosError, ValueError):  # an older version or another tzdata accepted it
                log.exception("job %s (%s) has a schedule that cannot be read; it will not fire", row.id, row.name)
                continue
            entry = Entry(row, compiled)
            if row.paused and row.catchup_on_resume:  # what it owes is looked at when it is resumed and read anew
                entry.handled = max(entry.handled, self._now())
            self._entries[row.id] = entry
            if isinstance(compiled, Timetable):
                self._push_occasion(row.id, entry, compiled)
            else:
                self._push(row.id, entry, compiled.next_fire(entry.handled))

    def _push_occasion(self, job_id: str, entry: Entry, times: Timetable) -> None:
        """Come back for the next fire, or for an instant before it that is suppressed, which is recorded too."""
        occasion = times.next_occasion(entry.handled)
        if occasion is not None and occasion.why:
            self._look_at(job_id, entry, occasion.instant)
        else:
            self._push(job_id, entry, occasion.instant if occasion else None)

    def _push(self, job_id: str, entry: Entry, upcoming: datetime | None) -> None:
        entry.fires_at = upcoming.timestamp() if upcoming else None
        if entry.fires_at is not None:
            heapq.heappush(self._heap, (entry.fires_at, job_id))

    def _due(self, heap: list[tuple[float, str]], moment: float, most: int) -> list[str]:
        found: list[str] = []
        while heap and heap[0][0] <= moment and len(found) < most:
            fires_at, job_id = heapq.heappop(heap)
            if self._is_current(fires_at, job_id):
                found.append(job_id)
        return found

    def _is_current(self, fires_at: float, job_id: str) -> bool:
        entry = self._entries.get(job_id)
        return entry is not None and entry.fires_at == fires_at

    async def step(self) -> datetime | None:
        """Record and hand over what is due; return when to come back, None if nothing will ever be due."""
        now = self._now()
        lead = self._lead.total_seconds() if not self._edits else 0.0
        moment = now.timestamp()
        ids = self._due(self._punctual, moment, self._batch)
        ids += self._due(self._heap, moment + lead, self._batch - len(ids))
        self._batch = min(2 * self._batch, GREATEST_BATCH) if len(ids) == self._batch else BATCH
        entries = {job_id: self._entries[job_id] for job_id in ids}
        try:
            await self._fire_due(entries, now)
        except Exception:
            self._try_again(entries, now)  # whatever failed, no fire is forgotten
            raise
        return self._upcoming(lead)

    async def _fire_due(self, entries: dict[str, Entry], now: datetime) -> None:
        moment = now.timestamp()
        early = [entry.fires_at for entry in entries.values() if entry.fires_at and entry.fires_at > moment]
        if early:  # before anything is awaited: who edits from now on waits for them
            self._ahead_until = max(self._ahead_until, datetime.fromtimestamp(max(early), UTC))
        await self._refresh_outdated(entries, now)
        ahead = {job_id: entry for job_id, entry in entries.items() if (entry.fires_at or 0) > moment}
        present = {job_id: entry for job_id, entry in entries.items() if job_id not in ahead}
        if present:
            dues = [due for job_id, entry in present.items() for due in self._owed(job_id, entry, now)]
            await self._fire(present, now, dues)
        if ahead:
            await self._fire(ahead, now, [_due_ahead(job_id, entry) for job_id, entry in ahead.items()])

    async def _refresh_outdated(self, entries: dict[str, Entry], now: datetime) -> None:
        """Leave out the jobs whose calendars another daemon has changed, and read them anew."""
        used = {
            job_id: entry.compiled.calendars
            for job_id, entry in entries.items()
            if isinstance(entry.compiled, Timetable) and entry.compiled.calendars
        }
        if not used:
            return
        obeyed = {calendar for each in used.values() for calendar in each}
        try:
            changed = await self._database.read(lambda db: calendars.outdated(db, obeyed))
            outdated = [job_id for job_id, each in used.items() if not changed.isdisjoint(each)]
            await self._refresh_stale(outdated)
        except ChronosError as error:
            log.error("%s; %d due jobs are tried again in %g s", error.message, len(used), RETRY)
            self._try_again({job_id: entries.pop(job_id) for job_id in used}, now)
            return
        for job_id in outdated:
            del entries[job_id]

    def _upcoming(self, lead: float) -> datetime | None:
        moments = []
        for heap, early in ((self._heap, lead), (self._punctual, 0.0)):
            while heap and not self._is_current(*heap[0]):
                heapq.heappop(heap)
            if heap:
                moments.append(heap[0][0] - early)
        return datetime.fromtimestamp(min(moments), UTC) if moments else None

    async def _fire(self, entries: Mapping[str, Entry], now: datetime, dues: Sequence[Due]) -> None:
        try:
            untaken = await self._dispatcher.fire(dues, now)
            await self._refresh_stale(untaken.stale)
        except ChronosError as error:
            log.error("%s; %d due jobs are tried again in %g s", error.message, len(entries), RETRY)
            self._try_again(entries, now)
            return
        undecided = set(untaken.undecided)
        for due in dues:
            entry = entries[due.job_id]
            if due.job_id in undecided:
                self._look_at(due.job_id, entry, due.handled)
                continue
            entry.handled = due.handled
            if self._entries.get(due.job_id) is not entry:
                continue
            if isinstance(entry.compiled, Timetable):
                self._push_occasion(due.job_id, entry, entry.compiled)
            else:
                self._push(due.job_id, entry, due.upcoming)

    def _look_at(self, job_id: str, entry: Entry, moment: datetime) -> None:
        """See at this moment what the job owes."""
        entry.fires_at = moment.timestamp()
        heapq.heappush(self._punctual, (entry.fires_at, job_id))

    async def _refresh_stale(self, ids: list[str]) -> None:
        if ids:
            await self.refresh(ids)

    def _try_again(self, entries: Mapping[str, Entry], now: datetime) -> None:
        for job_id, entry in entries.items():
            self._look_at(job_id, entry, now + _RETRY)

    def _owed(self, job_id: str, entry: Entry, now: datetime) -> list[Due]:
        return self._one_punctual(job_id, entry, now) or self._all_owed(job_id, entry, now)

    def _one_punctual(self, job_id: str, entry: Entry, now: datetime) -> list[Due]:
        """Return the due of a job that owes one fire, on time and with no calendar to ask, which is nearly all."""
        if isinstance(entry.compiled, Timetable):
            return []
        fire = entry.compiled.next_fire(entry.handled)
        if fire is None or not fire <= now <= fire + self._on_time:
            return []
        upcoming = entry.compiled.next_fire(fire)
        if upcoming is not None and upcoming <= now:
            return []
        return [
            Due(
                job_id,
                entry.version,
                entry.concurrency,
                (fire,),
                (),
                Trigger.SCHEDULE,
                now,
                upcoming,
                since=entry.handled,
            )
        ]

    def _all_owed(self, job_id: str, entry: Entry, now: datetime) -> list[Due]:
        grace = timedelta(milliseconds=entry.misfire_grace_ms)
        found = owed(entry.compiled, entry.handled, now, policy=entry.misfire, grace=grace, on_time=self._on_time)
        if found.dropped:
            log.error(
                "job %s: %d fires that came due while nobody ran it are too many to record", job_id, found.dropped
            )
        handled = max(now, entry.handled)
        upcoming = entry.compiled.next_fire(handled)
        late = tuple(fire for fire in found.run if now - fire > self._on_time)
        punctual = found.run[len(late) :]
        off = suppressed(entry.compiled, entry.handled, now)

        def due(run: tuple[datetime, ...], missed: tuple[datetime, ...], trigger: Trigger) -> Due:
            return Due(
                job_id,
                entry.version,
                entry.concurrency,
                run,
                missed,
                trigger,
                handled,
                upcoming,
                suppressed=off,
                since=entry.handled,
            )

        if not late:
            return [due(punctual, found.missed, Trigger.SCHEDULE)]
        caught_up = due(late, found.missed, Trigger.CATCH_UP)
        if not punctual:
            return [caught_up]
        # The two may be written in two transactions: the first must not move the cursor past what the second records.
        caught_up = replace(caught_up, handled=late[-1], upcoming=punctual[0])
        on_time = due(punctual, (), Trigger.SCHEDULE)
        return [
            replace(caught_up, suppressed=tuple(each for each in off if each.instant <= late[-1])),
            replace(on_time, suppressed=tuple(each for each in off if each.instant > late[-1])),
        ]

    async def reboot(self) -> None:
        """Run the jobs that ask to be run once after the machine has booted."""
        now = self._now()
        instant = now.replace(microsecond=now.microsecond or 1)
        dues = [
            self._booted(job_id, entry, instant) for job_id, entry in self._entries.items() if entry.compiled.is_reboot
        ]
        for start in range(0, len(dues), BATCH):
            await self._dispatcher.fire(dues[start : start + BATCH], now)

    def _booted(self, job_id: str, entry: Entry, instant: datetime) -> Due:
        """Return a run at `instant` that leaves the cursor where it is: other expressions may owe fires."""
        upcoming = entry.compiled.next_fire(entry.handled)
        trigger = Trigger.REBOOT
        return Due(job_id, entry.version, entry.concurrency, (instant,), (), trigger, entry.handled, upcoming)

    @asynccontextmanager
    async def editing(self) -> AsyncIterator[None]:
        """Let jobs be changed within: no fire that is still to come has been handed over as they were before."""
        self._edits += 1
        try:
            wait = min(self._ahead_until - self._now(), self._lead).total_seconds()
            if wait > 0:
                await asyncio.sleep(wait)
            yield
        finally:
            self._edits -= 1
            self._changed.set()

    async def run(self) -> None:
        """Fire for ever."""
        while True:
            self._changed.clear()
            upcoming = await self.step()
            wait = LONGEST_SLEEP if upcoming is None else (upcoming - self._now()).total_seconds()
            if wait > 0:
                try:
                    async with asyncio.timeout(min(wait, LONGEST_SLEEP)):
                        await self._changed.wait()
                except TimeoutError:
                    pass
            else:
                await asyncio.sleep(0)


@lru_cache(maxsize=4096)
def _schedule(text: str) -> Schedule:
    return Schedule.model_validate_json(text)


def _page(db: Connection, last: str) -> tuple[Sequence[Any], Mapping[str, Calendar]] | None:
    """Return the next jobs behind an id, and the calendars that they obey; None if there are no more."""
    rows = clocks.after(db, last, PAGE)
    return _with_calendars(db, rows) if rows else None


def _with_calendars(db: Connection, rows: Sequence[Any]) -> tuple[Sequence[Any], Mapping[str, Calendar]]:
    """Return jobs, and the calendars that they obey."""
    schedules = []
    for row in rows:
        with suppress(ValueError):  # is told of when it is taken
            schedules.append(_schedule(row.schedule))
    return rows, calendars.known(db, schedules)


def _due_ahead(job_id: str, entry: Entry) -> Due:
    assert entry.fires_at is not None
    instant = datetime.fromtimestamp(entry.fires_at, UTC)
    upcoming = entry.compiled.next_fire(instant)
    return Due(
        job_id,
        entry.version,
        entry.concurrency,
        (instant,),
        (),
        Trigger.SCHEDULE,
        instant,
        upcoming,
        ahead=True,
        since=entry.handled,
    )
