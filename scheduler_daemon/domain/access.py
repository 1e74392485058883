"""Decide who may do what. One function; deny by default."""

from enum import StrEnum

from scheduler_daemon.contract.people import Actor, Role
from scheduler_daemon.domain.errors import NotAllowed


class Verb(StrEnum):
    """What can be asked."""

    VIEW = "view"
    RUN = "run"
    EDIT = "edit"
    ADMINISTER = "administer"


def can(actor: Actor, verb: Verb, owner_id: int | None = None) -> bool:
    """Whether the actor may do this to a thing of this owner (None: to the system)."""
    if actor.role is Role.ADMIN:
        return True
    if verb is Verb.VIEW or actor.role is Role.VIEWER:
        return verb is Verb.VIEW and owner_id == actor.id
    return verb in {Verb.RUN, Verb.EDIT} and owner_id == actor.id


def require_account(actor: Actor, account: str | None) -> None:
    """Raise NotAllowed unless the actor may have jobs run as a Unix account (None: as the daemon's own)."""
    if actor.role is not Role.ADMIN and account != actor.name:
        wanted = "the daemon's account" if account is None else repr(account)
        raise NotAllowed(f"{actor.name} may not run jobs as {wanted}; set the job's user to {actor.name!r}")


def require(actor: Actor, verb: Verb, owner_id: int | None = None) -> None:
    """Raise NotAllowed unless the actor may."""
    if not can(actor, verb, owner_id):
        raise NotAllowed(f"{actor.name} ({actor.role}) may not {verb} this; ask its owner or an admin")
