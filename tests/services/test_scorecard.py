"""What people made of insights decides what is shown of the next, and what came of them how good a kind is."""

from datetime import timedelta

from scheduler_daemon.contract.insights import (
    Finding,
    Insight,
    InsightDecision,
    InsightState,
    Measured,
    Measurement,
    Prediction,
    Severity,
)
from scheduler_daemon.contract.jobs import JobView
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.domain.scorecard import ENOUGH
from scheduler_daemon.services import insights, scorecard
from scheduler_daemon.storage import insights as stored
from scheduler_daemon.storage.session import Database
from tests.support.world import NOON, add_job

DAY = timedelta(days=1)


def finding(job: JobView, number: int, confidence: float = 0.6, kind: str = "odd") -> Finding:
    return Finding(
        key=f"{kind} {job.id} {number}", job_id=job.id, kind=kind, severity=Severity.INFO, confidence=confidence,
        title="it is odd", prediction=Prediction(metric="duration_s", expected=1), at=NOON, expires=NOON + DAY,
    )  # fmt: skip


async def told(database: Database, *found: Finding) -> list[Insight]:
    await database.write(lambda db: insights.keep(db, found, NOON))
    rows = await database.read(lambda db: stored.page(db, limit=1000))
    return [insights.view(row) for row in rows]


async def judge(database: Database, actor: Actor, insight: Insight, state: InsightState) -> None:
    await database.write(lambda db: insights.judge(db, actor, insight.id, state, InsightDecision(), NOON))


async def test_dismissals_ask_for_more_of_that_job_and_kind_and_of_no_other(database: Database, admin: Actor) -> None:
    job, other = [await database.write(lambda db, name=name: add_job(db, admin, name)) for name in ("job", "other")]
    for one in await told(database, finding(job, 1), finding(job, 2)):
        await judge(database, admin, one, InsightState.DISMISSED)

    later = await told(
        database, finding(job, 3), finding(other, 3), finding(job, 3, kind="else"), finding(job, 4, confidence=0.99)
    )

    states = {(one.job, one.kind, one.confidence): one.state for one in later if one.state != InsightState.DISMISSED}
    assert states == {
        ("job", "odd", 0.6): InsightState.MUTED,
        ("other", "odd", 0.6): InsightState.OPEN,
        ("job", "else", 0.6): InsightState.OPEN,
        ("job", "odd", 0.99): InsightState.OPEN,
    }


async def test_a_kind_that_foretells_worse_than_the_base_rate_is_muted_and_goes_on_being_scored(
    database: Database, admin: Actor
) -> None:
    job = await database.write(lambda db: add_job(db, admin))
    first = await told(database, *(finding(job, number, 0.9) for number in range(ENOUGH)))
    came = [
        Measurement(
            insight_id=one.id,
            measured=Measured(metric="duration_s", after=1, runs=10, came=number % 4 == 0, at=NOON),
        )
        for number, one in enumerate(first)
    ]
    await database.write(lambda db: insights.measure(db, came, NOON))

    (card,) = await database.read(lambda db: scorecard.cards(db, NOON))
    await told(database, finding(job, 99, 0.9))
    (after,) = await database.read(lambda db: scorecard.cards(db, NOON))

    assert card.muted
    assert card.scored == ENOUGH
    assert (card.brier or 0) > (card.base or 1)
    assert after.told == ENOUGH + 1
    assert {one.state for one in await told(database)} == {InsightState.OPEN, InsightState.MUTED}


async def test_what_came_is_told_to_everyone_who_looks(database: Database, admin: Actor) -> None:
    job = await database.write(lambda db: add_job(db, admin))
    (one,) = await told(database, finding(job, 1))
    measured = Measured(metric="duration_s", after=2, runs=10, came=False, at=NOON)

    await database.write(lambda db: insights.measure(db, [Measurement(insight_id=one.id, measured=measured)], NOON))
    (seen,) = await told(database)

    assert seen.measured == measured
    assert seen.version == one.version + 1
    assert (
        await database.write(lambda db: insights.measure(db, [Measurement(insight_id="?", measured=measured)], NOON))
        == []
    )
