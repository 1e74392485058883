"""Every call of the HTTP API, once: its method, path, query and body. Sending is for `wire` and `live`."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

Ref = str | int
Json = Mapping[str, Any]


class Call(NamedTuple):
    """One request, ready to be sent. `target` is the path with its query, percent-encoded."""

    method: str
    target: str
    body: bytes | None = None
    headers: Mapping[str, str] = {}


def _path(*parts: Ref) -> str:
    return "/v1/" + "/".join(quote(str(part), safe="", errors="surrogateescape") for part in parts)


def _get(*parts: Ref, **query: object) -> Call:
    return Call("GET", _with(_path(*parts), query))


def _with(path: str, query: Mapping[str, object]) -> str:
    """Add the query's members that are set; True and False are written as the API reads them."""
    given = {
        key: str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in query.items()
        if value is not None
    }
    return f"{path}?{urlencode(given, errors='surrogateescape')}" if given else path


def _send(method: str, path: str, body: Json | None = None, key: str | None = None) -> Call:
    headers = {"Idempotency-Key": key} if key else {}
    if body is None:
        return Call(method, path, None, headers)
    return Call(method, path, json.dumps(body).encode(), headers | {"Content-Type": "application/json"})


# The server itself
def health() -> Call:
    return Call("GET", "/healthz")


def status() -> Call:
    return _get("status")


def whoami() -> Call:
    return _get("whoami")


def shutdown(*, stop_jobs: bool = False) -> Call:
    return Call("POST", _with(_path("shutdown"), {"jobs": "stop" if stop_jobs else "keep"}))


def events(*, since: str | None = None, after: int | None = None, limit: int | None = None) -> Call:
    return _get("events", since=since, after=after, limit=limit)


def open_session() -> Call:
    return _send("POST", _path("sessions"))


def close_session(session: str) -> Call:
    return _send("DELETE", _path("sessions", session))


# Time
def preview(request: Json) -> Call:
    return _send("POST", _path("schedules", "preview"), request)


def simulate(request: Json) -> Call:
    return _send("POST", _path("simulations"), request)


