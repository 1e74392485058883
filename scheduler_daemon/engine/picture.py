"""What the API asks of the live picture: sessions that hear it, searches, series. Redis errors become Unavailable."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from redis.asyncio import Redis

from scheduler_daemon.contract import channels
from scheduler_daemon.contract.insights import FailureSaid
from scheduler_daemon.contract.pages import Page
from scheduler_daemon.contract.people import Actor, Role
from scheduler_daemon.contract.system import LogChannel, Series, SeriesPoint, Session
from scheduler_daemon.domain.errors import Invalid, NotFound, Unavailable
from scheduler_daemon.engine.relay import FAILURES, Relay
from scheduler_daemon.live import alike, feed, keys, search, timeseries, usage
from scheduler_daemon.services.listing import owner_seen
from scheduler_daemon.storage import failures
from scheduler_daemon.storage.session import Database

_AT_ONCE = 500
SESSION_LIFETIME = timedelta(hours=12)


class LivePicture:
    """Answers over the relay's connection."""

    def __init__(self, relay: Relay, database: Database) -> None:
        self._relay = relay
        self._database = database

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[Redis]:
        try:
            yield self._relay.client
        except FAILURES as error:
            raise Unavailable(f"Redis does not answer: {error}") from error

    async def open_session(self, actor: Actor) -> Session:
        """Make a Redis account that hears the actor's channels and can do nothing else."""
        heard = _heard(actor)
        async with self._client() as client:
            session = await feed.open_session(client, heard, SESSION_LIFETIME, actor.id)
            epoch = await client.get(keys.EPOCH)
        return Session(
            id=session.username,
            actor=actor,
            redis_url=self._relay.url,
            username=session.username,
            password=session.password,
            channels=session.channels,
            epoch=str(epoch or ""),
        )

    async def close_session(self, actor: Actor, session_id: str) -> None:
        """Take the account away; a listener on it is cut off. Raises NotFound for a session of someone else."""
        _require_own(actor, session_id)
        async with self._client() as client:
            await feed.close_session(client, session_id)

    async def hear_log(self, actor: Actor, session_id: str, execution_id: int, last: int) -> LogChannel:
        """Let a session hear the lines of a run. Raises NotFound for one that has ended or is someone else's."""
        _require_own(actor, session_id)
        channel = channels.log(execution_id)
        async with self._client() as client:
            try:
                await feed.grant(client, session_id, channel)
            except ValueError:
                raise _ended() from None
        return LogChannel(channel=channel, last=last)

    async def search_jobs(
        self, actor: Actor, text: str, *, sort: str, limit: int, cursor: str | None, now: datetime
    ) -> Page[str]:
        """Return ids of a window of the jobs a filter finds, in order. Raises Invalid for a spoilt cursor."""
        name = sort.removeprefix("-")
        if name not in search.SORTS:
            raise Unavailable(f"the index does not sort by {name}")
        seen_by = None if actor.role is Role.ADMIN else _heard(actor)
        async with self._client() as client:
            try:
                found = await search.search(
                    client,
                    text,
                    now_ms=int(now.timestamp() * 1000),
                    sort=name,
                    descending=sort.startswith("-"),
                    limit=limit,
                    after=cursor,
                    seen_by=seen_by,
                )
            except ValueError as error:
                raise Invalid(f"{error}; begin the list again", field="cursor") from None
        return Page(items=list(found.ids), next=found.next, total=found.total)

    async def alike(self, actor: Actor, said: FailureSaid, most: int) -> list[tuple[int, float]]:
        """Return earlier failures of other patterns that say much the same, and how much, best first.

        What SQL has and the index has not, after it was lost say, is put into it first.
        """
        owner = owner_seen(actor)
        async with self._client() as client:
            lately = await self._database.read(lambda db: failures.latest_runs(db, alike.KEPT))
            known = await alike.kept(client)
            await alike.forget(client, known.difference(lately))
            missing = [run for run in lately if run not in known]
            for start in range(0, len(missing), _AT_ONCE):
                part = missing[start : start + _AT_ONCE]
                rows = await self._database.read(lambda db, part=part: failures.of_runs(db, part))  # type: ignore[misc]  # mypy cannot type the default
                await alike.keep(
                    client, [alike.Failure(row.execution_id, row.pattern_id, row.owner_id, row.vector) for row in rows]
                )
            one = alike.Failure(said.run_id, said.pattern_id, 0, said.vector)
            return await alike.nearest(client, one, seen_by=owner, most=most)

    async def series(self, job_id: str, metric: str, *, start: datetime, end: datetime, buckets: int) -> Series:
        """Return a metric of a job in at most `buckets` buckets."""
        first, last = (int(moment.timestamp() * 1000) for moment in (start, end))
        async with self._client() as client:
            points = await timeseries.series(
                client, job_id, metric, start_ms=first, end_ms=last, buckets=buckets, now_ms=last
            )
        return _series(metric, points)

    async def usage(self, execution_id: int, metric: str, *, start: datetime, end: datetime, buckets: int) -> Series:
        """Return what a run used while it ran, in at most `buckets` buckets."""
        first, last = (int(moment.timestamp() * 1000) for moment in (start, end))
        async with self._client() as client:
            found = await usage.series(client, execution_id, metric, start_ms=first, end_ms=last + 1, buckets=buckets)
        return _series(metric, found)


def _series(metric: str, points: Sequence[tuple[int, float]]) -> Series:
    return Series(
        metric=metric,
        points=tuple(SeriesPoint(at=datetime.fromtimestamp(at / 1000, UTC), value=value) for at, value in points),
    )


def _require_own(actor: Actor, session_id: str) -> None:
    if not feed.is_of(session_id, actor.id):
        raise _ended()


def _ended() -> NotFound:
    return NotFound("this session has ended; open another")


def _heard(actor: Actor) -> tuple[str, ...]:
    return (channels.ALL,) if actor.role is Role.ADMIN else (channels.user(actor.id),)
