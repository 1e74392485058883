"""Transactions hold what they promise on both databases, and through the faults each of them has."""

import asyncio
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from scheduler_daemon.domain.errors import Unavailable
from scheduler_daemon.storage.migrations import migrate
from scheduler_daemon.storage.session import Database, SQLiteDatabase, open_database
from scheduler_daemon.storage.tables import metadata
from tests.support.databases import Databases, PostgresServer

META = metadata.tables["meta"]


def put(key: str, value: str = "") -> Any:
    """Work that adds one row."""
    return lambda db: db.execute(insert(META).values(key=key, value=value)).rowcount


def count(db: Connection) -> int:
    """Work that counts the rows."""
    return db.scalar(select(func.count()).select_from(META)) or 0


@pytest.fixture
async def sqlite(databases: Databases, tmp_path: Path) -> Any:
    """A migrated SQLite database."""
    opened = open_database(databases.sqlite(tmp_path / "one.db"))
    yield opened
    await opened.close()


async def test_many_writers_all_commit(database: Database) -> None:
    results = await asyncio.gather(*(database.write(put(f"k{n}")) for n in range(300)))

    assert results == [1] * 300
    assert await database.read(count) == 300


async def test_what_a_work_raises_undoes_it_alone(database: Database) -> None:
    def half(db: Connection) -> None:
        put("half")(db)
        raise ValueError("no")

    results = await asyncio.gather(
        *(database.write(put(f"k{n}")) for n in range(20)),
        database.write(half),
        database.write(put("k3")),
        *(database.write(put(f"l{n}")) for n in range(20)),
        return_exceptions=True,
    )

    assert [type(result) for result in results if result != 1] == [ValueError, IntegrityError]
    assert await database.read(count) == 40


async def test_a_work_that_fails_alone_leaves_nothing(database: Database) -> None:
    await database.write(put("k"))

    with pytest.raises(IntegrityError):
        await database.write(lambda db: (put("other")(db), put("k")(db)))

    assert await database.read(count) == 1


async def test_a_mistake_in_sql_is_not_called_unavailable(database: Database) -> None:
    with pytest.raises(Exception, match="nowhere"):
        await database.write(lambda db: db.execute(text("SELECT * FROM nowhere")))

    with pytest.raises(Exception, match="nowhere"):
        await database.read(lambda db: db.execute(text("SELECT * FROM nowhere")))


async def test_changes_made_while_reading_are_undone(database: Database) -> None:
    await database.read(put("k"))

    assert await database.read(count) == 0


async def test_a_reader_sees_one_snapshot(database: Database) -> None:
    first_seen, written = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    if database.dialect == "sqlite":

        def look_twice(db: Connection) -> tuple[int, int]:
            before = count(db)
            first_seen.set()
            asyncio.run_coroutine_threadsafe(written.wait(), loop).result(10)
            return before, count(db)

        async def write() -> None:
            await asyncio.to_thread(first_seen.wait, 10)
            await database.write(put("k"))
            written.set()

        seen, _ = await asyncio.gather(database.read(look_twice), write())
    else:
        other = open_database(database._engine.url.render_as_string(hide_password=False))  # type: ignore[attr-defined]

        def look_twice_too(db: Connection) -> tuple[int, int]:
            from sqlalchemy.util import await_only

            before = count(db)
            await_only(other.write(put("k")))
            return before, count(db)

        seen = await database.read(look_twice_too)
        await other.close()

    assert seen == (0, 0)
    assert await database.read(count) == 1


async def test_a_cancelled_caller_harms_nobody(database: Database) -> None:
    tasks = [asyncio.create_task(database.write(put(f"k{n}"))) for n in range(50)]
    await asyncio.sleep(0)

    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)

    assert results[1::2] == [1] * 25
    assert 25 <= await database.read(count) <= 50


async def test_writers_share_commits_on_sqlite(sqlite: SQLiteDatabase) -> None:
    from sqlalchemy import event

    commits = []
    event.listen(sqlite._engine, "commit", commits.append)

    await asyncio.gather(*(sqlite.write(put(f"k{n}")) for n in range(500)))

    assert len(commits) <= 5


async def test_a_write_on_sqlite_takes_the_lock_before_it_reads(sqlite: SQLiteDatabase, tmp_path: Path) -> None:
    def read_then_write(db: Connection) -> str:
        count(db)
        other = sqlite3.connect(tmp_path / "one.db", timeout=0)
        try:
            other.execute("INSERT INTO meta VALUES ('other', '')")
        except sqlite3.OperationalError as error:
            refused = str(error)
        finally:
            other.close()
        put("k")(db)
        return refused

    refused = await sqlite.write(read_then_write)

    assert refused == "database is locked"


async def test_closing_finishes_queued_work_and_refuses_more(sqlite: SQLiteDatabase, tmp_path: Path) -> None:
    writes = [asyncio.create_task(sqlite.write(put(f"k{n}"))) for n in range(600)]
    await asyncio.sleep(0)

    await sqlite.close()

    assert await asyncio.gather(*writes) == [1] * 600
    with pytest.raises(Unavailable):
        await sqlite.write(put("late"))
    with pytest.raises(Unavailable):
        await sqlite.read(count)


