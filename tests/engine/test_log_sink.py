"""What jobs write is kept exactly, numbered and shown, through restarts, faults and floods."""

import asyncio
import errno
import os
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from scheduler_daemon.contract.executions import LogLine
from scheduler_daemon.domain.errors import Unavailable
from scheduler_daemon.domain.lines import MAX_LINE_BYTES
from scheduler_daemon.engine.log_sink import LogSink, LogTotals
from scheduler_daemon.storage import events, logs
from scheduler_daemon.storage.session import Database, Work, open_database
from scheduler_daemon.storage.tables import metadata
from tests.support.databases import Databases
from tests.support.rows import NOON, add_execution, add_executions
from tests.support.sink import MIB, Bench, bench, lite

__all__ = ["bench", "lite"]


class Forgetful:
    """A database whose connection breaks once between a commit and its confirmation, when told."""

    def __init__(self, database: Database) -> None:
        self.dialect, self.trouble = database.dialect, ""
        self.read, self.close, self._write = database.read, database.close, database.write
        self.forget = False

    async def write(self, work: Work[Any]) -> Any:
        answer = await self._write(work)
        if self.forget:
            self.forget = False
            raise Unavailable("the connection broke")
        return answer


async def test_lines_are_kept_numbered_and_shown(bench: Bench) -> None:
    run = await bench.start()
    bench.write(run, b"one\ntwo\n")
    bench.write(run, b"oops\n", "stderr")

    await bench.steps()
    totals = await bench.sink.finish(run)

    expected = [(1, "stdout", "one"), (2, "stdout", "two"), (3, "stderr", "oops")]
    assert [(line.number, line.stream, line.text) for line in bench.shown[run]] == expected
    assert [(line.number, line.stream, line.text) for line in await bench.lines(run)] == expected
    assert (await bench.raw(run), await bench.raw(run, "stderr")) == (b"one\ntwo\n", b"oops\n")
    assert totals == LogTotals(output_bytes=13, lines=3, dropped_bytes=0)


async def test_an_unended_line_shows_after_a_moment_and_keeps_its_number(bench: Bench) -> None:
    run = await bench.start()
    bench.write(run, b"Password: ")

    await bench.steps()
    at_once = list(bench.shown.get(run, []))
    await bench.steps(seconds=0.25)
    bench.write(run, b"noise\n", "stderr")
    await bench.steps()
    bench.write(run, b"secret\nok\n")
    await bench.steps()

    assert at_once == []
    shown = [(line.number, line.text, line.partial) for line in bench.shown[run]]
    assert shown == [(1, "Password: ", True), (2, "noise", False), (1, "Password: secret", False), (3, "ok", False)]
    assert await bench.texts(run) == [(1, "Password: secret"), (2, "noise"), (3, "ok")]


async def test_a_line_ended_in_time_is_stored_whole(lite: Bench) -> None:
    run = await lite.start()
    lite.write(run, b"half ")
    await lite.steps()

    lite.write(run, b"whole\n")
    await lite.steps(seconds=0.1)

    assert [line.text for line in lite.shown[run]] == ["half whole"]


async def test_a_last_line_without_newline_is_kept_at_the_end(bench: Bench) -> None:
    run = await bench.start()
    bench.write(run, b"a\nno newline")

    totals = await bench.sink.finish(run)

    page = await bench.database.read(lambda db: logs.read_lines(db, run))
    assert [(line.text, line.partial) for line in page.lines] == [("a", False), ("no newline", True)]
    assert (page.ended, page.next, totals.lines) == (True, 2, 2)


async def test_hostile_bytes_are_kept_exactly_and_shown_as_text(bench: Bench) -> None:
    run = await bench.start()
    data = b"\xff\xfe\x00\r\n\x1b[2Jclear\n10%\r20%\r100%\r\n\xe2\x82" + b"\xac\xe2\x82\n" + bytes(range(256)) + b"\n"
    bench.write(run, data[:30])
    await bench.steps(seconds=1)
    bench.write(run, data[30:])

    await bench.sink.finish(run)

    assert await bench.raw(run) == data
    texts = [line.text for line in await bench.lines(run)]
    assert texts[:4] == ["\ufffd\ufffd\x00", "\x1b[2Jclear", "10%\r20%\r100%", "€\ufffd"]


