"""Transactions: one writer thread with group commit on SQLite, a pool on Postgres; the same synchronous work on both.

Work is a plain function of a connection, so a service is written once. It may be run again after a serialization
failure, so it does nothing but SQL. What the statements are is left to the other modules of this package.

What is committed outlives the daemon, however it ends. A power cut may cost SQLite its last moments (`synchronous` is
NORMAL: the file stays whole, but is not forced to the disk with each commit, which would hold up every fire and every
line of output); Postgres keeps what it is set to keep.
"""

import asyncio
import contextlib
import os
import queue
import sqlite3
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy import exc as sql_errors
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from scheduler_daemon.domain.errors import Unavailable
from scheduler_daemon.storage.pace import Pace
from scheduler_daemon.storage.types import from_json, to_json

T = TypeVar("T")
Work = Callable[[Connection], T]

GROUP_LIMIT = 256
"""Writes that may share one commit."""

NO_TROUBLE = (float("-inf"), "")

_BUSY_S = 5.0
"""How long a SQLite connection waits for another process's lock."""

_TRY_AGAIN = frozenset({"40001", "40P01"})
"""Postgres says: serialization failure, deadlock."""


class Database(Protocol):
    """Runs work in a transaction."""

    dialect: str
    trouble: tuple[float, str]
    """When (monotonic seconds) a write was last not taken, and why."""
    pace: Pace
    """How long commits take."""

    async def read(self, work: Work[T]) -> T:
        """Run `work` on a snapshot; its changes are rolled back. Raises Unavailable."""

    async def write(self, work: Work[T]) -> T:
        """Run `work` and return when it is committed. Raises Unavailable; what `work` raises undoes it alone."""

    async def close(self) -> None:
        """Finish what was begun and let the connections go."""


def open_database(url: str) -> Database:
    """Open `sqlite:////path` or `postgresql://…` (asyncpg is chosen for it). Connects with the first use."""
    path = sqlite_path(url)
    return SQLiteDatabase(path) if path else PostgresDatabase(postgres_url(url))


def sqlite_path(url: str) -> Path | None:
    """Return the file an SQLite URL names, or None where it names another database."""
    return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None


def postgres_url(url: str) -> str:
    """Return a Postgres URL with its driver named. Raises Unavailable for any other database."""
    scheme, _, rest = url.partition("://")
    if scheme in {"postgres", "postgresql", "postgresql+asyncpg"}:
        return f"postgresql+asyncpg://{rest}"
    raise Unavailable(f"cannot open the database {scheme!r}; use sqlite:////path or postgresql://user@host/name")


def sqlite_engine(path: Path) -> Engine:
    """Return an engine whose connections are set up for one writer and many readers. A new file is ours alone."""
    engine = create_engine(
        URL.create("sqlite", database=str(path)),  # a path may hold what means something in the text of a URL
        poolclass=QueuePool,
        pool_size=6,
        connect_args={"check_same_thread": False, "timeout": _BUSY_S},
        json_serializer=to_json,
        json_deserializer=from_json,
        hide_parameters=True,  # errors are logged, and what they would show may be secret
    )

    @event.listens_for(engine, "do_connect")
    def _keep_private(*_: Any) -> None:
        # Made here, or SQLite would let every account read it; its other files take their mode from this one. One that
        # is there must not even be opened: closing it would release the locks of our other connections.
        with contextlib.suppress(OSError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        _enter_wal(connection)
        for pragma in ("synchronous=NORMAL", "foreign_keys=ON", "journal_size_limit=67108864", "cache_size=-4096"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A deferred transaction that reads and then writes fails at once when another wrote in between, whatever
        # the timeout.
        immediate = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


def _enter_wal(connection: sqlite3.Connection) -> None:
    """Switch the file to a write-ahead log; SQLite does not wait by itself when others are doing the same."""
    deadline = time.monotonic() + _BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


@dataclass(slots=True, eq=False)
class _Write(Generic[T]):
    """Work that waits for the writer thread, and then what came of it."""

    work: Work[T]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[T]
    result: T | None = None
    failure: BaseException | None = None

    def settle(self) -> None:
        """Tell the caller; runs in its event loop."""
        if self.done.done():
            return
        if self.failure is not None:
            self.done.set_exception(self.failure)
        else:
            self.done.set_result(self.result)  # type: ignore[arg-type]  # T may be None


class SQLiteDatabase:
    """One daemon's file. Writes queue for the writer thread and share commits."""

    dialect = "sqlite"

    def __init__(self, path: Path) -> None:
        self.trouble = NO_TROUBLE
        self.pace = Pace()
        self._engine = sqlite_engine(path)
        self._queue: queue.SimpleQueue[_Write[Any] | None] = queue.SimpleQueue()
        self._readers = ThreadPoolExecutor(4, "sql-read")
        self._closed = False
        self._writer = threading.Thread(target=self._write_for_ever, name="sql-write", daemon=True)
        self._writer.start()

    async def read(self, work: Work[T]) -> T:
        """See Database."""
        self._must_be_open()
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    def _read(self, work: Work[T]) -> T:
        try:
            with self._engine.connect() as connection:
                return work(connection)
        except DBAPIError as error:
            raise unavailable(error) from error

    async def write(self, work: Work[T]) -> T:
        """See Database. Cancelling the caller stops work that was not begun, and no other."""
        self._must_be_open()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._queue.put(_Write(work, loop, done))
        return await done

    async def close(self) -> None:
        """See Database."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        await asyncio.to_thread(self._writer.join)
        self._readers.shutdown()
        self._engine.dispose()

    def _must_be_open(self) -> None:
        if self._closed:
            raise Unavailable("the database is closed; the daemon is stopping")

    def _write_for_ever(self) -> None:
        going_on = True
        while going_on:
            group: list[_Write[Any]] = []
            item = self._queue.get()
            while item is not None:
                group.append(item)
                if len(group) == GROUP_LIMIT or self._queue.empty():
                    break
                item = self._queue.get()
            going_on = item is not None
            self._commit([write for write in group if not write.done.cancelled()])

    def _commit(self, group: list[_Write[Any]]) -> None:
        if not group:
            return
        try:
            with (
                self._engine.connect().execution_options(writes=True) as connection,
                connection.begin() as transaction,
            ):
                for write in group:
                    _run(connection, write)
                with self.pace.measured():
                    transaction.commit()
        except BaseException as error:  # noqa: BLE001  # whatever it was, each caller must hear of it and the thread live
            failure = unavailable(error) if isinstance(error, DBAPIError | sqlite3.Error) else error
            if isinstance(failure, Unavailable):
                self.trouble = time.monotonic(), str(failure)
            for write in group:
                write.failure = Unavailable(str(failure)) if isinstance(failure, Unavailable) else failure
        _settle(group)


def _run(connection: Connection, write: _Write[Any]) -> None:
    """Run one work of a group in a savepoint of its own. Raises what makes the whole transaction worthless."""
    driver: Any = connection.connection.driver_connection  # ten times cheaper than Connection.begin_nested
    driver.execute("SAVEPOINT work")
    try:
        write.result = write.work(connection)
    except DBAPIError as error:
        write.failure = unavailable(error)
        if isinstance(write.failure, Unavailable) or not driver.in_transaction:
            raise  # the disk is full or the file is gone; SQLite may have rolled everything back by itself
        driver.execute("ROLLBACK TO work")
    except Exception as error:  # noqa: BLE001  # belongs to its caller alone
        write.failure = error
        traceback.clear_frames(error.__traceback__)  # a result half read there would forbid the release below
        driver.execute("ROLLBACK TO work")
    driver.execute("RELEASE work")


def _settle(group: list[_Write[Any]]) -> None:
    """Wake the callers, with one call for each event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Write[Any]]] = {}
    for write in group:
        by_loop.setdefault(write.loop, []).append(write)
    for loop, writes in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle_all, writes)
        except RuntimeError:  # the loop is closed: nobody waits any more
            continue


