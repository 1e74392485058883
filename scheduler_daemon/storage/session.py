"""Transactions: one writer thread with group commit on SQLite, a pool on Postgres; the same synchronous work on both.

Work is a plain function of a connection, so a service is written once. It may be run again after a serialization
failure, so it does nothing but SQL.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from scheduler_daemon.domain.errors import Unavailable

T = TypeVar("T")
Work = Callable[[Connection], T]

GROUP_LIMIT = 256
"""Writes that may share one commit."""


class Database(Protocol):
    """Runs work in a transaction."""

    dialect: str

    async def read(self, work: Work[T]) -> T:
        """Run `work` on a snapshot; its changes are rolled back. Raises Unavailable."""

    async def write(self, work: Work[T]) -> T:
        """Run `work` and return when it is committed. Raises Unavailable; what `work` raises undoes it alone."""

    async def close(self) -> None:
        """Finish what was begun and let the connections go."""


def sqlite_engine(path: Path) -> Engine:
    """Return an engine whose connections are set up for one writer and many readers."""
    engine = create_engine(
        f"sqlite:///{path}", poolclass=QueuePool, pool_size=6, connect_args={"check_same_thread": False, "timeout": 5.0}
    )

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        for pragma in (
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "busy_timeout=5000",
            "foreign_keys=ON",
            "journal_size_limit=67108864",
            "cache_size=-16384",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A deferred transaction that reads and then writes fails at once when another wrote between, whatever the timeout.
        immediate = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


class SQLiteDatabase:
    """One daemon's file. Writes queue for the writer thread and share commits."""

    dialect = "sqlite"

    def __init__(self, path: Path) -> None:
        self._engine = sqlite_engine(path)
        self._queue: queue.SimpleQueue[tuple[Work[Any], Future[Any]] | None] = queue.SimpleQueue()
        self._readers = ThreadPoolExecutor(4, "sql-read")
        self._closed = False
        self._writer = threading.Thread(target=self._write_for_ever, name="sql-write", daemon=True)
        self._writer.start()

    async def read(self, work: Work[T]) -> T:
        """See Database."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    def _read(self, work: Work[T]) -> T:
        try:
            with self._engine.connect() as connection:
                return work(connection)
        except DBAPIError as error:
            raise unavailable(error) from error

    async def write(self, work: Work[T]) -> T:
        """See Database."""
        if self._closed:
            raise Unavailable("the database is closed; the daemon is stopping")
        done: Future[T] = Future()
        self._queue.put((work, done))
        return await asyncio.wrap_future(done)

    async def close(self) -> None:
        """See Database."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        await asyncio.to_thread(self._writer.join)
        self._readers.shutdown()
        self._engine.dispose()

    def _write_for_ever(self) -> None:
        while True:
            first = self._queue.get()
            if first is None:
                return
            group = [first]
            stop = False
            while len(group) < GROUP_LIMIT and not self._queue.empty():
                item = self._queue.get()
                if item is None:
                    stop = True
                    break
                group.append(item)
            self._commit(group)
            if stop:
                return

    def _commit(self, group: list[tuple[Work[Any], Future[Any]]]) -> None:
        ended: list[tuple[Future[Any], Any, BaseException | None]] = []
        group = [item for item in group if item[1].set_running_or_notify_cancel()]
        if not group:
            return
        try:
            with self._engine.connect().execution_options(writes=True) as connection, connection.begin():
                ended = [self._one(connection, work, done, alone=len(group) == 1) for work, done in group]
        except BaseException as error:  # noqa: BLE001  # whatever it was, each caller must hear of it
            failure = unavailable(error) if isinstance(error, DBAPIError) else error
            for _work, done in group:
                done.set_exception(failure)
            return
        for done, result, failed in ended:
            if failed is None:
                done.set_result(result)
            else:
                done.set_exception(failed)

    @staticmethod
    def _one(
        connection: Connection, work: Work[Any], done: Future[Any], *, alone: bool
    ) -> tuple[Future[Any], Any, BaseException | None]:
        if alone:
            return done, work(connection), None
        try:
            with connection.begin_nested():
                return done, work(connection), None
        except OperationalError:
            raise  # the disk is full or the file is gone: nothing of the group can be trusted
        except (Exception, SQLAlchemyError) as error:  # noqa: BLE001  # belongs to its caller alone
            return done, None, error


class PostgresDatabase:
    """A server that several daemons may share."""

    dialect = "postgresql"

    def __init__(self, url: str) -> None:
        from sqlalchemy.ext.asyncio import create_async_engine

        self._engine = create_async_engine(url, pool_size=10, max_overflow=10, pool_pre_ping=True)

    async def read(self, work: Work[T]) -> T:
        """See Database."""
        try:
            async with self._engine.connect() as connection:
                return await connection.run_sync(work)
        except (DBAPIError, OSError, TimeoutError) as error:
            raise unavailable(error) from error

    async def write(self, work: Work[T]) -> T:
        """See Database."""
        for left in (2, 1, 0):
            try:
                async with self._engine.begin() as connection:
                    return await connection.run_sync(work)
            except DBAPIError as error:
                if left and getattr(error.orig, "sqlstate", None) in {"40001", "40P01"}:
                    continue
                raise unavailable(error) from error
            except (OSError, TimeoutError) as error:
                raise unavailable(error) from error
        raise AssertionError("unreachable")

    async def close(self) -> None:
        """See Database."""
        await self._engine.dispose()


def open_database(url: str) -> Database:
    """Open `sqlite:////path` or `postgresql://…` (asyncpg is chosen for it)."""
    if url.startswith("sqlite:///"):
        return SQLiteDatabase(Path(url.removeprefix("sqlite:///")))
    scheme, _, rest = url.partition("://")
    if scheme in {"postgres", "postgresql", "postgresql+asyncpg"}:
        return PostgresDatabase(f"postgresql+asyncpg://{rest}")
    raise Unavailable(f"cannot open the database {scheme!r}; use sqlite:////path or postgresql://user@host/name")


def unavailable(error: BaseException) -> Exception:
    """Return what callers see of a database error: Unavailable, or the error itself where it is our own mistake."""
    from sqlalchemy.exc import DataError, IntegrityError, ProgrammingError

    if isinstance(error, IntegrityError | ProgrammingError | DataError):
        return error
    cause = getattr(error, "orig", None) or error
    return Unavailable(f"the database does not answer: {cause}")
