"""Conditions for a start, by a real daemon: over a kill in the middle of a look, and by a cancel."""

from __future__ import annotations

from pathlib import Path

from tests.support.api import Api
from tests.support.daemon import DaemonHandle, wait_until


def test_a_daemon_killed_while_it_looks_looks_again_and_never_starts_without(
    daemon: DaemonHandle, api: Api, tmp_path: Path
) -> None:
    ran, pids, gate = tmp_path / "ran", tmp_path / "pids", tmp_path / "gate"
    looks = f"command echo $$ >> {pids}; until [ -e {gate} ]; do sleep 0.05; done; false"
    daemon.json("job", "add", "load", "--cwd", "/", "--if", "file /", "--if", looks, "--", f"touch {ran}")
    daemon.chronos("run", "load")
    wait_until(lambda: pids.exists() and pids.read_text().endswith("\n"))
    first = int(pids.read_text())

    daemon.kill9()
    wait_until(lambda: not Path(f"/proc/{first}").exists())
    between = ran.exists()
    daemon.start()
    wait_until(lambda: len(pids.read_text().splitlines()) == 2)
    before = api.executions("load")[0]["state"]
    gate.touch()
    wait_until(lambda: api.executions("load")[0]["ended_at"] is not None)

    (run,) = api.executions("load")
    assert (between, before) == (False, "starting")
    assert (run["state"], run["outcome"], ran.exists()) == ("skipped", "condition", False)
    assert run["reason"] == f"condition does not hold: {looks}: exit code 1"
    told = " ".join(daemon.chronos("explain", "load").stdout.split())
    assert "starts only if: file /" in told


def test_a_run_is_cancelled_while_its_condition_is_looked_at(daemon: DaemonHandle, api: Api, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    daemon.json("job", "add", "asked", "--cwd", "/", "--if", f"command echo $$ > {pid}; sleep 60", "--", "true")
    daemon.chronos("run", "asked")
    wait_until(lambda: pid.exists() and pid.read_text().endswith("\n"))

    daemon.chronos("cancel", str(api.executions("asked")[0]["id"]), "--reason", "not now")

    wait_until(lambda: api.executions("asked")[0]["ended_at"] is not None)
    (run,) = api.executions("asked")
    assert (run["state"], run["started_at"]) == ("cancelled", None)
    assert run["reason"].endswith(": not now")
    wait_until(lambda: not Path(f"/proc/{pid.read_text().strip()}").exists())
