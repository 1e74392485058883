"""The accounts of boxed jobs that root starts for nobody in particular: numbers that nobody else on this machine has.

Containers and people's user namespaces are given ranges of numbers too (/etc/subuid, /etc/subgid): a job with such a
number could reach into them, and they into it. So we take the first block of numbers that none of these overlap.
"""

from __future__ import annotations

import functools
import grp
import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from scheduler_daemon.launcher.command import Unstartable

FIRST, COUNT = 900_000, 100_000
"""Where we would like to begin, and how many: a run has the same number as the one that many runs before."""
_LAST = 1 << 31
_SPREAD = 40_503
"""Neighbouring inodes lead to numbers so far apart."""
_FILES = ("/etc/subuid", "/etc/subgid")


class Taken(NamedTuple):
    """Numbers that are somebody's: from `first` to before `end`."""

    first: int
    end: int
    whose: str


class Block(NamedTuple):
    """Where our numbers begin, None if there is no room; and who stood in the way of where we would like to begin."""

    first: int | None
    moved_for: str


_block: Block | None = None


def settle() -> str:
    """Find our numbers once for all processes to be forked. Return what is to be told of it, nothing if all is well."""
    global _block  # noqa: PLW0603 - found once in a process
    _block = find(list(taken()))
    if _block.first is None:
        return _no_room(_block.moved_for)
    if _block.first != FIRST:
        last = _block.first + COUNT - 1
        return f"jobs in boxes get accounts {_block.first} to {last}, for {FIRST} to {FIRST + COUNT - 1} overlap " + (
            _block.moved_for
        )
    return ""


def of(run: int, spool_path: str) -> int:
    """Return the account of a run, no other's of these days. Raises Unstartable if there is no room for accounts.

    Other daemons count runs too, so each spool begins elsewhere: what is counted and limited by account, and may be
    signalled by it, is the run's alone.
    """
    if _block is None:
        settle()
    assert _block is not None
    if _block.first is None:
        raise Unstartable(f"box: {_no_room(_block.moved_for)}")
    return _block.first + (run + _offset(spool_path)) % COUNT


@functools.lru_cache(maxsize=4)
def _offset(spool_path: str) -> int:
    status = os.stat(spool_path)  # noqa: PTH116
    return (status.st_ino * _SPREAD + status.st_dev) % COUNT


def is_ours(uid: int) -> bool:
    """Tell whether a run for nobody in particular may have this account."""
    return _block is not None and _block.first is not None and _block.first <= uid < _block.first + COUNT


def find(others: list[Taken]) -> Block:
    """Return the first block that none of these overlap."""
    first, moved_for = FIRST, ""
    while first + COUNT <= _LAST:
        in_the_way = [one for one in others if one.first < first + COUNT and first < one.end]
        if not in_the_way:
            return Block(first, moved_for)
        moved_for = moved_for or in_the_way[0].whose
        first = -(-max(one.end for one in in_the_way) // COUNT) * COUNT
    return Block(None, moved_for)


def taken() -> Iterator[Taken]:
    """Yield the numbers that are given to accounts, groups, containers and people's user namespaces."""
    for path in _FILES:
        yield from read(path)
    for entry in pwd.getpwall():
        yield Taken(entry.pw_uid, entry.pw_uid + 1, f"the account {entry.pw_name}")
    for group in grp.getgrall():
        yield Taken(group.gr_gid, group.gr_gid + 1, f"the group {group.gr_name}")


def read(path: str) -> Iterator[Taken]:
    """Yield the ranges of a file in the form of subuid(5); nothing if there is no such file."""
    try:
        lines = Path(path).read_text("utf-8", "replace").splitlines()
    except OSError:
        return
    for line in lines:
        words = line.split(":")
        if len(words) == 3 and words[1].isdigit() and words[2].isdigit():
            yield Taken(int(words[1]), int(words[1]) + int(words[2]), f"those of {words[0]} in {path}")


def _no_room(whose: str) -> str:
    return (
        f"no {COUNT} numbers from {FIRST} on are free for the accounts of jobs in boxes, {whose} among others are in "
        f"the way; take a range out of {' and '.join(_FILES)}, or give the jobs an account"
    )
