"""The flag that says for how long the output of a job's runs is kept: days, runs or a size, by how it is written."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from chronos_tui.limittext import bound_of
from chronos_tui.verbs.failure import wrong_use

Keep = Annotated[
    list[str] | None,
    typer.Option("--keep", metavar="30d|100|2G", help="Output kept: days, runs, size; repeatable; none: the server's."),
]


def fields(keep: Sequence[str] | None) -> dict[str, Any]:
    """Return what the flags say, if there are any; None takes all bounds of the job's own away. Raises Failure."""
    if not keep:
        return {}
    return {"output_kept": None if list(keep) == ["none"] else dict(map(_bound, keep))}


def over(kept: Mapping[str, Any] | None, said: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Put what the flags say over what a job has."""
    return None if said is None else dict(kept or {}) | dict(said)


def _bound(text: str) -> tuple[str, float]:
    try:
        return bound_of(text)
    except ValueError as error:
        raise wrong_use(f"--keep {error}") from None