async def test_a_character_split_over_reads_is_whole(lite: Bench) -> None:
    run = await lite.start()
    lite.write(run, "price 5 €".encode()[:-1])
    await lite.steps()
    await lite.steps(seconds=1)

    lite.write(run, "price 5 €".encode()[-1:] + b"\n")
    await lite.steps()

    assert [line.text for line in lite.shown[run]] == ["price 5 \ufffd", "price 5 €"]
    assert await lite.texts(run) == [(1, "price 5 €")]


async def test_a_long_line_is_kept_whole_and_cut_for_display_at_a_mebibyte(lite: Bench) -> None:
    run = await lite.start()
    exactly, longer = b"x" * MAX_LINE_BYTES + b"\n", b"y" * (MAX_LINE_BYTES * 2 + 5) + b"\n"
    lite.write(run, exactly + longer + b"end\n")

    await lite.steps()
    await lite.sink.finish(run)

    assert await lite.raw(run) == exactly + longer + b"end\n"
    shapes = [(line.number, len(line.text), line.partial) for line in await lite.lines(run)]
    assert shapes == [(1, MIB, False), (2, MIB, True), (3, MIB, True), (4, 5, False), (5, 3, False)]
    assert max(len(line.text) for line in lite.shown[run]) <= 16 * 1024


async def test_a_cut_log_keeps_head_and_tail_with_true_numbers(bench: Bench) -> None:
    run = await bench.start(limit_bytes=2000)
    data = b"".join(b"line %05d\n" % n for n in range(1, 1001))
    for at in range(0, len(data), 1500):
        bench.write(run, data[at : at + 1500])
        await bench.steps()

    totals = await bench.sink.finish(run)

    assert totals == LogTotals(output_bytes=11_000, lines=1000, dropped_bytes=9000)
    assert await bench.raw(run) == data[:1000] + data[-1000:]
    page = await bench.database.read(lambda db: logs.read_lines(db, run))
    assert page.dropped_bytes == 9000
    whole = [line for line in page.lines if line.text.startswith("line ") and len(line.text) == 10]
    assert all(int(line.text[5:]) == line.number for line in whole)
    assert whole[-1].number == 1000
    assert bench.shown[run][-1].number == 1000


async def test_a_log_that_just_fits_loses_nothing(bench: Bench) -> None:
    run = await bench.start(limit_bytes=2000)
    data = b"".join(b"%018d\n" % n for n in range(100)) + b"x" * 100
    bench.write(run, data)

    totals = await bench.sink.finish(run)

    assert (len(data), totals.dropped_bytes, totals.lines) == (2000, 0, 101)
    assert await bench.raw(run) == data
    assert [number for number, _text in await bench.texts(run)] == list(range(1, 102))


async def test_a_cut_log_survives_a_restart(bench: Bench) -> None:
    run = await bench.start(limit_bytes=2000)
    data = b"".join(b"line %05d\n" % n for n in range(1, 1001))
    bench.write(run, data[:5000])
    await bench.steps()

    await bench.restart(run, limit_bytes=2000)
    bench.write(run, data[5000:])
    totals = await bench.sink.finish(run)

    assert (totals.output_bytes, totals.dropped_bytes) == (11_000, 9000)
    assert await bench.raw(run) == data[:1000] + data[-1000:]
    numbers = [number for number, _text in await bench.texts(run)]
    assert numbers == sorted(set(numbers))


async def test_disk_space_comes_back_behind_what_is_stored_or_dropped(lite: Bench) -> None:
    run = await lite.start(limit_bytes=4 * MIB)
    block = (b"z" * 99 + b"\n") * 10_000
    file = lite.spool / str(run) / "stdout"

    used = []
    for _ in range(30):
        lite.write(run, block)
        await lite.steps(seconds=0.1)
        await lite.steps(seconds=0.1)
        used.append(file.stat().st_blocks * 512)
    totals = await lite.sink.finish(run)

    assert totals.output_bytes == 30_000_000
    assert max(used) < 9 * MIB
    assert len(await lite.raw(run)) == 4 * MIB


async def test_a_restart_misses_and_doubles_nothing(bench: Bench) -> None:
    run = await bench.start()
    bench.write(run, b"first\nsec")
    await bench.steps()
    await bench.steps(seconds=1)

    await bench.restart(run)
    bench.write(run, b"ond\nthird\n")
    await bench.steps()
    totals = await bench.sink.finish(run)

    assert await bench.raw(run) == b"first\nsecond\nthird\n"
    assert await bench.texts(run) == [(1, "first"), (2, "second"), (3, "third")]
    assert [line.text for line in bench.shown[run]] == ["first", "sec", "second", "third"]
    assert totals.lines == 3


