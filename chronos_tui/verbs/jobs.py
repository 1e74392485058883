"""`chronos job ...`: see, make, change, copy, pause, delete jobs."""

from secrets import token_hex
from typing import Annotated, Any

import typer

from chronos_tui import format as fmt
from chronos_tui.client import calls
from chronos_tui.format import parse_duration_ms
from chronos_tui.verbs import jobedit, output, versions
from chronos_tui.verbs.common import AsJson, Cursor, JobRef, Limit, connect, iso_instant
from chronos_tui.verbs.failure import wrong_use
from chronos_tui.verbs.jobview import show_job, state_of

app = typer.Typer(help="See, make, change, pause and delete jobs.", rich_markup_mode=None, add_completion=False)


@app.command("list")
def list_jobs(
    context: typer.Context,
    *,
    search: Annotated[
        str | None, typer.Option(help="Words, status:failed, tag:db, owner:ada, since:2d, -tag:x.")
    ] = None,
    state: Annotated[str | None, typer.Option(help="Only those in this state, such as failed or paused.")] = None,
    tag: Annotated[str | None, typer.Option(help="Only those with this tag.")] = None,
    sort: Annotated[str | None, typer.Option(help="name, next, last or state; -name for the other way.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List the jobs."""
    q = " ".join(part for part in (search, state and f"status:{state}", tag and f"tag:{tag}") if part)
    page = connect(context).json(calls.jobs(q=q or None, sort=sort, limit=limit, cursor=cursor))
    if as_json:
        output.page(page["items"], page.get("next"))
        return
    rows = [
        (job["name"], state_of(job), job["words"], output.brief(job["next_fire_at"]), _last(job), job["owner"])
        for job in page["items"]
    ]
    output.table(("name", "state", "schedule", "next", "last", "owner"), rows)
    if page.get("next"):
        output.line(f"more: --cursor {page['next']}")


def _last(job: dict[str, Any]) -> str:
    last = job["last"]
    return output.brief(last["ended_at"] or last["fire_at"]) if last else ""


@app.command()
def show(context: typer.Context, job: JobRef, *, as_json: AsJson = False) -> None:
    """Show one job in full."""
    client = connect(context)
    show_job(client.json(calls.job(job)), as_json=as_json, client=client)


app.command()(jobedit.add)
app.command()(jobedit.edit)


@app.command()
def clone(
    context: typer.Context,
    job: JobRef,
    name: Annotated[str, typer.Argument(metavar="NEW", help="What the copy is called.")],
    *,
    paused: Annotated[bool, typer.Option("--paused", help="Do not run the copy until it is resumed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a job that does what another does."""
    client = connect(context)
    spec_copy = {**client.json(calls.job(job))["spec"], "name": name}
    made = client.json(calls.create_job({"spec": spec_copy, "paused": paused}, key=token_hex(16)))
    show_job(made, as_json=as_json)


@app.command()
def pause(context: typer.Context, job: JobRef, *, as_json: AsJson = False) -> None:
    """Let a job's fires pass until it is resumed."""
    show_job(connect(context).json(calls.pause_job(job)), as_json=as_json)


@app.command()
def resume(context: typer.Context, job: JobRef, *, as_json: AsJson = False) -> None:
    """Let a paused job fire again, from now on."""
    show_job(connect(context).json(calls.resume_job(job)), as_json=as_json)


@app.command()
def snooze(
    context: typer.Context,
    job: JobRef,
    *,
    until: Annotated[str | None, typer.Option(metavar="ISO", help="Skip what fires before this instant.")] = None,
    span: Annotated[str | None, typer.Option("--for", metavar="DURATION", help="Skip for so long, such as 2h.")] = None,
    fires: Annotated[int | None, typer.Option("--next", min=1, help="Skip the next N fires.")] = None,
    as_json: AsJson = False,
) -> None:
    """Skip a job's fires for a while; it goes on by itself."""
    wanted: dict[str, Any] = {
        "until": iso_instant("--until", until),
        "for_s": None if span is None else _seconds("--for", span),
        "fires": fires,
    }
    given = {name: value for name, value in wanted.items() if value is not None}
    if len(given) != 1:
        raise wrong_use("say one of --until, --for and --next")
    show_job(connect(context).json(calls.snooze_job(job, given)), as_json=as_json)


def _seconds(flag: str, text: str) -> int:
    try:
        return max(1, parse_duration_ms(text) // 1000)
    except ValueError:
        raise wrong_use(f"{flag} {text!r} is not a duration; write it as 90s, 30m, 2h or 1d") from None


@app.command()
def delete(context: typer.Context, job: JobRef, *, as_json: AsJson = False) -> None:
    """Delete a job; its history stays, its active runs go on."""
    client = connect(context)
    seen = client.json(calls.job(job))
    client.json(calls.delete_job(seen["id"]))
    if as_json:
        output.document({"id": seen["id"], "name": seen["name"], "deleted": True})
        return
    output.line(f"deleted {seen['name']}")


@app.command()
def history(context: typer.Context, job: JobRef, *, as_json: AsJson = False) -> None:
    """List the saved versions of a job, newest first."""
    page = connect(context).json(calls.job_versions(job))
    if as_json:
        output.page(page["items"], page.get("next"))
        return
    rows = [
        (
            str(saved["version"]),
            output.brief(saved["created_at"]),
            saved["author"],
            saved["message"],
            saved["spec"]["command"],
        )
        for saved in page["items"]
    ]
    output.table(("version", "saved", "by", "why", "command"), rows, right=(0,))


@app.command()
def diff(
    context: typer.Context,
    job: JobRef,
    old: Annotated[int | None, typer.Argument(metavar="[OLD]", min=1, help="A version; the last but one.")] = None,
    new: Annotated[int | None, typer.Argument(metavar="[NEW]", min=1, help="A version; the last.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Say in which fields two versions of a job differ."""
    saved = {each["version"]: each["spec"] for each in connect(context).json(calls.job_versions(job))["items"]}
    before, newest = versions.pair(saved, old, new, f"`chronos job history {job}`")
    found = versions.differences(saved[before], saved[newest])
    if as_json:
        output.document({"job": job, "old": before, "new": newest, "changed": found})
        return
    versions.show(found, before, newest)


@app.command()
def rollback(
    context: typer.Context,
    job: JobRef,
    version: Annotated[int, typer.Argument(metavar="VERSION", min=1, help="The one to go back to.")],
    *,
    message: Annotated[str, typer.Option("--message", "-m", help="Why, for the history.")] = "",
    as_json: AsJson = False,
) -> None:
    """Save an earlier version of a job once more, as a new one; what came in between stays in the history."""
    client = connect(context)
    seen = client.json(calls.job(job))
    saved = {each["version"]: each["spec"] for each in client.json(calls.job_versions(seen["id"]))["items"]}
    versions.pair(saved, version, None, f"`chronos job history {job}`")
    said = f"back to version {version}" + (f": {message}" if message else "")
    patch = {"version": seen["version"], "changes": saved[version], "message": said}
    show_job(client.json(calls.patch_job(seen["id"], patch)), as_json=as_json, client=client)


@app.command()
def kpis(context: typer.Context, job: JobRef, *, as_json: AsJson = False) -> None:
    """Show the figures that a job's latest 100 runs gave by lines such as `::kpi rows=1250 unit=rows`."""
    page = connect(context).json(calls.job_kpis(job))
    if as_json:
        output.page(page["items"], page.get("next"))
        return
    rows = [
        (
            each["name"],
            each["unit"],
            str(each["runs"]),
            *(fmt.figure(each[name]) for name in ("last", "least", "mean", "greatest")),
            str(each["last_run"]),
        )
        for each in page["items"]
    ]
    output.table(
        ("name", "unit", "runs", "last", "least", "mean", "greatest", "last run"), rows, right=(2, 3, 4, 5, 6, 7)
    )


@app.command()
def graph(context: typer.Context, job: JobRef, *, as_json: AsJson = False) -> None:
    """Show what runs after what, of all jobs tied to one: each is indented below a job that it runs after."""
    found = connect(context).json(calls.job_graph(job))
    if as_json:
        output.document(found)
        return
    for text in _tree(found):
        output.line(text)


def _tree(graph: dict[str, Any]) -> list[str]:
    """Return a line for each job below each that it runs after; what stands below it is told once."""
    nodes = {node["id"]: node for node in graph["nodes"]}
    behind: dict[str, list[str]] = {}
    for edge in graph["edges"]:
        behind.setdefault(edge["upstream"], []).append(edge["downstream"])
    later = {edge["downstream"] for edge in graph["edges"]}
    told: set[str] = set()
    lines: list[str] = []
    open_ones = [(key, 0) for key in reversed(list(nodes)) if key not in later]
    while open_ones:
        key, depth = open_ones.pop()
        again = key in told and key in behind
        lines.append(f"{'  ' * depth}{_node(nodes[key], is_root=not depth)}{', as above' if again else ''}")
        if key not in told:
            open_ones += [(each, depth + 1) for each in reversed(behind.get(key, []))]
        told.add(key)
    return lines


def _node(node: dict[str, Any], *, is_root: bool) -> str:
    state = "paused" if node["paused"] else "running" if node["active"] else node["state"] or "never"
    return f"{node['name']}  {state}" + ("" if is_root else f"  {node['trigger_rule']}")
