"""`chronos insight ...`: what was found in how jobs run; judge it, apply what it proposes, take that back."""

from typing import Annotated, Any

import typer

from chronos_tui import format as fmt
from chronos_tui import insights as words
from chronos_tui.client import calls
from chronos_tui.format import parse_duration_ms
from chronos_tui.verbs import output
from chronos_tui.verbs import words as told
from chronos_tui.verbs.common import AsJson, Cursor, Limit, connect, iso_instant
from chronos_tui.verbs.failure import wrong_use

app = typer.Typer(help="See and judge what was found in how jobs run.", rich_markup_mode=None, add_completion=False)
list_app = typer.Typer(rich_markup_mode=None, add_completion=False)

STATES = ("open", "snoozed", "accepted", "dismissed", "applied", "reverted", "expired", "muted")
InsightRef = Annotated[str, typer.Argument(metavar="INSIGHT", help="Its id, or the beginning of it.")]
Reason = Annotated[str, typer.Option("--reason", "-m", help="Why.")]
app.command("explain")(told.explain)
app.command("patterns")(told.patterns)
app.command("pattern")(told.pattern)

Kind = Annotated[str | None, typer.Option(help="Only of this kind.")]
Severity = Annotated[str | None, typer.Option(help="Only info, warning or critical ones.")]
States = Annotated[str, typer.Option("--state", help=f"Of these states, with commas: {', '.join(STATES)}; or all.")]


