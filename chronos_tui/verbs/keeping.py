"""The flag that says for how long the output of a job's runs is kept: days, runs or a size, by how it is written."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from chronos_tui.verbs.failure import wrong_use

Keep = Annotated[
    list[str] | None,
    typer.Option("--keep", metavar="30d|100|2G", help="Output kept: days, runs, size; repeatable; none: the server's."),
]
_FORMS = {
    "days": re.compile(r"(\d{1,5})d\Z"),
    "runs": re.compile(r"(\d{1,9})\Z"),
    "bytes": re.compile(r"(\d{1,9})([KMGT])(?:i?B)?\Z"),
}
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def fields(keep: Sequence[str] | None) -> dict[str, Any]:
    """Return what the flags say, if there are any; None takes all bounds of the job's own away. Raises Failure."""
    if not keep:
        return {}
    return {"output_kept": None if list(keep) == ["none"] else dict(map(_bound, keep))}


def over(kept: Mapping[str, Any] | None, said: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Put what the flags say over what a job has."""
    return None if said is None else dict(kept or {}) | dict(said)


def _bound(text: str) -> tuple[str, int]:
    for name, form in _FORMS.items():
        if found := form.match(text):
            return name, int(found[1]) * (_UNITS[found[2]] if name == "bytes" else 1)
    raise wrong_use(f"--keep {text!r} is no bound; write days such as 30d, runs such as 100, a size such as 2G")
