"""What a run used is recorded whether or not it has limits, and is seen while it runs."""

import json

from chronos_tui.client import calls
from tests.support.api import Api
from tests.support.daemon import DaemonHandle, daemon, wait_until

__all__ = ["daemon"]


def test_a_run_without_limits_records_what_it_used_and_who_counted(daemon: DaemonHandle) -> None:
    script = "head -c 1M /dev/zero > written; sync written; sleep 6 & x=; for i in $(seq 60000); do x=$i; done; wait"
    daemon.json("job", "add", "user", "--cwd", str(daemon.state), "--", "sh", "-c", script)
    run = daemon.json("run", "user")["id"]

    def looks(metric: str) -> list[float]:
        return [point["value"] for point in Api(daemon.state).ask(calls.usage(run, metric))["points"]]

    wait_until(lambda: any(looks("cpu")))
    wait_until(lambda: daemon.json("run", "show", str(run))["state"] == "succeeded")

    usage = daemon.json("run", "show", str(run))["usage"]
    assert usage["cpu_ms"] > 5
    assert usage["write_bytes"] >= 1 << 20
    assert usage["processes"] >= 2
    assert usage["source"] == "rusage"
    assert "processes" in usage["sampled"]
    assert "counted" in daemon.chronos("run", "show", str(run)).stdout
    assert max(looks("processes")) >= 2


def test_a_failed_run_tells_how_the_machine_was_and_one_that_succeeds_does_not(daemon: DaemonHandle) -> None:
    daemon.json("job", "add", "bad", "--cwd", str(daemon.state), "--", "false")
    daemon.json("job", "add", "good", "--", "true")
    bad, good = (daemon.chronos("run", name, "--wait", "--json").stdout for name in ("bad", "good"))
    failed, succeeded = (str(json.loads(text)["id"]) for text in (bad, good))

    facts = wait_until(lambda: daemon.json("run", "show", failed)["host_facts"])

    assert facts["disks"][0]["path"] == str(daemon.state)
    assert facts["memory_available_bytes"] > 0
    assert "top memory" in daemon.chronos("run", "show", failed).stdout
    assert daemon.json("run", "show", succeeded)["host_facts"] is None