async def test_lines_are_read_from_the_time_they_were_written(bench: Bench) -> None:
    run = await bench.start()
    for word in (b"one\n", b"two\nthree\n", b"four\n"):
        bench.write(run, word)
        await bench.steps(seconds=60)

    found = [
        [number for number, _ in await bench.texts(run, since=NOON + timedelta(seconds=after))]
        for after in (0, 60, 61, 120, 180, 181)
    ]
    page = await bench.database.read(lambda db: logs.read_lines(db, run, since=NOON + timedelta(days=1)))

    assert found == [[1, 2, 3, 4], [1, 2, 3, 4], [2, 3, 4], [2, 3, 4], [4], []]
    assert (page.lines, page.next) == ((), 4)


async def test_finishing_a_run_that_nobody_follows_takes_it_up(bench: Bench) -> None:
    run = await bench.start()
    bench.write(run, b"only in the file\n")
    bench.sink.close()
    bench.sink = bench.new_sink()

    totals = await bench.sink.finish(run)

    assert totals.lines == 1
    assert await bench.texts(run) == [(1, "only in the file")]


async def test_a_run_without_files_is_complete_and_empty(bench: Bench) -> None:
    run = await bench.database.write(add_execution)
    bench.sink.follow(run, limit_bytes=MIB)

    totals = await bench.sink.finish(run)

    page = await bench.database.read(lambda db: logs.read_lines(db, run))
    assert (totals, page.lines, page.ended) == (LogTotals(0, 0, 0), (), True)


async def test_a_fifo_in_place_of_the_file_does_not_stop_the_sink(lite: Bench) -> None:
    run = await lite.start()
    (lite.spool / str(run) / "stdout").unlink()
    os.mkfifo(lite.spool / str(run) / "stdout")
    lite.write(run, b"still here\n", "stderr")

    totals = await asyncio.wait_for(lite.sink.finish(run), 5)

    assert totals.lines == 1


async def test_many_endings_share_few_writes(lite: Bench) -> None:
    ids = await lite.database.write(lambda db: add_executions(db, 200))
    for run in ids:
        (lite.spool / str(run)).mkdir(parents=True)
        lite.write(run, b"done\n")
        lite.sink.follow(run, limit_bytes=MIB)
    writes = 0
    write = lite.database.write

    async def counted(work: Any) -> Any:
        nonlocal writes
        writes += 1
        return await write(work)

    lite.database.write = counted  # type: ignore[method-assign]
    totals = await asyncio.gather(*(lite.sink.finish(run) for run in ids))

    assert {total.lines for total in totals} == {1}
    assert writes <= 3


async def test_a_database_that_does_not_answer_costs_no_byte(lite: Bench) -> None:
    run = await lite.start()
    lite.write(run, b"before\n")
    await lite.steps()
    await lite.database.write(lambda db: db.exec_driver_sql("PRAGMA max_page_count=1"))
    big = os.urandom(2 * MIB)

    lite.write(run, big)
    for _ in range(3):
        with pytest.raises(Unavailable):
            await lite.sink.step()
    with pytest.raises(Unavailable):
        await lite.sink.finish(run)
    await lite.database.write(lambda db: db.exec_driver_sql("PRAGMA max_page_count=1000000"))
    await lite.sink.finish(run)

    assert await lite.raw(run) == b"before\n" + big


async def test_a_commit_that_nobody_confirmed_costs_and_doubles_nothing(bench: Bench) -> None:
    forgetful = Forgetful(bench.database)
    bench.database = forgetful
    bench.sink = bench.new_sink()
    run, other = await bench.start(), await bench.start()

    for text in (b"one\ntw", b"o\nthree\n", b"four\n"):
        bench.write(run, text)
        bench.write(other, text, "stderr")
        bench.now += timedelta(seconds=1)
        await bench.sink.step()
        forgetful.forget = True
        bench.write(run, b"more\n")
        with pytest.raises(Unavailable):
            await bench.sink.step()
        bench.write(run, b"again\n")
    await bench.sink.finish(run)
    await bench.sink.finish(other)

    expected = b"one\ntwmore\nagain\no\nthree\nmore\nagain\nfour\nmore\nagain\n"
    assert await bench.raw(run) == expected
    assert await bench.raw(other, "stderr") == b"one\ntwo\nthree\nfour\n"
    assert await bench.texts(run) == list(enumerate(expected.decode().splitlines(), 1))


