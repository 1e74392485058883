"""How soon a change of state and a line of output are heard on the live feed, by a session as the terminal opens it.

From the instant the launcher saw the process start or end, and from the instant the job itself wrote, to the message.
"""

import json
import sys
import time
from typing import Any

import redis

from benchmarks import ours
from benchmarks.report import Figure, percentile, show
from chronos_tui.client import Client, calls
from chronos_tui.client.calls import Call

PAUSE = 0.3
"""Seconds each run lives, so that its start is news before its end is."""
WRITER = "i=0; while [ $i -lt {lines} ]; do date +%s.%N; sleep 0.05; i=$((i+1)); done"


def measure(runs: int, lines: int) -> tuple[list[float], list[float]]:
    """Return the milliseconds each change of state took, and each line."""
    with ours.directory() as state:
        daemon = ours.Ours(state)
        try:
            return _heard(daemon.client, runs, lines)
        finally:
            daemon.close()


def _heard(client: Client, runs: int, lines: int) -> tuple[list[float], list[float]]:
    for name, command in (("short", f"sleep {PAUSE}"), ("writer", "sleep 0.3; " + WRITER.format(lines=lines))):
        client.json(calls.create_job({"spec": {"name": name, "command": command}}))
    session = client.json(calls.open_session())
    listener = redis.Redis.from_url(
        session["redis_url"], username=session["username"], password=session["password"], protocol=3
    )
    feed = listener.pubsub(ignore_subscribe_messages=True)
    feed.subscribe(*session["channels"])
    changes: list[float] = []
    for _ in range(runs):
        run = client.json(calls.run_job("short"))
        changes += _changes(feed, str(run["id"]))
    run = client.json(calls.run_job("writer"))
    follow = f"/v1/executions/{run['id']}/log/follow?session={session['id']}"
    channel = client.json(Call("POST", follow))["channel"]
    ear = listener.pubsub(ignore_subscribe_messages=True)
    ear.subscribe(channel)
    written = _lines(ear, lines)
    for one in (feed, ear, listener):
        one.close()
    return changes, written


def _changes(feed: Any, run: str) -> list[float]:
    found: list[float] = []
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        message = _next(feed)
        if message is None or message["kind"] != "execution" or message["id"] != run:
            continue
        doc = message["doc"]
        if doc["state"] == "running":
            found.append(_since(doc["started_at"]))
        if doc["ended_at"]:
            return [*found, _since(doc["ended_at"])]
    raise RuntimeError(f"the end of run {run} was not heard")


def _lines(ear: Any, lines: int) -> list[float]:
    found: list[float] = []
    deadline = time.monotonic() + 60
    while len(found) < lines and time.monotonic() < deadline:
        message = _next(ear)
        if message is not None and message["kind"] == "log":
            now = time.time()
            found += [(now - float(line["text"])) * 1000 for line in message["lines"]]
    return found


def _next(feed: Any) -> dict[str, Any] | None:
    message = feed.get_message(timeout=1.0)
    return json.loads(message["data"]) if message else None


def _since(moment: str) -> float:
    from datetime import datetime

    return (time.time() - datetime.fromisoformat(moment).timestamp()) * 1000


def figures(*, quick: bool = False) -> list[Figure]:
    """Measure both."""
    changes, lines = measure(8 if quick else 30, 40 if quick else 150)
    return [
        Figure("state change to feed message, p50", percentile(changes, 50), "ms", 50),
        Figure("state change to feed message, p99", percentile(changes, 99), "ms", 500),
        Figure("log line to feed message, p50", percentile(lines, 50), "ms", 100),
        Figure("log line to feed message, p99", percentile(lines, 99), "ms"),
    ]


if __name__ == "__main__":
    show(figures(quick="--quick" in sys.argv))