@list_app.command()
def insights(
    context: typer.Context,
    job: Annotated[str | None, typer.Argument(metavar="[JOB]", help="Only of this job.")] = None,
    *,
    state: States = "open",
    kind: Kind = None,
    severity: Severity = None,
    limit: Limit = 100,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List insights, newest first."""
    states = () if state == "all" else tuple(each.strip() for each in state.split(",") if each.strip())
    if unknown := [each for each in states if each not in STATES]:
        raise wrong_use(f"an insight is never {unknown[0]!r}; --state takes {', '.join(STATES)}, or all")
    wanted = calls.insights(state=states, job=job, kind=kind, severity=severity, limit=limit, cursor=cursor)
    page = connect(context).json(wanted)
    if as_json:
        output.page(page["items"], page.get("next"))
        return
    rows = [
        (
            each["id"][:8],
            output.brief(each["at"]),
            output.Cell(*severity_look(each["severity"])),
            each["job"] or "all jobs",
            words.headline(each["title"], each["job"]),
            output.Cell(*_stage(each)),
        )
        for each in page["items"]
    ]
    output.table(("id", "found", "severity", "job", "insight", "state"), rows)


def _stage(insight: dict[str, Any]) -> tuple[str, str]:
    verdict = (insight["measured"] or {}).get("verdict")
    return words.stage(insight["state"], verdict, proposes=insight["action"] is not None)


def severity_look(severity: str) -> tuple[str, str]:
    """Return how a severity is written, and its tone."""
    look = words.severity(severity)
    return f"{look.glyph} {look.word}", look.tone


@app.command()
def show(context: typer.Context, insight: InsightRef, *, as_json: AsJson = False) -> None:
    """Show an insight with its evidence and what it proposes."""
    found = connect(context).json(calls.insight(insight))
    if as_json:
        output.document(found)
        return
    _print(found)


@app.command()
def accept(context: typer.Context, insight: InsightRef, *, reason: Reason = "", as_json: AsJson = False) -> None:
    """Say that it is true; nothing is changed by that."""
    _decide(context, insight, "accept", {"reason": reason}, as_json=as_json)


@app.command()
def dismiss(
    context: typer.Context,
    insight: InsightRef,
    *,
    reason: Reason = "",
    expected: Annotated[bool, typer.Option("--expected", help="What was odd is usual from now on.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say that it is not true, or not worth being told."""
    _decide(context, insight, "dismiss", {"reason": reason, "expected": expected}, as_json=as_json)


@app.command()
def snooze(
    context: typer.Context,
    insight: InsightRef,
    length: Annotated[str, typer.Option("--for", help="How long, such as 8h or 7d.")] = "1d",
    *,
    as_json: AsJson = False,
) -> None:
    """Put it aside for a while."""
    try:
        seconds = parse_duration_ms(length) // 1000
    except (ValueError, OverflowError):
        raise wrong_use(f"--for {length!r} is no length of time, such as 8h or 7d") from None
    _decide(context, insight, "snooze", {"for_s": seconds}, as_json=as_json)


@app.command("apply")
def apply_insight(
    context: typer.Context,
    insight: InsightRef,
    *,
    reason: Reason = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Agree now to what Claude proposes.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make the change that it proposes: a new version of the job, which `undo` takes back within 30 days."""
    found = connect(context).json(calls.insight(insight))
    if found["source"] == "claude" and not yes and not _agreed(found):
        raise wrong_use("nothing was changed; Claude proposes it, from a log: --yes agrees where there is no terminal")
    _decide(context, insight, "apply", {"reason": reason}, as_json=as_json)


def _agreed(found: dict[str, Any]) -> bool:
    """Have a change looked at once more that a model made of a log, whoever wrote into that."""
    if not output.interactive():
        return False
    for line in words.change(found["action"]):
        output.line(line)
    return typer.confirm(f"Claude proposes this change of {found['job']}, from a log. Make it?")


@app.command()
def undo(context: typer.Context, insight: InsightRef, *, reason: Reason = "", as_json: AsJson = False) -> None:
    """Take back the change that was made of it."""
    _decide(context, insight, "undo", {"reason": reason}, as_json=as_json)


@app.command()
def scorecard(context: typer.Context, *, as_json: AsJson = False) -> None:
    """Say how good each kind of insight is, by what people said of it and by what came; a bad one is muted."""
    page = connect(context).json(calls.scorecard())
    if as_json:
        output.page(page["items"], page.get("next"))
        return
    rows = [
        (
            each["kind"],
            str(each["told"]),
            f"{each['right']} of {each['judged']}" if each["judged"] else "",
            f"{each['brier']:.3f} against {each['base']:.3f}" if each["scored"] else "",
            f"{each['kept']} of {each['applied']}" if each["applied"] else "",
            "" if each["gain"] is None else f"{each['gain']:.0%}",
            "yes" if each["muted"] else "",
            each["why"],
        )
        for each in page["items"]
    ]
    heads = ("kind", "told", "right", "Brier, base rate", "kept", "gain", "muted", "why")
    output.table(heads, rows, right=(1,))


@app.command()
def cost(
    context: typer.Context,
    *,
    start: Annotated[
        str | None, typer.Option("--from", metavar="ISO", help="30 days before the end if absent.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="ISO", help="Now if absent.")] = None,
    by: Annotated[str, typer.Option(help="job, owner or tag.")] = "job",
    top: Annotated[int, typer.Option(min=1, help="List so many lines, the dearest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Say what the runs of a period cost, by the prices in the settings: of CPU, of memory, of what runs count."""
    if by not in {"job", "owner", "tag"}:
        raise wrong_use(f"--by {by!r} is none of job, owner, tag")
    since = None if start is None else iso_instant("--from", start)
    until = None if end is None else iso_instant("--to", end)
    found = connect(context).json(calls.costs(start=since, end=until, by=by))
    if as_json:
        output.document(found)
        return
    figures = sorted(found["total"]["figures"])
    lines = found["lines"][:top]
    rows = [_cost(each, figures, found["currency"], priced=found["priced"]) for each in [*lines, found["total"]]]
    heads = (by, "runs", "CPU", "GiB held", *figures, "cost")
    output.table(heads, rows, right=range(1, len(heads)))
    if len(found["lines"]) > top:
        output.line(f"note: {len(found['lines']) - top} more; --top lists them")
    if not found["priced"]:
        output.line("note: no price list; set [prices] cpu_hour, memory_gib_hour or figures in chronos.toml")
    if found["total"]["unmeasured"]:
        output.line(f"note: {found['total']['unmeasured']} runs were not measured and count as nothing")


def _cost(each: dict[str, Any], figures: list[str], currency: str, *, priced: bool) -> tuple[str, ...]:
    return (
        each["name"] or "(none)",
        str(each["runs"]),
        fmt.duration(int(each["cpu_s"] * 1000)),
        f"{each['memory_gib_s'] / 3600:.2f} h",
        *(f"{each['figures'].get(name, 0):,.0f}" for name in figures),
        f"{each['cost']:,.2f} {currency}" if priced else "",
    )


def _decide(context: typer.Context, ref: str, verb: str, request: dict[str, Any], *, as_json: bool) -> None:
    saved = connect(context).json(calls.decide_insight(ref, verb, request))
    if as_json:
        output.document(saved)
        return
    of_job = f" of {saved['job']}" if saved["job"] else ""
    version = f"; the job is at version {saved['applied_version']}" if saved["state"] == "applied" else ""
    output.line(f"insight {saved['id'][:8]}{of_job} is {saved['state']}{version}")


def _print(found: dict[str, Any]) -> None:
    output.line(output.paint(fmt.printable(found["title"]), "title"))
    output.pairs(
        [
            ("id", found["id"]),
            ("job", found["job"] or "all jobs"),
            ("severity", output.Cell(*severity_look(found["severity"]))),
            ("kind", found["kind"]),
            ("confidence", f"{found['confidence']:.0%}"),
            ("found", output.when(found["at"])),
            ("by", words.source(found)),
            ("state", found["state"]),
            ("until", output.when(found["snoozed_until"])),
            ("decided", f"{output.when(found['decided_at'])} by {found['decided_by']}" if found["decided_by"] else ""),
            ("reason", found["reason"]),
            ("expires", output.when(found["expires"])),
        ]
    )
    for heading, lines in words.paragraphs(found):
        output.line()
        output.line(output.paint(heading, "muted"))
        for line in lines:
            output.line(f"  {line}")
