"""A real job tells how far it is, gives figures and warns; everyone who looks sees it, also after a kill."""

from chronos_tui.client import calls
from tests.support.api import Api
from tests.support.daemon import DaemonHandle, daemon, wait_until

__all__ = ["daemon"]


def add(daemon: DaemonHandle, name: str, command: str, *flags: str) -> None:
    daemon.json("job", "add", name, *flags, "--", "sh", "-c", command)


def test_progress_figures_and_warnings_of_a_job_are_seen_while_it_runs_and_afterwards(daemon: DaemonHandle) -> None:
    go = daemon.state / "go"
    wait = f"while ! test -e {go}; do sleep 0.05; done"
    command = f"echo ::progress 40; echo ::warning disk is slow >&2; {wait}; echo ::kpi rows=12.5 unit=ms; false"
    add(daemon, "talker", command)
    run = daemon.json("run", "talker")["id"]

    wait_until(lambda: daemon.json("run", "show", str(run))["progress"] == 40)
    listed = daemon.chronos("runs", "list").stdout
    daemon.kill9()
    go.touch()
    daemon.start()
    wait_until(lambda: daemon.json("run", "show", str(run))["kpis"])

    assert "running (40%, 1 warning)" in listed
    shown = daemon.json("run", "show", str(run))
    assert (shown["state"], shown["warnings"], shown["warned"]) == ("failed", 1, ["disk is slow"])
    assert shown["kpis"] == [{"name": "rows", "value": 12.5, "unit": "ms"}]
    told = daemon.chronos("run", "show", str(run)).stdout
    assert "rows 12.5 ms" in told
    assert "disk is slow" in told


def test_the_figures_of_a_job_are_summed_up_and_kept_as_a_series(daemon: DaemonHandle) -> None:
    add(daemon, "counter", "echo ::kpi rows=$((CHRONOS_N * 2))", "--env", "CHRONOS_N=5")
    daemon.json("run", "counter", "--wait")
    daemon.json("job", "edit", "counter", "--env", "CHRONOS_N=10")
    daemon.json("run", "counter", "--wait")

    def summary() -> list[dict[str, object]]:
        items: list[dict[str, object]] = daemon.json("job", "kpis", "counter")["items"]
        return items if items and items[0]["runs"] == 2 else []

    (rows,) = wait_until(summary)
    assert (rows["last"], rows["least"], rows["mean"], rows["greatest"]) == (20, 10, 15, 20)
    assert [line.split()[:4] for line in daemon.chronos("job", "kpis", "counter").stdout.splitlines()[1:]] == [
        ["rows", "2", "20", "10"]
    ]

    def series(metric: str) -> list[float]:
        found = Api(daemon.state).ask(calls.series("counter", metric, since_s=600, buckets=2000))
        return [point["value"] for point in found["points"]]

    wait_until(lambda: series("kpi.rows") == [10, 20])
    assert series("kpi.none") == []
