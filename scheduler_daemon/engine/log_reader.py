"""Decide what of a run's output is stored, shown and dropped next. Reads files; writes nothing anywhere.

A round drafts the run's next state beside what goes into the database; the caller adopts the draft once that is
committed. So a failed write changes nothing, and the next round reads the same bytes again.

A stream's first half of `limit_bytes` is stored as it comes. Of what follows, only the newest lines are shown; the
last half is stored when the run is over, read from the file, and what lies between is counted and dropped.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from scheduler_daemon.domain.job_lines import NOTHING, Line, Said, hear, marked
from scheduler_daemon.domain.lines import NO_LINE, OpenLine, Piece, Text, number, texts
from scheduler_daemon.domain.masks import Mask
from scheduler_daemon.engine.spool_file import SpoolFile
from scheduler_daemon.storage import logs

READ_BYTES = 256 * 1024
"""Bytes of one stream read at once, and the most one chunk holds."""
HOLD = timedelta(milliseconds=200)
"""How long an unended line waits for its end before it is kept and shown as it is."""
HOLD_BYTES = 64 * 1024
"""An unended line longer than this does not wait."""
LIVE_LINES = 500
"""Lines of one run shown live in one round; of a flood the newest are shown, SQL has them all."""
LIVE_BYTES = 16 * 1024
"""Bytes of one line shown live."""
SKIP_BYTES = 4 * 1024 * 1024
"""Behind the stored head, a reader further back than this jumps forward: its lines would be dropped anyway."""


@dataclass(frozen=True, slots=True)
class Stream:
    """How far one stream is read. Offsets in bytes."""

    name: str
    stored: int = 0
    seen: int = 0
    """Like `stored`, but goes on behind the stored head."""
    open_line: OpenLine = NO_LINE
    stored_open: OpenLine = NO_LINE
    """The line that was open where `stored` stands."""
    before: bytes = b""
    """What was shown of the open line."""
    held_at: int = -1
    held_since: datetime | None = None
    size: int = 0
    """The file's size when last looked at."""


@dataclass(frozen=True, slots=True)
class Run:
    """How far a run's output is read."""

    execution_id: int
    limit_bytes: int
    mask: Mask | None = None
    """What of its output is covered before it goes anywhere."""
    streams: tuple[Stream, ...] = tuple(Stream(name) for name in logs.STREAMS)
    next_seq: int = 0
    next_line: int = 1
    last_stored_line: int = 0
    lines: int = 0
    """Numbers given to lines so far, as the database knows it."""
    dropped_bytes: int = 0
    in_tail: bool = False
    said: Said = NOTHING

    @property
    def head(self) -> int:
        """Bytes of each stream stored as they come."""
        return self.limit_bytes // 2

    @property
    def holding(self) -> bool:
        """Whether an unended line waits."""
        return any(stream.held_since is not None for stream in self.streams)

    def kept_behind(self, stream: Stream) -> int:
        """Return the offset before which the file's bytes are needed no more."""
        kept = stream.stored
        if kept >= self.head:
            kept = max(kept, min(stream.seen, stream.size - (self.limit_bytes - self.head)))
        return kept if self.mask is None else max(0, kept - self.mask.reach)


@dataclass(slots=True)
class Draft:
    """What one round makes of a run."""

    run: Run
    ending: bool
    known: Said = NOTHING
    """What the run had said before this round."""
    chunks: list[dict[str, Any]] = field(default_factory=list)
    shown: list[Text] = field(default_factory=list)
    more: bool = False
    """There is more to read at once."""
    behind: bool = False
    """There is more to read, in the next round."""

    @property
    def heard(self) -> bool:
        """The run has said something of itself."""
        return self.run.said is not self.known

    @property
    def over(self) -> bool:
        """Everything is stored, and nothing more will come."""
        return self.ending and not self.more

    @property
    def read_bytes(self) -> int:
        """Bytes this round stores."""
        return sum(chunk["size"] for chunk in self.chunks)


def from_storage(execution_id: int, limit_bytes: int, stored: logs.StoredLog, mask: Mask | None) -> Run:
    """Return the state that goes on where the database's copy ends."""
    streams = []
    for name in logs.STREAMS:
        at = stored.streams.get(name, logs.StoredStream())
        streams.append(Stream(name, at.end, at.end, at.open_line, at.open_line, at.open_bytes[:LIVE_BYTES]))
    return Run(
        execution_id,
        limit_bytes,
        mask,
        tuple(streams),
        stored.next_seq,
        stored.lines + 1,
        stored.last_line,
        stored.lines,
        stored.dropped_bytes,
        said=stored.said,
    )