async def test_a_run_the_database_refuses_does_not_hold_up_others(bench: Bench) -> None:
    good = await bench.start()
    stranger = 999_999
    (bench.spool / str(stranger)).mkdir()
    bench.write(stranger, b"nobody knows me\n")
    bench.sink.follow(stranger, limit_bytes=MIB)
    bench.write(good, b"fine\n")

    await bench.steps()

    assert await bench.texts(good) == [(1, "fine")]


async def test_a_reader_that_fails_loses_no_stored_line(lite: Bench) -> None:
    async def refuse(_news: Mapping[int, Sequence[LogLine]]) -> None:
        raise OSError(errno.EPIPE, "gone")

    lite.sink = LogSink(lite.database, lite.spool, refuse, lambda: lite.now)
    run = await lite.start()
    lite.write(run, b"kept\n")

    await lite.steps()

    assert await lite.texts(run) == [(1, "kept")]


async def test_pages_search_and_tail(bench: Bench) -> None:
    run = await bench.start()
    for n in range(1, 301):
        bench.write(run, b"Line %d\n" % n, "stdout" if n % 3 else "stderr")
        if n % 10 == 0:
            await bench.steps()
    await bench.sink.finish(run)

    everything: list[LogLine] = []
    after, ended = 0, False
    while not ended:
        page = await bench.database.read(lambda db, after=after: logs.read_lines(db, run, after=after, limit=7))
        everything += page.lines
        after, ended = page.next, page.ended
    tail = await bench.database.read(lambda db: logs.tail_lines(db, run, 5))

    assert [line.number for line in everything] == list(range(1, 301))
    assert tail.lines == tuple(everything[-5:])
    assert await bench.lines(run, stream="stderr") == [line for line in everything if line.stream == "stderr"]
    assert await bench.lines(run, search="LINE 29") == [line for line in everything if "Line 29" in line.text]
    parts = [part async for part in logs.stream_raw(bench.database, run, "stderr")]
    assert b"".join(parts) == await bench.raw(run, "stderr")


async def test_the_open_line_comes_again_while_the_log_goes_on(lite: Bench) -> None:
    run = await lite.start()
    lite.write(run, b"one\ntwo so f")
    await lite.steps()
    await lite.steps(seconds=1)

    page = await lite.database.read(lambda db: logs.read_lines(db, run))
    lite.write(run, b"ar\n")
    await lite.sink.finish(run)
    following = await lite.database.read(lambda db: logs.read_lines(db, run, after=page.next))

    assert (page.next, page.ended) == (1, False)
    assert [line.text for line in following.lines] == ["two so far"]


async def test_lines_of_many_runs_show_as_they_are_written(lite: Bench) -> None:
    lite.sink = LogSink(lite.database, lite.spool, lite.publish, lambda: datetime.now(NOON.tzinfo))
    runs = [await lite.start() for _ in range(20)]
    running = asyncio.create_task(lite.sink.run())
    await asyncio.sleep(0.3)

    async with asyncio.timeout(30):
        for run in runs[:15]:
            lite.write(run, b"now\n")
            while run not in lite.shown:
                await asyncio.sleep(0.001)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert set(runs[:15]) <= set(lite.shown)


async def test_a_sink_that_is_busy_stops_when_told(lite: Bench) -> None:
    run = await lite.start()

    for n in range(20):
        running = asyncio.create_task(lite.sink.run())
        lite.write(run, b"line\n" * 50)
        await asyncio.sleep(0.002 * n)
        lite.sink._live += [{run + other: []} for other in range(60)]
        lite.sink._to_show.set()
        await asyncio.sleep(0)
        running.cancel()
        ended, _ = await asyncio.wait([running], timeout=5)
        assert ended

    await lite.sink.finish(run)
    assert await lite.raw(run) == b"line\n" * 1000


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[str, Any]]:
    text = st.binary(max_size=12) | st.sampled_from([b"\n", b"a\nb", b"\r\n", "é€😀".encode(), b"\xff", b"x" * 40])
    write = st.tuples(st.sampled_from(["stdout", "stderr"]), text)
    pause = st.tuples(st.just("step"), st.sampled_from([0, 0.05, 0.3]))
    return draw(st.lists(write | write | pause | st.tuples(st.just("restart"), st.none()), max_size=30))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories())
