"""`chronos secret ...`: see which there are, set and delete them. A value is read, never shown, never an argument."""

import sys
from collections.abc import Mapping, Sequence
from getpass import getpass
from typing import Annotated, Any

import typer

from chronos_tui.client import calls
from chronos_tui.verbs import output
from chronos_tui.verbs.common import AsJson, connect
from chronos_tui.verbs.failure import wrong_use
from chronos_tui.verbs.spec import read_text

app = typer.Typer(help="See, set and delete secrets.", rich_markup_mode=None, add_completion=False)

SecretName = Annotated[str, typer.Argument(metavar="NAME", help="What jobs call the secret.")]
Secrets = Annotated[
    list[str] | None,
    typer.Option("--secret", metavar="ENV=NAME", help="Give it a secret as a variable; repeatable; ENV= takes it."),
]


@app.command("list")
def list_secrets(context: typer.Context, *, as_json: AsJson = False) -> None:
    """List the secrets and the jobs that use them; no value is ever shown."""
    page = connect(context).json(calls.secrets())
    if as_json:
        output.page(page["items"], page.get("next"))
        return
    rows = [
        (
            secret["name"],
            str(secret["version"]),
            output.when(secret["updated_at"]),
            ", ".join(secret["used_by"]),
            secret["owner"],
        )
        for secret in page["items"]
    ]
    output.table(("name", "version", "set", "jobs", "owner"), rows, right=(1,))


@app.command("set")
def put(
    context: typer.Context,
    name: SecretName,
    source: Annotated[
        str | None, typer.Option("--from", metavar="FILE|-", help="Read the value from a file; - is standard input.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Make a secret, or give it another value, which runs get that start from now on.

    The value is asked for on a terminal, else read from standard input; a line end after it is not part of it.
    """
    secret: dict[str, Any] = connect(context).json(calls.put_secret(name, _value(source)))
    if as_json:
        output.document(secret)
        return
    output.line(f"secret {secret['name']}: version {secret['version']} is set")


@app.command()
def delete(
    context: typer.Context,
    name: SecretName,
    *,
    force: Annotated[bool, typer.Option("--force", help="Also where jobs use it: their runs are refused.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete a secret that no job uses."""
    connect(context).json(calls.delete_secret(name, force=force))
    if as_json:
        output.document({"name": name, "deleted": True})
        return
    output.line(f"deleted {name}")


def fields(secret: Sequence[str] | None) -> dict[str, Any]:
    """Return what the flags name, by variables, if there are any; "" takes a variable away. Raises Failure."""
    found: dict[str, str] = {}
    for text in secret or ():
        variable, equals, name = text.partition("=")
        if not equals or not variable:
            raise wrong_use(f"--secret {text!r} is no assignment; write ENV=NAME, such as TOKEN=deploy-token")
        found[variable] = name
    return {"secrets": found} if found else {}


def over(kept: Mapping[str, str] | None, given: Mapping[str, str]) -> dict[str, str]:
    """Return what a job names after the flags."""
    return {variable: name for variable, name in {**(kept or {}), **given}.items() if name}


def _value(source: str | None) -> str:
    """Return the value. Raises Failure."""
    if source is None and sys.stdin.isatty():
        value = getpass("Value: ")
        if getpass("Again: ") != value:
            raise wrong_use("the two values differ; nothing was set")
        return value
    return read_text("--from", source or "-").removesuffix("\n").removesuffix("\r")
