"""`chronos job add` and `chronos job edit`: what their flags come to."""

import json
import os
from collections.abc import Callable
from secrets import token_hex
from typing import Annotated, Any

import typer

from chronos_tui.client import calls
from chronos_tui.verbs import (
    artifacts,
    conditions,
    handlers,
    isolation,
    keeping,
    limits,
    parameters,
    policies,
    retry,
    secrets,
    spec,
)
from chronos_tui.verbs.common import AsJson, JobRef, connect
from chronos_tui.verbs.failure import wrong_use
from chronos_tui.verbs.jobview import show_job


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
    memory: limits.Memory = None,
    processes: limits.Processes = None,
    cpus: limits.Cpus = None,
    cpu_time: limits.CpuTime = None,
    open_files: limits.OpenFiles = None,
    file_size: limits.FileSize = None,
    scratch: limits.Scratch = None,
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
    most = limits.fields(
        memory=memory, processes=processes, cpus=cpus, cpu_time=cpu_time, open_files=open_files,
        file_size=file_size, scratch=scratch,
    )  # fmt: skip
    given |= isolation.fields(limits=most, read=read, write=write, network=network)
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
    show_job(made, as_json=as_json, client=client)
    policies.warn(client, made)


def _handlers(failure: str | None, success: str | None, cancel: str | None, timeout: str | None) -> dict[str, Any]:
    return handlers.fields(on_failure=failure, on_success=success, on_cancel=cancel, timeout=timeout)


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
    memory: limits.Memory = None,
    processes: limits.Processes = None,
    cpus: limits.Cpus = None,
    cpu_time: limits.CpuTime = None,
    open_files: limits.OpenFiles = None,
    file_size: limits.FileSize = None,
    scratch: limits.Scratch = None,
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
    most = limits.fields(
        memory=memory, processes=processes, cpus=cpus, cpu_time=cpu_time, open_files=open_files,
        file_size=file_size, scratch=scratch,
    )  # fmt: skip
    given |= isolation.fields(limits=most, read=read, write=write, network=network)
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
    show_job(saved, as_json=as_json, client=client)
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
