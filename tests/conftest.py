"""Fixtures that many tests share. Servers start once for a test run; every test has a database of its own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from scheduler_daemon.storage.session import Database, open_database
from tests.support.databases import Databases, PostgresServer, postgres_server

SHARED = Path(__file__).parents[2] / "shared"
"""Reference collections, which not every checkout has beside it."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what is left out; here, for in a run of several processes only this file is read by the one that reports."""
    if not SHARED.is_dir():
        terminalreporter.write_line(f"tests/reference is left out: there are no reference collections at {SHARED}")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A running Postgres; a test that stops it starts it again."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Databases:
    """A maker of migrated databases."""
    return Databases(tmp_path_factory.mktemp("databases"), lambda: request.getfixturevalue("postgres"))


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, databases: Databases, tmp_path: Path) -> Iterator[str]:
    """The URL of a migrated database, once for each kind."""
    if request.param == "sqlite":
        yield databases.sqlite(tmp_path / "chronos.db")
        return
    name, url = databases.postgres()
    yield url
    databases.drop(name)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A migrated database, once for each kind."""
    opened = open_database(database_url)
    yield opened
    await opened.close()
