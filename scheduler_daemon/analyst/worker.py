"""Learn from ended runs in their order, tell what is found, and keep what was learnt together with how far it was read.

What is found is told before that is kept: after a crash it is found and told again, and the daemon knows it by its key.
"""

import json
import time
from array import array
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from scheduler_daemon.analyst.mind import JobMind
from scheduler_daemon.analyst.said import Reader
from scheduler_daemon.contract.executions import Trigger
from scheduler_daemon.contract.insights import AnalystLoad, AnalystReport, Finding, RunsSaid
from scheduler_daemon.domain.errors import Unavailable
from scheduler_daemon.insights.prediction import FailureModel
from scheduler_daemon.insights.prediction_features import COUNT
from scheduler_daemon.storage import ended, insights
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
KEEP_EVERY = 300.0
"""Seconds between commits of what was learnt. To write a mind costs more than a run does, and what was not written is
learnt again."""
HEED_EVERY = 10.0
"""Seconds between looks for what people said, and between words of how we are."""
TOLD_AT_ONCE = 20
_MOST_SAMPLES = 20_000 * (COUNT + 2)
"""Numbers to train on that are held until what was learnt is kept."""
NOTHING_SAID = RunsSaid()
_VERDICTS = {"accepted": True, "applied": True, "dismissed": False}


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
        heed_every: float = HEED_EVERY,
    ) -> None:
        self._database = database
        self._learnt = learnt
        self._hearer = hearer
        self._now = now
        self._most = minds
        self._keep_every = keep_every
        self._heed_every = heed_every
        self._minds: OrderedDict[str, JobMind] = OrderedDict()
        self._dirty: set[str] = set()
        self._untold: list[Finding] = []
        self._unsaid = NOTHING_SAID
        self._reader = Reader(database, learnt.fact("templates"))
        self._facts: dict[str, str] = {}
        forecast = learnt.fact("forecast")
        self.model = FailureModel.load(json.loads(forecast)) if forecast else FailureModel()
        self.model.samples = self._samples = array("f")
        self._place = _Place.load(learnt.fact("place"))
        heeded = learnt.fact("heeded")
        at, last = json.loads(heeded) if heeded else (now().isoformat(), "")
        self._heeded = datetime.fromisoformat(at), str(last)
        """When the last judgement was given that was heeded, and of which insight."""
        self._kept = self._reported = time.monotonic()
        self._runs = 0
        self._busy = 0.0

    async def step(self) -> bool:
        """Learn from the next runs; return whether there may be more. Raises Unavailable, and nothing is lost by it."""
        began = time.process_time()
        if not self._untold and self._unsaid == NOTHING_SAID:
            place, rows, more = await self._next()
            said, shared = await self._reader.read(rows)
            bereft = await self._bereft(rows)
            self._remember({row.job_id for row in rows})
            found = [finding for row in rows for finding in self._take(row, bereft)]
            news = self._now() - NEWS
            self._untold = [finding for finding in (*found, *shared) if finding.at > news]
            self._unsaid = said
            self._place = place
            if rows:
                self._busy += time.process_time() - began
        else:
            more = True
        await self._tell()
        if time.monotonic() - self._reported >= self._heed_every:
            await self._heed()
            await self._report()
        full = len(self._minds) > self._most or len(self._samples) > _MOST_SAMPLES
        if full or time.monotonic() - self._kept >= self._keep_every:
            self.keep()
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

    async def _bereft(self, rows: Sequence[Any]) -> set[str]:
        """Return the jobs that ran though a job they run after had failed."""
        behind = {row.job_id for row in rows if row.trigger == Trigger.DEPENDENCY}
        return await self._database.read(lambda db: ended.failed_parents(db, behind)) if behind else set()

    def _take(self, row: Any, bereft: Collection[str]) -> list[Finding]:
        mind = self._minds[row.job_id]
        self._dirty.add(row.job_id)
        self._runs += not mind.knows(row.id)
        return mind.take(row, self.model, parent_failed=row.job_id in bereft)

    def _remember(self, job_ids: Collection[str]) -> None:
        """Have the minds of these jobs in memory, as those that were of use last."""
        absent = [job_id for job_id in job_ids if job_id not in self._minds]
        kept = self._learnt.jobs(absent)
        for job_id in job_ids:
            if job_id in self._minds:
                self._minds.move_to_end(job_id)
            else:
                self._minds[job_id] = JobMind.unpack(job_id, kept.get(job_id))

    async def _heed(self) -> None:
        """Take to heart what people said since the last time."""
        after = self._heeded
        for row in await self._database.read(lambda db: insights.judged(db, after, AT_ONCE)):
            self._heeded = row.decided_at, row.id
            if row.job_id and row.state in _VERDICTS:
                self._remember([row.job_id])
                self._dirty.add(row.job_id)
                self._minds[row.job_id].heed(row.kind, useful=_VERDICTS[row.state], expected=row.expected)

    async def _tell(self) -> None:
        """Tell what was found and said."""
        while self._untold or self._unsaid != NOTHING_SAID:
            part = self._untold[:TOLD_AT_ONCE]
            said, later = _some_of(self._unsaid)
            await self._report(part, said)
            del self._untold[: len(part)]
            self._unsaid = later

    async def _report(self, found: Sequence[Finding] = (), said: RunsSaid = NOTHING_SAID) -> None:
        if not await self._hearer.tell(AnalystReport(findings=tuple(found), said=said, load=self._load())):
            raise Unavailable("the daemon could not record what was found")
        self._reported = time.monotonic()

    def keep(self) -> None:
        """Commit what was learnt, and forget minds where there are too many; not what was found and not told yet."""
        if self._untold or self._unsaid != NOTHING_SAID:
            return
        crowded = len(self._minds) > self._most
        states = {job_id: self._minds[job_id].pack() for job_id in self._dirty}
        at, last = self._heeded
        facts = {"place": self._place.dump(), "heeded": json.dumps([at.isoformat(), last])}
        if states:
            facts["forecast"] = json.dumps(self.model.dump())
        if self._reader.changed:
            facts["templates"] = self._reader.dump()
        if states or facts != self._facts:
            self._learnt.commit(facts, states, self._samples.tobytes())
        self._dirty.clear()
        del self._samples[:]
        self._facts, self._kept = facts, time.monotonic()
        while crowded and len(self._minds) > self._most // 2:
            self._minds.popitem(last=False)

    def _load(self) -> AnalystLoad:
        return AnalystLoad(
            runs=self._runs,
            cpu_ms=int(time.process_time() * 1000),
            run_us=self._busy * 1e6 / self._runs if self._runs else 0.0,
            jobs=len(self._minds),
            memory_bytes=_resident_bytes(),
            foresees_by=self.model.by,
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