async def test_a_full_disk_is_unavailable_to_all_of_the_group_and_passes(sqlite: SQLiteDatabase) -> None:
    def limit(pages: int) -> Any:
        # The writer always takes the same connection while nobody reads, so the limit meets the next group.
        return lambda db: db.exec_driver_sql(f"PRAGMA max_page_count={pages}").scalar()

    def pages(db: Connection) -> int:
        return int(db.exec_driver_sql("PRAGMA page_count").scalar_one())

    await sqlite.write(limit(await sqlite.write(pages)))

    full = await asyncio.gather(*(sqlite.write(put(f"k{n}", "x" * 9000)) for n in range(30)), return_exceptions=True)
    await sqlite.write(limit(1_000_000))
    after = await sqlite.write(put("after", "x" * 90000))

    assert {type(result) for result in full} == {Unavailable}
    assert "full" in str(full[0])
    assert (after, await sqlite.read(count)) == (1, 1)


async def test_a_locked_file_is_unavailable_and_the_writer_lives_on(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scheduler_daemon.storage.session._BUSY_S", 0.05)
    database = open_database(databases.sqlite(tmp_path / "locked.db"))
    other = sqlite3.connect(tmp_path / "locked.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(Unavailable, match="locked"):
        await database.write(put("k"))
    other.execute("ROLLBACK")
    other.close()

    assert await database.write(put("k")) == 1
    await database.close()


async def test_whatever_work_raises_the_writer_lives_on(sqlite: SQLiteDatabase) -> None:
    class Odd(BaseException):
        """Not even an Exception."""

    def leave(_db: Connection) -> None:
        raise Odd

    with pytest.raises(Odd):
        await sqlite.write(leave)

    assert await sqlite.write(put("k")) == 1


async def test_postgres_goes_away_and_comes_back(databases: Databases, postgres: PostgresServer) -> None:
    name, url = databases.postgres()
    database = open_database(url)
    await database.write(put("before"))

    postgres.stop()
    away = await asyncio.gather(
        database.write(put("lost")), database.read(count), database.write(put("lost too")), return_exceptions=True
    )
    postgres.start()

    assert {type(result) for result in away} == {Unavailable}
    assert await database.write(put("after")) == 1
    assert await database.read(count) == 2
    await database.close()
    databases.drop(name)


async def test_a_transaction_cut_off_in_the_middle_is_unavailable(databases: Databases) -> None:
    name, url = databases.postgres()
    database = open_database(url)

    with pytest.raises(Unavailable):
        await database.write(lambda db: db.execute(text("SELECT pg_terminate_backend(pg_backend_pid())")))

    assert await database.write(put("after")) == 1
    await database.close()
    databases.drop(name)


async def test_a_serialization_failure_is_tried_again(databases: Databases) -> None:
    name, url = databases.postgres()
    database = open_database(url)
    await database.write(put("n", "0"))

    def add_one(db: Connection) -> None:
        db.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        value = db.scalar(select(META.c.value).where(META.c.key == "n"))
        db.execute(text("SELECT pg_sleep(0.05)"))
        db.execute(update(META).where(META.c.key == "n").values(value=str(int(value) + 1)))

    await asyncio.gather(*(database.write(add_one) for _ in range(3)))

    assert await database.read(lambda db: db.scalar(select(META.c.value))) == "3"
    await database.close()
    databases.drop(name)


async def test_writes_that_come_together_share_commits(databases: Databases, tmp_path: Path) -> None:
    database = open_database(databases.sqlite(tmp_path / "shared.db"))
    assert isinstance(database, SQLiteDatabase)
    commits = []
    event.listen(database._engine, "commit", commits.append)

    await asyncio.gather(*(database.write(put(f"many{n}")) for n in range(1500)))
    await database.close()

    assert 0 < len(commits) < 300


async def test_a_batch_that_meets_rows_already_there_returns_only_the_new(database: Database) -> None:
    from sqlalchemy.dialects import postgresql, sqlite

    dialect = sqlite if database.dialect == "sqlite" else postgresql
    statement = dialect.insert(META).on_conflict_do_nothing().returning(META.c.key)
    await database.write(put("k5"))

    rows = [{"key": f"k{n}", "value": ""} for n in range(2500)]
    new = await database.write(lambda db: db.execute(statement, rows).scalars().all())

    assert set(new) == {f"k{n}" for n in range(2500)} - {"k5"}


async def test_a_file_is_its_owners_alone_and_may_have_any_name(tmp_path: Path) -> None:
    path = tmp_path / "odd?mode=ro#%20 name" / "chronos.db"
    path.parent.mkdir()

    await asyncio.to_thread(migrate, f"sqlite:///{path}")
    database = open_database(f"sqlite:///{path}")
    await database.write(put("here"))
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    await database.close()

    assert modes == dict.fromkeys(("chronos.db", "chronos.db-wal", "chronos.db-shm"), 0o600)


async def test_an_error_does_not_show_the_values_that_were_sent(database: Database) -> None:
    await database.write(put("k", "first"))

    with pytest.raises(IntegrityError) as caught:
        await database.write(put("k", "a secret of the job"))

    assert "a secret" not in str(caught.value)