def test_whatever_is_written_and_whenever_it_restarts(databases: Databases, tmp_path: Path, history: Any) -> None:
    async def live() -> None:
        folder = tmp_path / str(time.monotonic_ns())
        folder.mkdir()
        database = open_database(databases.sqlite(folder / "any.db"))
        bench = Bench(database, folder / "spool")
        run = await bench.start()
        written = {"stdout": b"", "stderr": b""}
        for what, value in history:
            if what == "step":
                await bench.steps(seconds=value)
            elif what == "restart":
                await bench.restart(run)
            else:
                bench.write(run, value, what)
                written[what] += value
        totals = await bench.sink.finish(run)
        lines = await bench.lines(run)
        tail = await database.read(lambda db: logs.tail_lines(db, run, 3))
        for stream, data in written.items():
            assert await bench.raw(run, stream) == data
            parts = data.split(b"\n")
            expected = parts if parts[-1] else parts[:-1]
            shown = [line.text for line in lines if line.stream == stream]
            assert shown == [part.removesuffix(b"\r").decode(errors="replace") for part in expected]
            assert await bench.lines(run, stream=stream) == [line for line in lines if line.stream == stream]
        assert [line.number for line in lines] == list(range(1, len(lines) + 1))
        assert totals.lines == len(lines)
        assert list(tail.lines) == lines[-3:]
        for after in range(len(lines)):
            assert await bench.lines(run, after=after, limit=2) == lines[after : after + 2]
        last = {line.number: line.text for line in bench.shown.get(run, [])}
        assert all(last[line.number] == line.text for line in lines)
        bench.sink.close()
        await database.close()

    asyncio.run(live())


async def test_chunks_are_compressed(lite: Bench) -> None:
    run = await lite.start()
    lite.write(run, b"the same again\n" * 10_000)

    await lite.sink.finish(run)

    chunks = metadata.tables["log_chunks"]
    sizes = await lite.database.read(lambda db: db.execute(select(chunks.c.data)).scalars().all())
    assert sum(len(data) for data in sizes) < 5000


async def test_what_a_job_says_of_itself_is_kept_with_its_lines_and_told(bench: Bench) -> None:
    run = await bench.start()
    bench.write(run, b"::progress 10\nwork\n::kpi rows=5 unit=rows\n::warn")
    bench.write(run, b"::warning slow\n", "stderr")
    await bench.steps()
    half_way = await bench.said(run)
    bench.write(run, b"ing disk\n::progress 90")

    await bench.steps()
    await bench.sink.finish(run)

    assert (half_way["progress"], half_way["warnings"]) == (10, 1)
    found = await bench.said(run)
    assert (found["progress"], found["warnings"], found["warned"]) == (90, 2, ["slow", "disk"])
    assert found["kpis"] == [{"name": "rows", "value": 5, "unit": "rows"}]
    assert set(bench.heard) == {run}


async def test_nothing_is_heard_twice_by_a_sink_that_begins_anew(bench: Bench) -> None:
    limit = 4096
    run = await bench.start(limit)
    bench.write(run, b"::warning one\n" + b"x" * 3000 + b"\n::warning two\n::warning thr")
    await bench.steps()
    await bench.steps(seconds=0.3)

    await bench.restart(run, limit)
    bench.write(run, b"ee\n")
    await bench.steps()
    await bench.restart(run, limit)
    await bench.sink.finish(run)

    assert (await bench.said(run))["warned"] == ["one", "two", "three"]
    assert (await bench.said(run))["warnings"] == 3


async def test_the_end_of_a_run_announces_what_it_has_said(bench: Bench) -> None:
    run = await bench.start()
    quiet = await bench.start()
    bench.write(run, b"::kpi a=1\n")
    bench.write(quiet, b"nothing\n")

    for each in (run, quiet):
        await bench.sink.finish(each)

    pending = await bench.database.read(lambda db: events.pending(db, 10))
    assert [(event.kind, event.subject, '"name":"a"' in event.text.replace(" ", "")) for event in pending] == [
        ("execution", str(run), True)
    ]
