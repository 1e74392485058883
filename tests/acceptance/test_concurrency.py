"""Runs that may not overlap, with real processes: replaced, queued and held back by a pool, also across a kill."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from chronos_tui.client import ServerError, calls
from tests.support.api import Api, Doc
from tests.support.daemon import DaemonHandle, wait_until

EACH_SECOND = {"expressions": ["* * * * * *"], "zone": "UTC"}
ALONE = """trap 'sleep 0.1; rmdir alone; exit 0' TERM
mkdir alone || touch overlapped
{work}
rmdir alone"""


def after(api: Api, job: Doc, count: int) -> list[Doc]:
    """Pause a job once it has some runs, and return what it had until then when all have ended."""
    wait_until(lambda: len(api.executions(job["id"])) >= count)
    api.ask(calls.pause_job(job["id"]))
    runs = [run for run in api.executions(job["id"]) if run["outcome"] != "paused"]
    last = runs[-1]["id"]
    wait_until(lambda: api.execution(last)["state"] not in {"queued", "starting"})
    if api.execution(last)["state"] == "running":
        api.ask(calls.cancel(last, reason="seen enough"))
    for run in runs:
        api.until_final(run["id"])
    return [run for run in api.executions(job["id"]) if run["outcome"] != "paused"]


def instants(runs: list[Doc]) -> list[datetime]:
    return sorted(datetime.fromisoformat(run["fire_at"]) for run in runs)


def test_each_fire_replaces_the_run_before_it_and_never_overlaps_it(api: Api, tmp_path: Path) -> None:
    command = ALONE.format(work="sleep 60 & wait")
    job = api.create(command, cwd=str(tmp_path), schedule=EACH_SECOND, concurrency="replace", misfire="run_all")

    runs = after(api, job, 5)

    assert not (tmp_path / "overlapped").exists()
    for run, following in pairwise(runs):
        assert (run["state"], run["outcome"]) == ("cancelled", "superseded")
        assert run["reason"] == f"replaced by run {following['id']}"
        assert datetime.fromisoformat(following["started_at"]) >= datetime.fromisoformat(run["ended_at"])
    assert runs[-1]["reason"].endswith("seen enough")
    fires = instants(runs)
    assert fires == [fires[0] + timedelta(seconds=number) for number in range(len(fires))]


def test_queue_one_runs_one_after_the_other_and_each_instant_has_one_end(api: Api, tmp_path: Path) -> None:
    command = ALONE.format(work="sleep 1.6")
    job = api.create(command, cwd=str(tmp_path), schedule=EACH_SECOND, concurrency="queue_one", misfire="run_all")

    runs = after(api, job, 7)

    assert not (tmp_path / "overlapped").exists()
    fires = instants(runs)
    assert fires == [fires[0] + timedelta(seconds=number) for number in range(len(fires))]
    ran = [run for run in runs if run["started_at"]]
    skipped = [run for run in runs if run["state"] == "skipped"]
    assert len(ran) + len(skipped) == len(runs)
    assert {run["reason"] for run in skipped} == {"a run of this job waits already, and the job keeps the first"}
    for run, following in pairwise(ran):
        gap = datetime.fromisoformat(following["started_at"]) - datetime.fromisoformat(run["ended_at"])
        assert timedelta(0) <= gap < timedelta(seconds=1)


def test_a_daemon_killed_while_a_run_gives_way_goes_on_to_the_next(
    daemon: DaemonHandle, api: Api, tmp_path: Path
) -> None:
    stubborn = "mkdir alone || touch overlapped; trap '' TERM; if mkdir begun; then sleep 60; fi; rmdir alone"
    first = api.run(stubborn, name="stubborn", cwd=str(tmp_path), concurrency="replace", grace_ms=2500)
    wait_until((tmp_path / "begun").exists)

    second = int(api.ask(calls.run_job("stubborn"))["id"])
    told = api.execution(second)
    daemon.kill9()
    (tmp_path / "alone").rmdir()  # the first will be killed, and cannot do it
    daemon.start()

    gone, came = api.until_final(first), api.until_final(second)
    assert (told["state"], told["reason"]) == ("queued", "waits: the run it replaces is being stopped")
    assert (gone["state"], gone["outcome"], gone["reason"]) == (
        "cancelled", "superseded", f"replaced by run {second}",
    )  # fmt: skip
    assert came["reason"] == ""
    assert came["started_at"] >= gone["ended_at"]
    assert not (tmp_path / "overlapped").exists()


def test_a_full_pool_holds_a_run_back_and_says_so(daemon: DaemonHandle, api: Api) -> None:
    made = daemon.chronos("pool", "set", "narrow", "1")
    first = api.run("sleep 60", name="first in", pool="narrow")
    second = api.run("true", name="second in", pool="narrow")

    waiting = api.execution(second)
    why = daemon.chronos("explain", "second in", "--at", waiting["fire_at"]).stdout
    listed = daemon.json("pool", "list")["items"][0]
    with pytest.raises(ServerError, match="pool 'narrow' is used by 'first in', 'second in'"):
        api.ask(calls.delete_pool("narrow"))
    api.ask(calls.put_pool("narrow", {"slots": 2}))

    assert made.stdout == "pool narrow: 0 of 1 slots taken, 0 runs wait\n"
    assert (waiting["state"], waiting["reason"]) == ("queued", "waits: pool narrow is full (1 of 1)")
    assert "waits: pool narrow is full (1 of 1)" in why
    assert (listed["running"], listed["waiting"], listed["used_by"]) == (1, 1, ["first in", "second in"])
    assert api.until_final(second)["state"] == "succeeded"
    api.ask(calls.cancel(first))


def test_an_unknown_pool_is_refused(api: Api) -> None:
    with pytest.raises(ServerError, match="there is no pool 'nowhere'"):
        api.create("true", pool="nowhere")
