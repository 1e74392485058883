"""Queries on policies that somebody here has made, their versions, and the jobs that have them."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, update

from scheduler_daemon.storage.jobs import JOBS, USERS
from scheduler_daemon.storage.tables import metadata

POLICIES = metadata.tables["policies"]
VERSIONS = metadata.tables["policy_versions"]

Record = Row[*tuple[Any, ...]]

_VIEW = select(POLICIES, USERS.c.name.label("owner")).join(USERS, USERS.c.id == POLICIES.c.owner_id)


def all_of_them(db: Connection) -> list[Record]:
    """Return every policy, by name."""
    return list(db.execute(_VIEW.order_by(POLICIES.c.name)))


def find(db: Connection, name: str, *, lock: bool = False) -> Record | None:
    """Return a policy; nobody uses it anew or changes a locked one before we are done."""
    query = _VIEW.where(POLICIES.c.name == name)
    return db.execute(query.with_for_update(of=POLICIES) if lock else query).one_or_none()


def by_name(db: Connection, names: Collection[str], *, hold: bool = False) -> dict[str, Record]:
    """Return name, version and spec of these by name; nobody deletes those on hold before we are done."""
    columns = (POLICIES.c.name, POLICIES.c.version, POLICIES.c.spec)
    query = select(*columns).where(POLICIES.c.name.in_(sorted(names))).order_by(POLICIES.c.name)
    return {row.name: row for row in db.execute(query.with_for_update(read=True) if hold else query)}


def latest_version(db: Connection, name: str) -> int:
    """Return the number of the last version saved under a name, also of a deleted policy; 0 for none."""
    query = select(func.max(VERSIONS.c.version)).where(VERSIONS.c.name == name)
    return db.execute(query).scalar_one() or 0


def insert(db: Connection, values: Mapping[str, Any]) -> None:
    """Insert a policy."""
    db.execute(POLICIES.insert(), values)


def save(db: Connection, name: str, version: int, values: Mapping[str, Any]) -> bool:
    """Change a policy that is at this version; False if it is not."""
    query = update(POLICIES).where(POLICIES.c.name == name, POLICIES.c.version == version)
    return db.execute(query.values(**values)).rowcount == 1


def add_version(db: Connection, values: Mapping[str, Any]) -> None:
    """Keep a saved policy for ever."""
    db.execute(VERSIONS.insert(), values)


def versions(db: Connection, name: str) -> list[Record]:
    """Return every saved version under a name, newest first, also of deleted policies."""
    return list(db.execute(select(VERSIONS).where(VERSIONS.c.name == name).order_by(VERSIONS.c.version.desc())))


def remove(db: Connection, name: str) -> None:
    """Delete a policy; its versions stay, to explain the past."""
    db.execute(delete(POLICIES).where(POLICIES.c.name == name))


_POLICY = JOBS.c.spec["policy"].as_string()


def users(db: Connection, name: str) -> list[Record]:
    """Return the living jobs that have a policy: name, owner_id and spec, by name."""
    query = select(JOBS.c.name, JOBS.c.owner_id, JOBS.c.spec).where(JOBS.c.deleted_at.is_(None), name == _POLICY)
    return list(db.execute(query.order_by(JOBS.c.name)))


def named_users(db: Connection, names: Collection[str]) -> dict[str, list[Record]]:
    """Return the living jobs of these policies: name and owner_id, by name, by the names of the policies."""
    found: dict[str, list[Record]] = {}
    if names:
        query = select(JOBS.c.name, JOBS.c.owner_id, _POLICY.label("policy"))
        wanted = query.where(JOBS.c.deleted_at.is_(None), _POLICY.in_(sorted(names)))
        for row in db.execute(wanted.order_by(JOBS.c.name)):
            found.setdefault(row.policy, []).append(row)
    return found
