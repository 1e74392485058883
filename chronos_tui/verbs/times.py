"""`chronos next` and `chronos explain`: what a schedule means, and why a job did or did not run."""

import os
from datetime import datetime, tzinfo
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from chronos_tui import format as fmt
from chronos_tui.client import calls
from chronos_tui.verbs import output, spec
from chronos_tui.verbs.common import AsJson, JobRef, connect, iso_instant

next_app = typer.Typer(rich_markup_mode=None, add_completion=False)
explain_app = typer.Typer(rich_markup_mode=None, add_completion=False)


@next_app.command("next")
def next_fires(
    context: typer.Context,
    expression: Annotated[list[str], typer.Argument(metavar="EXPR", help="Such as '*/5 9-17 * * 1-5' or @every 90s.")],
    *,
    zone: Annotated[
        str | None, typer.Option(help="Time zone, such as Europe/Berlin; this machine's if absent.")
    ] = None,
    after: Annotated[str | None, typer.Option(metavar="ISO", help="Begin after this instant, not now.")] = None,
    count: Annotated[int, typer.Option("-n", "--count", min=1, max=1000, help="How many.")] = 10,
    dialect: Annotated[
        str | None, typer.Option(metavar="NAME", help="Read it as quartz, spring or year (cron with a year last).")
    ] = None,
    also: Annotated[
        list[str] | None, typer.Option(metavar="EXPR", help="Another expression of the same job; repeatable.")
    ] = None,
    calendar: spec.Calendars = None,
    blackout: spec.Blackouts = None,
    start: spec.Start = None,
    end: spec.End = None,
    as_json: AsJson = False,
) -> None:
    """Say what an expression means and when it fires next."""
    key = zone or spec.local_zone(os.environ)
    expressions = [" ".join(expression), *(also or ())]
    request: dict[str, Any] = {
        "schedule": spec.moments_of(
            schedule=expressions, zone=key, calendar=calendar, blackout=blackout, jitter=None, start=start, end=end
        ),
        "count": count,
        "after": iso_instant("--after", after),
    }
    if dialect:
        request["dialect"] = dialect
    preview = connect(context).json(calls.preview(request))
    if as_json:
        output.document(preview)
        return
    output.line(preview["words"] if key in preview["words"] else f"{preview['words']} ({key})")
    for converted in preview.get("expressions", ()):
        output.line(f"here: {converted}")
    shown = _zone(key)
    for text in preview["fires"]:
        at = datetime.fromisoformat(text)
        output.line(f"{at.astimezone(shown):%a} {fmt.stamp(at, shown)}  {fmt.relative(at, output.now())}")
    for passed in preview.get("passed_over", ()):
        output.line(_passed_over(passed, shown))
    for warning in preview["warnings"]:
        output.line(f"careful: {warning}")
    for change in preview.get("clock_changes", ()):
        output.line(f"clock change, {change['kind']}: {change['text']}")


def _passed_over(passed: dict[str, Any], shown: tzinfo) -> str:
    at = datetime.fromisoformat(passed["at"])
    moved = f" to {fmt.stamp(datetime.fromisoformat(passed['moved_to']), shown)}" if passed["moved_to"] else ""
    return f"not {at.astimezone(shown):%a} {fmt.stamp(at, shown)}: {passed['reason']}{moved}"


def _zone(key: str) -> tzinfo:
    try:
        return ZoneInfo(key)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return output.local(output.now())


@explain_app.command("explain")
def explain(
    context: typer.Context,
    job: JobRef,
    *,
    at: Annotated[str | None, typer.Option(metavar="ISO", help="The instant to explain; now if absent.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say why a job did, did not, will or will not run."""
    found = connect(context).json(calls.explain(job, at=iso_instant("--at", at)))
    if as_json:
        output.document(found)
        return
    output.line(f"{found['verdict']}")
    for reason in found["reasons"]:
        output.line(f"- {reason}")
    if found["execution"]:
        output.line(f"see: chronos run show {found['execution']['id']}")
