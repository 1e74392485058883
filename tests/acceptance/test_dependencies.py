"""Jobs that run after others, by a real daemon: a diamond runs in order, over a kill too, and a failure blocks it."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.support.api import Api
from tests.support.daemon import DaemonHandle, wait_until


def _make(daemon: DaemonHandle, notes: Path, **commands: str) -> None:
    """Make a -> b, c -> d at the command line; each job notes its name, after its own command."""
    befores: dict[str, tuple[str, ...]] = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}
    for name, upstreams in befores.items():
        flags = [flag for upstream in upstreams for flag in ("--after", upstream)]
        told = f"{commands.get(name, 'true')} && echo {name} $CHRONOS_FIRE_AT >> {notes}"
        daemon.json("job", "add", name, *flags, "--cwd", "/", "--", told)


def _last(api: Api) -> dict[str, Any]:
    """Return the one run of each job, by name."""
    return {name: runs[0] for name in "abcd" if (runs := api.executions(name))}


def test_a_diamond_runs_in_order_once_over_a_daemon_killed_in_the_middle(
    daemon: DaemonHandle, api: Api, tmp_path: Path
) -> None:
    notes, gate = tmp_path / "notes", tmp_path / "gate"
    _make(daemon, notes, c=f"while [ ! -e {gate} ]; do sleep 0.05; done")
    daemon.chronos("run", "a")
    wait_until(lambda: _last(api).get("b", {}).get("state") == "succeeded" and _last(api)["c"]["state"] == "running")
    waits = daemon.chronos("explain", "d").stdout

    daemon.kill9()
    gate.touch()
    daemon.start()

    wait_until(lambda: _last(api).get("d", {}).get("state") == "succeeded")
    found = _last(api)
    lines = notes.read_text().splitlines()
    assert "waits for c of the run set" in " ".join(waits.split())
    assert sorted(lines[1:3]) == sorted([lines[0].replace("a", "b", 1), lines[0].replace("a", "c", 1)])
    assert [line[0] for line in (lines[0], *sorted(lines[1:3]), lines[3])] == list("abcd")
    assert len({run["fire_at"] for run in found.values()}) == 1
    assert [found[name]["trigger"] for name in "abcd"] == ["manual", "dependency", "dependency", "dependency"]
    assert [len(api.executions(name)) for name in "abcd"] == [1, 1, 1, 1]
    ended = max(datetime.fromisoformat(found[name]["ended_at"]) for name in "bc")
    assert datetime.fromisoformat(found["d"]["started_at"]) >= ended
    tree = daemon.chronos("job", "graph", "d").stdout
    assert [line.split()[0] for line in tree.splitlines()] == ["a", "b", "d", "c", "d"]
    assert [len(line) - len(line.lstrip()) for line in tree.splitlines()] == [0, 2, 4, 2, 4]


def test_a_failure_blocks_what_is_behind_it_and_says_so(
    fresh_daemon: DaemonHandle, fresh_api: Api, tmp_path: Path
) -> None:
    daemon, api = fresh_daemon, fresh_api
    _make(daemon, tmp_path / "notes", b="exit 3;")
    daemon.chronos("run", "a", "--wait")

    wait_until(lambda: len(_last(api)) == 4 and all(run["ended_at"] for run in _last(api).values()))
    found = _last(api)
    refused = daemon.chronos("job", "edit", "a", "--after", "d")

    assert [found[name]["state"] for name in "abcd"] == ["succeeded", "failed", "succeeded", "blocked"]
    assert (found["d"]["outcome"], found["d"]["reason"]) == ("upstream_failed", "upstream b failed")
    assert (tmp_path / "notes").read_text().count("d") == 0
    assert re.search("a -> [bc] -> d -> a", " ".join(refused.stderr.split()))


def test_a_run_that_comes_up_behind_another_stops_the_one_it_replaces(daemon: DaemonHandle, api: Api) -> None:
    daemon.json("job", "add", "first", "--", "true")
    daemon.json("job", "add", "second", "--after", "first", "--concurrency", "replace", "--", "sleep 60")

    daemon.chronos("run", "first")
    wait_until(lambda: [run["state"] for run in api.executions("second")] == ["running"])
    daemon.chronos("run", "first")

    wait_until(lambda: "running" in {run["state"] for run in api.executions("second")[1:]})
    old, _ = api.executions("second")
    assert (old["state"], old["outcome"]) == ("cancelled", "superseded")


def test_what_is_behind_a_run_that_is_withdrawn_before_it_began_comes_up(daemon: DaemonHandle, api: Api) -> None:
    daemon.json("pool", "set", "closed", "0")
    daemon.json("job", "add", "withdrawn", "--pool", "closed", "--", "true")
    daemon.json("job", "add", "cleanup", "--after", "withdrawn", "--trigger-rule", "all_done", "--", "true")
    waiting = daemon.json("run", "withdrawn")

    daemon.json("cancel", str(waiting["id"]))

    wait_until(lambda: [run["state"] for run in api.executions("cleanup")] == ["succeeded"])
    assert [run["state"] for run in api.executions("withdrawn")] == ["cancelled"]
