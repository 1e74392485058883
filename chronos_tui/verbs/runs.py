"""`chronos run`, `run show`, `runs list` and `cancel`: ask for runs, wait for them, look at them, stop them."""

import secrets
import time
from typing import Annotated, Any

import typer

from chronos_tui import format as fmt
from chronos_tui.client import Client, calls
from chronos_tui.verbs import output, parameters
from chronos_tui.verbs.common import AsJson, Cursor, JobRef, Limit, RunId, Search, connect, since_instant
from chronos_tui.verbs.failure import FAILED

ACTIVE = frozenset({"queued", "starting", "running"})
FIRST_WAIT, LONGEST_WAIT = 0.05, 0.5

Wait = Annotated[bool, typer.Option("--wait", "-w", help="Until it has ended; exit 1 unless it succeeded.")]

run_app = typer.Typer(rich_markup_mode=None, add_completion=False)
show_app = typer.Typer(rich_markup_mode=None, add_completion=False)
cancel_app = typer.Typer(rich_markup_mode=None, add_completion=False)
list_app = typer.Typer(help="See what ran.", rich_markup_mode=None, add_completion=False)


@run_app.command("run")
def run(
    context: typer.Context,
    job: JobRef,
    *,
    wait: Wait = False,
    param: parameters.Told = None,
    param_file: parameters.ToldByFile = None,
    like: parameters.Like = None,
    reason: Annotated[str, typer.Option(help="Why, for the history.")] = "",
    key: Annotated[str | None, typer.Option(help="Sent twice with one key, it runs once.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run a job now. `chronos run show RUN` shows a run; a job named show is run by `chronos run -- show`."""
    told = parameters.told(param, param_file)
    client = connect(context)
    if like is None:
        told = parameters.asked_for(client, job, told)
    request = calls.run_job(job, reason=reason, key=key or secrets.token_hex(16), parameters=told, like=like)
    execution = client.json(request)
    if not wait:
        _announce(execution, as_json=as_json)
        return
    execution = _wait(client, execution)
    _announce(execution, as_json=as_json)
    if execution["state"] != "succeeded":
        raise typer.Exit(FAILED)


def _wait(client: Client, execution: dict[str, Any]) -> dict[str, Any]:
    """Ask until the last attempt of the run has ended, ever less often."""
    pause = FIRST_WAIT
    while execution["state"] in ACTIVE:
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_WAIT)
        execution = client.json(calls.execution(execution["id"]))
        if execution["state"] not in ACTIVE:
            execution = _following(client, execution)
    return execution


def _following(client: Client, execution: dict[str, Any]) -> dict[str, Any]:
    """Return the last attempt that followed one that has ended; itself if none did."""
    if execution["attempt"] + 1 >= execution["attempts"] or execution["state"] == "succeeded":
        return execution
    latest: dict[str, Any] = client.json(calls.attempts(execution["id"]))["items"][-1]
    return latest


def _announce(execution: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        output.document(execution)
        return
    state = output.state(execution["state"], _ending(execution))
    after = f" after {output.took(execution['duration_ms'])}" if execution["duration_ms"] is not None else ""
    output.write(
        fmt.printable(f"run {execution['id']} of {execution['job']}: ")
        + output.paint(state.text, state.tone)
        + after
        + "\n"
    )


def _ending(execution: dict[str, Any]) -> str:
    """Say why a run is in its final state, where the state alone does not."""
    if execution["exit_code"]:
        return f"exit code {execution['exit_code']}"
    if execution["signal"]:
        return f"signal {execution['signal']}"
    outcome = execution["outcome"] or ""
    return "" if outcome in {"ok", "cancelled", execution["state"]} else outcome.replace("_", " ")


@show_app.command("show")
def show(context: typer.Context, run: RunId, *, as_json: AsJson = False) -> None:
    """Show one run in full."""
    client = connect(context)
    execution = client.json(calls.execution(run))
    facts = client.json(calls.facts(run))
    if as_json:
        output.document({**execution, **facts})
        return
    tried = client.json(calls.attempts(run))["items"] if execution["attempts"] > 1 else []
    usage = execution["usage"]
    output.pairs(
        [
            ("run", output.Cell(str(execution["id"]), "title")),
            ("job", f"{execution['job']} (version {execution['job_version']})"),
            ("state", output.state(execution["state"], _ending(execution))),
            ("why", execution["reason"]),
            ("due", output.when(execution["fire_at"])),
            ("queued", output.when(execution["queued_at"])),
            ("started", output.when(execution["started_at"])),
            ("ended", output.when(execution["ended_at"])),
            ("took", output.took(execution["duration_ms"])),
            ("attempt", _attempt(execution)),
            ("others", ", ".join(_other(each) for each in tried if each["id"] != execution["id"])),
            ("not before", output.when(execution.get("start_after")) if execution["state"] == "queued" else ""),
            ("follows", _follows(execution)),
            *(("then", _then(each)) for each in facts["handlers"]),
            ("trigger", f"{execution['trigger']} by {execution['actor']}".replace("_", " ")),
            *(("told", each) for each in fmt.told(facts["parameters"])),
            ("progress", "" if execution.get("progress") is None else f"{execution['progress']}%"),
            *(("figure", fmt.kpi(each["name"], float(each["value"]), each["unit"])) for each in execution["kpis"]),
            ("warnings", str(execution["warnings"] or "")),
            *(("warning", text) for text in execution["warned"]),
            ("host", execution["host"]),
            ("policy", _policy(execution["policy"])),
            ("used", ", ".join(fmt.usage(usage))),
            ("counted", fmt.counted_by(usage)),
            *(("artifact", f"{each['name']}, {fmt.size(each['size'])}") for each in facts["artifacts"]["items"]),
            *(("left out", note) for note in facts["artifacts"]["notes"]),
            *_machine(facts["host_facts"]),
        ]
    )


def _machine(facts: dict[str, Any] | None) -> list[tuple[str, str]]:
    """Say how the machine was when a run failed."""
    return [] if facts is None else [("machine", f"when it failed, {output.when(facts['at'])}"), *fmt.host_facts(facts)]


def _follows(execution: dict[str, Any]) -> str:
    """Say which run this one is the handler of; "" for none."""
    return f"run {execution['parent_id']}, as its {execution['handler']}" if execution.get("parent_id") else ""


def _then(handler: dict[str, Any]) -> str:
    state = output.state(handler["state"], _ending(handler)).text
    return f"{handler['handler']}: run {handler['id']}, {state}"


def _so_far(execution: dict[str, Any]) -> str:
    """Say how far a run has come, and that it warned."""
    done = f"{execution['progress']}%" if execution["progress"] is not None and execution["state"] in ACTIVE else ""
    warned = execution["warnings"]
    return ", ".join(filter(None, (done, f"{warned} warning{'s' * (warned > 1)}" if warned else "")))


def _attempt(execution: dict[str, Any]) -> str:
    """Say which attempt of a run this is; "" for the only one."""
    return "" if execution["attempts"] == 1 else f"{execution['attempt'] + 1} of at most {execution['attempts']}"


def _other(execution: dict[str, Any]) -> str:
    return f"{execution['attempt'] + 1}: run {execution['id']}, {execution['state']}"


def _which(execution: dict[str, Any]) -> str:
    return "" if execution["attempts"] == 1 else f"{execution['attempt'] + 1}/{execution['attempts']}"


def _policy(policy: dict[str, Any]) -> str:
    missing = f", missing: {', '.join(policy['missing'])}" if policy["missing"] else ""
    in_force = f", in force: {', '.join(policy['in_force'])}" if policy["in_force"] else ""
    version = f" version {policy['version']}" if policy.get("version") else ""
    return f"{policy['requested']}{version}{in_force}{missing}"


@list_app.command("list")
def list_runs(
    context: typer.Context,
    *,
    job: Annotated[str | None, typer.Option(metavar="JOB", help="Only of this job.")] = None,
    state: Annotated[str | None, typer.Option(help="Only in this state, such as failed.")] = None,
    since: Annotated[str | None, typer.Option(metavar="2d|ISO", help="Only due since then.")] = None,
    search: Search = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List runs, newest first."""
    at = since_instant(since, output.now())
    page = connect(context).json(calls.executions(job=job, state=state, since=at, q=search, limit=limit, cursor=cursor))
    if as_json:
        output.page(page["items"], page.get("next"))
        return
    rows = [
        (
            str(item["id"]),
            item["job"],
            output.state(item["state"], _ending(item) or _so_far(item)),
            output.brief(item["fire_at"]),
            output.took(item["duration_ms"]),
            _which(item),
            item["trigger"].replace("_", " "),
        )
        for item in page["items"]
    ]
    output.table(("run", "job", "state", "due", "took", "attempt", "trigger"), rows, right=(0, 4))
    if page.get("next"):
        output.line(f"more: --cursor {page['next']}")


list_app.command("show")(show)


@cancel_app.command("cancel")
def cancel(
    context: typer.Context,
    run: RunId,
    *,
    reason: Annotated[str, typer.Option(help="Why, for the history.")] = "",
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Until it has ended.")] = False,
    as_json: AsJson = False,
) -> None:
    """Stop a run: TERM, then after its grace everything it started is killed."""
    client = connect(context)
    execution = client.json(calls.cancel(run, reason=reason))
    _announce(_wait(client, execution) if wait else execution, as_json=as_json)
