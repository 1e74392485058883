"""Flags that say when a run may start, and the fields of a spec that they mean.

Whether paths, times and names hold is for the server.
"""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from chronos_tui.conditiontext import read
from chronos_tui.verbs.failure import wrong_use

If = Annotated[
    list[str] | None,
    typer.Option(
        "--if",
        metavar="CONDITION",
        help="Start only if this holds: 'file /path', 'no file /path', 'command test -s /x', "
        "'between 22:00-06:00 mon-fri', 'extract succeeded', 'load.duration_ms < 60000'; "
        "repeatable, all must hold. '' for none any more.",
    ),
]
NotBefore = Annotated[
    str | None,
    typer.Option(metavar="HH:MM", help="Of a job after others: wait for this time of the set's day; `none`."),
]


def fields(*, conditions: Sequence[str] | None, not_before: str | None) -> dict[str, Any]:
    """Return the fields of the spec that were given. Raises Failure for a text that is no condition."""
    given: dict[str, Any] = {}
    if conditions:
        given["conditions"] = [_read(text) for text in conditions if text.strip()]
    if not_before is not None:
        given["not_before"] = None if not_before == "none" else not_before
    return given


def need_zone(given: dict[str, Any]) -> bool:
    """Tell whether any of these fields speaks of the wall clock."""
    return bool(given.get("not_before")) or any(each["kind"] == "window" for each in given.get("conditions", ()))


def _read(text: str) -> dict[str, Any]:
    try:
        return read(text)
    except ValueError as error:
        raise wrong_use(f"--if {error}") from None
