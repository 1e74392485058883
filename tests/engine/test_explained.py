"""Whatever happens to a handful of jobs for three hours, every minute of each has a reason, and the record confirms it.

Which minutes are due is worked out here from sets of minutes alone.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from scheduler_daemon.contract.jobs import JobPatch, Snooze
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.services import explain, jobs
from scheduler_daemon.storage.session import Database
from tests.support.rig import Rig
from tests.support.world import MINUTE, NOON, SECOND, add_job, end, rows

pytestmark = pytest.mark.timeout(240)

END = NOON + 180 * MINUTE
BEGUN = ("starting", "running")
TOLD: dict[str, Callable[[Any], str]] = {
    "skipped": lambda row: f"skipped: {row.reason}",
    "missed": lambda row: f"did not run: {row.reason}",
    "suppressed": lambda row: f"did not run: {row.reason}",
    "blocked": lambda row: f"did not run: {row.reason}",
    "queued": lambda _: "",
    "starting": lambda _: "is being started",
    "cancelled": lambda _: "did not run",
    "succeeded": lambda _: "ran and succeeded",
    "failed": lambda row: f"ran and ended as failed: {row.reason}",
}


@dataclass
class Told:
    """A job as we know it, without asking the product."""

    name: str
    minutes: list[tuple[datetime, frozenset[int]]]
    """From when it fires at which minutes of each hour."""
    start: datetime
    dark: tuple[datetime, datetime] | None
    """A blackout."""
    catches_up: bool
    asleep: list[tuple[datetime, datetime]] = field(default_factory=list)
    """When it was paused or snoozed."""
    paused_since: datetime | None = None

    def is_due(self, at: datetime) -> bool:
        """Tell whether it fires, were there no blackout."""
        in_force = [minutes for since, minutes in self.minutes if since < at]
        return at >= self.start and bool(in_force) and at.minute in in_force[-1]

    def is_dark(self, at: datetime) -> bool:
        return self.dark is not None and self.dark[0] <= at < self.dark[1]

    def slept(self, at: datetime) -> bool:
        return any(low <= at <= high for low, high in [*self.asleep, *self._now()])

    def _now(self) -> list[tuple[datetime, datetime]]:
        return [] if self.paused_since is None else [(self.paused_since, END + MINUTE)]


class Afternoon:
    """Three hours in which things happen by chance."""

    def __init__(self, rig: Rig, admin: Actor, seed: int) -> None:
        self.rig, self.admin, self.chance = rig, admin, random.Random(seed)
        self.jobs: list[Told] = []
        self.reached = NOON
        self.unseen: list[tuple[datetime, datetime]] = []
        """What lay between when the clock leapt, or nobody ran."""

    def minutes(self) -> frozenset[int]:
        return frozenset(self.chance.sample(range(60), self.chance.choice([1, 3, 12, 20])))

    async def make(self, name: str) -> None:
        minutes = self.minutes()
        start = self.chance.choice([NOON, NOON + 30 * MINUTE])
        begin = NOON + self.chance.randrange(20, 100) * MINUTE
        dark = (begin, begin + 40 * MINUTE) if self.chance.random() < 0.5 else None
        catches_up = self.chance.random() < 0.5
        schedule = {
            "expressions": [f"{','.join(map(str, sorted(minutes)))} * * * *"],
            "start": start,
            "blackouts": [] if dark is None else [{"when": f"mon {dark[0]:%H:%M}-{dark[1]:%H:%M}"}],
        }
        fields = {
            "concurrency": self.chance.choice(["allow", "forbid", "replace", "queue_one", "queue_all"]),
            "misfire": self.chance.choice(["skip", "run_once", "run_all"]),
            "misfire_grace_ms": self.chance.choice([300_000, 3_600_000]),
            "catchup_on_resume": catches_up,
        }
        await self.rig.database.write(
            lambda db: add_job(db, self.admin, name, schedule=Schedule.model_validate(schedule), **fields)
        )
        self.jobs.append(Told(name, [(NOON, minutes)], start, dark, catches_up))

    async def to(self, moment: datetime) -> None:
        await self.rig.until(moment)
        self.reached = max(self.reached, moment)
        await self.rig.dispatcher.step()

    async def happen(self) -> None:
        job = self.chance.choice(self.jobs)
        what = self.chance.choice([self.end_some, self.end_some, self.sleep, self.edit, self.leap, self.away])
        await what(job)
        ids = [row.id for row in await self.rig.database.read(lambda db: rows(db, "jobs"))]
        await self.rig.ticker.refresh(ids)
        await self.to(self.rig.clock.now)

    async def end_some(self, _: Told) -> None:
        found = [row for row in await self.rig.database.read(lambda db: rows(db, "executions")) if row.state in BEGUN]
        for row in self.chance.sample(found, len(found) // 2):
            report = {"exit_code": self.chance.choice([0, 0, 1])}
            if row.cancel_actor:
                report = {"signal": 15, "killed_by": "cancel"}
            await self.rig.database.write(lambda db, row=row, report=report: end(db, row.id, at=self.now, **report))

    @property
    def now(self) -> datetime:
        return self.rig.clock.now

    async def sleep(self, job: Told) -> None:
        now = self.now
        if job.paused_since is not None:
            await self.rig.database.write(lambda db: jobs.set_paused(db, self.admin, job.name, now, paused=False))
            job.asleep.append((job.paused_since, now))
            job.paused_since = None
        elif self.chance.random() < 0.6:
            await self.rig.database.write(lambda db: jobs.set_paused(db, self.admin, job.name, now, paused=True))
            job.paused_since = now
        else:
            request = Snooze(for_s=self.chance.randrange(600, 2400))
            await self.rig.database.write(lambda db: jobs.snooze(db, self.admin, job.name, request, now))
            job.asleep.append((self.reached - 30 * MINUTE, now + timedelta(seconds=request.for_s or 0)))

    async def edit(self, job: Told) -> None:
        minutes, now = self.minutes(), self.now
        text = f"{','.join(map(str, sorted(minutes)))} * * * *"
        view = await self.rig.database.read(lambda db: jobs.show(db, self.admin, job.name))
        schedule = view.spec.schedule.model_dump(mode="json") | {"expressions": [text]}
        patch = JobPatch(version=view.version, changes={"schedule": schedule})
        if now < self.reached:
            return  # nobody edits while the clock is behind: what is from before the edit would come again
        await self.rig.database.write(lambda db: jobs.edit(db, self.admin, job.name, patch, now))
        job.minutes.append((now, minutes))

    async def leap(self, _: Told) -> None:
        span = self.chance.choice([-7, -2, 4, 11, 25]) * MINUTE
        self.rig.clock.now += span
        self.noted()

    async def away(self, _: Told) -> None:
        clock = self.rig.clock
        self.rig = Rig(self.rig.database, max_active=10**9)
        self.rig.clock = self.rig.ticker._now = self.rig.dispatcher._now = clock
        clock.now += self.chance.randrange(1, 20) * MINUTE
        await self.rig.ticker.load()
        self.noted()

    def noted(self) -> None:
        if self.now > self.reached:
            self.unseen.append((self.reached, self.now))
            self.reached = self.now

    def was_unseen(self, at: datetime) -> bool:
        return any(low < at <= high for low, high in self.unseen)


@pytest.mark.parametrize("seed", range(2))
async def test_every_minute_of_every_job_has_a_reason_that_the_record_confirms(
    rig: Rig, admin: Actor, database: Database, seed: int
) -> None:
    afternoon = Afternoon(rig, admin, seed)
    for number in range(8):
        await afternoon.make(f"job {number}")
    await afternoon.rig.ticker.load()
    while afternoon.reached < END - 30 * MINUTE:
        await afternoon.to(afternoon.now + afternoon.chance.randrange(1, 12) * MINUTE + 7 * SECOND)
        await afternoon.happen()
    await afternoon.to(END)

    recorded = {
        (row.job_id, row.fire_at): row
        for row in await database.read(lambda db: rows(db, "executions"))
        if row.fire_at <= END
    }
    assert {at for _, at in recorded if at.second or at.microsecond} == set()
    for job in afternoon.jobs:
        await minutes_are_explained(afternoon, job, recorded)


async def minutes_are_explained(afternoon: Afternoon, job: Told, recorded: dict[tuple[str, datetime], Any]) -> None:
    view = await afternoon.rig.database.read(lambda db: jobs.show(db, afternoon.admin, job.name))
    minutes = [NOON + n * MINUTE for n in range(1, 181)]
    verdicts = await afternoon.rig.database.read(
        lambda db: [explain.explain(db, afternoon.admin, job.name, at, END).verdict for at in minutes]
    )
    for at, verdict in zip(minutes, verdicts, strict=True):
        row = recorded.get((view.id, at))
        context = (job.name, at, verdict, row)
        if row is None and job.is_due(at):
            assert job.catches_up, context
            assert job.paused_since is not None, context
            assert ("suppressed by" if job.is_dark(at) else "when it is resumed") in verdict, context
        elif row is None:
            assert verdict == "the schedule does not fire at this instant", context
        else:
            assert job.is_due(at), context
            assert (row.state == "suppressed") is job.is_dark(at), context
            assert verdict.startswith(TOLD[row.state](row)), context
            assert verdict, context
            confirmed(afternoon, job, row, recorded, context)


def confirmed(
    afternoon: Afternoon, job: Told, row: Any, recorded: dict[tuple[str, datetime], Any], context: object
) -> None:
    """See that what kept a run from starting was there."""
    if row.outcome == "paused":
        assert job.slept(row.fire_at), context
    if row.outcome == "misfire":
        seen_late = afternoon.was_unseen(row.fire_at) or (job.catches_up and job.slept(row.fire_at))
        assert seen_late or "was changed" in row.reason, context
    if row.outcome == "overlap":
        others = [each for each in recorded.values() if each.job_id == row.job_id and each.id != row.id]
        assert any(
            each.queued_at <= row.queued_at and (each.ended_at is None or each.ended_at >= row.queued_at)
            for each in others
        ), context
