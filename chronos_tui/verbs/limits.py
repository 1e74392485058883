"""Flags that say how much a run may use, and the fields of `limits` that they mean. `none` is no limit of its own."""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import typer

from chronos_tui import limittext
from chronos_tui.format import parse_duration_ms
from chronos_tui.limittext import LIMITS
from chronos_tui.verbs.failure import wrong_use

T = TypeVar("T")

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
    said = {
        "memory": memory, "processes": processes, "cpus": cpus, "cpu-time": cpu_time, "open-files": open_files,
        "file-size": file_size, "scratch": scratch,
    }  # fmt: skip
    found = {}
    for word, text in said.items():
        if text is not None:
            field, read, _ = LIMITS[word]
            found[field] = None if text == "none" else _read(f"--{word}", text, read)
    return found


def size_of(flag: str, text: str) -> int:
    """Read a size such as 512M. Raises Failure."""
    return _read(flag, text, limittext.size_of)


def length_of(flag: str, text: str) -> int:
    """Read a length such as 90s, in ms. Raises Failure."""
    return _read(flag, text, parse_duration_ms)


def _read(flag: str, text: str, read: Callable[[str], T]) -> T:
    try:
        return read(text)
    except ValueError as error:
        raise wrong_use(f"{flag} {error}") from None
