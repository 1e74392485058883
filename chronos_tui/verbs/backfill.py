"""`chronos backfill` and `backfill cancel`: run the past fires of a job that did not run, or withdraw such runs."""

import secrets
from datetime import datetime
from typing import Annotated, Any

import typer

from chronos_tui import format as fmt
from chronos_tui.client import calls
from chronos_tui.verbs import output
from chronos_tui.verbs.common import AsJson, JobRef, connect, iso_instant

app = typer.Typer(rich_markup_mode=None, add_completion=False)
cancel_app = typer.Typer(rich_markup_mode=None, add_completion=False)

MOST = 1000


@app.command("backfill")
def backfill(
    context: typer.Context,
    job: JobRef,
    *,
    start: Annotated[str, typer.Option("--from", metavar="ISO", help="The first instant of the range.")],
    end: Annotated[str, typer.Option("--to", metavar="ISO", help="The last instant of the range; it is included.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list the fires.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=MOST, help="Refuse more than so many.")] = MOST,
    at_once: Annotated[int, typer.Option(min=1, max=MOST, help="So many at once, if the job lets so many run.")] = 1,
    reason: Annotated[str, typer.Option(help="Why, for the history.")] = "",
    key: Annotated[str | None, typer.Option(help="Sent twice with one key, it is done once.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run the past fires of a job that did not run. Each run finds its fire in CHRONOS_FIRE_AT.

    They wait behind all other runs. `chronos backfill cancel JOB` withdraws them.
    """
    request: dict[str, Any] = {
        "from": iso_instant("--from", start),
        "to": iso_instant("--to", end),
        "dry_run": dry_run,
        "limit": limit,
        "at_once": at_once,
        "reason": reason,
    }
    found = connect(context).json(calls.backfill(job, request, key=key or secrets.token_hex(16)))
    if as_json:
        output.document(found)
        return
    runs = found["runs"] or [None] * len(found["fires"])
    for at, run in zip(found["fires"], runs, strict=True):
        output.line(f"{_stamp(at)}  {'would run' if run is None else f'run {run}'}")
    for each in found["left_out"]:
        told = "" if each["run"] is None else f" (run {each['run']})"
        output.line(f"{_stamp(each['at'])}  left out: {each['why']}{told}")
    unnamed = found["left_out_count"] - len(found["left_out"])
    more = f"; {unnamed} of them not listed" if unnamed else ""
    verb = "would run" if dry_run else "queued"
    output.line(f"{found['job']}: {len(found['fires'])} fires {verb}, {found['left_out_count']} left out{more}")


@cancel_app.command("cancel")
def cancel(
    context: typer.Context,
    job: JobRef,
    *,
    reason: Annotated[str, typer.Option(help="Why, for the history.")] = "",
    as_json: AsJson = False,
) -> None:
    """Withdraw the backfilled runs of a job that wait, and stop those that have begun.

    A job named cancel is backfilled by `chronos backfill -- cancel`.
    """
    done = connect(context).json(calls.cancel_backfill(job, reason=reason))
    if as_json:
        output.document(done)
        return
    output.line(f"{done['job']}: {len(done['withdrawn'])} runs withdrawn, {len(done['stopped'])} being stopped")


def _stamp(text: str) -> str:
    at = datetime.fromisoformat(text)
    return fmt.stamp(at, output.local(output.now()))