def grew(run: Run, folder: Path) -> bool:
    """Return whether a file of the run holds bytes nobody has looked at; a cheap question."""
    return any(_size(f"{folder}/{stream.name}") > stream.seen for stream in run.streams)


def _size(path: str) -> int:
    try:
        return os.stat(path, follow_symlinks=False).st_size  # noqa: PTH116  # half Path's price
    except OSError:
        return 0


def read(run: Run, folder: Path, now: datetime, *, ending: bool) -> Draft:
    """Draft the next round of a run: at most READ_BYTES of each stream. `ending`: the job writes no more."""
    draft = Draft(run, ending, run.said)
    for index, stream in enumerate(run.streams):
        path = f"{folder}/{stream.name}"
        if _size(path) == stream.size == stream.seen and not stream.held_since and not run.in_tail:
            continue  # most jobs leave one stream empty, and asking costs a third of opening
        file = SpoolFile(path)
        try:
            if draft.run.in_tail:
                _store_tail(draft, index, file, now)
            else:
                _read_on(draft, index, file, now)
        finally:
            file.close()
    if ending and not draft.more and not draft.run.in_tail:
        for index, stream in enumerate(draft.run.streams):
            if stream.open_line.number:  # nobody ends this line any more
                _hear(draft, index, [Line(stream.before, stream.seen)])
        if _tails(draft.run):
            _begin_tails(draft, folder)
    dropped = sum(max(0, stream.size - run.limit_bytes) for stream in draft.run.streams)
    draft.run = replace(
        draft.run,
        next_seq=run.next_seq + len(draft.chunks),
        dropped_bytes=max(dropped, run.dropped_bytes),
        lines=max(draft.run.lines, draft.run.next_line - 1),
    )
    del draft.shown[:-LIVE_LINES]
    return draft


def _read_on(draft: Draft, index: int, file: SpoolFile, now: datetime) -> None:
    run, ending, stream = draft.run, draft.ending, replace(draft.run.streams[index], size=file.size)
    keep = stream.seen < run.head
    if not keep and file.size - stream.seen > SKIP_BYTES:
        stream = replace(stream, seen=file.size - READ_BYTES, open_line=NO_LINE, before=b"")
    room = run.head - stream.seen if keep else READ_BYTES
    window = _look(run.mask, file, stream.seen, min(READ_BYTES, room))
    data = window.data
    at_end = stream.seen + len(data) >= file.size
    ends = data.rfind(b"\n") + 1
    unended = len(data) > ends and at_end and len(data) - ends <= HOLD_BYTES and len(data) < room
    waits = min(ends if unended else len(data), window.begun(run.mask))
    if waits < len(data) and not ending:
        stream, data = _hold(stream, data, waits, now)
    else:
        if not at_end and ends:
            data = data[:ends]
        stream = replace(stream, held_at=-1, held_since=None)
    data = window.covered(run.mask, len(data))
    pieces, open_line, next_line = number(data, stream.open_line, run.next_line)
    if keep:
        stream = _keep(draft, stream, pieces, now)
        stream = replace(stream, stored_open=open_line)
    at = stream.seen
    for piece in pieces:
        draft.shown += texts(stream.name, now, piece, stream.before, last=LIVE_LINES, longest=LIVE_BYTES)
        _hear(draft, index, marked(stream.before if piece.continues else b"", piece.data, at))
        at += len(piece.data)
        stream = replace(stream, before=_still_open(stream.before, piece))
    stream = replace(stream, seen=stream.seen + len(data), open_line=open_line)
    # What is only shown need not keep up with a flood: one read a round bounds its cost.
    draft.more |= (keep or ending) and bool(data) and stream.seen < file.size and stream.held_since is None
    draft.behind |= stream.seen < file.size
    _put(draft, index, stream, next_line=next_line)


class _Window(NamedTuple):
    """Bytes of a file, with as many around them as it takes to find a secret that begins or ends outside."""

    known: bytes
    begin: int
    end: int

    @property
    def data(self) -> bytes:
        return self.known[self.begin : self.end]

    def begun(self, mask: Mask | None) -> int:
        """Return after how many bytes something begins that may become a secret."""
        return self.end - self.begin if mask is None else max(0, mask.begun(self.known) - self.begin)

    def covered(self, mask: Mask | None, size: int) -> bytes:
        """Return the first `size` bytes as they may be kept and shown."""
        end = self.begin + size
        return self.known[self.begin : end] if mask is None else mask.covered(self.known, self.begin, end)


