"""Look up policies for the engine; nothing waits for the database where all of them are built in."""

from collections.abc import Collection
from functools import partial

from scheduler_daemon.contract.policies import BUILT_IN
from scheduler_daemon.services import policies
from scheduler_daemon.services.policies import Kept
from scheduler_daemon.storage.session import Database


async def current(database: Database, names: Collection[str]) -> dict[str, Kept]:
    """Return those of these policies that exist, by name, as they are now. Raises Unavailable."""
    if all(name in BUILT_IN for name in names):
        return {name: Kept(BUILT_IN[name], None) for name in names}
    return await database.read(partial(policies.named, names=names))
