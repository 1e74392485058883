"""Accounts: the first admin, and who a Unix account is here."""

import pwd
from datetime import datetime

from sqlalchemy import Connection

from scheduler_daemon.contract.people import Actor, Role
from scheduler_daemon.domain.errors import NotAllowed
from scheduler_daemon.services import record
from scheduler_daemon.storage import people


def ensure_admin(db: Connection, uid: int, now: datetime) -> Actor:
    """Make the Unix account that started the daemon an admin if it has no account yet, and return that account."""
    found = people.by_uid(db, uid, disabled=True)
    if found is None:
        name = account_name(uid)
        user_id = people.add_user(db, name=name, role=Role.ADMIN, uid=uid, now=now)
        actor = Actor(id=user_id, name=name, role=Role.ADMIN)
        record.act(db, actor, "user.create", [(str(user_id), {"name": name, "uid": uid})], now)
        return actor
    return Actor(id=found.id, name=found.name, role=Role(found.role))


def sign_in(db: Connection, uid: int | None) -> Actor:
    """Return the account of a Unix uid; None, who bears the daemon's token, is its first admin. Raises NotAllowed."""
    found = people.first_admin(db) if uid is None else people.by_uid(db, uid)
    if found is None:
        raise NotAllowed(
            f"the Unix account {account_name(uid)!r} (uid {uid}) has no account here; ask an admin for one"
        )
    return Actor(id=found.id, name=found.name, role=Role(found.role))


def account_name(uid: int | None) -> str:
    """Return the name of a Unix account; its number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name if uid is not None else "unknown"
    except KeyError:
        return f"uid{uid}"
