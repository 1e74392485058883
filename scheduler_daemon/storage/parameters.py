"""Queries on what runs were told."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from scheduler_daemon.storage.bulk import among
from scheduler_daemon.storage.tables import metadata

RUN_PARAMETERS = metadata.tables["run_parameters"]

Record = Row[*tuple[Any, ...]]


def keep(
    db: Connection, execution_id: int, given: Mapping[str, str | None], key_id: str | None, sealed: bytes | None
) -> None:
    """Write down what a run was told, by its first attempt."""
    values = {"execution_id": execution_id, "given": given, "key_id": key_id, "sealed": sealed}
    db.execute(insert(RUN_PARAMETERS), values)


def of_runs(db: Connection, first_ids: Collection[int]) -> dict[int, Record]:
    """Return what these runs were told, by their first attempts; nothing for those that took the defaults."""
    if not first_ids:
        return {}
    rows = db.execute(select(RUN_PARAMETERS).where(among(db, RUN_PARAMETERS.c.execution_id, first_ids)))
    return {row.execution_id: row for row in rows}


def every_sealed(db: Connection) -> list[Record]:
    """Return every run that was told a secret."""
    query = select(RUN_PARAMETERS.c.execution_id, RUN_PARAMETERS.c.key_id, RUN_PARAMETERS.c.sealed)
    return list(db.execute(query.where(RUN_PARAMETERS.c.sealed.is_not(None))))


def seal_anew(db: Connection, execution_id: int, key_id: str, sealed: bytes) -> None:
    """Replace how the secrets of a run are sealed."""
    this = RUN_PARAMETERS.c.execution_id == execution_id
    db.execute(update(RUN_PARAMETERS).where(this).values(key_id=key_id, sealed=sealed))
