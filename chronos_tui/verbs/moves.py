"""`chronos import crontab` and `chronos export`: jobs in, jobs out."""

import getpass
import os
import secrets
from typing import Annotated, Any

import typer

from chronos_tui.client import Client, calls
from chronos_tui.verbs import output
from chronos_tui.verbs.common import AsJson, connect
from chronos_tui.verbs.failure import FAILED, wrong_use
from chronos_tui.verbs.spec import local_zone, read_bytes

import_app = typer.Typer(help="Bring jobs in.", rich_markup_mode=None, add_completion=False)
export_app = typer.Typer(rich_markup_mode=None, add_completion=False)

MAX_SOURCE = 150
"""Characters; the API takes no longer name of a source."""

_TONES = {"created": "ok", "updated": "running", "unchanged": "muted", "noted": "muted", "refused": "failed"}


@import_app.callback()
def importing() -> None:
    """Bring jobs in."""


@import_app.command()
def crontab(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="The crontab, or - for standard input.")],
    *,
    system: Annotated[
        bool, typer.Option("--system", help="The sixth field is an account, as in /etc/crontab.")
    ] = False,
    user: Annotated[str | None, typer.Option(help="The account whose crontab it is.")] = None,
    zone: Annotated[
        str | None, typer.Option(help="The zone cron works in where the file does not say; this machine's if absent.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a job of each entry of a crontab, and report on each line. A second import changes nothing."""
    content = read_bytes("FILE", file)
    report = bring_in(
        connect(context), content, source_of(file, user), system=system, user=user, zone=zone, dry_run=dry_run
    )
    if as_json:
        output.document(report)
    else:
        show_report(report)
    if report["refused"] and not (report["created"] or report["updated"] or report["unchanged"]):
        raise typer.Exit(FAILED)


def source_of(file: str, user: str | None) -> str:
    """Return the name an import is known by the next time: the file's place, or whose crontab came through a pipe."""
    name = (user or _login()) if file == "-" else os.path.realpath(file)
    if len(name) <= MAX_SOURCE:
        return name
    from hashlib import sha256

    return f"{sha256(os.fsencode(name)).hexdigest()[:16]}:{name[-100:]}"


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())


def bring_in(
    client: Client, content: bytes, source: str, *, system: bool, user: str | None, zone: str | None, dry_run: bool
) -> dict[str, Any]:
    """Import a crontab and return the report on its lines."""
    call = calls.import_crontab(
        content,
        source=source,
        system=system,
        user=user,
        zone=zone or local_zone(os.environ),
        dry_run=dry_run,
        key=secrets.token_hex(16),
    )
    report: dict[str, Any] = client.json(call)
    return report


def show_report(report: dict[str, Any]) -> None:
    """Print a line for each line of the file, and the sum."""
    rows = [
        (
            str(line["number"]),
            output.Cell(line["action"], _TONES.get(line["action"], "")),
            line["job"] or "",
            line["text"] if line["action"] != "refused" else f"{line['text']}  <- {line['reason']}",
        )
        for line in report["lines"]
    ]
    output.table(("line", "action", "job", "text"), rows, right=(0,))
    for line in report["lines"]:
        for warning in line["warnings"]:
            output.line(f"careful, line {line['number']}: {warning}")
    for warning in report.get("warnings") or ():
        output.line(f"careful: {warning}")
    for name in report["gone"]:
        output.line(f"careful: {name} was made from a line that is no longer there; it was left as it is")
    output.line(summary(report))


def summary(report: dict[str, Any]) -> str:
    """Return the sums of a report as one sentence."""
    counts = ", ".join(f"{report[key]} {key}" for key in ("created", "updated", "unchanged", "refused"))
    return f"{counts}; nothing was written (dry run)" if report["dry_run"] else counts


@export_app.command("export")
def export(
    context: typer.Context,
    *,
    form: Annotated[str, typer.Option("--format", help="yaml, crontab or json.")] = "yaml",
    as_json: AsJson = False,
) -> None:
    """Write every job to standard output."""
    form = "json" if as_json else form
    if form not in {"yaml", "crontab", "json"}:
        raise wrong_use(f"--format {form!r} is unknown; write yaml, crontab or json")
    content = connect(context).raw(calls.export(form))
    if not output.tty():
        output.write_bytes(content)
        return
    for line in content.decode("utf-8", "replace").splitlines():
        output.line(line)
