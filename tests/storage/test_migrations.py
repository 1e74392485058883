"""The migration scripts make exactly the tables of the code, in both directions, on both databases."""

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, insert, select, text

from scheduler_daemon.domain.errors import Unavailable
from scheduler_daemon.storage import migrations
from scheduler_daemon.storage.migrations import current, migrate
from scheduler_daemon.storage.session import Database, open_database
from scheduler_daemon.storage.tables import UserRow, metadata
from tests.support.databases import PostgresServer
from tests.support.rows import NOON, add_execution

HEAD = "0023"


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """The URL of a database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = server.create()
    yield server.url(name)
    server.drop(name)


async def test_the_scripts_make_exactly_the_tables_of_the_code(database: Database) -> None:
    def difference(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return compare_metadata(context, metadata)

    changes = await database.read(difference)

    assert changes == []


def test_an_empty_database_has_no_revision_and_a_migrated_one_the_newest(empty_url: str) -> None:
    before = current(empty_url)
    migrate(empty_url)

    assert (before, current(empty_url)) == (None, HEAD)


def test_going_down_and_up_again_leaves_a_working_database(empty_url: str) -> None:
    migrate(empty_url)
    migrate(empty_url, "base")
    between = current(empty_url)
    migrate(empty_url)

    assert (between, current(empty_url)) == (None, HEAD)
    assert asyncio.run(_add_a_run(empty_url)) == 1


def test_migrating_again_keeps_every_row(empty_url: str) -> None:
    migrate(empty_url)
    asyncio.run(_add_a_run(empty_url))

    migrate(empty_url)

    assert asyncio.run(_user_names(empty_url)) == ["root"]


def test_output_stored_before_its_size_was_kept_is_measured(empty_url: str) -> None:
    migrate(empty_url, "0007")
    asyncio.run(_add_output(empty_url, [b"12345", b"678"]))

    migrate(empty_url)

    assert asyncio.run(_stored_bytes(empty_url)) == [8]


def test_a_job_saved_before_there_was_a_default_policy_stays_trusted(empty_url: str) -> None:
    migrate(empty_url, "0019")
    asyncio.run(_add_a_version(empty_url))
    before = asyncio.run(_policies(empty_url))

    migrate(empty_url)

    assert before == [None, None]
    assert asyncio.run(_policies(empty_url)) == ["trusted", "trusted"]


def test_a_table_rebuilt_in_place_keeps_its_children(databases: Any, tmp_path: Path) -> None:
    url = databases.sqlite(tmp_path / "rebuilt.db")
    asyncio.run(_add_a_run(url))

    migrations._on_sqlite(tmp_path / "rebuilt.db", _rebuild_users)

    assert asyncio.run(_user_names(url)) == ["root"]
    with sqlite3.connect(tmp_path / "rebuilt.db") as file:
        assert file.execute("SELECT count(*) FROM executions").fetchone() == (1,)


def test_a_step_that_orphans_rows_is_undone(databases: Any, tmp_path: Path) -> None:
    url = databases.sqlite(tmp_path / "orphans.db")
    asyncio.run(_add_a_run(url))

    with pytest.raises(Unavailable, match="without their parents"):
        migrations._on_sqlite(tmp_path / "orphans.db", lambda c: c.exec_driver_sql("DELETE FROM users"))

    assert asyncio.run(_user_names(url)) == ["root"]


def test_daemons_that_migrate_at_once_do_not_disturb_each_other(empty_url: str) -> None:
    with ThreadPoolExecutor(4) as daemons:
        list(daemons.map(migrate, [empty_url] * 4))

    assert current(empty_url) == HEAD


def test_a_database_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        migrate(f"sqlite:///{tmp_path / 'no' / 'such' / 'directory.db'}")
    with pytest.raises(Unavailable):
        migrate(f"postgresql://postgres@/x?host={tmp_path}")


def _rebuild_users(connection: Connection) -> None:
    from alembic.operations import Operations
    from sqlalchemy import String

    operations = Operations(MigrationContext.configure(connection))
    with operations.batch_alter_table("users", recreate="always") as batch:
        batch.alter_column("name", type_=String(65))


async def _add_a_run(url: str) -> int:
    database = open_database(url)
    try:
        return await database.write(add_execution)
    finally:
        await database.close()


async def _add_a_version(url: str) -> None:
    database = open_database(url)
    version = {"job_id": "job0", "version": 1, "spec": {}, "author": "root", "message": "", "created_at": NOON}

    def work(connection: Connection) -> None:
        add_execution(connection)
        connection.execute(insert(metadata.tables["job_versions"]).values(**version))

    try:
        await database.write(work)
    finally:
        await database.close()


async def _policies(url: str) -> list[str | None]:
    """Return what the specs of the only job and its only version say."""
    database = open_database(url)
    tables = [metadata.tables[name] for name in ("jobs", "job_versions")]
    try:
        return [
            await database.read(lambda c, table=table: c.execute(select(table.c.spec)).scalar_one().get("policy"))
            for table in tables
        ]
    finally:
        await database.close()


async def _user_names(url: str) -> list[str]:
    database = open_database(url)
    try:
        return await database.read(lambda c: list(c.execute(select(UserRow.name)).scalars()))
    finally:
        await database.close()


async def _add_output(url: str, parts: list[bytes]) -> None:
    chunk = {"stream": "stdout", "start": 0, "size": 1, "first_line": 1, "lines": 1, "continues": False, "at": NOON}
    state = "INSERT INTO log_states (execution_id, lines, dropped_bytes, complete) VALUES (:run, 1, 0, true)"

    def work(connection: Connection) -> None:
        run = add_execution(connection)
        for seq, data in enumerate(parts):
            row = chunk | {"execution_id": run, "seq": seq, "data": data}
            connection.execute(insert(metadata.tables["log_chunks"]).values(**row))
        connection.execute(text(state), {"run": run})

    database = open_database(url)
    try:
        await database.write(work)
    finally:
        await database.close()


async def _stored_bytes(url: str) -> list[int]:
    database = open_database(url)
    try:
        return await database.read(lambda c: list(c.execute(text("SELECT stored_bytes FROM log_states")).scalars()))
    finally:
        await database.close()
