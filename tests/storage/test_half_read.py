"""Work that fails with half a result read undoes itself and nothing else."""

import pytest
from sqlalchemy import insert

from scheduler_daemon.storage.session import Database
from scheduler_daemon.storage.tables import metadata

META = metadata.tables["meta"]


async def test_a_failure_between_two_rows_of_a_result_is_told_as_it_is(database: Database) -> None:
    def stumble(db):
        for key in db.execute(insert(META).returning(META.c.key), [{"key": "a", "value": ""}]).scalars():
            raise RuntimeError(f"stumbled over {key}")

    with pytest.raises(RuntimeError, match="stumbled over a"):
        await database.write(stumble)

    assert await database.read(lambda db: db.execute(META.select()).all()) == []
