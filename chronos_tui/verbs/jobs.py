"""`chronos job ...`: see, make, change, copy, pause, delete jobs."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from secrets import token_hex
from typing import Annotated, Any

import typer

from chronos_tui import format as fmt
from chronos_tui.client import Client, ServerError, calls
from chronos_tui.format import parse_duration_ms
from chronos_tui.verbs import (
    artifacts,
    conditions,
    handlers,
    isolation,
    keeping,
    output,
    parameters,
    policies,
    retry,
    secrets,
    spec,
)
from chronos_tui.verbs.common import AsJson, Cursor, JobRef, Limit, connect, iso_instant
from chronos_tui.verbs.failure import wrong_use

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
        (job["name"], _state(job), job["words"], output.brief(job["next_fire_at"]), _last(job), job["owner"])
        for job in page["items"]
    ]
    output.table(("name", "state", "schedule", "next", "last", "owner"), rows)
    if page.get("next"):
        output.line(f"more: --cursor {page['next']}")


def _state(job: dict[str, Any]) -> output.Cell:
    if job["paused"]:
        return output.state("paused")
    if job["active"]:
        return output.state("running")
    return output.state(job["last"]["state"] if job["last"] else "never")


def _last(job: dict[str, Any]) -> str:
    last = job["last"]
    return output.brief(last["ended_at"] or last["fire_at"]) if last else ""


@app.command()
def show(context: typer.Context, job: JobRef, *, as_json: AsJson = False) -> None:
    """Show one job in full."""
    client = connect(context)
    _print(client.json(calls.job(job)), as_json=as_json, client=client)


def _conditions(fields: dict[str, Any], client: Client | None) -> list[str]:
    """Return the conditions of a spec as --if takes them, jobs by name; by id where there is none any more."""

    def name_of(job_id: str) -> str:
        try:
            return str(client.json(calls.job(job_id))["name"]) if client else job_id
        except ServerError:
            return job_id

    return fmt.conditions(fields.get("conditions", ()), name_of)


@app.command()
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What the job is called.")],
    command: spec.Command = None,
    *,
    schedule: spec.Schedules = None,
    zone: spec.Zone = None,
    calendar: spec.Calendars = None,
    blackout: spec.Blackouts = None,
    jitter: spec.Jitter = None,
    start: spec.Start = None,
    end: spec.End = None,
    policy: spec.Policy = None,
    memory: isolation.Memory = None,
    processes: isolation.Processes = None,
    read: isolation.Read = None,
    write: isolation.Write = None,
    network: isolation.Net = None,
    timeout: spec.Timeout = None,
    grace: spec.Grace = None,
    env: spec.Env = None,
    secret: secrets.Secrets = None,
    keep: keeping.Keep = None,
    tag: spec.Tags = None,
    user: spec.User = None,
    cwd: spec.Cwd = None,
    shell: spec.Shell = None,
    stdin: spec.Stdin = None,
    concurrency: spec.Concurrency = None,
    concurrency_limit: spec.ConcurrencyLimit = None,
    queue_limit: spec.QueueLimit = None,
    pool: spec.Pool = None,
    priority: spec.Priority = None,
    move: spec.Move = None,
    after: spec.After = None,
    trigger_rule: spec.TriggerRule = None,
    not_before: conditions.NotBefore = None,
    only_if: conditions.If = None,
    misfire: spec.Misfire = None,
    misfire_grace: spec.MisfireGrace = None,
    catch_up_on_resume: spec.CatchUp = None,
    retries: retry.Retries = None,
    retry_delay: retry.Delay = None,
    retry_factor: retry.Factor = None,
    retry_cap: retry.Cap = None,
    retry_jitter: retry.Jitter = None,
    retry_on: retry.On = None,
    retry_exit_codes: retry.ExitCodes = None,
    retry_not_exit_codes: retry.NotExitCodes = None,
    retry_signals: retry.Signals = None,
    retry_not_signals: retry.NotSignals = None,
    retry_until: retry.Until = None,
    retry_smart: retry.Smart = None,
    run_timeout: retry.RunTimeout = None,
    on_failure: handlers.OnFailure = None,
    on_success: handlers.OnSuccess = None,
    on_cancel: handlers.OnCancel = None,
    handler_timeout: handlers.Timeout = None,
    param: parameters.Declared = None,
    artifact: artifacts.Patterns = None,
    artifact_limit: artifacts.Limit = None,
    description: spec.Description = None,
    paused: Annotated[bool, typer.Option("--paused", help="Do not run it until it is resumed.")] = False,
    key: Annotated[str | None, typer.Option(help="Sent twice with one key, the job is made once.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a job: chronos job add backup --schedule '0 3 * * *' -- tar -cf /tmp/home.tar /home"""
    if not command:
        raise wrong_use("a job needs a command; write it at the end, after --")
    given = spec.fields(
        schedule=schedule, zone=zone, calendar=calendar, blackout=blackout, jitter=jitter, start=start, end=end,
        policy=policy, timeout=timeout, grace=grace, env=env, tag=tag, user=user, cwd=cwd, shell=shell,
        stdin=stdin, concurrency=concurrency, concurrency_limit=concurrency_limit, queue_limit=queue_limit,
        pool=pool, priority=priority, move=move, misfire=misfire, misfire_grace=misfire_grace,
        catch_up_on_resume=catch_up_on_resume,
        after=after, trigger_rule=trigger_rule,
        description=description, command=command,
    )  # fmt: skip
    given |= isolation.fields(memory=memory, processes=processes, read=read, write=write, network=network)
    given |= retry.fields(
        retries=retries, delay=retry_delay, factor=retry_factor, cap=retry_cap, jitter=retry_jitter, on=retry_on,
        exit_codes=retry_exit_codes, not_exit_codes=retry_not_exit_codes, signals=retry_signals,
        not_signals=retry_not_signals, until=retry_until, smart=retry_smart, run_timeout=run_timeout,
    )  # fmt: skip
    given |= conditions.fields(conditions=only_if, not_before=not_before)
    given |= _put_over({}, keeping.fields(keep) | secrets.fields(secret))
    given |= artifacts.fields(artifact, artifact_limit) | parameters.fields(param)
    given |= handlers.over({}, _handlers(on_failure, on_success, on_cancel, handler_timeout))
    if "schedule" in given or conditions.need_zone(given):
        given.setdefault("schedule", {}).setdefault("zone", spec.local_zone(os.environ))
    request = {"spec": {"name": name, **given}, "paused": paused}
    client = connect(context)
    made = client.json(calls.create_job(request, key=key or token_hex(16)))
    _print(made, as_json=as_json, client=client)
    policies.warn(client, made)


