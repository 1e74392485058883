"""Accounts of boxed jobs overlap nobody else's."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from scheduler_daemon.launcher import accounts
from scheduler_daemon.launcher.accounts import COUNT, FIRST, Taken
from scheduler_daemon.launcher.command import Unstartable


def test_with_nobody_in_the_way_they_begin_where_they_always_do() -> None:
    assert accounts.find([Taken(100_000, 165_536, "those of ada in /etc/subuid")]) == (FIRST, "")


@pytest.mark.parametrize(
    ("first", "end"),
    [(FIRST, FIRST + 1), (FIRST - 1, FIRST + 65_536), (FIRST + COUNT - 1, FIRST + COUNT), (0, 999_999)],
)
def test_an_overlap_moves_all_of_them_and_says_for_whom(first: int, end: int) -> None:
    found = accounts.find([Taken(first, end, "those of ada in /etc/subuid")])

    assert found == (FIRST + COUNT, "those of ada in /etc/subuid")


def test_ranges_one_behind_the_other_are_all_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "subuid"
    file.write_text("# ranges\nada:850000:100000\nnonsense\nbob:990000:65536\n1000:1060000:1\n")

    assert accounts.find(list(accounts.read(str(file)))).first == 1_100_000


def test_without_room_no_boxed_job_is_started_and_the_remedy_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(accounts, "_block", None)
    monkeypatch.setattr(accounts, "taken", lambda: iter([Taken(0, 1 << 31, "those of root in /etc/subuid")]))

    with pytest.raises(Unstartable, match=r"those of root in /etc/subuid among others .* take a range out of"):
        accounts.of(1, str(tmp_path))


def test_no_two_runs_of_these_days_share_one(tmp_path: Path) -> None:
    found = {accounts.of(run, str(tmp_path)) for run in range(COUNT)}

    assert len(found) == COUNT
    assert all(accounts.is_ours(uid) for uid in found)
    assert not found & {uid for one in accounts.taken() for uid in range(one.first, min(one.end, one.first + COUNT))}


def test_the_first_runs_of_several_daemons_share_none(monkeypatch: pytest.MonkeyPatch) -> None:
    inodes = {f"/spool-{number}": SimpleNamespace(st_ino=7_000_000 + number, st_dev=2049) for number in range(8)}
    monkeypatch.setattr(accounts.os, "stat", inodes.__getitem__)

    found = {accounts.of(run, spool) for spool in inodes for run in range(1000)}

    assert len(found) == 8000
    assert all(accounts.is_ours(uid) for uid in found)
