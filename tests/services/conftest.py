"""Accounts of each role in a database of either kind."""

import pytest

from scheduler_daemon.contract.people import Actor, Role
from scheduler_daemon.storage.session import Database
from tests.support.world import add_actor


@pytest.fixture
async def admin(database: Database) -> Actor:
    """The first account."""
    return await database.write(lambda db: add_actor(db, "root", Role.ADMIN, uid=0))


@pytest.fixture
async def ada(database: Database, admin: Actor) -> Actor:
    """An account that may make jobs."""
    return await database.write(lambda db: add_actor(db, "ada", Role.USER, uid=1001))


@pytest.fixture
async def vic(database: Database, admin: Actor) -> Actor:
    """An account that may only look."""
    return await database.write(lambda db: add_actor(db, "vic", Role.VIEWER, uid=1002))
