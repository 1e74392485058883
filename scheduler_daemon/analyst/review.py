"""Review all jobs now and then, some at a time; learn from retries; measure what came of insights. Tell the daemon.

Everything is read from SQL anew each time, but for what retries taught, which is kept with how far it was read. What
was told and not recorded is told again with the next round.
"""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np

from scheduler_daemon.analyst import measuring
from scheduler_daemon.analyst.advising import review
from scheduler_daemon.analyst.ahead import at_once, fires_of, look, peak
from scheduler_daemon.analyst.past import Fleet, Past, Run, Subject, past
from scheduler_daemon.analyst.spreading import ENOUGH, failing_hour, next_move
from scheduler_daemon.analyst.worker import Hearer
from scheduler_daemon.contract.executions import Outcome, State
from scheduler_daemon.contract.insights import (
    Action,
    AnalystReport,
    Finding,
    InsightState,
    LearntRetry,
    Measured,
    Measurement,
    Prediction,
)
from scheduler_daemon.contract.jobs import JobSpec
from scheduler_daemon.domain.errors import ChronosError, Unavailable
from scheduler_daemon.domain.retry import end_code
from scheduler_daemon.domain.schedule import compile_schedule
from scheduler_daemon.insights.hours import Seen as HourSeen
from scheduler_daemon.insights.retry_advice import Advice
from scheduler_daemon.insights.retry_record import Attempt, RetryRecord
from scheduler_daemon.storage import ended, histories, insights, jobs, retry_advice
from scheduler_daemon.storage.learnt import Learnt
from scheduler_daemon.storage.session import Database

log = logging.getLogger(__name__)

AT_ONCE: Final = 20
"""Jobs that are reviewed in one step."""
RUNS: Final = 400
"""Last runs of a job that are looked at."""
FLEET_RUNS: Final = 200_000
HISTORY: Final = timedelta(days=90)
SETTLED: Final = timedelta(seconds=10)
"""Runs that ended later are read the next time: others of the same time may not be written down yet."""
_FOUR_WEEKS: Final = timedelta(days=28)
_MEASURED_FOR: Final = timedelta(days=60)
_RAN: Final = frozenset({State.SUCCEEDED, State.FAILED})
_SOON: Final = timedelta(minutes=2)
_LOOK: Final = timedelta(minutes=10)
"""So often retries are told and what was applied is measured."""
_ROWS: Final = 1000
_TOLD: Final = 20
_MOST_RETRIES: Final = 5000
"""What is told of retries at once, that of all jobs together first."""
_LONGEST: Final = timedelta(days=14)
_NEW_RUNS: Final = 60
_NO_FIRE: Final = 7 * 86_400.0
_MOST_SELDOM: Final = 1000
"""Jobs that run seldom and come up in the coming day whose last runs are looked at, and how many of each."""
_FEW: Final = 20


@dataclass(slots=True)
class _Round:
    """A review of all jobs, under way."""

    after: str = ""
    """The id of the last job that was looked at."""
    subjects: list[Subject] = field(default_factory=list)
    leaving: list[tuple[Subject, Past]] = field(default_factory=list)
    """Jobs that may leave their hour."""


class _Known(NamedTuple):
    """A job as it was when it was reviewed."""

    last: int | None
    """Its last run."""
    due: datetime
    """Before then it is not reviewed again: a few more runs would tell nothing new, and cost as much."""
    typical_s: float | None
    """What its runs take, three in four; None where too few are known."""


