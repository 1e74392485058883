"""What a route needs: who asks, and one transaction for what is asked."""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header, Query, Request
from sqlalchemy import Connection

from scheduler_daemon.contract.costs import Prices
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.contract.policies import STANDARD
from scheduler_daemon.domain.errors import Conflict, Invalid, NotAllowed
from scheduler_daemon.ports import Engine, Picture
from scheduler_daemon.services import people as people_services
from scheduler_daemon.services.claude import Desk
from scheduler_daemon.services.fires import Holder
from scheduler_daemon.settings import ClaudeSettings
from scheduler_daemon.storage import meta
from scheduler_daemon.storage.session import Database
from scheduler_daemon.storage.vault import Vault

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Context:
    """The parts of the daemon that routes use. Made in wiring."""

    database: Database
    engine: Engine
    picture: Picture
    holder: Holder
    state_dir: str
    token: str
    """What a request over TCP must bear; over the Unix socket the kernel says who asks."""
    vault: Vault
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    default_policy: str = STANDARD.name
    """Of new jobs that name none."""
    prices: Prices = field(default_factory=Prices)
    desk: Desk = field(default_factory=lambda: Desk(ClaudeSettings(), has_key=False))


class Ask:
    """One request: its actor is looked up in the transaction that does what is asked."""

    def __init__(self, request: Request) -> None:
        self.context: Context = request.app.state.context
        self._uid = _peer_uid(request, self.context.token)

    def actor(self, db: Connection) -> Actor:
        """Return who asks. Raises NotAllowed for a Unix account without an account here."""
        return people_services.sign_in(db, self._uid)

    async def read(self, work: Callable[[Connection, Actor], T]) -> T:
        """Run `work(connection, actor)` on a snapshot."""
        return await self.context.database.read(lambda db: work(db, self.actor(db)))

    async def write(self, work: Callable[[Connection, Actor], T]) -> T:
        """Run `work(connection, actor)` and commit it."""
        return await self.context.database.write(lambda db: work(db, self.actor(db)))


def _peer_uid(request: Request, token: str) -> int | None:
    peer = request.scope.get("extensions", {}).get("chronos.peer")
    if peer:
        return int(peer["uid"])
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token and secrets.compare_digest(given.encode(), token.encode()):
        return None
    raise NotAllowed("over TCP a request must bear the token of the daemon's `token` file: Authorization: Bearer …")


FIRST_YEAR, LAST_YEAR = 1970, 9000
"""Instants beyond have no local time in some zones, and no cron fires there."""

Asked = Annotated[Ask, Depends(Ask)]
Limit = Annotated[int, Query(ge=1, le=1000)]


@dataclass(frozen=True, slots=True)
class Once:
    """A request that may be sent again: the second gets the first's answer.

    What is kept is a digest of the request that takes the key to make, and one of the key: nobody can try there whether
    he has guessed a secret that was in the request.
    """

    key: str | None
    digest: str

    @property
    def name(self) -> str:
        """Under which the answer is kept."""
        return hashlib.sha256((self.key or "").encode()).hexdigest()

    def run(
        self, db: Connection, actor: Actor, now: datetime, status: int, work: Callable[[], dict[str, Any]]
    ) -> tuple[int, dict[str, Any], bool]:
        """Return (status, body, whether it was done now). Raises Conflict for a key used for another request."""
        if self.key is None:
            return status, work(), True
        kept = meta.answer(db, actor.name, self.name)
        if kept is not None:
            if kept[0] != self.digest:
                raise Conflict(f"Idempotency-Key {self.key!r} was used for another request; choose a new one")
            return kept[1], kept[2], False
        body = work()
        meta.keep_answer(db, actor=actor.name, key=self.name, digest=self.digest, status=status, body=body, at=now)
        return status, body, True


async def _once(request: Request, idempotency_key: Annotated[str | None, Header(max_length=200)] = None) -> Once:
    material = f"{request.method} {request.url.path}?{request.url.query}\n".encode() + await request.body()
    return Once(idempotency_key, hmac.digest((idempotency_key or "").encode(), material, "sha256").hex())


OnlyOnce = Annotated[Once, Depends(_once)]


def instant(text: str | None, field: str) -> datetime | None:
    """Read an ISO 8601 instant with an offset. Raises Invalid."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Invalid(f"{field} {text!r} is no ISO 8601 instant, such as 2026-05-01T08:00:00Z", field=field) from None
    if moment.tzinfo is None:
        raise Invalid(f"{field} {text!r} has no offset; end it with Z or +02:00", field=field)
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise Invalid(f"{field} {text!r} lies outside the years {FIRST_YEAR} to {LAST_YEAR}", field=field)
    return moment
