"""A text is found in the output of all runs, however little is looked through in one call."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, update

from scheduler_daemon.domain.lines import NO_LINE, number
from scheduler_daemon.storage import log_search, logs, retention
from scheduler_daemon.storage.log_search import Wanted
from scheduler_daemon.storage.session import Database
from tests.support.rows import EXECUTIONS, NOON, add_executions

PARTS = [
    ("stdout", b"an Error here\nfine\nhalf an er"),
    ("stderr", b"error: one\nnothing\n"),
    ("stdout", b"ror, ended\nfine\n"),
    ("stderr", b"open ERROR"),
    ("stdout", b"fine\nthe last error"),
]
HOLD_IT = ["an Error here", "half an error, ended", "error: one", "open ERROR", "the last error"]


def write(db: Connection, run: int, parts: list[tuple[str, bytes]]) -> None:
    """Store parts of a run's output as chunks, as they come."""
    open_lines, ends, following = {"stdout": NO_LINE, "stderr": NO_LINE}, {"stdout": 0, "stderr": 0}, 1
    chunks: list[dict[str, Any]] = []
    for stream, data in parts:
        pieces, open_lines[stream], following = number(data, open_lines[stream], following)
        for piece in pieces:
            place = {"execution_id": run, "seq": len(chunks), "stream": stream, "start": ends[stream], "at": NOON}
            what = {"size": len(piece.data), "first_line": piece.first_line, "lines": piece.lines}
            chunks.append(place | what | {"continues": piece.continues, "data": logs.pack(piece.data)})
            ends[stream] += len(piece.data)
    state = {"execution_id": run, "lines": following - 1, "dropped_bytes": 0, "complete": True}
    logs.append(db, chunks, [state])


def all_pages(db: Connection, wanted: Wanted, limit: int, most_bytes: int) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    place, asked = None, 0
    while asked == 0 or place is not None:
        lines, place = log_search.find(db, wanted, place, limit, most_bytes)
        assert len(lines) <= limit
        found += [(line.run, line.text) for line in lines]
        asked += 1
        assert asked < 200
    return found


@pytest.mark.parametrize("limit", [1, 2, 100])
@pytest.mark.parametrize("most_bytes", [1, 20, 10_000])
async def test_every_line_comes_once_newest_run_first(database: Database, limit: int, most_bytes: int) -> None:
    def work(db: Connection) -> tuple[list[int], list[tuple[int, str]]]:
        runs = add_executions(db, 4)
        for run in runs[:3]:
            write(db, run, PARTS)
        write(db, runs[3], [("stdout", b"all is well\n")])
        return runs, all_pages(db, Wanted("eRRor"), limit, most_bytes)

    runs, found = await database.write(work)

    assert found == [(run, text) for run in reversed(runs[:3]) for text in HOLD_IT]


async def test_a_search_is_held_to_a_job_a_time_and_an_owner_and_passes_over_what_was_removed(
    database: Database,
) -> None:
    def work(db: Connection) -> tuple[list[int], list[list[int]]]:
        one, another = add_executions(db, 3), add_executions(db, 1)
        for run in [*one, *another]:
            write(db, run, [("stdout", b"error\n")])
        retention.remove(db, [one[1]], NOON)
        job = db.execute(EXECUTIONS.select().where(EXECUTIONS.c.id == one[0])).one().job_id
        db.execute(update(EXECUTIONS).where(EXECUTIONS.c.id == one[0]).values(queued_at=NOON - timedelta(days=1)))
        asked = [
            Wanted("error"),
            Wanted("error", job_id=job),
            Wanted("error", since=NOON),
            Wanted("error", owner_id=1),
            Wanted("error", owner_id=2),
        ]
        return [*one, *another], [[run for run, _ in all_pages(db, wanted, 100, 10_000)] for wanted in asked]

    (first, _, third, other), found = await database.write(work)

    assert found == [[other, third, first], [third, first], [other, third], [other, third, first], []]