def _settle_all(writes: list[_Write[Any]]) -> None:
    for write in writes:
        write.settle()


class PostgresDatabase:
    """A server that several daemons may share."""

    dialect = "postgresql"

    def __init__(self, url: str) -> None:
        from asyncpg import PostgresError
        from sqlalchemy.ext.asyncio import create_async_engine

        self.trouble = NO_TROUBLE
        self.pace = Pace()
        self._engine = create_async_engine(
            url,
            pool_size=10,
            max_overflow=10,
            pool_pre_ping=True,
            isolation_level="READ COMMITTED",
            json_serializer=to_json,
            json_deserializer=from_json,
            hide_parameters=True,
        )
        self._snapshots = self._engine.execution_options(isolation_level="REPEATABLE READ")
        # A server that is starting or stopping answers the connection itself with an error SQLAlchemy does not wrap.
        self._gone = (DBAPIError, PostgresError, sql_errors.TimeoutError, OSError, TimeoutError)

    async def read(self, work: Work[T]) -> T:
        """See Database."""
        try:
            async with self._snapshots.connect() as connection:
                return await connection.run_sync(work)
        except self._gone as error:
            raise unavailable(error) from error

    async def write(self, work: Work[T]) -> T:
        """See Database. Work is run up to three times where the server asks for that."""
        for tries_left in (2, 1, 0):
            try:
                async with self._engine.connect() as connection, connection.begin() as transaction:
                    result = await connection.run_sync(work)
                    with self.pace.measured():
                        await transaction.commit()
                    return result
            except self._gone as error:
                if tries_left and getattr(getattr(error, "orig", None), "sqlstate", None) in _TRY_AGAIN:
                    continue
                failure = unavailable(error)
                if isinstance(failure, Unavailable):
                    self.trouble = time.monotonic(), str(failure)
                raise failure from error
        raise AssertionError("unreachable")

    async def close(self) -> None:
        """See Database."""
        await self._engine.dispose()


def unavailable(error: BaseException) -> Exception:
    """Return what callers see of a database error: Unavailable, or the error itself where it is our own mistake."""
    if isinstance(error, sql_errors.IntegrityError | sql_errors.ProgrammingError | sql_errors.DataError):
        return error
    cause = getattr(error, "orig", None) or error
    if isinstance(error, DBAPIError) and str(getattr(cause, "sqlstate", "")).startswith("22"):
        return sql_errors.DataError(error.statement, error.params, cause)  # asyncpg's own classes are not told apart
    if isinstance(error, DBAPIError) and getattr(cause, "sqlite_errorname", None) == "SQLITE_ERROR":
        return error  # no such table, a syntax error: SQLite files these under "operational"
    return Unavailable(f"the database does not answer: {cause}")
