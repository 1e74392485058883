"""Policies of one's own: make, see, change, delete, and hold jobs against them.

Everyone sees and uses one, but for those that are for admins. Its owner may change it as long as it grants no more than
the policy it is based on, or than it did; what grants more is for an admin to save, and so is any loosening of what
keeps other people's jobs apart.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from pydantic import ValidationError
from sqlalchemy import Connection

from scheduler_daemon.contract.jobs import JobSpec
from scheduler_daemon.contract.people import Actor, Role
from scheduler_daemon.contract.policies import (
    BUILT_IN,
    CustomPolicy,
    PolicyCreate,
    PolicyPatch,
    PolicySpec,
    PolicyVersion,
)
from scheduler_daemon.domain import access
from scheduler_daemon.domain.access import Verb
from scheduler_daemon.domain.errors import Conflict, Invalid, NotAllowed, NotFound
from scheduler_daemon.domain.isolation import resolve, unknown
from scheduler_daemon.domain.policies import changed, looser, privileges
from scheduler_daemon.services import record
from scheduler_daemon.storage import policies

_NAMED = 10
"""Jobs named in a refusal at most."""
_SHOWN = 50
"""Jobs named in a view at most."""


class Kept(NamedTuple):
    """A policy as it is now; `version` is None for one that is built in."""

    policy: PolicySpec
    version: int | None


class Shown(NamedTuple):
    """A policy and what is known of it if it was made here."""

    policy: PolicySpec
    custom: CustomPolicy | None


def named(db: Connection, names: Collection[str], *, hold: bool = False) -> dict[str, Kept]:
    """Return those of these policies that exist, by name. On hold, nobody deletes them before the transaction ends."""
    found = {name: Kept(BUILT_IN[name], None) for name in names if name in BUILT_IN}
    others = set(names) - found.keys()
    rows = policies.by_name(db, others, hold=hold) if others else {}
    return found | {name: Kept(_policy(row), row.version) for name, row in rows.items()}


def require(db: Connection, actor: Actor, specs: Sequence[JobSpec]) -> None:
    """Raise Invalid for a job whose policy does not exist or grants less than it asks for, NotAllowed for an admin's.

    Nobody deletes the policies before the transaction ends.
    """
    kept = named(db, {spec.policy for spec in specs}, hold=True)
    for spec in specs:
        if spec.policy not in kept:
            raise unknown(spec.policy)
        policy = kept[spec.policy].policy
        if policy.admins_only and actor.role is not Role.ADMIN:
            raise NotAllowed(f"only an admin may save a job of policy {policy.name!r}; ask one, or choose another")
        resolve(policy, spec)


def require_default(db: Connection, name: str) -> None:
    """Raise Invalid if the policy of jobs that name none does not exist."""
    if name not in named(db, [name]):
        raise Invalid(
            f"CHRONOS_DEFAULT_POLICY: there is no policy {name!r}; choose {', '.join(BUILT_IN)}, or one that you have "
            "made before",
            field="engine.default_policy",
        )


def own(db: Connection) -> list[PolicySpec]:
    """Return the policies that somebody here has made, by name."""
    return [_policy(row) for row in policies.all_of_them(db)]


def page(db: Connection, actor: Actor) -> list[Shown]:
    """Return every policy, the built-in ones first."""
    rows = policies.all_of_them(db)
    users = policies.named_users(db, [row.name for row in rows])
    made = [Shown(_policy(row), _custom(actor, row, users.get(row.name, ()))) for row in rows]
    return [*(Shown(policy, None) for policy in BUILT_IN.values()), *made]


def show(db: Connection, actor: Actor, name: str) -> Shown:
    """Return a policy. Raises NotFound."""
    if name in BUILT_IN:
        return Shown(BUILT_IN[name], None)
    row = policies.find(db, name)
    if row is None:
        raise _not_found(name)
    return Shown(_policy(row), _custom(actor, row, policies.users(db, name)))


def create(db: Connection, actor: Actor, request: PolicyCreate, now: datetime) -> Shown:
    """Make a policy. Raises Conflict for a name that is taken, Invalid, NotAllowed."""
    access.require(actor, Verb.EDIT, actor.id)
    name = request.name
    if name in BUILT_IN or policies.find(db, name) is not None:
        raise Conflict(f"a policy named {name!r} exists already; choose another name, or edit that one")
    base = named(db, {request.based_on}).get(request.based_on)
    if base is None:
        raise Invalid(unknown(request.based_on).message, field="based_on")
    plain = base.policy.model_copy(update={"name": name, "description": ""})
    policy = changed(plain, request.changes)
    more = _require_may(actor, policy, base.policy)
    if more and "admins_only" not in request.changes:
        policy = policy.model_copy(update={"admins_only": True})
    version = policies.latest_version(db, name) + 1
    values = {"version": version, "spec": policy.model_dump(mode="json"), "updated_at": now}
    facts = {"based_on": request.based_on, "owner_id": actor.id, "created_at": now}
    policies.insert(db, values | facts | {"name": name})
    message = request.message or f"made from {request.based_on}"
    _add_version(db, policy, version, actor, message, now)
    detail = {"version": version, "based_on": request.based_on, "looser": more, "message": message}
    record.act(db, actor, "policy.create", [(name, detail)], now)
    return show(db, actor, name)


def edit(db: Connection, actor: Actor, name: str, patch: PolicyPatch, now: datetime) -> Shown:
    """Save a new version, which holds for all runs that start from now on. Raises NotFound, NotAllowed, Conflict."""
    row = _own(db, actor, name)
    if row.version != patch.version:
        raise Conflict(
            f"policy {name!r} is at version {row.version} and your change was made to version {patch.version}; "
            "read it again and repeat the change"
        )
    before = _policy(row)
    policy = changed(before, patch.changes)
    if policy == before:
        return show(db, actor, name)
    base = _base(db, row)
    more = _require_may(actor, policy, base, before)
    first = more and not (looser(before, base) or privileges(before))  # later ones leave it as it was opened
    if first and "admins_only" not in patch.changes:
        policy = policy.model_copy(update={"admins_only": True})
    users = policies.users(db, name)
    _require_alone(actor, policy, before, users)
    version = row.version + 1
    values = {"version": version, "spec": policy.model_dump(mode="json"), "updated_at": now}
    if not policies.save(db, name, row.version, values):
        raise Conflict(f"policy {name!r} was changed by someone else at this moment; read it again")
    message = patch.message or "edited"
    _add_version(db, policy, version, actor, message, now)
    fields = sorted(field for field in PolicySpec.model_fields if getattr(policy, field) != getattr(before, field))
    detail = {"version": version, "changed": fields, "looser": more, "message": message}
    record.act(db, actor, "policy.edit", [(name, detail)], now)
    shown = show(db, actor, name)
    unfit = _unfit(actor, policy, users)
    return shown._replace(custom=shown.custom and shown.custom.model_copy(update={"unfit": unfit}))


def delete(db: Connection, actor: Actor, name: str, now: datetime, *, default: str = "") -> None:
    """Delete a policy that no job has and that is not the default. Raises NotFound, NotAllowed, Conflict."""
    row = _own(db, actor, name)
    if name == default:
        raise Conflict(
            f"policy {name!r} is what new jobs get; start the daemon with another CHRONOS_DEFAULT_POLICY first"
        )
    users = policies.users(db, name)
    if users:
        seen = [repr(job.name) for job in users if access.can(actor, Verb.VIEW, job.owner_id)][:_NAMED]
        more = [f"{len(users) - len(seen)} more"] if len(users) > len(seen) else []
        raise Conflict(f"policy {name!r} is used by {', '.join(seen + more)}; give these jobs another policy first")
    policies.remove(db, name)
    record.act(db, actor, "policy.delete", [(name, {"version": row.version})], now)


def history(db: Connection, name: str) -> list[PolicyVersion]:
    """Return every saved version of a policy, newest first, also of one that is deleted. Raises NotFound."""
    if name in BUILT_IN:
        raise NotFound(f"policy {name!r} is built in and has no versions; it changes with the program alone")
    rows = policies.versions(db, name)
    if not rows:
        raise _not_found(name)
    return [
        PolicyVersion(
            version=row.version,
            policy=_policy(row),
            author=row.author,
            message=row.message,
            created_at=row.created_at,
        )
        for row in rows
    ]


def _own(db: Connection, actor: Actor, name: str) -> Any:
    """Return the row of a policy that the actor may change, locked."""
    if name in BUILT_IN:
        raise Conflict(
            f"policy {name!r} is built in and stays as it is; make one of your own with "
            f"`chronos policy create NAME --from {name}`"
        )
    row = policies.find(db, name, lock=True)
    if row is None:
        raise _not_found(name)
    access.require(actor, Verb.EDIT, row.owner_id)
    return row


def _base(db: Connection, row: Any) -> PolicySpec:
    """Return what a policy was made from, as it is now, or as it last was."""
    base = named(db, {row.based_on}).get(row.based_on)
    return base.policy if base else _policy(policies.versions(db, row.based_on)[0])


def _require_may(actor: Actor, policy: PolicySpec, base: PolicySpec, before: PolicySpec | None = None) -> list[str]:
    """Return in which fields a policy grants more than its base. Raises NotAllowed where that is not the actor's."""
    more = list(dict.fromkeys([*looser(policy, base), *privileges(policy)]))
    new = looser(policy, before) if before else more
    if more and new and actor.role is not Role.ADMIN:
        raise NotAllowed(
            f"policy {policy.name!r} would grant more than {base.name!r} ({', '.join(more)}), which an admin alone "
            "may save; take that out, or ask one"
        )
    return more