def _handlers(failure: str | None, success: str | None, cancel: str | None, timeout: str | None) -> dict[str, Any]:
    return handlers.fields(on_failure=failure, on_success=success, on_cancel=cancel, timeout=timeout)


@app.command()
def edit(
    context: typer.Context,
    job: JobRef,
    command: spec.Command = None,
    *,
    name: Annotated[str | None, typer.Option(help="A new name.")] = None,
    schedule: spec.Schedules = None,
    zone: spec.Zone = None,
    calendar: spec.Calendars = None,
    blackout: spec.Blackouts = None,
    jitter: spec.Jitter = None,
    start: spec.Start = None,
    end: spec.End = None,
    policy: spec.Policy = None,
    memory: isolation.Memory = None,
    processes: isolation.Processes = None,
    read: isolation.Read = None,
    write: isolation.Write = None,
    network: isolation.Net = None,
    timeout: spec.Timeout = None,
    grace: spec.Grace = None,
    env: spec.Env = None,
    secret: secrets.Secrets = None,
    keep: keeping.Keep = None,
    unset_env: Annotated[list[str] | None, typer.Option(metavar="K", help="Drop a variable; repeatable.")] = None,
    tag: spec.Tags = None,
    user: spec.User = None,
    cwd: spec.Cwd = None,
    shell: spec.Shell = None,
    stdin: spec.Stdin = None,
    concurrency: spec.Concurrency = None,
    concurrency_limit: spec.ConcurrencyLimit = None,
    queue_limit: spec.QueueLimit = None,
    pool: spec.Pool = None,
    priority: spec.Priority = None,
    move: spec.Move = None,
    after: spec.After = None,
    trigger_rule: spec.TriggerRule = None,
    not_before: conditions.NotBefore = None,
    only_if: conditions.If = None,
    misfire: spec.Misfire = None,
    misfire_grace: spec.MisfireGrace = None,
    catch_up_on_resume: spec.CatchUp = None,
    retries: retry.Retries = None,
    retry_delay: retry.Delay = None,
    retry_factor: retry.Factor = None,
    retry_cap: retry.Cap = None,
    retry_jitter: retry.Jitter = None,
    retry_on: retry.On = None,
    retry_exit_codes: retry.ExitCodes = None,
    retry_not_exit_codes: retry.NotExitCodes = None,
    retry_signals: retry.Signals = None,
    retry_not_signals: retry.NotSignals = None,
    retry_until: retry.Until = None,
    retry_smart: retry.Smart = None,
    run_timeout: retry.RunTimeout = None,
    on_failure: handlers.OnFailure = None,
    on_success: handlers.OnSuccess = None,
    on_cancel: handlers.OnCancel = None,
    handler_timeout: handlers.Timeout = None,
    param: parameters.Declared = None,
    artifact: artifacts.Patterns = None,
    artifact_limit: artifacts.Limit = None,
    description: spec.Description = None,
    source: Annotated[
        str | None, typer.Option("--from", metavar="FILE|-", help="Take fields from a JSON object of the spec.")
    ] = None,
    version: Annotated[
        int | None, typer.Option(min=1, help="Refuse if the job has moved on from this version.")
    ] = None,
    message: Annotated[str, typer.Option("--message", "-m", help="Why, for the history.")] = "",
    as_json: AsJson = False,
) -> None:
    """Change fields of a job; only what is named changes. --tag replaces all tags, --env and --secret add to theirs."""
    given = spec.fields(
        schedule=schedule, zone=zone, calendar=calendar, blackout=blackout, jitter=jitter, start=start, end=end,
        policy=policy, timeout=timeout, grace=grace, env=env, tag=tag, user=user, cwd=cwd, shell=shell,
        stdin=stdin, concurrency=concurrency, concurrency_limit=concurrency_limit, queue_limit=queue_limit,
        pool=pool, priority=priority, move=move, misfire=misfire, misfire_grace=misfire_grace,
        catch_up_on_resume=catch_up_on_resume,
        after=after, trigger_rule=trigger_rule,
        description=description, command=command,
    )  # fmt: skip
    given |= isolation.fields(memory=memory, processes=processes, read=read, write=write, network=network)
    given |= retry.fields(
        retries=retries, delay=retry_delay, factor=retry_factor, cap=retry_cap, jitter=retry_jitter, on=retry_on,
        exit_codes=retry_exit_codes, not_exit_codes=retry_not_exit_codes, signals=retry_signals,
        not_signals=retry_not_signals, until=retry_until, smart=retry_smart, run_timeout=run_timeout,
    )  # fmt: skip
    given |= conditions.fields(conditions=only_if, not_before=not_before)
    given |= artifacts.fields(artifact, artifact_limit) | parameters.fields(param)
    following = _handlers(on_failure, on_success, on_cancel, handler_timeout)
    changes = _from_file(source) if source else {}
    if tag and not any(tag):
        given["tags"] = []
    if name is not None:
        given["name"] = name
    given |= keeping.fields(keep) | secrets.fields(secret)
    if not (changes or given or unset_env or following):
        raise wrong_use("nothing to change; name a field, such as --schedule or --timeout, or give --from FILE")
    client = connect(context)
    seen = client.json(calls.job(job))
    kept = seen["spec"]
    given |= _put_over(kept, given)
    given |= handlers.over(kept, following)
    if "env" in given or unset_env:
        merged = {**kept["env"], **given.get("env", {})}
        given["env"] = {name: value for name, value in merged.items() if name not in (unset_env or ())}
    patch = {"version": version or seen["version"], "changes": {**changes, **given}, "message": message}
    saved = client.json(calls.patch_job(seen["id"], patch))
    _print(saved, as_json=as_json, client=client)
    policies.warn(client, saved, before=kept["policy"])


