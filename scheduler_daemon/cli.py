"""chronosd: what whoever runs the server types."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from scheduler_daemon.contract.policies import PolicySpec
    from scheduler_daemon.domain.standings import Standing
    from scheduler_daemon.live.rebuild import Difference

DEFAULT_POLICY = "standard"

app = typer.Typer(
    name="chronosd", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)

StateDir = Annotated[Path | None, typer.Option("--state", help="State directory; one daemon to a directory.")]


@app.command()
def serve(
    state: StateDir = None,
    tcp: Annotated[str | None, typer.Option(help="Listen on 127.0.0.1:PORT besides the Unix socket.")] = None,
) -> None:
    """Run the daemon in the foreground; it logs to stderr."""
    from scheduler_daemon import wiring
    from scheduler_daemon.settings import load

    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True
    )
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    settings = load(os.environ, state=state, tcp=tcp)
    asyncio.run(wiring.serve(settings, lambda text: print(f"chronosd {text}", file=sys.stderr, flush=True)))


@app.command()
def migrate(state: StateDir = None) -> None:
    """Bring the database's tables up to date."""
    from scheduler_daemon import wiring
    from scheduler_daemon.settings import load

    settings = load(os.environ, state=state)
    wiring.prepare(settings)
    database = asyncio.run(wiring.open_migrated(settings))
    asyncio.run(database.close())
    print(f"The tables of {settings.database_url.partition('@')[2] or settings.database_url} are up to date.")


@app.command()
def doctor(
    state: StateDir = None,
    *,
    reconcile: Annotated[bool, typer.Option("--reconcile", help="Make the live picture equal to SQL.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One document instead of words.")] = False,
) -> None:
    """Try each protection of this machine, and compare the live picture in Redis with SQL.

    Exit 1 if policy standard cannot be given here, or if the two differ and are left so.
    """
    from scheduler_daemon import wiring
    from scheduler_daemon.domain.errors import Unavailable
    from scheduler_daemon.domain.standings import refused_policies, standings
    from scheduler_daemon.settings import load

    settings = load(os.environ, state=state)
    lacking = asyncio.run(wiring.protections(settings))
    found: list[Difference] = []
    own: list[PolicySpec] | None = None
    fault: Unavailable | None = None
    try:
        own = asyncio.run(wiring.own_policies(settings))
        found = asyncio.run(wiring.examine(settings, mend=reconcile))
    except Unavailable as error:  # what was tried is told nevertheless
        fault = error
    tried = standings(lacking, own or ())
    refused = refused_policies(tried)
    if as_json:
        document = {
            "differences": None if fault else [dataclasses.asdict(each) for each in found],
            "mended": bool(found) and reconcile,
            "protections": [dataclasses.asdict(one) for one in tried],
            "refused_policies": refused,
        }
        print(json.dumps(document))
    else:
        _tell_protections(tried, refused, whole=own is not None)
        if fault is None:
            _tell_differences(found, mended=reconcile)
    if fault is not None:
        raise fault
    if (found and not reconcile) or DEFAULT_POLICY in refused:
        raise typer.Exit(1)


def _tell_protections(tried: list[Standing], refused: list[str], *, whole: bool) -> None:
    """Say it; `whole` unless the policies that are not built in could not be read."""
    for one in tried:
        print(f"{'in force' if one.in_force else 'MISSING ':8}  {one.name:14}  {one.what}")
        if not one.in_force:
            print(f"{'':10}{one.why_not}")
            if one.enable:
                print(f"{'':10}do: {one.enable}")
            if one.required_by:
                print(f"{'':10}required by policy {', '.join(one.required_by)}")
    if refused:
        print(f"Runs of policy {', '.join(refused)} are not started here.")
    else:
        print(f"Runs of every {'' if whole else 'built-in '}policy are started here.")


def _tell_differences(found: list[Difference], *, mended: bool) -> None:
    for each in found:
        print(f"{each.kind} {each.id} is {each.what}{': ' if each.fields else ''}{', '.join(each.fields)}")
    print(f"{len(found)} differences between the live picture and SQL{', mended' if found and mended else ''}.")


users = typer.Typer(no_args_is_help=True, help="The accounts of this installation.")
app.add_typer(users, name="user")


@users.command("list")
def list_users(
    state: StateDir = None, *, as_json: Annotated[bool, typer.Option("--json", help="One document.")] = False
) -> None:
    """Show who may sign in, as what, and by which Unix account."""
    from scheduler_daemon import wiring
    from scheduler_daemon.settings import load

    found = asyncio.run(wiring.accounts(load(os.environ, state=state)))
    if as_json:
        items = [dict(zip(("name", "role", "uid", "enabled"), each, strict=True)) for each in found]
        print(json.dumps({"items": items, "next": None}))
        return
    for name, role, uid, enabled in found:
        print(f"{name}  {role}  uid {'-' if uid is None else uid}{'' if enabled else '  disabled'}")


def main() -> None:
    """Run a verb; an expected error is one line on stderr. Exit codes are those of chronos."""
    from scheduler_daemon.domain import errors

    try:
        app()
    except errors.ChronosError as error:
        print(f"chronosd: {error.message}", file=sys.stderr)
        sys.exit(_exit_code(error))


def _exit_code(error: Exception) -> int:
    from scheduler_daemon.domain import errors

    codes = (
        (errors.Invalid, 2),
        (errors.NotFound, 3),
        (errors.NotAllowed, 4),
        (errors.Conflict, 5),
        (errors.Unavailable, 6),
    )
    return next((code for kind, code in codes if isinstance(error, kind)), 1)
