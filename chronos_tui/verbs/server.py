"""`chronos up`, `down`, `status`, `doctor`, `whoami`: the server itself."""

import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from chronos_tui.client import Client, Unreachable, calls
from chronos_tui.settings import Settings
from chronos_tui.verbs import embedded, interrupt, moves, output
from chronos_tui.verbs.common import AsJson, connect, settings
from chronos_tui.verbs.failure import FAILED
from chronos_tui.verbs.spec import read_bytes

WATCH_SECONDS = 2.0
HOME_AND_CLEAR = "\x1b[H\x1b[J"

up_app = typer.Typer(rich_markup_mode=None, add_completion=False)
down_app = typer.Typer(rich_markup_mode=None, add_completion=False)
status_app = typer.Typer(rich_markup_mode=None, add_completion=False)
doctor_app = typer.Typer(rich_markup_mode=None, add_completion=False)
whoami_app = typer.Typer(rich_markup_mode=None, add_completion=False)


@up_app.command("up")
def up(
    context: typer.Context,
    *,
    crontab: Annotated[
        str | None, typer.Option("--import", metavar="FILE", help="Import this crontab unless that was done before.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Start the server if none runs, then open the terminal app; without a terminal print the status."""
    client = connect(context)
    content = read_bytes("--import", crontab) if crontab else None
    started = embedded.ensure_running(settings(context), client)
    notes = [f"started the server at {client.address}"] if started else []
    if crontab and content is not None and (made := _import_once(client, crontab, content)):
        notes.append(f"imported {crontab}: {made}")
    if output.interactive() and not as_json:
        open_app(settings(context))
        return
    if as_json:
        output.document(client.json(calls.status()))
        return
    for note in notes:
        output.line(note)
    _print_status(client.json(calls.status()))


def open_app(found: Settings) -> None:
    """Open the terminal app on a server that answers."""
    from chronos_tui.app import run_app

    interrupt.as_usual()
    run_app(found)


def _import_once(client: Client, file: str, content: bytes) -> str | None:
    """Import a crontab whose entries no job comes from yet; return what was made, None if it was there before."""
    source = moves.source_of(file, None)
    first = moves.bring_in(client, content, source, system=False, user=None, zone=None, dry_run=True)
    if first["updated"] or first["unchanged"]:
        return None
    return moves.summary(moves.bring_in(client, content, source, system=False, user=None, zone=None, dry_run=False))


@down_app.command("down")
def down(
    context: typer.Context,
    *,
    now: Annotated[bool, typer.Option("--now", help="Stop running jobs too; else they run on.")] = False,
    as_json: AsJson = False,
) -> None:
    """Stop the server."""
    found, client = settings(context), connect(context)
    was_running = True
    try:
        client.json(calls.shutdown(stop_jobs=now))
    except Unreachable:
        if not found.local or embedded.locked(found):
            raise
        was_running = False
    else:
        embedded.await_gone(found, client)
    if as_json:
        output.document({"stopped": was_running, "server": str(client.address)})
        return
    output.line(f"stopped the server at {client.address}" if was_running else f"no server runs at {client.address}")


@status_app.command("status")
def status(
    context: typer.Context,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Again every two seconds, until interrupted.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say how the server is, what runs and what comes next."""
    client = connect(context)
    while True:
        found = client.json(calls.status())
        if as_json:
            (output.stream if watch else output.document)(found)
        else:
            if watch and output.tty():
                output.write(HOME_AND_CLEAR)
            _print_status(found)
        if not watch:
            return
        time.sleep(WATCH_SECONDS)


def _print_status(status: Mapping[str, Any]) -> None:
    health, counts = status["health"], status["counts"]
    jobs = f"{counts['jobs']}" + (f" ({counts['paused']} paused)" if counts["paused"] else "")
    runs = f"{counts['running']} running, {counts['queued']} queued"
    day = f"{counts['succeeded_24h']} succeeded, {counts['failed_24h']} failed, {counts['missed_24h']} missed"
    pairs: list[tuple[str, str | output.Cell]] = [
        ("server", _overall(health)),
        ("since", output.when(health["started_at"])),
        ("version", health["version"]),
        ("host", f"{status['host']}, pid {status['pid']}"),
        ("state in", status["state_dir"]),
        ("jobs", jobs),
        ("runs", runs),
        ("last 24 h", day),
    ]
    output.pairs(
        pairs
        + [(f"! {part['name']}", part["detail"] or "does not work") for part in health["components"] if not part["ok"]]
    )
    if status["next_fires"]:
        output.line()
        output.table(("next fire", "job"), [(output.when(fire["at"]), fire["job"]) for fire in status["next_fires"]])


def _overall(health: Mapping[str, Any]) -> output.Cell:
    tone = {"ready": "ok", "degraded": "late"}.get(health["status"], "muted")
    return output.Cell(health["status"], tone)


@doctor_app.command("doctor")
def doctor(context: typer.Context, *, as_json: AsJson = False) -> None:
    """Say which parts of the server work; exit 1 if one does not."""
    client = connect(context)
    health = embedded.health(client)
    if as_json:
        output.document(health)
    else:
        output.pairs([("server", _overall(health)), ("at", str(client.address)), ("state in", _state_of(context))])
        rows = [
            (part["name"], output.Cell("ok", "ok") if part["ok"] else output.Cell("FAILS", "failed"), part["detail"])
            for part in health["components"]
        ]
        output.line()
        output.table(("part", "works", "detail"), rows)
    if health["status"] != "ready":
        raise typer.Exit(FAILED)


def _state_of(context: typer.Context) -> str:
    found = settings(context)
    return found.state if found.local else ""


@whoami_app.command("whoami")
def whoami(context: typer.Context, *, as_json: AsJson = False) -> None:
    """Say who the server takes you for."""
    actor = connect(context).json(calls.whoami())
    if as_json:
        output.document(actor)
        return
    output.line(f"{actor['name']} ({actor['role']})")
