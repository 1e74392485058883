"""`chronos simulate`: how a period goes for all jobs, how it would go with changes, and how it went."""

from datetime import datetime
from typing import Annotated, Any

import typer

from chronos_tui import format as fmt
from chronos_tui.client import calls
from chronos_tui.verbs import output, spec
from chronos_tui.verbs.common import AsJson, connect, iso_instant
from chronos_tui.verbs.failure import wrong_use

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_ROWS = ("fires", "started", "overlaps", "skipped", "superseded", "replaced", "missed", "waiting", "peak")
_SIDES = (("plan", "planned"), ("changed", "changed"), ("actual", "actual"))


@app.command("simulate")
def simulate(
    context: typer.Context,
    *,
    start: Annotated[str, typer.Option("--from", metavar="ISO", help="The first instant of the period.")],
    end: Annotated[str, typer.Option("--to", metavar="ISO", help="Its end, which is not part of it.")],
    job: Annotated[
        list[str] | None, typer.Option("--job", metavar="JOB", help="Change this job; repeatable, all alike.")
    ] = None,
    schedule: spec.Schedules = None,
    zone: spec.Zone = None,
    calendar: spec.Calendars = None,
    blackout: spec.Blackouts = None,
    jitter: spec.Jitter = None,
    concurrency: spec.Concurrency = None,
    pool: spec.Pool = None,
    priority: spec.Priority = None,
    misfire: spec.Misfire = None,
    takes: Annotated[str | None, typer.Option(metavar="LENGTH", help="Each run of the job takes so long.")] = None,
    slots: Annotated[
        list[str] | None, typer.Option("--slots", metavar="POOL=N", help="Give a pool N slots; repeatable.")
    ] = None,
    max_active: Annotated[int | None, typer.Option(metavar="N", help="So many runs of all jobs at once.")] = None,
    outage: Annotated[
        list[str] | None, typer.Option("--outage", metavar="ISO/ISO", help="Nobody starts anything; repeatable.")
    ] = None,
    seed: Annotated[int, typer.Option(help="What durations are drawn by.")] = 0,
    top: Annotated[int, typer.Option(min=0, help="List so many jobs, those that change most first.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Say how a past or coming period goes: as planned, with changes, and, where it is over, as it went.

    Runs take as long as the last ones of their jobs did. Nothing is changed by it.
    """
    moments = spec.moments_of(
        schedule=schedule, zone=zone, calendar=calendar, blackout=blackout, jitter=jitter, start=None, end=None
    )
    changes: dict[str, Any] = {"schedule": moments} if moments else {}
    named = (("concurrency", concurrency), ("priority", priority), ("misfire", misfire))
    changes |= {key: value for key, value in named if value is not None}
    if pool is not None:
        changes["pool"] = None if pool == "none" else pool
    if (changes or takes) and not job:
        raise wrong_use("say which job is to be different: --job NAME")
    change = {"changes": changes, "duration_ms": None if takes is None else _length(takes)}
    request: dict[str, Any] = {
        "from": iso_instant("--from", start),
        "to": iso_instant("--to", end),
        "seed": seed,
        "changes": [change | {"job": name} for name in job or ()],
        "pools": dict(_slots(text) for text in slots or ()),
        "max_active": max_active,
        "outages": [_outage(text) for text in outage or ()],
    }
    found = connect(context).json(calls.simulate(request))
    if as_json:
        output.document(found)
        return
    _show(found, top)


def _length(text: str) -> int:
    try:
        return fmt.parse_duration_ms(text)
    except ValueError as error:
        raise wrong_use(f"--takes {error}") from None


def _slots(text: str) -> tuple[str, int]:
    name, _, number = text.rpartition("=")
    if not name or not number.isascii() or not number.isdigit():
        raise wrong_use(f"--slots {text!r} is not POOL=N, such as db=4")
    return name, int(number)


def _outage(text: str) -> dict[str, str | None]:
    first, slash, last = text.partition("/")
    if not slash:
        raise wrong_use(f"--outage {text!r} is not ISO/ISO, such as 2026-05-01T08:00/2026-05-01T09:00")
    return {"from": iso_instant("--outage", first), "to": iso_instant("--outage", last)}


def _show(found: dict[str, Any], top: int) -> None:
    sides = [(key, title) for key, title in _SIDES if found[key]]
    rows = [(name, *(str(found[key][name]) for key, _ in sides)) for name in _ROWS]
    rows.append(("peak at", *(_moment(found[key]["peak_at"]) for key, _ in sides)))
    for name, field in (("late, half", "late_p50_ms"), ("late, 99 %", "late_p99_ms"), ("busy", "busy_ms")):
        rows.append((name, *(output.took(found[key][field]) for key, _ in sides)))
    output.table(("", *(title for _, title in sides)), rows, right=range(1, len(sides) + 1))
    listed = sorted(found["jobs"], key=_weight, reverse=True)[:top]
    if listed:
        output.line()
        output.table(
            ("job", *(f"{title}: fires/skipped/missed" for _, title in sides), "late, 99 %", "peak"),
            [_job(each, sides) for each in listed],
        )
    for note in found["notes"]:
        output.line(f"note: {note}")


def _job(each: dict[str, Any], sides: list[tuple[str, str]]) -> tuple[str, ...]:
    counts = [
        f"{each[key]['fires']}/{each[key]['skipped']}/{each[key]['missed']}" if each[key] else "" for key, _ in sides
    ]
    after = each["changed"] or each["plan"]
    return each["job"], *counts, output.took(after["late_p99_ms"]), str(after["peak"])


def _weight(each: dict[str, Any]) -> tuple[int, int]:
    """Order jobs by how much differs, then by what goes wrong."""
    plan, after = each["plan"], each["changed"] or each["actual"] or each["plan"]
    differs = sum(abs(after[name] - plan[name]) for name in ("fires", "skipped", "missed", "overlaps", "waiting"))
    return differs, after["skipped"] + after["missed"] + after["overlaps"] + after["waiting"]


def _moment(text: str | None) -> str:
    return "" if text is None else fmt.stamp(datetime.fromisoformat(text), output.local(output.now()))
