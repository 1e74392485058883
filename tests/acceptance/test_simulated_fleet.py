"""A fleet with seeded trouble runs in the real daemon, at a second for what is a minute elsewhere, and is advised.

Nothing is written into its history: jobs fire each second, what is found is found in those runs, and the terminal shows
it. One proposal is applied by a key and kept by what is measured; one does harm, and is taken back.
"""

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from chronos_tui.client import calls
from tests.support.api import Api, api_of
from tests.support.daemon import DaemonHandle, running_daemon, wait_until
from tests.support.terminal import Terminal, terminal

LONG_S = 120.0
"""The process that finds insights takes what others leave of the machine."""
SYNCS = ("sync-invoices", "sync-orders", "sync-stock")
# A queue that nobody empties for longer than this loses messages; nothing tells the job that it may not be run rarer.
POLL = """\
now=$(date +%s); last=$(cat {state}/polled 2>/dev/null || echo $now); echo $now > {state}/polled
echo '::kpi messages=0'
test $((now - last)) -le 8 || {{ echo 'queue overflow: messages were lost' >&2; exit 4; }}"""
SYNC = "test ! -e {state}/down || {{ echo 'connection to db.internal:5432 refused' >&2; exit 1; }}; echo synced"
EXPORT = "test ! -e {state}/slow || sleep 1.5; echo exported"


pytestmark = pytest.mark.timeout(400)


@pytest.fixture
def fleet() -> Iterator[DaemonHandle]:
    """Six jobs: one wants far less memory than it is given, one polls for nothing, the others have trouble to come."""
    with running_daemon({"CHRONOS_INSIGHTS": "true", "CHRONOS_REVIEW_EVERY": "PT2S"}) as daemon:
        jobs = [("render", "* * * * * *", "echo rendered"), ("poll-queue", "* * * * * *", POLL)]
        jobs += [("export", "*/2 * * * * *", EXPORT), *((name, "*/3 * * * * *", SYNC) for name in SYNCS)]
        for name, schedule, command in jobs:
            limits = {"limits": {"memory_bytes": 512 << 20}} if name == "render" else {}
            when = {"expressions": [schedule]}
            api_of(daemon).create(command.format(state=daemon.state), name=name, schedule=when, **limits)
        yield daemon


@pytest.fixture
def screen(fleet: DaemonHandle) -> Iterator[Terminal]:
    """The Insights screen, in tmux."""
    environ = {name: value for name, value in fleet.environ.items() if name != "NO_COLOR"}
    with terminal([sys.executable, "-m", "chronos_tui", "--state", str(fleet.state)], environ) as window:
        window.until("overview", "● live")
        window.press("7")
        window.until("insights", "What was found")
        yield window


def test_a_fleet_in_trouble_is_advised_one_change_is_kept_and_one_taken_back(
    fleet: DaemonHandle, screen: Terminal
) -> None:
    _wait_for(screen, "render", "proposed")
    _wait_for(screen, "poll-queue", "proposed")
    for trouble in ("slow", "down"):
        (fleet.state / trouble).touch()
    _apply(screen, "memory_limit", "+ memory limit: 16 MiB")
    _apply(screen, "idle_runs", "+ schedule.expressions: */1")

    # What began meanwhile is there too, the worst first.
    screen.until("Several jobs fail", "Took 1.5", seconds=LONG_S)
    _wait_for(screen, "render", "kept")
    _wait_for(screen, "poll-queue", "taken back")

    api = api_of(fleet)
    found = {(each["kind"], each["job"]): each for each in api.ask(calls.insights(limit=100))["items"]}
    kept, back = found["memory_limit", "render"], found["idle_runs", "poll-queue"]
    assert (kept["state"], kept["measured"]["verdict"], kept["measured"]["came"]) == ("applied", "keep", True)
    assert kept["measured"]["runs"] >= 16
    assert (back["state"], back["decided_by"]) == ("reverted", "canary")
    assert "failed, before 0 of" in back["measured"]["why"]
    assert api.ask(calls.job("render"))["spec"]["limits"]["memory_bytes"] == 16 << 20
    restored = api.ask(calls.job("poll-queue"))
    assert (restored["spec"]["schedule"]["expressions"], restored["version"]) == (["* * * * * *"], 3)
    failed = {run["id"] for job in SYNCS for run in api.executions(job) if run["state"] == "failed"}
    assert {each["run_id"] for each in found["shared_error", ""]["evidence"]} <= failed
    assert found["duration_high", "export"]["evidence"][0]["value"] > 1.4
    cards = {card["kind"]: card for card in api.ask(calls.scorecard())["items"]}
    assert [(cards[kind]["applied"], cards[kind]["kept"]) for kind in ("memory_limit", "idle_runs")] == [(1, 1), (1, 0)]
    _may_be_judged(fleet, api)


def _wait_for(screen: Terminal, job: str, state: str) -> None:
    """Wait until the row of a job's insight says how far it has come."""
    wait_until(lambda: any(job in line and state in line for line in screen.lines), seconds=LONG_S, every=0.2)


def _apply(screen: Terminal, kind: str, change: str) -> None:
    """Find the insight of a kind by typing, see what it would change, and apply it by a key."""
    screen.press("/")
    screen.type(f"kind:{kind}")
    screen.press("Enter")
    screen.until(f"/kind:{kind}", "A apply", change)
    screen.press("A")
    screen.until("applied by root", "u undo")
    screen.press("Escape")
    screen.until_gone("/kind")


def _may_be_judged(fleet: DaemonHandle, api: Api) -> None:
    """By verbs too: an insight without a change cannot be applied; one that is dismissed is open no more."""

    def streak() -> Any:
        items = api.ask(calls.insights(job=SYNCS[0]))["items"]
        return next((each for each in items if each["kind"] in {"failure_burst", "failure_streak"}), None)

    found = wait_until(streak, seconds=LONG_S)
    applied = fleet.chronos("insight", "apply", found["id"][:8])
    dismissed = fleet.json("insight", "dismiss", found["id"], "--reason", "known")

    assert "has failed" in fleet.chronos("insight", "show", found["id"][:8]).stdout
    assert applied.returncode == 5
    assert "proposes no change" in applied.stderr
    assert (dismissed["state"], dismissed["reason"]) == ("dismissed", "known")
    assert found["id"] not in {each["id"] for each in fleet.json("insights")["items"]}
    assert fleet.chronos("insights", "--state", "good").returncode == 2
