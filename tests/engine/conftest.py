"""Rigs on a database of either kind."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from scheduler_daemon.contract.people import Actor, Role
from scheduler_daemon.storage.session import Database
from tests.support.redis import redis, redis_server, redis_state
from tests.support.rig import Rig
from tests.support.world import add_actor

__all__ = ["redis", "redis_server", "redis_state"]


@pytest.fixture
async def admin(database: Database) -> Actor:
    """The first account."""
    return await database.write(lambda db: add_actor(db, "root", Role.ADMIN, uid=0))


@pytest.fixture
def rig(database: Database) -> Rig:
    """A ticker that may start as much as it likes."""
    return Rig(database, max_active=10**9)


@pytest.fixture
def rigged(database: Database) -> Callable[[int], Rig]:
    """A ticker that may start as much at once as the test says."""
    return lambda max_active: Rig(database, max_active)


@pytest.fixture
def early_rig(database: Database) -> Rig:
    """A ticker that prepares fires a second ahead, for ten runs at once."""
    return Rig(database, max_active=10, lead=timedelta(seconds=1))
