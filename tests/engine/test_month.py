"""A month of 1,000 jobs under a clock that is set forward and back, with outages and pauses: nothing missing or extra.

What should have happened is worked out here, from the wall clocks of zoneinfo alone.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from scheduler_daemon.contract.people import Actor
from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.services import explain, jobs
from scheduler_daemon.storage.session import Database
from tests.support.rig import Rig
from tests.support.world import MINUTE, add_job, rows

pytestmark = [pytest.mark.parametrize("database_url", ["sqlite"], indirect=True), pytest.mark.timeout(300)]

BEGIN = datetime(2026, 10, 3, 0, 7, tzinfo=UTC)  # Lord Howe, Paris, New York and Havana change their clocks within
END = datetime(2026, 11, 3, 0, 7, tzinfo=UTC)
HOUR = 60 * MINUTE
DAY = 24 * HOUR
ZONES = ("UTC", "Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/Havana")
GRACE = 2 * HOUR


@dataclass(frozen=True)
class Kind:
    """When a job fires, as its expression says it and as the oracle reads it. `hour` None: whatever the hour."""

    expression: str
    minutes: frozenset[int]
    hours: frozenset[int]
    weekdays: frozenset[int] = frozenset(range(7))
    days: frozenset[int] = frozenset(range(1, 32))
    is_fixed: bool = True


def kinds(chance: random.Random) -> Iterator[Kind]:
    for number in range(1000):
        minute, hour = chance.randrange(0, 60, 30), chance.randrange(24)
        at, when = frozenset({minute}), frozenset({hour})
        if number < 550:
            yield Kind(f"{minute} {hour} * * *", at, when)
        elif number < 800:
            weekday = chance.randrange(7)
            yield Kind(f"{minute} {hour} * * {weekday}", at, when, weekdays=frozenset({(weekday - 1) % 7}))
        elif number < 900:
            day = chance.randrange(1, 32)
            yield Kind(f"{minute} {hour} {day} * *", at, when, days=frozenset({day}))
        elif number < 994:
            yield Kind(f"{minute} */6 * * *", at, frozenset({0, 6, 12, 18}), is_fixed=False)
        else:
            yield Kind(f"{minute} * * * *", at, frozenset(range(24)), is_fixed=False)


def expected(kind: Kind, zone: ZoneInfo) -> set[datetime]:
    """Return when a job fires: a fixed time once a day whatever clocks do, others as the clock shows them."""
    found = set()
    day = BEGIN.date() - timedelta(days=2)
    while day <= END.date() + timedelta(days=2):
        if day.weekday() in kind.weekdays and day.day in kind.days:
            for hour in kind.hours:
                for minute in kind.minutes:
                    found |= instants(day, hour, minute, zone, is_fixed=kind.is_fixed)
        day += timedelta(days=1)
    return {instant for instant in found if BEGIN < instant <= END}


def instants(day: date, hour: int, minute: int, zone: ZoneInfo, *, is_fixed: bool) -> set[datetime]:
    wanted = datetime(day.year, day.month, day.day, hour, minute)  # noqa: DTZ001  # as a wall clock shows it
    shown = {
        (wanted.replace(tzinfo=zone, fold=fold)).astimezone(UTC)
        for fold in (0, 1)
        if wanted.replace(tzinfo=zone, fold=fold).astimezone(UTC).astimezone(zone).replace(tzinfo=None) == wanted
    }
    if not is_fixed:
        return shown
    if shown:
        return {min(shown)}
    after = wanted.replace(tzinfo=zone, fold=1).astimezone(UTC) - 3 * HOUR
    while after.astimezone(zone).replace(tzinfo=None) < wanted:
        after += MINUTE
    return {after}


@dataclass
class Month:
    """What happens to the clock and to the daemon, and what was left out while nobody looked."""

    rig: Rig
    reached: datetime = BEGIN
    gaps: list[tuple[datetime, datetime]] = field(default_factory=list)

    async def to(self, moment: datetime) -> None:
        """Let time pass."""
        if moment > self.rig.clock.now:
            await self.rig.until(moment)
        self.reached = max(self.reached, self.rig.clock.now)

    async def leap(self, span: timedelta) -> None:
        """Set the clock; forward, what lies between has not been looked at."""
        self.rig.clock.now += span
        if self.rig.clock.now > self.reached:
            self.gaps.append((self.reached, self.rig.clock.now))
        await self.rig.until(self.rig.clock.now)
        self.reached = max(self.reached, self.rig.clock.now)

    async def die_and_return(self, span: timedelta) -> None:
        """Be away for a while."""
        clock = self.rig.clock
        self.rig = Rig(self.rig.database, max_active=10**9, lead=timedelta(seconds=0.5))
        self.rig.clock = clock
        self.rig.ticker._now = self.rig.dispatcher._now = clock
        clock.now += span
        await self.rig.ticker.load()
        await self.leap(timedelta())

    def gap_of(self, instant: datetime) -> tuple[datetime, datetime] | None:
        return next(((low, high) for low, high in self.gaps if low < instant <= high), None)


async def test_a_month_of_a_thousand_jobs_with_nothing_missing_and_nothing_extra(
    database: Database, admin: Actor
) -> None:
    chance = random.Random(20261003)
    wanted: dict[str, set[datetime]] = {}
    policy: dict[str, str] = {}
    for number, kind in enumerate(kinds(chance)):
        zone = chance.choice(ZONES)
        misfire = chance.choice(["run_once", "run_once", "skip", "run_all"])
        schedule = Schedule(expressions=(kind.expression,), zone=zone)
        fields = {"schedule": schedule, "misfire": misfire, "misfire_grace_ms": GRACE // timedelta(milliseconds=1)}
        made = await database.write(
            lambda db, name=f"job {number}", fields=fields: add_job(
                db, admin, name, now=BEGIN, concurrency="allow", **fields
            )
        )
        wanted[made.id], policy[made.id] = expected(kind, ZoneInfo(zone)), misfire
    month = Month(Rig(database, max_active=10**9, lead=timedelta(seconds=0.5)))
    month.rig.clock.now = BEGIN
    await month.rig.ticker.load()
    troubles = [(BEGIN + day * DAY, chance.choice(["away", "forward", "back"])) for day in range(1, 30)]
    paused: dict[str, tuple[datetime, datetime]] = {}

    for moment, trouble in troubles:
        await month.to(moment)
        span = chance.randrange(1, 20) * 15 * MINUTE
        if trouble == "away":
            await month.die_and_return(span)
        elif trouble == "forward":
            await month.leap(span)
        else:
            await month.leap(-span)
            await month.to(moment)  # lived through twice
        left = [job_id for job_id in wanted if job_id not in paused]
        for job_id in chance.sample(left, 5):
            begin = month.rig.clock.now
            await database.write(
                lambda db, job_id=job_id, now=begin: jobs.set_paused(db, admin, job_id, now, paused=True)
            )
            paused[job_id] = (begin, begin + 7 * HOUR)
        still = [job_id for job_id, (begin, _) in paused.items() if begin == month.rig.clock.now]
        await month.rig.ticker.refresh(still)
        await month.to(month.rig.clock.now + 7 * HOUR)
        for job_id in still:
            paused[job_id] = (paused[job_id][0], month.rig.clock.now)
            now = month.rig.clock.now
            await database.write(
                lambda db, job_id=job_id, now=now: jobs.set_paused(db, admin, job_id, now, paused=False)
            )
        await month.rig.ticker.refresh(still)
    await month.to(END)

    found = await database.read(lambda db: rows(db, "executions"))
    states: dict[str, dict[datetime, str]] = defaultdict(dict)
    for row in found:
        states[row.job_id][row.fire_at] = row.state
    during = {
        job_id: {instant for instant in wanted[job_id] if begin < instant <= end}
        for job_id, (begin, end) in paused.items()
    }
    missing = [(job_id, instant) for job_id, instants in wanted.items() for instant in instants - set(states[job_id])]
    extra = [(job_id, instant) for job_id, seen in states.items() for instant in set(seen) - wanted[job_id]]
    assert (missing, extra) == ([], [])
    assert len(found) == sum(len(seen) for seen in states.values())
    assert {state for job_id, instants in during.items() for at in instants if (state := states[job_id].get(at))} <= {
        "skipped"
    }
    for job_id, seen in states.items():
        for gap, lost in by_gap(month, seen).items():
            assert lost == as_policy_says(policy[job_id], sorted(lost), gap), (policy[job_id], gap)
        alone = {
            at: state for at, state in seen.items() if month.gap_of(at) is None and at not in during.get(job_id, ())
        }
        assert set(alone.values()) <= {"starting"}
    assert Counter(row.state for row in found)["missed"] > 100
    assert sum(map(len, during.values())) > 20
    for job_id, instants in list(during.items())[:40]:
        for instant in list(instants)[:2]:
            told = await database.read(
                lambda db, job_id=job_id, instant=instant: explain.explain(db, admin, job_id, instant, END)
            )
            assert "paused" in told.verdict


def by_gap(month: Month, seen: dict[datetime, str]) -> dict[tuple[datetime, datetime], dict[datetime, str]]:
    found: dict[tuple[datetime, datetime], dict[datetime, str]] = defaultdict(dict)
    for instant, state in seen.items():
        gap = month.gap_of(instant)
        if gap is not None and state != "skipped":
            found[gap][instant] = state
    return found


def as_policy_says(policy: str, instants: list[datetime], gap: tuple[datetime, datetime]) -> dict[datetime, str]:
    """What the misfire policy makes of the fires of a gap that was noticed at its end, none of them on time."""
    in_grace = [instant for instant in instants if gap[1] - instant <= GRACE]
    run = {"skip": [], "run_once": in_grace[-1:], "run_all": in_grace}[policy]
    return {instant: "starting" if instant in run else "missed" for instant in instants}