class Reviewer:
    """Takes one small step at a time."""

    def __init__(
        self, database: Database, learnt: Learnt, hearer: Hearer, now: Callable[[], datetime], every: timedelta
    ) -> None:
        """`every` is how long after the beginning of a round the next begins, and as long we wait with the first."""
        self._database = database
        self._learnt = learnt
        self._hearer = hearer
        self._now = now
        self._every = every
        self._round: _Round | None = None
        kept = json.loads(learnt.fact("retries") or "{}")
        self._record = RetryRecord.load(kept.get("record", {}))
        begun = datetime.fromisoformat(kept["at"]) if kept else now() - HISTORY
        self._read: tuple[datetime, int] = (begun, int(kept.get("last", 0)))
        self._told_retries: tuple[LearntRetry, ...] | None = None
        self._advice: dict[str, dict[tuple[str, bool], Advice]] = {}
        self._seen: dict[str, _Known] = {}
        self._hours = [[0, 0] for _ in range(24)]
        """Runs and failures of all jobs by hour, UTC, that were looked at."""
        self._next = now() + min(every, _SOON)
        self._next_look = now()

    async def step(self) -> bool:
        """Do a little; return whether there is more to do at once. Raises Unavailable."""
        if await self._read_ends():
            return True
        now = self._now()
        if now >= self._next_look:
            self._next_look = now + min(self._every, _LOOK)
            await self._tell_retries()
            await self._measure(now)
            self._learnt.commit({"retries": self._dump()}, {})
        if self._round is None and now >= self._next:
            self._round = _Round()
            self._next = now + self._every
        if self._round is None:
            return False
        if await self._review(self._round, now):
            return True
        finished, self._round = self._round, None
        await self._finish(finished, now)
        return False

    async def _read_ends(self) -> bool:
        """Learn from attempts that ended, some at a time."""
        after, until = self._read, self._now() - SETTLED
        rows = await self._database.read(lambda db: ended.history(db, after, until, _ROWS))
        failed = {row.id for row in rows if row.state == State.FAILED}
        said = await self._database.read(lambda db: retry_advice.said(db, failed)) if failed else {}
        for row in rows:
            if row.state in _RAN and row.started_at is not None:
                self._record.ended(_attempt(row, said.get(row.id, "")))
        if rows:
            self._read = (rows[-1].ended_at, rows[-1].id)
        return len(rows) == _ROWS

    async def _review(self, current: _Round, now: datetime) -> bool:
        """Look at the next jobs; return whether there were any."""
        rows = await self._database.read(lambda db: jobs.living_after(db, current.after, AT_ONCE))
        if not rows:
            return False
        due = [row for row in rows if self._is_due(row, now)]
        records = await self._database.read(
            lambda db: {row.id: histories.last_runs(db, row.id, RUNS) for row in due} if due else {}
        )
        found: list[Finding] = []
        seen: dict[str, _Known] = {}
        for row in rows:
            try:
                job = _subject(row)
                if row.id in records:
                    runs = past(records[row.id])
                    found += review(job, runs, now, self._advice.get(job.id, {}))
                    seen[job.id] = self._note(current, job, runs, row.last_id, now)
            except (ChronosError, ValueError):  # one job that cannot be read must not keep all others from it
                log.exception("job %s cannot be reviewed", row.id)
            else:
                current.subjects.append(job)
        await self._tell(found)
        self._seen |= seen
        current.after = rows[-1].id
        return True

    def _is_due(self, row: Any, now: datetime) -> bool:
        known = self._seen.get(row.id)
        return known is None or (known.last != row.last_id and now >= known.due)

    def _note(self, current: _Round, job: Subject, runs: Past, last: int | None, now: datetime) -> _Known:
        if len(runs) >= ENOUGH and job.spec.move == "hours":
            current.leaving.append((job, runs))
        known = self._seen.get(job.id)
        new = runs.ids > (known.last or 0) if known else np.ones(len(runs), np.bool_)
        for start, failed in zip(runs.started[new], runs.failed[new], strict=True):
            seen = self._hours[int(start % 86_400 // 3600)]
            seen[0] += 1
            seen[1] += int(failed)
        gap = float(np.median(np.diff(runs.started))) if len(runs) > 1 else 0.0
        wanted = _NEW_RUNS if len(runs) >= ENOUGH else ENOUGH - len(runs)
        due = now + min(_LONGEST, timedelta(seconds=gap * wanted))
        return _Known(last, due, float(np.quantile(runs.took, 0.75)) if len(runs) >= ENOUGH else None)

    async def _finish(self, current: _Round, now: datetime) -> None:
        """Look at the fleet as a whole: one move at a time, and none while one is being tried."""
        peers = [HourSeen(*counts) for counts in self._hours]
        found = [move for job, runs in current.leaving if (move := failing_hour(job, runs, peers, now))]
        fleet = await self._fleet(current.subjects, now)
        day = look(fleet, now)
        high = peak(day, {job.id: job.name for job in current.subjects}) if day else None
        found += [high] if high else []
        applied = await self._waiting(now)
        if not any(row.kind == "collision" and _undecided(row) for row in applied):
            move = next_move(fleet, now, day)
            found += [move] if move else []
        await self._tell(found)

    async def _fleet(self, subjects: Sequence[Subject], now: datetime) -> Fleet:
        typical_s = {job: known.typical_s for job, known in self._seen.items() if known.typical_s is not None}
        ran = await self._ran(now)
        seldom = {job.id for job in subjects} - {job_id for job_id, _, _ in ran}
        soon = [job.id for job in subjects if job.id in seldom and fires_of(job, now)]
        took = await self._database.read(lambda db: histories.took(db, soon[:_MOST_SELDOM], _FEW))
        rare = [(job, start.timestamp(), end.timestamp()) for job, runs in took.items() for start, end in runs]
        return Fleet(subjects, typical_s, ran, rare)

    async def _waiting(self, now: datetime) -> list[Any]:
        return await self._database.read(lambda db: insights.to_measure(db, now - _MEASURED_FOR, _ROWS))

    async def _ran(self, now: datetime) -> list[tuple[str, float, float]]:
        """Return (job, start, end) of the runs of the last weeks, in epoch seconds."""
        rows = await self._database.read(lambda db: histories.taking_time(db, now - _FOUR_WEEKS, now, FLEET_RUNS))
        return [(row.job_id, row.started_at.timestamp(), row.ended_at.timestamp()) for row in rows]

    async def _measure(self, now: datetime) -> None:
        waiting = await self._waiting(now)
        beside = any(row.prediction["metric"] == "runs_beside" and _undecided(row) for row in waiting)
        over = [row for row in waiting if row.job_id is None and _is_over(row, now)]
        ran = await self._ran(now) if beside or over else []
        told = [Measurement(insight_id=row.id, measured=_of_load(row, ran, now)) for row in over]
        for row in waiting:
            if row.job_id is None:
                continue
            job_id = str(row.job_id)
            runs = await self._database.read(partial(histories.last_runs, job_id=job_id, count=RUNS))
            measured = _measured(row, runs, ran, now)
            if measured is not None and not _same(row.measured, measured):
                told.append(Measurement(insight_id=row.id, measured=measured))
        for start in range(0, len(told), _TOLD):
            await self._say(AnalystReport(measured=tuple(told[start : start + _TOLD])))

    async def _tell_retries(self) -> None:
        advice = self._record.advice(await self._between())
        self._advice = {}
        for (job_id, end), known in advice.items():
            if not end.template:
                self._advice.setdefault(job_id, {})[end.code, end.again] = known
        told = tuple(
            LearntRetry(
                job_id=job_id,
                code=end.code[:32],
                pattern_id=end.template,
                again=end.again,
                waits_ms=tuple(wait * 1000 for wait in known.waits_s),
                chance=min(1.0, known.chance),
                seen=int(known.seen),
            )
            for (job_id, end), known in sorted(advice.items(), key=lambda item: item[0])[:_MOST_RETRIES]
        )
        if told != self._told_retries:
            await self._say(AnalystReport(retries=told))
            self._told_retries = told

    async def _between(self) -> dict[str, float]:
        """Return the seconds from fire to fire of the jobs of which something is known; of others a week."""
        ids = {job for job, _ in self._record.model.known(1) if job}
        rows = await self._database.read(lambda db: jobs.by_ids(db, ids))
        return {row.id: _between(_subject(row), self._now()) for row in rows}

    async def _tell(self, found: Sequence[Finding]) -> None:
        for start in range(0, len(found), _TOLD):
            await self._say(AnalystReport(findings=tuple(found[start : start + _TOLD])))

    async def _say(self, report: AnalystReport) -> None:
        if not await self._hearer.tell(report):
            self._round = None
            raise Unavailable("the daemon could not record what a review found")

    def _dump(self) -> str:
        at, last = self._read
        return json.dumps({"at": at.isoformat(), "last": last, "record": self._record.dump()})


def _attempt(row: Any, said: str) -> Attempt:
    failed = row.state == State.FAILED
    return Attempt(
        job=row.job_id,
        version=row.job_version,
        fire=row.fire_at.timestamp(),
        number=row.attempt,
        started=row.started_at.timestamp(),
        ended=row.ended_at.timestamp(),
        code=end_code(Outcome(row.outcome), row.exit_code, row.signal) if failed else "",
        template=said,
    )


def _subject(row: Any) -> Subject:
    return Subject(row.id, row.name, row.version, JobSpec.model_validate(row.spec), paused=row.paused)


def _between(job: Subject, now: datetime) -> float:
    """Return how long it is from one of the coming fires of a job to the next, at least; a week for none."""
    fires = list(compile_schedule(job.spec.schedule, job.id).fires(now.astimezone(UTC), None, 10))
    gaps = [(later - early).total_seconds() for early, later in pairwise(fires)]
    return min(gaps, default=_NO_FIRE)


def _same(kept: Any, measured: Measured) -> bool:
    """Tell whether nothing has come to what is known but time."""
    return bool(kept) and {**kept, "at": None} == {**measured.model_dump(mode="json"), "at": None}


def _undecided(row: Any) -> bool:
    return row.state == InsightState.APPLIED and (row.measured or {}).get("verdict") in {None, "wait"}


def _measured(row: Any, rows: Sequence[Any], ran: Sequence[tuple[str, float, float]], now: datetime) -> Measured | None:
    """Return what is known of an insight by the last runs of its job, None for nothing new."""
    prediction, runs = Prediction.model_validate(row.prediction), past(rows)
    if row.state == InsightState.APPLIED:
        if not _undecided(row) or row.applied_version is None:
            return None
        action = Action.model_validate(row.action)
        applied = measuring.Applied(row.job_id, row.applied_version, action.value, action.before, prediction)
        return measuring.of_change(applied, measuring.Seen(runs, _finally_failed(rows), ran), now)
    since = runs.succeeded.where(runs.succeeded.started > row.at.timestamp())
    values = {"duration_s": since.took, "memory_bytes": since.memory}.get(prediction.metric)
    return None if values is None else measuring.of_level(prediction, values, now)


def _is_over(row: Any, now: datetime) -> bool:
    by = Prediction.model_validate(row.prediction).by
    return by is not None and by + SETTLED <= now


def _of_load(row: Any, ran: Sequence[Run], now: datetime) -> Measured:
    """Return what came of a peak that was foretold."""
    foretold = Prediction.model_validate(row.prediction)
    after = at_once(foretold, ran)
    kept = (foretold.low or 0.0) <= after <= (foretold.high or after)
    return Measured(metric=foretold.metric, after=after, runs=len(ran), came=kept, at=now)


def _finally_failed(rows: Sequence[Any]) -> dict[int, bool]:
    """Return by first attempt whether a run failed with its last attempt."""
    first = {row.fire_at: row.id for row in rows if row.attempt == 0}
    last = {row.fire_at: row for row in sorted(rows, key=lambda row: row.attempt) if row.fire_at in first}
    return {first[fire]: row.state == State.FAILED for fire, row in last.items()}
