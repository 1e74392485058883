"""Many rows by one statement hold what rows written one by one would, on both databases."""

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError, StatementError

from scheduler_daemon.storage.bulk import ForEach, InsertNew, among
from scheduler_daemon.storage.session import Database
from scheduler_daemon.storage.types import Written
from tests.support.rows import EXECUTIONS, NOON, add_job, execution_values

AWKWARD: dict[str, Any] = {
    "reason": 'it\'s "said" \\ [1, 2]\nsnow \u2603 and \U0001f300',
    "policy": {"requested": "trusted", "missing": ["'", None, 1.5, True]},
    "queued_at": datetime(2026, 3, 2, 13, 0, 0, 123_457, tzinfo=timezone(timedelta(hours=1))),
    "outcome": None,
}
ALIKE = InsertNew(EXECUTIONS, tuple(execution_values(0) | {"outcome": None}), ("id", "job_id", "fire_at"))


def value(number: int, **changed: Any) -> dict[str, Any]:
    """Return the columns of a run."""
    return execution_values(number) | {"outcome": None} | changed


def made(db: Connection) -> list[Any]:
    """Return every run in order."""
    return list(db.execute(select(EXECUTIONS).order_by(EXECUTIONS.c.fire_at)))


async def test_rows_written_together_are_as_if_written_alone(database: Database) -> None:
    def work(db: Connection) -> None:
        add_job(db)
        db.execute(insert(EXECUTIONS).values(**value(0, **AWKWARD)))
        ALIKE.run(db, [value(1, **AWKWARD), value(2, **AWKWARD)])
        ForEach(insert(EXECUTIONS), list(value(3))).run(db, [value(3, **AWKWARD)])

    await database.write(work)

    alone, *together = [row._asdict() | {"id": 0, "fire_at": NOON} for row in await database.read(made)]
    assert together == [alone] * 3
    assert {key: alone[key] for key in AWKWARD} == AWKWARD


async def test_only_rows_that_are_new_are_told_of(database: Database) -> None:
    def work(db: Connection) -> Any:
        add_job(db)
        first = ALIKE.run(db, [value(1), value(2)])
        return first, ALIKE.run(db, [value(n, reason="again") for n in range(1, 4)])

    first, second = await database.write(work)

    rows = await database.read(made)
    assert sorted(map(tuple, first)) == [(row.id, "job", row.fire_at) for row in rows[:2]]
    assert list(map(tuple, second)) == [(rows[2].id, "job", NOON + timedelta(seconds=3))]
    assert [row.reason for row in rows] == ["", "", "again"]


async def test_an_update_takes_columns_parameters_and_what_it_sets_itself(database: Database) -> None:
    change = update(EXECUTIONS).where(EXECUTIONS.c.fire_at == bindparam("b_when", type_=EXECUTIONS.c.fire_at.type))
    statement = ForEach(change.values(version=EXECUTIONS.c.version + 5), ("state", "ended_at"))

    def work(db: Connection) -> None:
        add_job(db)
        ALIKE.run(db, [value(n) for n in range(3)])
        at = [NOON + timedelta(seconds=n) for n in range(3)]
        changes: list[tuple[str, datetime | None]] = [("running", None), ("failed", NOON)]
        rows = [{"when": at[n], "state": changes[n][0], "ended_at": changes[n][1], "more": 1} for n in range(2)]
        statement.run(db, rows)

    await database.write(work)

    found = [(row.state, row.ended_at, row.version) for row in await database.read(made)]
    assert found == [("running", None, 6), ("failed", NOON, 6), ("queued", None, 1)]


async def test_json_that_is_written_already_is_kept_as_what_it_says(database: Database) -> None:
    def work(db: Connection) -> None:
        add_job(db)
        ALIKE.run(db, [value(0, policy=Written('{"a":[1,"\u2603"]}'))])

    await database.write(work)

    assert [row.policy for row in await database.read(made)] == [{"a": [1, "\u2603"]}]


async def test_nothing_to_write_is_no_statement(database: Database) -> None:
    assert list(await database.write(lambda db: ALIKE.run(db, []))) == []


@pytest.mark.parametrize("asked", [[], ["it's"], ['"quoted"', "it's", "snow \u2603", "missing"]])
async def test_one_parameter_asks_for_many_texts(database: Database, asked: list[str]) -> None:
    names = ['"quoted"', "it's", "snow \u2603", "other"]

    def work(db: Connection) -> list[str]:
        for name in names:
            add_job(db, name)
        jobs = EXECUTIONS.metadata.tables["jobs"]
        return sorted(db.execute(select(jobs.c.id).where(among(db, jobs.c.id, asked))).scalars())

    assert await database.write(work) == sorted(set(asked) & set(names))


async def test_one_parameter_asks_for_many_numbers(database: Database) -> None:
    def work(db: Connection) -> tuple[list[int], list[int]]:
        add_job(db)
        ids = sorted(row.id for row in ALIKE.run(db, [value(n) for n in range(5)]))
        query = select(EXECUTIONS.c.id).where(among(db, EXECUTIONS.c.id, {*ids[1:3], 1 << 40}))
        return ids, sorted(db.execute(query).scalars())

    ids, found = await database.write(work)

    assert found == ids[1:3]


async def test_a_time_without_a_zone_is_refused(database: Database) -> None:
    with pytest.raises((ValueError, StatementError), match="no time zone"):
        await database.write(lambda db: ALIKE.run(db, [value(0, queued_at=datetime(2026, 1, 1))]))  # noqa: DTZ001  # meant


async def test_a_row_that_breaks_a_rule_is_told_as_of_any_statement(database: Database) -> None:
    broken = ForEach(insert(EXECUTIONS), list(value(0)))

    with pytest.raises(IntegrityError):
        await database.write(lambda db: broken.run(db, [value(0, job_id="nobody")]))
