"""Flags that say how much a run may use, and the fields of `limits` that they mean. `none` is no limit of its own."""

import re
from collections.abc import Callable
from typing import Annotated, Any

import typer

from chronos_tui.format import parse_duration_ms
from chronos_tui.verbs.failure import wrong_use

Memory = Annotated[str | None, typer.Option(metavar="SIZE", help="Most memory of a run, such as 512M; `none`.")]
Processes = Annotated[str | None, typer.Option(metavar="N", help="Most processes of a run at once; `none`.")]
Cpus = Annotated[
    str | None, typer.Option(metavar="N", help="Processors' worth of time at each moment, such as 0.5; `none`.")
]
CpuTime = Annotated[
    str | None, typer.Option("--cpu-time", metavar="LENGTH", help="Most processor time of a run in all; `none`.")
]
OpenFiles = Annotated[
    str | None, typer.Option("--open-files", metavar="N", help="Most open files of each process; `none`.")
]
FileSize = Annotated[
    str | None, typer.Option("--file-size", metavar="SIZE", help="Most bytes of each file it writes; `none`.")
]
Scratch = Annotated[
    str | None, typer.Option("--scratch", metavar="SIZE", help="Most bytes of a /tmp and home in memory; `none`.")
]

_SIZE = re.compile(r"([0-9]{1,15})([KMGT]?)\Z", re.ASCII)
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SHARE = re.compile(r"[0-9]{1,4}(\.[0-9]{1,3})?\Z", re.ASCII)


def fields(
    *,
    memory: str | None,
    processes: str | None,
    cpus: str | None,
    cpu_time: str | None,
    open_files: str | None,
    file_size: str | None,
    scratch: str | None,
) -> dict[str, Any]:
    """Return the limits that were given: sizes in bytes, times in ms. Raises Failure for what cannot be read."""
    said: tuple[tuple[str, str, str | None, Callable[[str, str], Any]], ...] = (
        ("memory_bytes", "--memory", memory, size_of),
        ("processes", "--processes", processes, _count),
        ("cpus", "--cpus", cpus, _share),
        ("cpu_ms", "--cpu-time", cpu_time, length_of),
        ("open_files", "--open-files", open_files, _count),
        ("file_bytes", "--file-size", file_size, size_of),
        ("scratch_bytes", "--scratch", scratch, size_of),
    )
    return {name: None if text == "none" else read(flag, text) for name, flag, text, read in said if text is not None}


def size_of(flag: str, text: str) -> int:
    """Read a size such as 512M. Raises Failure."""
    found = _SIZE.match(text.upper())
    if not found:
        raise wrong_use(f"{flag} {text!r} is no size; write one such as 512M or 2G")
    return int(found[1]) * _UNITS[found[2]]


def length_of(flag: str, text: str) -> int:
    """Read a length such as 90s, in ms. Raises Failure."""
    try:
        return parse_duration_ms(text)
    except ValueError as error:
        raise wrong_use(f"{flag} {error}") from None


def _count(flag: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 10:
        raise wrong_use(f"{flag} {text!r} is no number; write one such as 64, or none")
    return int(text)


def _share(flag: str, text: str) -> float:
    if not _SHARE.match(text):
        raise wrong_use(f"{flag} {text!r} is no number of processors; write one such as 0.5 or 2, or none")
    return float(text)
