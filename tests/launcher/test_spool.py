"""What a record tells: whole lines of this run, and nothing of a writer that died or of an earlier run."""

from __future__ import annotations

from pathlib import Path

import pytest

from scheduler_daemon.launcher import spool


@pytest.fixture
def folder(tmp_path: Path) -> str:
    (tmp_path / "7").mkdir()
    return str(tmp_path / "7")


def test_the_last_of_two_records_counts(folder: str) -> None:
    spool.save(folder, spool.EXIT, {"id": 7, "exit_code": 1})
    spool.save(folder, spool.EXIT, {"id": 7, "exit_code": 2})

    assert spool.load(folder, spool.EXIT) == {"id": 7, "exit_code": 2}
    assert spool.load(folder, spool.START) is None


def test_a_line_without_its_end_is_no_record_and_spoils_no_later_one(folder: str) -> None:
    spool.save_text(folder, spool.START, b'{"id":7,"pid":1}\n')
    spool.save_text(folder, spool.EXIT, b'{"id":7,"exit_code":0}')
    half = spool.load(folder, spool.EXIT)
    spool.save(folder, spool.EXIT, {"id": 7, "unknown": True})

    assert half is None
    assert spool.load(folder, spool.EXIT) == {"id": 7, "unknown": True}
    assert spool.load(folder, spool.START) == {"id": 7, "pid": 1}


def test_a_closed_record_tells_nothing_even_of_the_same_run(folder: str) -> None:
    spool.save(folder, spool.EXIT, {"id": 7, "exit_code": 1})
    spool.close(folder)
    forgotten = spool.load(folder, spool.EXIT)
    spool.save(folder, spool.START, {"id": 7, "pid": 2})

    assert forgotten is None
    assert spool.load(folder, spool.START) == {"id": 7, "pid": 2}
    assert spool.load(folder, spool.EXIT) is None


def test_the_record_of_another_run_is_not_taken_for_ours(folder: str) -> None:
    spool.save(folder, spool.EXIT, {"id": 6, "exit_code": 1})

    assert spool.load(folder, spool.EXIT) is None