def _require_alone(actor: Actor, policy: PolicySpec, before: PolicySpec, users: Iterable[Any]) -> None:
    """Raise NotAllowed where a policy would keep jobs of other people less apart than they count on."""
    more = looser(policy, before)
    if more and actor.role is not Role.ADMIN and any(job.owner_id != actor.id for job in users):
        raise NotAllowed(
            f"policy {policy.name!r} would grant more than it did ({', '.join(more)}) to jobs that are not yours, "
            "which an admin alone may save; make another policy, or ask one"
        )


def _unfit(actor: Actor, policy: PolicySpec, users: Iterable[Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for job in users:
        try:
            resolve(policy, JobSpec.model_validate(job.spec))
        except (Invalid, ValidationError) as error:
            name = job.name if access.can(actor, Verb.VIEW, job.owner_id) else "a job of someone else"
            found[name] = getattr(error, "message", str(error))
    return found


def _add_version(db: Connection, policy: PolicySpec, version: int, actor: Actor, message: str, now: datetime) -> None:
    kept = {"name": policy.name, "version": version, "spec": policy.model_dump(mode="json")}
    policies.add_version(db, kept | {"author": actor.name, "message": message, "created_at": now})


def _policy(row: Any) -> PolicySpec:
    return PolicySpec.model_validate(row.spec)


def _custom(actor: Actor, row: Any, users: Collection[Any]) -> CustomPolicy:
    seen = [job.name for job in users if access.can(actor, Verb.VIEW, job.owner_id)]
    return CustomPolicy(
        version=row.version,
        based_on=row.based_on,
        owner=row.owner,
        jobs=len(users),
        used_by=tuple(seen[:_SHOWN]),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _not_found(name: str) -> NotFound:
    return NotFound(f"there is no policy {name!r}; `chronos policy list` shows all")