def _look(mask: Mask | None, file: SpoolFile, start: int, size: int) -> _Window:
    if mask is None:
        known = file.read(start, size)
        return _Window(known, 0, len(known))
    before = min(mask.reach, start)
    known = file.read(start - before, before + size + mask.reach)
    return _Window(known, before, min(before + size, len(known)))


def _hear(draft: Draft, index: int, lines: Iterable[Line]) -> None:
    """Take in what the job says of itself."""
    said = draft.run.said
    for line in lines:
        said = hear(said, index, line)
    if said is not draft.run.said:
        draft.run = replace(draft.run, said=said)


def _hold(stream: Stream, data: bytes, ends: int, now: datetime) -> tuple[Stream, bytes]:
    """Let wait what is not whole from `ends` on, or take it where it has waited long enough."""
    at = stream.seen + ends
    since = stream.held_since if stream.held_at == at and stream.held_since else now
    if timedelta(0) <= now - since < HOLD:  # a clock that was set back ends the wait too
        return replace(stream, held_at=at, held_since=since), data[:ends]
    return replace(stream, held_at=-1, held_since=None), data


def _keep(draft: Draft, stream: Stream, pieces: list[Piece], now: datetime) -> Stream:
    """Turn pieces into chunks behind the stream's stored end."""
    run, start, last = draft.run, stream.stored, draft.run.last_stored_line
    for piece in pieces:
        draft.chunks.append(
            {
                "execution_id": run.execution_id,
                "seq": run.next_seq + len(draft.chunks),
                "stream": stream.name,
                "start": start,
                "size": len(piece.data),
                "first_line": piece.first_line,
                "lines": piece.lines,
                "continues": piece.continues,
                "at": now,
                "data": logs.pack(piece.data),
            }
        )
        start += len(piece.data)
        last = max(last, piece.first_line + piece.lines - 1)
    draft.run = replace(run, last_stored_line=last)
    return replace(stream, stored=start)


def _put(draft: Draft, index: int, stream: Stream, *, next_line: int) -> None:
    streams = list(draft.run.streams)
    streams[index] = stream
    draft.run = replace(draft.run, streams=tuple(streams), next_line=next_line)


def _still_open(before: bytes, piece: Piece) -> bytes:
    ends = piece.data.rfind(b"\n") + 1
    rest = piece.data[ends : ends + LIVE_BYTES]
    return (before + rest)[:LIVE_BYTES] if piece.continues and not ends else rest


def _tails(run: Run) -> list[int]:
    """Return which streams have bytes to store that came behind the stored head."""
    return [n for n, stream in enumerate(run.streams) if stream.stored >= run.head and stream.size > stream.stored]


def _begin_tails(draft: Draft, folder: Path) -> None:
    """Say where each tail begins, and number them so that the last line of all keeps its true number."""
    run = draft.run
    count = 0
    streams = list(run.streams)
    for index in _tails(run):
        stream = streams[index]
        start = max(stream.stored, stream.size - (run.limit_bytes - run.head))
        gapless = start == stream.stored
        open_line = stream.stored_open if gapless else NO_LINE
        count += _count_lines(folder / stream.name, start, stream.size) - (1 if open_line.number else 0)
        streams[index] = replace(stream, stored=start, open_line=open_line)
    first = max(run.next_line - count, run.last_stored_line + 1)
    draft.run = replace(run, streams=tuple(streams), next_line=first, in_tail=True, lines=run.next_line - 1)
    draft.more = True


def _count_lines(path: Path, start: int, end: int) -> int:
    file = SpoolFile(path)
    try:
        lines, last = 0, b"\n"
        for part in _parts(file, start, end):
            lines += part.count(b"\n")
            last = part[-1:]
        return lines + (0 if last == b"\n" else 1)
    finally:
        file.close()


def _parts(file: SpoolFile, start: int, end: int) -> Iterator[bytes]:
    while part := file.read(start, min(READ_BYTES, end - start)):
        yield part
        start += len(part)


def _store_tail(draft: Draft, index: int, file: SpoolFile, now: datetime) -> None:
    stream = draft.run.streams[index]
    window = _look(draft.run.mask, file, stream.stored, min(READ_BYTES, stream.size - stream.stored))
    data = window.covered(draft.run.mask, len(window.data))
    pieces, open_line, next_line = number(data, stream.open_line, draft.run.next_line)
    stream = replace(_keep(draft, stream, pieces, now), open_line=open_line)
    draft.more |= bool(data) and stream.stored < stream.size
    _put(draft, index, stream, next_line=next_line)
