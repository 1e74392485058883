"""The output of runs: compressed chunks, exactly as written, and the lines in them.

Chunks are stored in order; what they hold is the only record of how far a log was read. How bytes become numbered
lines is domain.lines' business; when a chunk is made is the log sink's.
"""

import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Connection, func, insert, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from scheduler_daemon.contract.executions import LogLine, LogPage
from scheduler_daemon.domain.job_lines import NOTHING, Said, from_document
from scheduler_daemon.domain.lines import NO_LINE, Chunk, OpenLine, Text, assemble
from scheduler_daemon.storage.session import Database
from scheduler_daemon.storage.tables import metadata

STREAMS = ("stdout", "stderr")

_CHUNKS = metadata.tables["log_chunks"]
_STATES = metadata.tables["log_states"]
_EXECUTIONS = metadata.tables["executions"]
_C = _CHUNKS.c

_FETCH_BYTES = 2 * 1024 * 1024
"""Compressed bytes fetched at once while reading."""


@dataclass(frozen=True, slots=True)
class StoredStream:
    """How far one stream is stored."""

    end: int = 0
    """Offset behind the last stored byte."""
    open_line: OpenLine = NO_LINE
    open_bytes: bytes = b""
    """What is stored of the open line."""


@dataclass(frozen=True, slots=True)
class StoredLog:
    """How far a run's log is stored."""

    next_seq: int = 0
    lines: int = 0
    """Numbers given to lines so far."""
    last_line: int = 0
    """The highest number in a stored chunk."""
    dropped_bytes: int = 0
    complete: bool = False
    said: Said = NOTHING
    """What the run has said of itself in it."""
    streams: dict[str, StoredStream] = field(default_factory=dict)


def pack(data: bytes) -> bytes:
    """Return what a chunk keeps of its bytes."""
    return zlib.compress(data, 1)


def append(db: Connection, chunks: Sequence[dict[str, Any]], states: Sequence[dict[str, Any]]) -> None:
    """Add chunks of any number of runs and bring their states up to date.

    A chunk that is there already raises IntegrityError: another daemon follows the same run.
    """
    if chunks:
        db.execute(insert(_CHUNKS), chunks)
    if states:
        dialect = sqlite if db.dialect.name == "sqlite" else postgresql
        statement = dialect.insert(_STATES)
        changed = {name: statement.excluded[name] for name in ("lines", "dropped_bytes", "complete")}
        changed["stored_bytes"] = _STATES.c.stored_bytes + statement.excluded.stored_bytes
        sizes = Counter[int]()
        for chunk in chunks:
            sizes[chunk["execution_id"]] += len(chunk["data"])
        rows = [state | {"stored_bytes": sizes[state["execution_id"]]} for state in states]
        db.execute(statement.on_conflict_do_update(index_elements=["execution_id"], set_=changed), rows)


def line_count(db: Connection, execution_id: int) -> int:
    """Return how many numbers the lines of a run's log have been given."""
    return db.execute(select(_STATES.c.lines).where(_STATES.c.execution_id == execution_id)).scalar_one_or_none() or 0


def stored(db: Connection, execution_id: int) -> StoredLog:
    """Return how far a run's log is stored; nothing where it has none."""
    state = db.execute(select(_STATES).where(_STATES.c.execution_id == execution_id)).first()
    newest = func.max(_C.seq), func.max(_C.first_line + _C.lines - 1)
    seq, last = db.execute(select(*newest).where(_C.execution_id == execution_id)).one()
    return StoredLog(
        next_seq=0 if seq is None else seq + 1,
        lines=max(last or 0, state.lines if state else 0),
        last_line=last or 0,
        dropped_bytes=state.dropped_bytes if state else 0,
        complete=bool(state and state.complete),
        said=from_document(db.execute(select(_EXECUTIONS.c.said).where(_EXECUTIONS.c.id == execution_id)).scalar()),
        streams={} if seq is None else {name: _stored_stream(db, execution_id, name) for name in STREAMS},
    )


def _stored_stream(db: Connection, execution_id: int, stream: str) -> StoredStream:
    backwards = (
        select(_CHUNKS).where(_C.execution_id == execution_id, _C.stream == stream).order_by(_C.seq.desc()).limit(1)
    )
    newest = row = db.execute(backwards).first()
    if newest is None:
        return StoredStream()
    end = newest.start + newest.size
    opened = b""
    while row is not None:
        data = zlib.decompress(row.data)
        opened = data[data.rfind(b"\n") + 1 :] + opened
        if b"\n" in data or not row.continues:
            break
        row = db.execute(backwards.where(_C.seq < row.seq)).first()
    last = newest.first_line + newest.lines - 1
    return StoredStream(end, OpenLine(last, len(opened)) if opened else NO_LINE, opened)


def read_lines(
    db: Connection,
    execution_id: int,
    after: int = 0,
    limit: int = 1000,
    stream: str | None = None,
    search: str | None = None,
    since: datetime | None = None,
) -> LogPage:
    """Return up to `limit` lines with a number above `after`, oldest first; `search` is a plain text, case ignored.

    With `since`, they begin with the first of which a part was read at or after that instant, in UTC.
    `next` is the `after` of the next page. While the log goes on and its last line is open, that line comes again.
    """
    if since is not None:
        after = max(after, _number_before(db, execution_id, since))
    found = assemble(chunks_after(db, execution_id, after, stream), search=search)
    wanted = (text for text in found if text.number > after)
    lines = tuple(_line(text) for text in islice(wanted, limit))
    reached_end = len(lines) < limit or next(wanted, None) is None
    return _page(db, execution_id, lines, after, reached_end=reached_end)


