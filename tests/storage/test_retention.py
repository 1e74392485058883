"""What output is kept: by age, by runs of a job and by size of all, and the last failure of each job always."""

from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, func, select, update

from scheduler_daemon.storage import logs, retention
from scheduler_daemon.storage.retention import Kept
from scheduler_daemon.storage.session import Database
from scheduler_daemon.storage.tables import metadata
from tests.support.rows import EXECUTIONS, NOON, add_executions

CHUNKS, STATES = metadata.tables["log_chunks"], metadata.tables["log_states"]
DAY = timedelta(days=1)


def with_output(db: Connection, count: int, *, failed: int | None = None) -> list[int]:
    """Make ended runs of a new job, a day apart, with a line of output each; the one at `failed` has failed."""
    ids = add_executions(db, count)
    for place, number in enumerate(ids):
        state = "failed" if place == failed else "succeeded"
        ended = update(EXECUTIONS).where(EXECUTIONS.c.id == number)
        db.execute(ended.values(state=state, started_at=NOON, ended_at=NOON + place * DAY, output_bytes=9))
        write(db, number, "the line\n")
    return ids


def write(db: Connection, number: int, text: str, *, complete: bool = True) -> None:
    data = logs.pack(text.encode())
    chunk = {"execution_id": number, "seq": 0, "stream": "stdout", "start": 0, "size": len(text), "first_line": 1}
    whole = {"lines": text.count("\n"), "continues": False, "at": NOON, "data": data}
    logs.append(db, [chunk | whole], [{"execution_id": number, "lines": 1, "dropped_bytes": 0, "complete": complete}])


async def beyond(database: Database, kept: Kept, now: Any = NOON + 10 * DAY, limit: int = 100) -> list[int]:
    return await database.read(lambda db: retention.excess(db, kept, now, limit))


async def test_without_a_bound_nothing_goes(database: Database) -> None:
    await database.write(lambda db: with_output(db, 5))

    assert await beyond(database, Kept()) == []


async def test_output_of_runs_that_ended_long_ago_goes(database: Database) -> None:
    ids = await database.write(lambda db: with_output(db, 10))

    assert await beyond(database, Kept(age=7 * DAY), now=NOON + 10 * DAY) == ids[:3]


async def test_each_job_keeps_its_newest_runs_whatever_others_do(database: Database) -> None:
    one = await database.write(lambda db: with_output(db, 5))
    another = await database.write(lambda db: with_output(db, 3))

    assert await beyond(database, Kept(runs=3)) == one[:2]
    assert await beyond(database, Kept(runs=1)) == [*one[:4], *another[:2]]


async def test_beyond_a_size_of_all_together_the_oldest_go_first(database: Database) -> None:
    ids = await database.write(lambda db: with_output(db, 6))
    each = len(logs.pack(b"the line\n"))

    assert await beyond(database, Kept(size=4 * each)) == ids[:2]
    assert await beyond(database, Kept(size=4 * each - 1)) == ids[:3]
    assert await beyond(database, Kept(size=0), limit=2) == ids[:2]


async def test_the_last_failure_of_a_job_stays_whatever_the_bounds(database: Database) -> None:
    ids = await database.write(lambda db: with_output(db, 6, failed=1))
    older_failure = await database.write(lambda db: with_output(db, 4, failed=0))
    await database.write(
        lambda db: db.execute(update(EXECUTIONS).where(EXECUTIONS.c.id == older_failure[2]).values(state="failed"))
    )

    found = await beyond(database, Kept(age=timedelta(0), runs=1, size=0), now=NOON + 100 * DAY)

    assert found == [number for number in [*ids, *older_failure] if number not in {ids[1], older_failure[2]}]


async def test_a_run_whose_output_is_still_read_is_left_alone(database: Database) -> None:
    def work(db: Connection) -> None:
        active, unread = add_executions(db, 2)
        write(db, active, "going on\n", complete=False)
        db.execute(update(EXECUTIONS).where(EXECUTIONS.c.id == unread).values(ended_at=NOON, state="succeeded"))
        write(db, unread, "more to come\n", complete=False)

    await database.write(work)

    assert await beyond(database, Kept(age=timedelta(0), runs=1, size=0), now=NOON + 100 * DAY) == []


async def test_what_is_removed_is_gone_said_and_not_removed_again(database: Database) -> None:
    ids = await database.write(lambda db: with_output(db, 3))

    await database.write(lambda db: retention.remove(db, ids[:2], NOON + 10 * DAY))

    left = await database.read(lambda db: db.execute(select(CHUNKS.c.execution_id)).scalars().all())
    size = await database.read(lambda db: db.execute(select(func.sum(STATES.c.stored_bytes))).scalar_one())
    gone, kept = [await database.read(lambda db, n=n: logs.read_lines(db, n)) for n in (ids[0], ids[2])]  # type: ignore[misc]  # mypy cannot type the default
    assert left == [ids[2]]
    assert size == len(logs.pack(b"the line\n"))
    assert (gone.lines, gone.ended, gone.removed_at) == ((), True, NOON + 10 * DAY)
    assert ([line.text for line in kept.lines], kept.removed_at) == (["the line"], None)
    assert await beyond(database, Kept(runs=1), now=NOON + 100 * DAY) == []


async def test_the_size_that_is_stored_grows_with_each_chunk(database: Database) -> None:
    def work(db: Connection) -> int:
        (number,) = add_executions(db, 1)
        write(db, number, "the line\n", complete=False)
        more = logs.pack(b"another\n")
        chunk = {"execution_id": number, "seq": 1, "stream": "stdout", "start": 9, "size": 8, "first_line": 2}
        whole = {"lines": 1, "continues": False, "at": NOON, "data": more}
        state = {"execution_id": number, "lines": 2, "dropped_bytes": 0, "complete": True}
        logs.append(db, [chunk | whole], [state])
        return len(logs.pack(b"the line\n")) + len(more)

    expected = await database.write(work)

    assert await database.read(lambda db: db.execute(select(STATES.c.stored_bytes)).scalar_one()) == expected


async def test_what_a_job_says_itself_goes_before_the_bounds_of_all_but_their_size(database: Database) -> None:
    longer = await database.write(lambda db: with_output(db, 8, failed=0))
    fewer = await database.write(lambda db: with_output(db, 4))
    smaller = await database.write(lambda db: with_output(db, 4))
    others = await database.write(lambda db: with_output(db, 4))
    each = len(logs.pack(b"the line\n"))
    for ids, own in ((longer, {"days": 100}), (fewer, {"runs": 1}), (smaller, {"bytes": 2 * each})):
        await database.write(lambda db, ids=ids, own=own: keep(db, ids[0], own))

    by_age = await beyond(database, Kept(age=9 * DAY), now=NOON + 10 * DAY)
    by_size = await beyond(database, Kept(size=0))

    assert by_age == sorted([*fewer[:3], *smaller[:2], others[0]])
    assert by_size == sorted([*longer[1:], *fewer, *smaller, *others])  # the last failure stays


def keep(db: Connection, number: int, own: dict[str, Any]) -> None:
    job = select(EXECUTIONS.c.job_id).where(EXECUTIONS.c.id == number).scalar_subquery()
    jobs = metadata.tables["jobs"]
    spec = db.execute(select(jobs.c.spec).where(jobs.c.id == job)).scalar_one()
    db.execute(update(jobs).where(jobs.c.id == job).values(spec=spec | {"output_kept": own}))
