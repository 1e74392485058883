"""A log sink on a real database and files, with a clock that moves when told and a note of what was shown."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from scheduler_daemon.contract.executions import LogLine
from scheduler_daemon.domain.masks import Mask
from scheduler_daemon.engine.log_sink import LogSink
from scheduler_daemon.storage import executions, logs
from scheduler_daemon.storage.session import Database, open_database
from tests.support.databases import Databases
from tests.support.rows import NOON, add_execution

MIB = 1024 * 1024


class Bench:
    """A sink over a spool, a clock that moves when told, and what was shown."""

    def __init__(self, database: Database, spool: Path) -> None:
        self.database, self.spool, self.now = database, spool, NOON
        self.masks: dict[int, Mask] = {}
        self.shown: dict[int, list[LogLine]] = {}
        self.heard: list[int] = []
        self.sink = self.new_sink()

    def new_sink(self) -> LogSink:
        return LogSink(self.database, self.spool, self.publish, lambda: self.now, self.heard.extend, self.mask_of)

    async def mask_of(self, execution_id: int) -> Mask | None:
        return self.masks.get(execution_id)

    async def publish(self, news: Mapping[int, Sequence[LogLine]]) -> None:
        for execution_id, lines in news.items():
            self.shown.setdefault(execution_id, []).extend(lines)

    async def start(self, limit_bytes: int = 64 * MIB, mask: Mask | None = None) -> int:
        execution_id = await self.database.write(add_execution)
        (self.spool / str(execution_id)).mkdir(parents=True)
        self.write(execution_id, b"")
        self.write(execution_id, b"", "stderr")
        if mask is not None:
            self.masks[execution_id] = mask
        self.sink.follow(execution_id, limit_bytes=limit_bytes, mask=mask)
        return execution_id

    def write(self, execution_id: int, data: bytes, stream: str = "stdout") -> None:
        with (self.spool / str(execution_id) / stream).open("ab") as file:
            file.write(data)

    async def restart(self, execution_id: int, limit_bytes: int = 64 * MIB) -> None:
        self.sink.close()
        self.sink = self.new_sink()
        await self.sink.resume(execution_id, limit_bytes=limit_bytes)

    async def steps(self, seconds: float = 0) -> None:
        self.now += timedelta(seconds=seconds)
        while await self.sink.step():
            pass

    async def raw(self, execution_id: int, stream: str = "stdout") -> bytes:
        return await self.database.read(lambda db: b"".join(logs.raw(db, execution_id, stream)))

    async def said(self, execution_id: int) -> Any:
        row = await self.database.read(lambda db: executions.find(db, execution_id))
        assert row is not None
        return row.said

    async def lines(self, execution_id: int, **options: Any) -> list[LogLine]:
        return list((await self.database.read(lambda db: logs.read_lines(db, execution_id, **options))).lines)

    async def texts(self, execution_id: int, **options: Any) -> list[tuple[int, str]]:
        return [(line.number, line.text) for line in await self.lines(execution_id, **options)]


@pytest.fixture
async def bench(database: Database, tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(database, tmp_path / "spool")
    yield made
    made.sink.close()


@pytest.fixture
async def lite(databases: Databases, tmp_path: Path) -> AsyncIterator[Bench]:
    """A bench on SQLite, for what has nothing to do with the kind of database."""
    database = open_database(databases.sqlite(tmp_path / "lite.db"))
    made = Bench(database, tmp_path / "spool")
    yield made
    made.sink.close()
    await database.close()
