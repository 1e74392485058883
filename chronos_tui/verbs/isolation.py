"""Flags that say what a run may use and reach, and the fields of a spec that they mean."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from chronos_tui.verbs.failure import wrong_use

Memory = Annotated[str | None, typer.Option(metavar="SIZE", help="Most memory of a run, such as 512M; `none`.")]
Processes = Annotated[str | None, typer.Option(metavar="N", help="Most processes of a run at once; `none`.")]
Read = Annotated[list[str] | None, typer.Option("--read", metavar="PATH", help="A run may read it; repeatable.")]
Write = Annotated[list[str] | None, typer.Option("--write", metavar="PATH", help="A run may write it; repeatable.")]
Net = Annotated[str | None, typer.Option("--network", help="none, host, or `policy` for what the policy gives.")]

_SIZE = re.compile(r"([0-9]{1,15})([KMGT]?)\Z", re.ASCII)
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def fields(
    *,
    memory: str | None,
    processes: str | None,
    read: Sequence[str] | None,
    write: Sequence[str] | None,
    network: str | None,
) -> dict[str, Any]:
    """Return the fields that were given; of `limits` only what the flags say. A list of one empty text empties it.

    Raises Failure for a value that cannot be read.
    """
    given: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    if memory is not None:
        limits["memory_bytes"] = None if memory == "none" else size_of("--memory", memory)
    if processes is not None:
        limits["processes"] = None if processes == "none" else _count(processes)
    if limits:
        given["limits"] = limits
    if read:
        given["read"] = [path for path in read if path]
    if write:
        given["write"] = [path for path in write if path]
    if network is not None:
        given["network"] = None if network == "policy" else {"mode": network}
    return given


def over(kept: Mapping[str, Any] | None, said: Mapping[str, Any]) -> dict[str, Any]:
    """Put what the flags say over the limits a job has."""
    return dict(kept or {}) | dict(said)


def size_of(flag: str, text: str) -> int:
    """Read a size such as 512M. Raises Failure."""
    found = _SIZE.match(text.upper())
    if not found:
        raise wrong_use(f"{flag} {text!r} is no size; write one such as 512M or 2G")
    return int(found[1]) * _UNITS[found[2]]


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 7:
        raise wrong_use(f"--processes {text!r} is no number; write one such as 64, or none")
    return int(text)
