"""What a run used is recorded whether or not it has limits, and is seen while it runs."""

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