def tail_lines(db: Connection, execution_id: int, count: int) -> LogPage:
    """Return the last `count` lines."""
    after = _number_before_last(db, execution_id, count)
    lines = tuple(_line(text) for text in _last(db, execution_id, count, after))
    return _page(db, execution_id, lines, after, reached_end=True)


def last_texts(db: Connection, execution_id: int, count: int) -> list[Text]:
    """Return the last `count` lines, without a word on the rest of the log."""
    return _last(db, execution_id, count, _number_before_last(db, execution_id, count))


def _last(db: Connection, execution_id: int, count: int, after: int) -> list[Text]:
    lines: list[Text] = []
    for text in assemble(chunks_after(db, execution_id, after, None)):
        lines.append(text)
        if len(lines) >= 2 * count:
            del lines[:-count]
    return lines[-count:]


def raw(db: Connection, execution_id: int, stream: str) -> Iterator[bytes]:
    """Yield the stored bytes of a stream, a chunk at a time: what the job wrote, without what the cap cut out."""
    seq = -1
    while part := _raw_part(db, execution_id, stream, seq):
        for row in part:
            yield zlib.decompress(row.data)
        seq = part[-1].seq


async def stream_raw(database: Database, execution_id: int, stream: str) -> Any:
    """Yield as `raw` does, with a transaction for some chunks at a time, so that a slow reader holds none."""
    seq = -1
    while part := await database.read(lambda db, seq=seq: _raw_part(db, execution_id, stream, seq)):  # type: ignore[misc]  # mypy cannot type the default
        for row in part:
            yield zlib.decompress(row.data)
        seq = part[-1].seq


def _raw_part(db: Connection, execution_id: int, stream: str, seq: int) -> Sequence[Any]:
    query = select(_C.seq, _C.data).where(_C.execution_id == execution_id, _C.stream == stream, _C.seq > seq)
    return db.execute(query.order_by(_C.seq).limit(16)).all()


def chunks_after(db: Connection, execution_id: int, after: int, stream: str | None) -> Iterator[Chunk]:
    """Yield the chunks that hold lines above `after`, in the order domain.lines.assemble wants."""
    mine = _C.execution_id == execution_id
    ordered = (_C.first_line, _C.seq)
    before = db.execute(
        select(_C.first_line, _C.lines, _C.seq)
        .where(mine, _C.first_line <= after)
        .order_by(_C.first_line.desc(), _C.seq.desc())
        .limit(1)
    ).first()
    # Only the last chunk that begins at or before `after` can reach beyond it.
    straddles = before is not None and before.first_line + before.lines - 1 > after
    cursor = (before.first_line, before.seq - 1) if before is not None and straddles else (after, 2**31 - 1)
    query = select(_CHUNKS).where(mine).order_by(*ordered)
    if stream is not None:
        query = query.where(_C.stream == stream)
    at_once = 8
    while rows := db.execute(query.where(tuple_(*ordered) > tuple_(*cursor)).limit(at_once)).all():
        for row in rows:
            yield Chunk(row.stream, row.at, row.first_line, row.continues, zlib.decompress(row.data))
        cursor = (rows[-1].first_line, rows[-1].seq)
        average = sum(len(row.data) for row in rows) // len(rows) + 1
        at_once = max(8, min(512, _FETCH_BYTES // average))


def _number_before(db: Connection, execution_id: int, since: datetime) -> int:
    """Return the number before the first line that was read at or after an instant; the last one's if none was."""
    first = select(func.min(_C.first_line)).where(_C.execution_id == execution_id, _C.at >= since)
    number = db.execute(first).scalar_one()
    return line_count(db, execution_id) if number is None else int(number) - 1


def _number_before_last(db: Connection, execution_id: int, count: int) -> int:
    """Return a line number that at least `count` lines follow, or 0."""
    ordered = (_C.first_line, _C.seq)
    query = select(_C.first_line, _C.seq, _C.lines, _C.continues).where(_C.execution_id == execution_id)
    query = query.order_by(_C.first_line.desc(), _C.seq.desc()).limit(500)
    begun = 0
    rows = db.execute(query).all()
    while rows:
        for row in rows:
            begun += row.lines - (1 if row.continues else 0)
            if begun >= count:
                return int(row.first_line) - 1
        rows = db.execute(query.where(tuple_(*ordered) < tuple_(rows[-1].first_line, rows[-1].seq))).all()
    return 0


def _line(text: Text) -> LogLine:
    return LogLine(number=text.number, stream=text.stream, at=text.at, text=text.text, partial=text.partial)


def _page(db: Connection, execution_id: int, lines: tuple[LogLine, ...], after: int, *, reached_end: bool) -> LogPage:
    wrote_nothing = _EXECUTIONS.c.started_at.is_(None) | (_EXECUTIONS.c.output_bytes == 0)
    silent = (_EXECUTIONS.c.ended_at.is_not(None) & wrote_nothing).label("silent")
    state = db.execute(
        select(_STATES.c.complete, _STATES.c.dropped_bytes, _STATES.c.removed_at, silent)
        .select_from(_EXECUTIONS.outerjoin(_STATES, _STATES.c.execution_id == _EXECUTIONS.c.id))
        .where(_EXECUTIONS.c.id == execution_id)
    ).first()
    over = bool(state and (state.complete or state.silent))
    following = lines[-1].number if lines else after
    if lines and reached_end and lines[-1].partial and not over:
        following -= 1
    dropped = (state.dropped_bytes if state else 0) or 0
    removed_at = state.removed_at if state else None
    return LogPage(
        lines=lines, next=following, ended=over and reached_end, dropped_bytes=dropped, removed_at=removed_at
    )
