"""`chronos artifact ...`: the files that a run left. And the flags by which a job says which files are kept."""

import hashlib
import os
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from chronos_tui import format as fmt
from chronos_tui.client import calls
from chronos_tui.verbs import output
from chronos_tui.verbs.common import AsJson, RunId, connect
from chronos_tui.verbs.failure import FAILED, NOT_FOUND, Failure, wrong_use
from chronos_tui.verbs.limits import size_of

app = typer.Typer(help="List and get the files that a run left.", rich_markup_mode=None, add_completion=False)

Patterns = Annotated[
    list[str] | None,
    typer.Option("--artifact", metavar="PATTERN", help="Files kept with each run, such as out/*.csv; repeatable."),
]
Limit = Annotated[
    str | None, typer.Option("--artifact-limit", metavar="SIZE", help="Of all these of a run together; 100M if absent.")
]


def fields(patterns: Sequence[str] | None, limit: str | None) -> dict[str, Any]:
    """Return the fields that were given. A list of one empty text empties it; raises Failure."""
    given: dict[str, Any] = {}
    if patterns:
        given["artifacts"] = [text for text in patterns if text]
    if limit is not None:
        given["artifact_limit_bytes"] = size_of("--artifact-limit", limit)
    return given


@app.command("list")
def list_artifacts(context: typer.Context, run: RunId, *, as_json: AsJson = False) -> None:
    """List the files that a run left, and say what was left out."""
    found = connect(context).json(calls.artifacts(run))
    if as_json:
        output.document({"items": found["items"], "next": None, "notes": found["notes"]})
        return
    rows = [(each["name"], fmt.size(each["size"]), each["sha256"]) for each in found["items"]]
    output.table(("name", "size", "sha256"), rows, right=(1,))
    for note in found["notes"]:
        output.line(f"left out: {note}")
    if found["removed_at"]:
        output.line(f"removed on {found['removed_at'][:10]}, as [logs] in the server's chronos.toml asks")


@app.command("get")
def get(
    context: typer.Context,
    run: RunId,
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `artifact list` shows it.")],
    *,
    to: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE|-", help="Where to; the file's own name here if absent."),
    ] = None,
) -> None:
    """Get a file that a run left. A file that is there already is not written over."""
    client = connect(context)
    items = {each["name"]: each for each in client.json(calls.artifacts(run))["items"]}
    if name not in items:
        raise Failure(
            f"run {run} has no file {name!r}; `chronos artifact list {run}` shows all", NOT_FOUND, kind="not_found"
        )
    data = client.raw(calls.artifact(run, name))
    if hashlib.sha256(data).hexdigest() != items[name]["sha256"]:
        raise Failure(f"{name!r} did not arrive as it was kept; try again", FAILED)
    if to == "-":
        output.write_bytes(data)
        return
    place = to or name.rpartition("/")[2]
    try:
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    except OSError as error:
        why = error.strerror.lower() if error.strerror else str(error)
        raise wrong_use(f"cannot write {place!r}: {why}; name another file with --output, or - for here") from None
    output.line(f"{place}: {fmt.size(len(data))}")
