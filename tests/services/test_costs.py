"""Costs are what was used at the prices of the list, summed by job, owner or tag; each sees their own."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, update

from scheduler_daemon.contract.costs import Costs, CostsBy, Prices
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.domain.errors import Invalid
from scheduler_daemon.services import costs, jobs
from scheduler_daemon.storage.executions import EXECUTIONS
from scheduler_daemon.storage.session import Database
from tests.support.world import MINUTE, NOON, add_job, end, fire

PRICES = Prices(cpu_hour=3.6, memory_gib_hour=36.0, figures={"tokens": 0.5})
HOUR = timedelta(hours=1)


def ran(db: Connection, actor: Actor, name: str, at: datetime, said: Any = None, **fields: Any) -> None:
    """Let a run of a job end at an instant after ten seconds: 2 s of processor time, 512 MiB."""
    job = add_job(db, actor, name, user=actor.name, **fields)
    run = fire(db, job, NOON + MINUTE).starts[0].execution_id
    end(db, run, at=at)
    used = {"started_at": at - timedelta(seconds=10), "cpu_ms": 2000, "max_rss_bytes": 1 << 29, "said": said}
    db.execute(update(EXECUTIONS).where(EXECUTIONS.c.id == run).values(used))


def tokens(count: float) -> dict[str, Any]:
    return {"kpis": [{"name": "tokens", "value": count, "unit": ""}, {"name": "rows", "value": 9, "unit": ""}]}


@pytest.fixture
async def worked(database: Database, admin: Actor, ada: Actor) -> None:
    """Three jobs that ran once each; one of them before the last hour."""

    def work(db: Connection) -> None:
        ran(db, admin, "backup", NOON + HOUR, tags=("night", "disk"))
        ran(db, ada, "report", NOON + HOUR, tokens(4), tags=("night",))
        ran(db, ada, "old", NOON + 2 * MINUTE)

    await database.write(work)


async def ask(
    database: Database, actor: Actor, by: CostsBy = CostsBy.JOB, prices: Prices = PRICES, since: datetime = NOON
) -> Costs:
    return await database.read(lambda db: costs.of_period(db, actor, prices, since, NOON + 2 * HOUR, by))


def lines(found: Costs) -> list[tuple[str, int, float]]:
    return [(line.name, line.runs, round(line.cost, 6)) for line in found.lines]


@pytest.mark.usefixtures("worked")
async def test_each_run_costs_its_processor_time_its_memory_over_time_and_what_it_counts(
    database: Database, admin: Actor
) -> None:
    found = await ask(database, admin)

    each = round(2 / 3600 * 3.6 + 5 / 3600 * 36, 6)  # 2 s at 3.6 an hour, half a GiB for 10 s at 36 a GiB and hour
    assert lines(found) == [("report", 1, each + 2), ("backup", 1, each), ("old", 1, each)]
    assert found.total.cost == pytest.approx(3 * each + 2)
    assert found.lines[0].figures == {"tokens": 4}
    assert (found.total.cpu_s, found.total.memory_gib_s) == (6, 15)


@pytest.mark.usefixtures("worked")
async def test_costs_are_summed_by_owner_and_by_tag(database: Database, admin: Actor) -> None:
    owners = await ask(database, admin, CostsBy.OWNER)
    tags = await ask(database, admin, CostsBy.TAG)

    assert [line.name for line in owners.lines] == ["ada", "root"]
    assert {line.name: line.runs for line in tags.lines} == {"night": 2, "disk": 1, "": 1}
    assert tags.total.runs == 3


@pytest.mark.usefixtures("worked")
async def test_only_the_period_counts(database: Database, admin: Actor) -> None:
    found = await ask(database, admin, since=NOON + HOUR)

    assert {line.name for line in found.lines} == {"backup", "report"}


@pytest.mark.usefixtures("worked")
async def test_who_may_not_see_a_job_does_not_see_its_costs(database: Database, ada: Actor) -> None:
    found = await ask(database, ada)

    assert {line.name for line in found.lines} == {"report", "old"}
    assert found.total.runs == 2


@pytest.mark.usefixtures("worked")
async def test_a_deleted_job_has_cost_what_it_cost(database: Database, admin: Actor) -> None:
    await database.write(lambda db: jobs.delete(db, admin, "old", NOON + HOUR))

    assert "old" in {line.name for line in (await ask(database, admin)).lines}


@pytest.mark.usefixtures("worked")
async def test_without_prices_usage_is_told_and_no_money(database: Database, admin: Actor) -> None:
    found = await ask(database, admin, prices=Prices())

    assert not found.priced
    assert (found.total.cost, found.total.cpu_s, found.total.figures) == (0, 6, {})


async def test_runs_that_nobody_measured_are_counted_as_such(database: Database, admin: Actor) -> None:
    def work(db: Connection) -> None:
        ran(db, admin, "job", NOON + HOUR)
        db.execute(update(EXECUTIONS).values(cpu_ms=None, max_rss_bytes=None))

    await database.write(work)

    found = await ask(database, admin)
    assert (found.total.runs, found.total.unmeasured, found.total.cost) == (1, 1, 0)


async def test_a_period_that_ends_before_it_begins_is_refused(database: Database, admin: Actor) -> None:
    with pytest.raises(Invalid, match="before it begins"):
        await ask(database, admin, since=NOON + 3 * HOUR)