# Jobs
def jobs(
    *,
    q: str | None = None,
    sort: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Call:
    return _get("jobs", q=q, sort=sort, limit=limit, cursor=cursor)


def job(ref: Ref) -> Call:
    return _get("jobs", ref)


def create_job(request: Json, *, key: str | None = None) -> Call:
    return _send("POST", _path("jobs"), request, key)


def patch_job(ref: Ref, patch: Json) -> Call:
    return _send("PATCH", _path("jobs", ref), patch)


def delete_job(ref: Ref) -> Call:
    return _send("DELETE", _path("jobs", ref))


def pause_job(ref: Ref) -> Call:
    return _send("POST", _path("jobs", ref, "pause"))


def resume_job(ref: Ref) -> Call:
    return _send("POST", _path("jobs", ref, "resume"))


def snooze_job(ref: Ref, snooze: Json) -> Call:
    return _send("POST", _path("jobs", ref, "snooze"), snooze)


def run_job(
    ref: Ref,
    *,
    reason: str = "",
    key: str | None = None,
    parameters: Json | None = None,
    like: int | None = None,
) -> Call:
    request: dict[str, Any] = {"reason": reason}
    if parameters:
        request["parameters"] = parameters
    if like is not None:
        request["like"] = like
    return _send("POST", _path("jobs", ref, "run"), request, key)


def backfill(ref: Ref, request: Json, *, key: str | None = None) -> Call:
    return _send("POST", _path("jobs", ref, "backfill"), request, key)


def cancel_backfill(ref: Ref, *, reason: str = "") -> Call:
    return _send("POST", _path("jobs", ref, "backfill", "cancel"), {"reason": reason})


def job_versions(ref: Ref) -> Call:
    return _get("jobs", ref, "versions")


def job_fires(ref: Ref, *, count: int | None = None, after: str | None = None) -> Call:
    return _get("jobs", ref, "fires", count=count, after=after)


def job_graph(ref: Ref) -> Call:
    return _get("jobs", ref, "graph")


def explain(ref: Ref, *, at: str | None = None) -> Call:
    return _get("jobs", ref, "explain", at=at)


def series(ref: Ref, metric: str, *, since_s: int | None = None, buckets: int | None = None) -> Call:
    return _get("jobs", ref, "series", metric=metric, since_s=since_s, buckets=buckets)


def job_kpis(ref: Ref) -> Call:
    return _get("jobs", ref, "kpis")


# Calendars
def pools() -> Call:
    return _get("pools")


def policies() -> Call:
    return _get("policies")


def policy(name: str) -> Call:
    return _get("policies", name)


def create_policy(request: Json) -> Call:
    return _send("POST", _path("policies"), request)


def patch_policy(name: str, patch: Json) -> Call:
    return _send("PATCH", _path("policies", name), patch)


def delete_policy(name: str) -> Call:
    return _send("DELETE", _path("policies", name))


def policy_versions(name: str) -> Call:
    return _get("policies", name, "versions")


def put_pool(name: str, request: Json) -> Call:
    return _send("PUT", _path("pools", name), request)


def delete_pool(name: str) -> Call:
    return _send("DELETE", _path("pools", name))


def secrets() -> Call:
    return _get("secrets")


def put_secret(name: str, value: str) -> Call:
    return _send("PUT", _path("secrets", name), {"value": value})


def delete_secret(name: str, *, force: bool) -> Call:
    return _send("DELETE", _with(_path("secrets", name), {"force": force or None}))


def calendars() -> Call:
    return _get("calendars")


def calendar(name: str) -> Call:
    return _get("calendars", name)


def calendar_days(name: str, *, year: int | None = None) -> Call:
    return _get("calendars", name, "days", year=year)


def put_calendar(name: str, request: Json) -> Call:
    return _send("PUT", _path("calendars", name), request)


def delete_calendar(name: str) -> Call:
    return _send("DELETE", _path("calendars", name))


def import_ics(name: str, content: bytes, *, timed: bool = False, dry_run: bool = False) -> Call:
    path = _with(_path("calendars", name, "ics"), {"timed": timed, "dry_run": dry_run})
    return Call("POST", path, content, {"Content-Type": "text/calendar"})


# Runs
def executions(
    *,
    job: Ref | None = None,
    state: str | None = None,
    since: str | None = None,
    q: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Call:
    return _get("executions", job=job, state=state, since=since, q=q, limit=limit, cursor=cursor)


def execution(run: Ref) -> Call:
    return _get("executions", run)


def attempts(run: Ref) -> Call:
    return _get("executions", run, "attempts")


def facts(run: Ref) -> Call:
    return _get("executions", run, "facts")


def artifacts(run: Ref) -> Call:
    return _get("executions", run, "artifacts")


def artifact(run: Ref, name: str) -> Call:
    return _get("executions", run, "artifacts", *name.split("/"))


def usage(run: Ref, metric: str, *, buckets: int | None = None) -> Call:
    return _get("executions", run, "usage", metric=metric, buckets=buckets)


def cancel(run: Ref, *, reason: str = "") -> Call:
    return _send("POST", _path("executions", run, "cancel"), {"reason": reason})


def log(
    run: Ref,
    *,
    after: int | None = None,
    limit: int | None = None,
    stream: str | None = None,
    search: str | None = None,
    tail: int | None = None,
    since: str | None = None,
) -> Call:
    return _get(
        "executions", run, "log", after=after, limit=limit, stream=stream, search=search, tail=tail, since=since
    )


def search_output(
    search: str,
    *,
    job: Ref | None = None,
    since: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Call:
    return _get("output", search=search, job=job, since=since, limit=limit, cursor=cursor)


def raw_log(run: Ref, stream: str) -> Call:
    return _get("executions", run, "log", "raw", stream=stream)


def follow_log(run: Ref, session: str) -> Call:
    return Call("POST", _with(_path("executions", run, "log", "follow"), {"session": session}))


# Insights
def insights(
    *,
    state: Iterable[str] = (),
    job: Ref | None = None,
    kind: str | None = None,
    severity: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Call:
    call = _get("insights", job=job, kind=kind, severity=severity, limit=limit, cursor=cursor)
    states = urlencode([("state", each) for each in state])
    return call._replace(target=f"{call.target}{'&' if '?' in call.target else '?'}{states}") if states else call


def scorecard() -> Call:
    """How good each kind of insight is."""
    return _get("insights", "scorecard")


def costs(*, start: str | None, end: str | None, by: str) -> Call:
    """What runs cost."""
    return Call("GET", _with(_path("costs"), {"from": start, "to": end, "by": by}))


def insight(ref: str) -> Call:
    return _get("insights", ref)


def decide_insight(ref: str, verb: str, request: Json) -> Call:
    """`verb` is accept, dismiss, snooze, apply or undo."""
    return _send("POST", _path("insights", ref, verb), request)


# Moving in and out
def import_crontab(
    content: bytes,
    *,
    source: str,
    system: bool = False,
    user: str | None = None,
    dry_run: bool = False,
    zone: str | None = None,
    key: str | None = None,
) -> Call:
    query = {"source": source, "system": system, "user": user, "dry_run": dry_run, "zone": zone}
    headers = {"Content-Type": "text/plain"} | ({"Idempotency-Key": key} if key else {})
    return Call("POST", _with(_path("imports", "crontab"), query), content, headers)


def export(format: str) -> Call:  # noqa: A002 - the API's own word
    return _get("exports", format=format)


# Why runs fail, and Claude
def explain_failure(execution: int, *, local: bool = False) -> Call:
    return _send("POST", _with(_path("executions", execution, "explanation"), {"local": local}))


def patterns(*, job: str | None = None, since: str | None = None, limit: int | None = None) -> Call:
    return _get("patterns", job=job, since=since, limit=limit)


def pattern(ref: str) -> Call:
    return _get("patterns", ref)


def name_pattern(ref: str) -> Call:
    return _send("POST", _path("patterns", ref, "name"))


def claude_call(call: int) -> Call:
    return _get("claude", "calls", call)


def claude_calls(*, limit: int | None = None, cursor: str | None = None) -> Call:
    return _get("claude", "calls", limit=limit, cursor=cursor)


def ask_schedule(words: str, zone: str) -> Call:
    return _send("POST", _path("ask", "schedule"), {"words": words, "zone": zone})


def ask_fleet(question: str, *, local: bool = False) -> Call:
    return _send("POST", _with(_path("ask", "fleet"), {"local": local}), {"question": question})


def ask_job(job: str) -> Call:
    return _send("POST", _path("ask", "job"), {"job": job})


def claude_budget() -> Call:
    return _get("claude", "budget")
