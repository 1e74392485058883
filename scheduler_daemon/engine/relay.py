"""Carry what SQL has committed into the live picture, and make the picture anew when it is lost.

Redis may be down, flushed or replaced at any moment: events wait in SQL, jobs go on.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from scheduler_daemon.contract.executions import LogLine
from scheduler_daemon.domain.errors import ChronosError, Unavailable
from scheduler_daemon.engine.changes import Jobs, Runs, Told
from scheduler_daemon.engine.starts import Starts
from scheduler_daemon.live import feed, logs
from scheduler_daemon.live.embedded import RedisServer, open_redis
from scheduler_daemon.live.errors import LiveError, PictureMissing, RebuildInProgress
from scheduler_daemon.live.projection import picture_state, project
from scheduler_daemon.live.rebuild import Difference, differences, rebuild, repair
from scheduler_daemon.storage import events
from scheduler_daemon.storage.session import Database

log = logging.getLogger(__name__)

FEW, MANY = 50, 4000
"""Events shown at once, as they come; and looked at together where there are more, to show only where things stand."""
REST_EACH, REST = 0.001, 0.25
"""Seconds of rest after a few events, for each of them, and before many: what changes often has changed again then."""
RETRY = 1.0
"""Seconds between tries while Redis does not answer."""
FAILURES = (LiveError, RedisError, OSError, TimeoutError)


class Relay:
    """Keeps the picture equal to SQL."""

    def __init__(
        self,
        database: Database,
        state_dir: Path,
        url: str | None,
        *,
        keep: int,
        now: Callable[[], datetime],
        starts: Starts | None = None,
    ) -> None:
        self._database = database
        self._state_dir = state_dir
        self._url = url
        self._starts = starts or Starts()
        self._keep = keep
        self._now = now
        self._server: RedisServer | None = None
        self._told = Told(database)
        self._news = asyncio.Event()
        self._checked = False
        self.trouble = "not connected yet"
        """Why Redis is not in use; empty while it works."""

    @property
    def client(self) -> Redis:
        """The connection. Raises Unavailable while there is none."""
        if self._server is None or self.trouble:
            raise Unavailable(f"Redis does not answer: {self.trouble}")
        return self._server.client

    @property
    def url(self) -> str:
        """Where listeners connect, without credentials. Raises Unavailable."""
        _ = self.client
        assert self._server is not None
        return self._server.url

    def wake(self) -> None:
        """Something was committed."""
        self._news.set()

    async def open(self) -> None:
        """Find or start Redis and leave the picture as it is. Raises LiveError, RedisError or OSError."""
        self._server = await open_redis(self._state_dir, self._url)
        self.trouble = ""

    async def connect(self) -> None:
        """Find or start Redis and make sure that the picture is whole. Raises LiveError, RedisError or OSError."""
        if self._server is None:
            self._server = await open_redis(self._state_dir, self._url)
        elif await self._server.ensure():
            self._checked = False
        if not self._checked:
            state = await picture_state(self._server.client)
            if state == "absent":
                await self.rebuild()
            elif state == "doubtful":
                await self.reconcile()
            self._checked = True
        self.trouble = ""

    async def step(self, most: int = MANY) -> int:
        """Project the oldest waiting events; return how many there were."""
        rows = await self._database.read(lambda db: events.pending(db, most))
        if not rows:
            return 0
        changes = await self._told.changes(rows)
        assert self._server is not None
        try:
            applied = await project(self._server.client, changes, keep=self._keep)
        except PictureMissing:
            await self.rebuild()
            applied = await project(self._server.client, changes, keep=self._keep)
        for change, reason in applied.refused:
            log.error("the picture does not take %s %s: %s", change.kind, change.id, reason)
        await self._database.write(lambda db: events.done(db, [row.id for row in rows]))
        return len(rows)

    def _whole(self) -> tuple[Jobs, Runs]:
        """Return every job and the last runs of each, as SQL has them when they are read."""
        return Jobs(self._database), Runs(self._database, self._keep)

    async def rebuild(self) -> None:
        """Make the picture anew; another daemon that is at it does it for us."""
        assert self._server is not None
        self._told.forget()
        found, runs = self._whole()
        try:
            made = await rebuild(self._server.client, found, runs, keep=self._keep)
        except RebuildInProgress:
            log.info("another daemon rebuilds the picture")
            await asyncio.sleep(RETRY)
            raise
        log.info("rebuilt the picture: %d jobs, %d runs, epoch %s", made.jobs, made.executions, made.epoch)

    async def differences(self) -> list[Difference]:
        """Compare the picture with SQL."""
        return await differences(self.client, *self._whole())

    async def reconcile(self) -> list[Difference]:
        """Compare the picture with SQL and make it equal; return what differed."""
        assert self._server is not None
        self._told.forget()
        found, runs = self._whole()
        return await repair(self._server.client, found, runs, keep=self._keep)

    async def publish_lines(self, news: Mapping[int, Sequence[LogLine]]) -> None:
        """Show lines to those who watch runs; SQL has them already, so trouble is no loss."""
        if self._server is None or self.trouble:
            return
        try:
            await logs.append_all(self._server.client, {run: _plain(lines) for run, lines in news.items()})
        except FAILURES as error:
            log.debug("live lines of %d runs not shown: %s", len(news), error)

    async def run(self) -> None:
        """Project for ever."""
        while True:
            try:
                await self.connect()
                while True:
                    self._news.clear()
                    await self._catch_up()
                    await self._idle()
                    await self._starts.calm()
            except ChronosError as error:
                log.warning("the picture waits: %s", error.message)
                await asyncio.sleep(RETRY)
            except FAILURES as error:
                if not self.trouble:
                    log.warning("the live picture is off: %s", error)
                self.trouble = str(error) or type(error).__name__
                self._checked = False
                await asyncio.sleep(RETRY)

    async def _catch_up(self) -> None:
        shown = await self.step(FEW)
        while shown >= FEW:
            await asyncio.sleep(REST)
            await self._starts.calm()
            shown = await self.step()
        await asyncio.sleep(REST_EACH * shown)

    async def _idle(self) -> None:
        try:
            async with asyncio.timeout(feed.HEARTBEAT_SECONDS):
                await self._news.wait()
        except TimeoutError:
            assert self._server is not None
            if await picture_state(self._server.client) != "ready":
                raise PictureMissing("the picture is gone or was restarted") from None

    async def beat(self) -> None:
        """Repeat the last number of each channel for ever, so that a listener sees a lost tail; end stale sessions."""
        while True:
            await asyncio.sleep(feed.HEARTBEAT_SECONDS)
            if self._server is None or self.trouble:
                continue
            try:
                await feed.beat(self._server.client, self._now())
                await feed.reap_sessions(self._server.client)
            except FAILURES as error:
                log.debug("no heartbeat: %s", error)
                self._news.set()

    async def close(self, *, stop_server: bool) -> None:
        """Let Redis go; stop the embedded one if asked."""
        if self._server is None:
            return
        if stop_server:
            await self._server.stop()
        else:
            await self._server.close()


def _plain(lines: Sequence[LogLine]) -> list[dict[str, Any]]:
    return [line.model_dump(mode="json") for line in lines]
