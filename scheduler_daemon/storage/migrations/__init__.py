"""Bring a database to the newest tables. Each script says one step; here is decided how a step is run safely.

All steps of one call share a transaction: a failure leaves the database as it was. Two daemons may call at once: the
second waits, and finds nothing left to do. The functions block; within an event loop call them through a thread.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from scheduler_daemon.domain.errors import Unavailable
from scheduler_daemon.storage.session import postgres_url, sqlite_engine, sqlite_path, unavailable

T = TypeVar("T")

_LOCK = 0x6368726F6E6F73
"""The key of the advisory lock that migrating daemons take on Postgres: "chronos" in ASCII."""


def migrate(url: str, revision: str = "head") -> None:
    """Upgrade, or downgrade when `revision` is older or "base". Raises Unavailable."""
    _within(url, lambda connection: _move(connection, revision))


def current(url: str) -> str | None:
    """Return the revision the database is at, or None when it is empty. Raises Unavailable."""
    return _within(url, lambda connection: MigrationContext.configure(connection).get_current_revision())


def config(connection: Connection | None = None) -> Config:
    """Return alembic's configuration; no ini file exists."""
    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    made.attributes["connection"] = connection
    return made


def _move(connection: Connection, revision: str) -> None:
    settings = config(connection)
    if revision == "base" or _is_behind(connection, settings, revision):
        command.downgrade(settings, revision)
    else:
        command.upgrade(settings, revision)


def _is_behind(connection: Connection, settings: Config, revision: str) -> bool:
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(settings)
    here = MigrationContext.configure(connection).get_current_revision()
    if here is None or revision == "head":
        return False
    below = {script.revision for script in scripts.iterate_revisions(here, "base")}
    return here != revision and revision in below


def _within(url: str, work: Callable[[Connection], T]) -> T:
    try:
        path = sqlite_path(url)
        return _on_sqlite(path, work) if path else asyncio.run(_on_postgres(postgres_url(url), work))
    except (DBAPIError, OSError, TimeoutError) as error:
        raise unavailable(error) from error


def _on_sqlite(path: Path, work: Callable[[Connection], T]) -> T:
    engine = sqlite_engine(path)
    try:
        with engine.connect().execution_options(writes=True) as connection:
            # A batch step copies and drops a table; with keys enforced the drop would delete its children's rows.
            # The pragma does nothing within a transaction, so it goes to the driver before one begins.
            driver: Any = connection.connection.driver_connection
            driver.execute("PRAGMA foreign_keys=OFF")
            with connection.begin():
                result = work(connection)
                _check_keys(connection)
            return result
    finally:
        engine.dispose()


def _check_keys(connection: Connection) -> None:
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchmany(5)
    if broken:
        places = ", ".join(f"{row[0]} row {row[1]} -> {row[2]}" for row in broken)
        raise Unavailable(f"the migration was undone: it would leave rows without their parents ({places})")


async def _on_postgres(url: str, work: Callable[[Connection], T]) -> T:
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import NullPool

    def locked(connection: Connection) -> T:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        return work(connection)

    engine = create_async_engine(url, poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(locked)
    finally:
        await engine.dispose()
