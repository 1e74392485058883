"""`chronos calendar ...`: see, make, change, import and delete calendars, and see which days they leave out."""

import json
from typing import Annotated, Any

import typer

from chronos_tui.client import calls
from chronos_tui.verbs import output
from chronos_tui.verbs.common import AsJson, connect
from chronos_tui.verbs.failure import wrong_use
from chronos_tui.verbs.spec import named, read_bytes, read_text

app = typer.Typer(help="See, make, import and delete calendars.", rich_markup_mode=None, add_completion=False)

CalendarName = Annotated[str, typer.Argument(metavar="NAME", help="What the calendar is called.")]
_FIRST_RULES = 20


@app.command("list")
def list_calendars(context: typer.Context, *, as_json: AsJson = False) -> None:
    """List the calendars and who obeys them."""
    page = connect(context).json(calls.calendars())
    if as_json:
        output.page(page["items"], page.get("next"))
        return
    rows = [
        (
            found["name"],
            str(len(found["spec"]["rules"])),
            str(len(found["spec"]["blackouts"])),
            ", ".join(found["used_by"]),
            output.brief(found["updated_at"]),
            found["owner"],
        )
        for found in page["items"]
    ]
    output.table(("name", "rules", "blackouts", "jobs", "changed", "owner"), rows, right=(1, 2))


@app.command()
def show(context: typer.Context, name: CalendarName, *, as_json: AsJson = False) -> None:
    """Show one calendar in full."""
    _print(connect(context).json(calls.calendar(name)), as_json=as_json)


@app.command("set")
def put(
    context: typer.Context,
    name: CalendarName,
    *,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            "--exclude",
            "-x",
            metavar="DAYS[=NAME]",
            help="Leave out 2026-12-24, 12-24..12-31, sat,sun or 'holidays DE-BE'; repeatable.",
        ),
    ] = None,
    include: Annotated[
        list[str] | None, typer.Option(metavar="DAYS[=NAME]", help="Leave out all but these; repeatable.")
    ] = None,
    except_: Annotated[
        list[str] | None,
        typer.Option("--except", metavar="DAYS[=NAME]", help="Never leave these out; repeatable."),
    ] = None,
    blackout: Annotated[
        list[str] | None,
        typer.Option(metavar="WHEN[=NAME]", help="Start nothing in 'fri 22:00-06:00 Europe/Berlin'; repeatable."),
    ] = None,
    description: Annotated[str, typer.Option(help="What the calendar is for.")] = "",
    source: Annotated[
        str | None, typer.Option("--from", metavar="FILE|-", help="Take it from a JSON object, as `show` prints it.")
    ] = None,
    version: Annotated[
        int | None, typer.Option(min=0, help="Refuse if it has moved on from this version; 0 for a new one.")
    ] = None,
    message: Annotated[str, typer.Option("--message", "-m", help="Why, for the history.")] = "",
    as_json: AsJson = False,
) -> None:
    """Make a calendar, or replace one: chronos calendar set german -x sat,sun -x 'holidays DE'"""
    flags = (("exclude", exclude), ("include", include), ("except", except_))
    rules = [named("days", text) | {"effect": effect} for effect, texts in flags for text in texts or ()]
    blackouts = [named("when", text) for text in blackout or ()]
    if source and (rules or blackouts or description):
        raise wrong_use("--from holds the whole calendar; leave the other flags out")
    if not (source or rules or blackouts):
        raise wrong_use("a calendar needs days or blackouts; give --exclude, --include, --blackout or --from FILE")
    spec = _from_file(source) if source else {"description": description, "rules": rules, "blackouts": blackouts}
    request = {"spec": spec, "message": message} | ({} if version is None else {"version": version})
    _print(connect(context).json(calls.put_calendar(name, request)), as_json=as_json)


def _from_file(name: str) -> dict[str, Any]:
    try:
        found = json.loads(read_text("--from", name))
    except ValueError as error:
        raise wrong_use(f"--from {name} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise wrong_use(f'--from {name} holds no JSON object; write one such as {{"rules": ["sat,sun"]}}')
    spec = found.get("spec", found)
    return spec if isinstance(spec, dict) else found


@app.command("import")
def import_ics(
    context: typer.Context,
    name: CalendarName,
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="An ICS file, or - for standard input.")],
    *,
    timed: Annotated[
        bool, typer.Option("--timed", help="Also leave out the days that events with a time of day touch.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be taken.")] = False,
    as_json: AsJson = False,
) -> None:
    """Leave out the days of an ICS file, in place of those imported before; other rules stay."""
    content = read_bytes("FILE", file)
    report = connect(context).json(calls.import_ics(name, content, timed=timed, dry_run=dry_run))
    if as_json:
        output.document(report)
        return
    for why in report["left_out"]:
        output.line(f"left out: {why}")
    done = "would be taken (dry run)" if dry_run else f"taken into {name}"
    output.line(f"{report['taken']} rules {done}, {len(report['left_out'])} events left out")


@app.command()
def delete(context: typer.Context, name: CalendarName, *, as_json: AsJson = False) -> None:
    """Delete a calendar that no job obeys."""
    connect(context).json(calls.delete_calendar(name))
    if as_json:
        output.document({"name": name, "deleted": True})
        return
    output.line(f"deleted {name}")


@app.command()
def preview(
    context: typer.Context,
    name: CalendarName,
    *,
    year: Annotated[int | None, typer.Option(min=1970, max=2500, help="Of this year if absent.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the days of a year that a calendar leaves out, and why."""
    found = connect(context).json(calls.calendar_days(name, year=year))
    if as_json:
        output.document(found)
        return
    output.table(("day", "why"), [(note["day"], note["reason"]) for note in found["excluded"]])


def _print(calendar: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        output.document(calendar)
        return
    spec = calendar["spec"]
    pairs: list[tuple[str, str | output.Cell]] = [
        ("name", output.Cell(calendar["name"], "title")),
        ("description", spec["description"]),
        *((rule["effect"], _rule(rule)) for rule in spec["rules"][:_FIRST_RULES]),
        ("", f"and {len(spec['rules']) - _FIRST_RULES} rules more" if len(spec["rules"]) > _FIRST_RULES else ""),
        *(("blackout", _called(blackout["when"], blackout["name"])) for blackout in spec["blackouts"]),
        ("jobs", ", ".join(calendar["used_by"])),
        ("owner", calendar["owner"]),
        ("version", str(calendar["version"])),
        ("changed", output.when(calendar["updated_at"])),
    ]
    output.pairs(pairs)


def _rule(rule: dict[str, Any]) -> str:
    recurs = f" {rule['recurs']}" if rule["recurs"] else ""
    without = f" without {', '.join(rule['without'])}" if rule["without"] else ""
    return _called(f"{rule['days']}{recurs}{without}", rule["name"]) + (" [ICS]" if rule["imported"] else "")


def _called(text: str, name: str) -> str:
    return f"{text} ({name})" if name else text
