"""Secrets: set, list, take away, and give to runs. Its owner and admins may; nobody reads a value back.

A job may use the secrets of its owner, an admin's job those of everyone.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from scheduler_daemon.contract.people import Actor, Role
from scheduler_daemon.contract.secrets import SecretPut, SecretView
from scheduler_daemon.domain import access
from scheduler_daemon.domain.access import Verb
from scheduler_daemon.domain.errors import Conflict, Invalid, NotFound, Unavailable
from scheduler_daemon.domain.masks import MIN_BYTES
from scheduler_daemon.services import record
from scheduler_daemon.storage import people, secrets
from scheduler_daemon.storage.vault import Sealed, Vault

MOST_LINES = 512
"""Of a value."""
MOST_WITHIN = 8
_NAMED = 10
"""Jobs named in a refusal at most."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a run is given at its start."""

    env: Mapping[str, str] = field(repr=False)
    values: frozenset[bytes] = field(repr=False)
    """Its secrets, those of before a change included: what its output must not show."""


def require(db: Connection, owner_id: int, role: Role, specs: Iterable[Mapping[str, str]]) -> None:
    """Raise Invalid where jobs of this owner would name a secret that is not there for them."""
    names = {name for spec in specs for name in spec.values()}
    if not names:
        return
    owners = secrets.owners(db, names)
    usable = {name for name, owner in owners.items() if owner == owner_id or role is Role.ADMIN}
    missing = sorted(names - usable)
    if missing:
        raise Invalid(
            f"there is no secret {missing[0]!r} that this job may use; "
            f"make it with `chronos secret set {missing[0]}`, or see them all with `chronos secret list`",
            field="secrets",
        )


def require_for(db: Connection, owner_id: int, names: Mapping[str, str]) -> None:
    """The same for a job that is there already."""
    if names:
        require(db, owner_id, people.role_of(db, owner_id), [names])


def page(db: Connection, actor: Actor) -> list[SecretView]:
    """Return every secret the actor may see, by name."""
    users = secrets.users(db)
    seen = (row for row in secrets.all_of_them(db) if access.can(actor, Verb.VIEW, row.owner_id))
    return [_view(actor, row, users.get(row.name, ())) for row in seen]


def put(
    db: Connection,
    actor: Actor,
    name: str,
    request: SecretPut,
    *,
    vault: Vault,
    now: datetime,
    new_id: Callable[[], str],
) -> SecretView:
    """Make a secret or give it another value, which runs get that start from now on.

    Raises NotAllowed, and Unavailable where there is no key to seal it with.
    """
    row = secrets.find(db, name, lock=True)
    access.require(actor, Verb.EDIT, row.owner_id if row else actor.id)
    require_apart(request.value.get_secret_value())
    secrets.retire(db, name, now)
    secrets.forget_retired(db, now)
    secret_id = new_id()
    sealed = vault.seal(secret_id, request.value.get_secret_value().encode())
    version = row.version + 1 if row else 1
    secrets.insert(
        db,
        {
            "id": secret_id,
            "name": name,
            "version": version,
            "owner_id": row.owner_id if row else actor.id,
            "key_id": sealed.key_id,
            "sealed": sealed.data,
            "created_at": row.created_at if row else now,
            "updated_at": now,
        },
    )
    record.act(db, actor, "secret.set", [(name, {"version": version})], now)
    made = secrets.find(db, name)
    assert made is not None
    return _view(actor, made, secrets.users(db).get(name, ()))


def require_apart(value: str, field: str = "value") -> None:
    """Refuse a value whose lines lie in one another: covering them would take for each byte as long as there are lines.

    Raises Invalid.
    """
    lines = sorted({line.strip() for line in value.splitlines() if len(line.strip()) >= MIN_BYTES}, key=len)
    if len(lines) > MOST_LINES:
        raise Invalid(f"a secret has at most {MOST_LINES} different lines; keep a longer text in a file", field=field)
    if any(sum(short in line for short in lines[:at]) > MOST_WITHIN for at, line in enumerate(lines)):
        raise Invalid(
            f"one line of the secret holds more than {MOST_WITHIN} others of its lines; keep such a text in a file",
            field=field,
        )


