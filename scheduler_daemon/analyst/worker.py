"""Learn from ended runs in their order, tell what is found, and keep what was learnt together with how far it was read.

What is found is told before that is kept: after a crash it is found and told again, and the daemon knows it by its key.
"""

import json
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from scheduler_daemon.analyst.mind import JobMind
from scheduler_daemon.analyst.said import Reader
from scheduler_daemon.contract.insights import AnalystLoad, AnalystReport, Finding, RunsSaid
from scheduler_daemon.domain.errors import Unavailable
from scheduler_daemon.storage import ended
from scheduler_daemon.storage.learnt import Learnt
from scheduler_daemon.storage.session import Database

HISTORY = timedelta(days=60)
"""How far back runs are learnt from when nothing has been learnt yet."""
NEWS = timedelta(days=1)
"""What is found of runs that ended longer ago is no news, and not told."""
SETTLED = {"sqlite": timedelta(seconds=2), "postgresql": timedelta(seconds=10)}
AT_ONCE = 1000
"""Events, or runs of the past, that are read at once."""
MINDS = 4000
"""Jobs of which what was learnt is held in memory."""
KEEP_EVERY = 10.0
"""Seconds between commits of what was learnt."""
TOLD_AT_ONCE = 20
NOTHING_SAID = RunsSaid()


class Hearer(Protocol):
    """Who is told."""

    async def tell(self, report: AnalystReport) -> bool:
        """Take a report; False where it could not be recorded."""


class Analyst:
    """Holds the minds of the jobs that ran last."""

    def __init__(
        self,
        database: Database,
        learnt: Learnt,
        hearer: Hearer,
        now: Callable[[], datetime],
        *,
        minds: int = MINDS,
        keep_every: float = KEEP_EVERY,
    ) -> None:
        self._database = database
        self._learnt = learnt
        self._hearer = hearer
        self._now = now
        self._most = minds
        self._keep_every = keep_every
        self._minds: OrderedDict[str, JobMind] = OrderedDict()
        self._dirty: set[str] = set()
        self._untold: list[Finding] = []
        self._unsaid = NOTHING_SAID
        self._reader = Reader(database, learnt.fact("templates"))
        self._place = self._kept_place = _Place.load(learnt.fact("place"))
        self._kept = self._reported = time.monotonic()
        self._runs = 0
        self._busy = 0.0

    async def step(self) -> bool:
        """Learn from the next runs; return whether there may be more. Raises Unavailable, and nothing is lost by it."""
        began = time.process_time()
        if not self._untold and self._unsaid == NOTHING_SAID:
            place, rows, more = await self._next()
            found = [finding for row in rows for finding in self._take(row)]
            said, shared = await self._reader.read(rows)
            news = self._now() - NEWS
            self._untold = [finding for finding in (*found, *shared) if finding.at > news]
            self._unsaid = said
            self._place = place
            if rows:
                self._busy += time.process_time() - began
                self._runs += len(rows)
        else:
            more = True
        await self._tell()
        self._keep()
        return more

    async def _next(self) -> tuple["_Place", Sequence[Any], bool]:
        place = self._place
        if place.event is None:
            now = self._now()
            place = _Place(await self._database.read(ended.last_event), now, now - HISTORY)
        if place.until is not None and place.past is not None:
            after, until = (place.past, place.last), place.until
            rows = await self._database.read(lambda db: ended.history(db, after, until, AT_ONCE))
            if rows:
                return replace(place, past=rows[-1].ended_at, last=rows[-1].id), rows, True
            return _Place(place.event), rows, True
        settled = self._now() - SETTLED[self._database.dialect]
        event = place.event or 0
        news = await self._database.read(lambda db: ended.news(db, event, settled, AT_ONCE))
        rows = await self._database.read(lambda db: ended.runs(db, news.ids)) if news.ids else []
        return _Place(news.last), rows, news.last > event

    def _take(self, row: Any) -> list[Finding]:
        mind = self._minds.get(row.job_id)
        if mind is None:
            kept = self._learnt.job(row.job_id)
            mind = self._minds[row.job_id] = JobMind.load(kept) if kept else JobMind()
        else:
            self._minds.move_to_end(row.job_id)
        self._dirty.add(row.job_id)
        return mind.take(row)

    async def _tell(self) -> None:
        """Tell what was found, and now and then how we are even if there is nothing."""
        while self._untold or self._unsaid != NOTHING_SAID or time.monotonic() - self._reported >= self._keep_every:
            part = tuple(self._untold[:TOLD_AT_ONCE])
            said, later = _some_of(self._unsaid)
            if not await self._hearer.tell(AnalystReport(findings=part, said=said, load=self._load())):
                raise Unavailable("the daemon could not record what was found")
            del self._untold[: len(part)]
            self._unsaid = later
            self._reported = time.monotonic()
            if not self._untold and later == NOTHING_SAID:
                return

    def _keep(self) -> None:
        """Commit now and then, and before minds are forgotten."""
        crowded = len(self._minds) > self._most
        if not crowded and time.monotonic() - self._kept < self._keep_every:
            return
        states = {job_id: self._minds[job_id].dump() for job_id in self._dirty}
        if states or self._place != self._kept_place:
            facts = {"place": self._place.dump()}
            if self._reader.changed:
                facts["templates"] = self._reader.dump()
            self._learnt.commit(facts, states)
        self._dirty.clear()
        self._kept_place, self._kept = self._place, time.monotonic()
        while crowded and len(self._minds) > self._most // 2:
            self._minds.popitem(last=False)

    def _load(self) -> AnalystLoad:
        return AnalystLoad(
            runs=self._runs,
            cpu_ms=int(time.process_time() * 1000),
            run_us=self._busy * 1e6 / self._runs if self._runs else 0.0,
            jobs=len(self._minds),
            memory_bytes=_resident_bytes(),
        )


def _some_of(said: RunsSaid) -> tuple[RunsSaid, RunsSaid]:
    """Return so much as goes into one report, and the rest."""
    now, later = said.failures[:TOLD_AT_ONCE], said.failures[TOLD_AT_ONCE:]
    return said.model_copy(update={"failures": now}), RunsSaid(failures=later)


@dataclass(frozen=True, slots=True)
class _Place:
    """How far runs were read: up to an event, and of the past, while there is `until`, up to a run's end."""

    event: int | None = None
    until: datetime | None = None
    past: datetime | None = None
    last: int = 0

    def dump(self) -> str:
        """Write it as text."""
        instants = [at.isoformat() if at else None for at in (self.until, self.past)]
        return json.dumps([self.event, *instants, self.last])

    @classmethod
    def load(cls, text: str | None) -> "_Place":
        """Read it."""
        if text is None:
            return cls()
        event, until, past, last = json.loads(text)
        return cls(event, until and datetime.fromisoformat(until), past and datetime.fromisoformat(past), last)


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096
