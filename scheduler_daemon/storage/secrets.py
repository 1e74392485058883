"""Queries on secrets. A value that was replaced or taken away stays, sealed, while a run may still print it."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, func, or_, select, text, update

from scheduler_daemon.contract.people import Role
from scheduler_daemon.storage.executions import EXECUTIONS
from scheduler_daemon.storage.jobs import JOBS, USERS
from scheduler_daemon.storage.tables import metadata

SECRETS = metadata.tables["secrets"]
_VERSIONS = metadata.tables["job_versions"]

Record = Row[*tuple[Any, ...]]

_VIEW = select(SECRETS, USERS.c.name.label("owner")).join(USERS, USERS.c.id == SECRETS.c.owner_id)
_LIVING = SECRETS.c.replaced_at.is_(None)
KEPT_RETIRED = timedelta(days=1)
"""The output of a run is stored some time after its end."""
_ACTIVE = text("executions.ended_at IS NULL AND executions.state IN ('queued', 'starting', 'running')")


def all_of_them(db: Connection) -> list[Record]:
    """Return every living secret, by name."""
    return list(db.execute(_VIEW.where(_LIVING).order_by(SECRETS.c.name)))


def find(db: Connection, name: str, *, lock: bool = False) -> Record | None:
    """Return a living secret."""
    query = _VIEW.where(_LIVING, SECRETS.c.name == name)
    return db.execute(query.with_for_update(of=SECRETS) if lock else query).one_or_none()


def owners(db: Connection, names: Collection[str]) -> dict[str, int]:
    """Return the owners of those of these secrets that exist; nobody takes them away before we are done."""
    query = select(SECRETS.c.name, SECRETS.c.owner_id).where(_LIVING, SECRETS.c.name.in_(sorted(names)))
    return {row.name: row.owner_id for row in db.execute(query.with_for_update(read=True))}


def insert(db: Connection, values: Mapping[str, Any]) -> None:
    """Insert a value."""
    db.execute(SECRETS.insert(), values)


def retire(db: Connection, name: str, now: datetime) -> None:
    """Take the living value away; it stays for the masks of runs that may know it."""
    db.execute(update(SECRETS).where(_LIVING, SECRETS.c.name == name).values(replaced_at=now))


def forget_retired(db: Connection, now: datetime) -> None:
    """Delete the values that no run can have been given whose output may still be to be stored."""
    oldest = select(func.min(EXECUTIONS.c.queued_at)).where(_ACTIVE).scalar_subquery()
    long_ago = SECRETS.c.replaced_at < now - KEPT_RETIRED
    needless = and_(long_ago, or_(oldest.is_(None), SECRETS.c.replaced_at < oldest))
    db.execute(delete(SECRETS).where(and_(SECRETS.c.replaced_at.is_not(None), needless)))


def every_value(db: Connection) -> list[Record]:
    """Return every kept value."""
    return list(db.execute(select(SECRETS.c.id, SECRETS.c.key_id, SECRETS.c.sealed)))


def seal_anew(db: Connection, secret_id: str, key_id: str, sealed: bytes) -> None:
    """Replace how a value is sealed."""
    db.execute(update(SECRETS).where(SECRETS.c.id == secret_id).values(key_id=key_id, sealed=sealed))


def usable_by(db: Connection, job_id: str, names: Collection[str]) -> list[Record]:
    """Return the values of these names, retired too, that a job may use: those of its owner; an admin's job all."""
    query = (
        select(SECRETS)
        .select_from(JOBS)
        .join(USERS, USERS.c.id == JOBS.c.owner_id)
        .join(SECRETS, or_(SECRETS.c.owner_id == JOBS.c.owner_id, USERS.c.role == Role.ADMIN.value))
        .where(JOBS.c.id == job_id, SECRETS.c.name.in_(sorted(names)))
    )
    return list(db.execute(query))


def of_names(db: Connection, names: Collection[str]) -> list[Record]:
    """Return the values of these names, retired too, whoever may use them."""
    return list(db.execute(select(SECRETS).where(SECRETS.c.name.in_(sorted(names)))))


def of_run(db: Connection, execution_id: int) -> dict[str, str]:
    """Return which secrets the spec of a run names, by the variables they are given as."""
    query = (
        select(_VERSIONS.c.spec)
        .select_from(EXECUTIONS)
        .join(
            _VERSIONS, and_(_VERSIONS.c.job_id == EXECUTIONS.c.job_id, _VERSIONS.c.version == EXECUTIONS.c.job_version)
        )
        .where(EXECUTIONS.c.id == execution_id)
    )
    row = db.execute(query).one_or_none()
    return {} if row is None else row.spec.get("secrets") or {}


def users(db: Connection) -> dict[str, list[Record]]:
    """Return the living jobs that name secrets: name and owner_id, by name, by the names of the secrets."""
    named = JOBS.c.spec["secrets"]
    query = select(JOBS.c.name, JOBS.c.owner_id, named.label("secrets")).where(
        JOBS.c.deleted_at.is_(None), named.as_string().is_not(None), named.as_string() != "{}"
    )
    found: dict[str, list[Record]] = {}
    for row in db.execute(query.order_by(JOBS.c.name)):
        for name in sorted(set(row.secrets.values())):
            found.setdefault(name, []).append(row)
    return found