def delete(db: Connection, actor: Actor, name: str, now: datetime, *, force: bool) -> None:
    """Take a secret away; with `force` also one that jobs name, whose runs are refused from now on.

    Raises NotFound, NotAllowed, Conflict naming the jobs.
    """
    row = secrets.find(db, name, lock=True)
    if row is None or not access.can(actor, Verb.VIEW, row.owner_id):
        raise NotFound(f"there is no secret {name!r}; `chronos secret list` shows all")
    access.require(actor, Verb.EDIT, row.owner_id)
    users = secrets.users(db).get(name, [])
    if users and not force:
        seen = [repr(job.name) for job in users if access.can(actor, Verb.VIEW, job.owner_id)][:_NAMED]
        more = [f"{len(users) - len(seen)} more"] if len(users) > len(seen) else []
        raise Conflict(
            f"secret {name!r} is used by {', '.join(seen + more)}; take it out of these jobs first, "
            "or delete it with --force: their runs are then refused"
        )
    secrets.retire(db, name, now)
    secrets.forget_retired(db, now)
    record.act(db, actor, "secret.delete", [(name, {"version": row.version, "force": force})], now)


def given(db: Connection, vault: Vault, job_id: str, names: Mapping[str, str]) -> Given | str:
    """Return what a run of this job gets that names secrets by variables, or why it cannot have them."""
    rows = secrets.usable_by(db, job_id, set(names.values()))
    living = {row.name: row for row in rows if row.replaced_at is None}
    missing = sorted(set(names.values()) - living.keys())
    if missing:
        return f"secret {missing[0]!r} is not there for this job; set it with `chronos secret set {missing[0]}`"
    try:
        opened = {name: _opened(vault, row) for name, row in living.items()}
    except Unavailable as error:
        return f"a secret of this job cannot be opened: {error.message}"
    env = {variable: opened[name].decode() for variable, name in names.items()}
    return Given(env, frozenset(opened.values()) | _retired(vault, rows))


def known_to(db: Connection, vault: Vault, execution_id: int) -> frozenset[bytes]:
    """Return every value that a run may have been given. Raises Unavailable where one cannot be opened."""
    names = secrets.of_run(db, execution_id)
    if not names:
        return frozenset()
    rows = secrets.of_names(db, set(names.values()))
    if gone := set(names.values()) - {row.name for row in rows}:
        raise Unavailable(f"no value of secret {min(gone)!r} is kept any more")
    return frozenset(_opened(vault, row) for row in rows)


def seal_anew(db: Connection, vault: Vault) -> int:
    """Seal with the first key what another key sealed; return how many values. Raises Unavailable."""
    stale = [row for row in secrets.every_value(db) if vault.stale(row.key_id)]
    for row in stale:
        sealed = vault.seal(row.id, _opened(vault, row))
        secrets.seal_anew(db, row.id, sealed.key_id, sealed.data)
    return len(stale)


def _opened(vault: Vault, row: Any) -> bytes:
    return vault.open(row.id, Sealed(row.key_id, row.sealed))


def _retired(vault: Vault, rows: Collection[Any]) -> frozenset[bytes]:
    """Return former values as far as they open: a run is not refused for one it does not get."""
    found = set()
    for row in rows:
        if row.replaced_at is not None:
            try:
                found.add(_opened(vault, row))
            except Unavailable:
                continue
    return frozenset(found)


def _view(actor: Actor, row: Any, users: Iterable[Any]) -> SecretView:
    return SecretView(
        name=row.name,
        version=row.version,
        owner=row.owner,
        used_by=tuple(job.name for job in users if access.can(actor, Verb.VIEW, job.owner_id)),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