def _put_over(kept: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of which only a part was given, as they are to be as a whole."""
    ways: dict[str, Callable[[Any, Any], Any]] = {
        "schedule": _moved,
        "limits": isolation.over,
        "retry": retry.over,
        "output_kept": keeping.over,
        "secrets": secrets.over,
    }
    return {field: over(kept.get(field), given[field]) for field, over in ways.items() if field in given}


def _moved(kept: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Put new expressions or a new zone over a schedule; a new `@every` counts anew."""
    return {**kept, **given} | ({"anchor": None} if "expressions" in given else {})


def _from_file(name: str) -> dict[str, Any]:
    try:
        changes = json.loads(spec.read_text("--from", name))
    except ValueError as error:
        raise wrong_use(
            f'--from {name} is not JSON: {error}; write an object such as {{"timeout_ms": 60000}}'
        ) from None
    if not isinstance(changes, dict):
        raise wrong_use(
            f'--from {name} holds no JSON object; write fields of the spec, such as {{"timeout_ms": 60000}}'
        )
    return changes


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
    _print(made, as_json=as_json)


@app.command()
def pause(context: typer.Context, job: JobRef, *, as_json: AsJson = False) -> None:
    """Let a job's fires pass until it is resumed."""
    _print(connect(context).json(calls.pause_job(job)), as_json=as_json)


@app.command()
def resume(context: typer.Context, job: JobRef, *, as_json: AsJson = False) -> None:
    """Let a paused job fire again, from now on."""
    _print(connect(context).json(calls.resume_job(job)), as_json=as_json)


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
    _print(connect(context).json(calls.snooze_job(job, given)), as_json=as_json)


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


def _rule(job: dict[str, Any]) -> str:
    """Say by which rule a job runs after others; "" where it does not."""
    fields = job["spec"]
    return f"{fields['trigger_rule']}; see `chronos job graph {job['name']}`" if fields.get("after") else ""


def _snoozed(job: dict[str, Any]) -> str:
    """Say until when fires are skipped; "" where that is over."""
    until = job.get("snoozed_until")
    return f"until {output.when(until)}" if until and datetime.fromisoformat(until) > datetime.now(UTC) else ""


def _print(job: dict[str, Any], *, as_json: bool, client: Client | None = None) -> None:
    if as_json:
        output.document(job)
        return
    fields = job["spec"]
    schedule = fields["schedule"]
    last = job["last"]
    output.pairs(
        [
            ("name", output.Cell(job["name"], "title")),
            ("id", job["id"]),
            ("state", _state(job)),
            ("snoozed", _snoozed(job)),
            ("command", fields["command"]),
            ("schedule", "; ".join(schedule["expressions"]) or ("" if fields.get("after") else "only when asked")),
            ("rule", _rule(job)),
            ("not before", fields.get("not_before") or ""),
            *(("starts if", each) for each in _conditions(fields, client)),
            ("means", job["words"]),
            ("zone", schedule["zone"] if schedule["expressions"] else ""),
            ("next fire", output.when(job["next_fire_at"])),
            (
                "last run",
                f"{last['id']}: {last['state']}, {output.when(last['ended_at'] or last['fire_at'])}" if last else "",
            ),
            ("description", fields["description"]),
            ("tags", ", ".join(fields["tags"])),
            ("runs as", fields["user"] or ""),
            ("directory", fields["cwd"] or ""),
            ("environment", " ".join(f"{name}={value}" for name, value in fields["env"].items())),
            ("secrets", " ".join(f"{name}={secret}" for name, secret in fields.get("secrets", {}).items())),
            *(("parameter", fmt.parameter(each)) for each in fields.get("parameters", ())),
            ("output kept", fmt.kept(fields.get("output_kept"))),
            ("timeout", output.took(fields["timeout_ms"])),
            ("run timeout", output.took(fields.get("run_timeout_ms"))),
            ("retries", fmt.retries(fields.get("retry"))),
            ("overlap", fields["concurrency"].replace("_", " ")),
            ("at once", str(fields["concurrency_limit"] or "")),
            ("pool", f"{fields['pool']}, priority {fields['priority']}" if fields["pool"] else ""),
            ("policy", fields["policy"]),
            *handlers.shown(fields),
            ("artifacts", ", ".join(fields.get("artifacts") or ())),
            ("owner", job["owner"]),
            ("source", job["source"] or ""),
            ("version", str(job["version"])),
        ]
    )
