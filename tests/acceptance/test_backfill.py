"""A backfill with real processes: each run is told its fire, they go one after another, and all can be withdrawn."""

from __future__ import annotations

from pathlib import Path

from chronos_tui.client import calls
from tests.support.api import Api
from tests.support.daemon import DaemonHandle, wait_until

DAILY = {"expressions": ["30 2 * * *"], "zone": "Europe/Berlin"}
RANGE = {"from": "2026-03-27T00:00:00Z", "to": "2026-03-31T00:00:00Z"}
FIRES = ["2026-03-27T01:30:00Z", "2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]


def test_each_backfilled_run_is_told_its_fire_and_none_overlaps_another(api: Api, tmp_path: Path) -> None:
    command = 'mkdir alone || touch overlapped; echo "$CHRONOS_FIRE_AT"; sleep 0.1; rmdir alone'
    job = api.create(command, cwd=str(tmp_path), schedule=DAILY)

    listed = api.ask(calls.backfill(job["id"], {**RANGE, "dry_run": True}))
    done = api.ask(calls.backfill(job["id"], RANGE))
    for run in done["runs"]:
        api.until_final(run)

    assert listed["fires"] == done["fires"] == FIRES
    assert listed["runs"] == []
    runs = [api.execution(run) for run in done["runs"]]
    assert {(run["state"], run["trigger"]) for run in runs} == {("succeeded", "backfill")}
    assert [api.output(run["id"]).decode().strip() for run in runs] == FIRES
    assert not (tmp_path / "overlapped").exists()
    again = api.ask(calls.backfill(job["id"], RANGE))
    assert again["fires"] == []
    assert [each["why"] for each in again["left_out"]] == ["it ran and succeeded"] * 4


def test_a_scheduled_run_is_told_its_fire(api: Api) -> None:
    job = api.create('echo "$CHRONOS_FIRE_AT"', schedule={"expressions": ["* * * * * *"]})

    (run, *_) = wait_until(lambda: api.executions(job["id"]))
    api.ask(calls.pause_job(job["id"]))
    api.until_final(run["id"])

    assert api.output(run["id"]).decode().strip() == run["fire_at"]


def test_a_backfill_goes_on_after_a_kill_and_is_withdrawn_as_a_whole(daemon: DaemonHandle, api: Api) -> None:
    job = api.create("sleep 60", schedule=DAILY)
    made = api.ask(calls.backfill(job["id"], RANGE))["runs"]
    api.until_running(made[:1])

    daemon.kill9()
    daemon.start()
    api.until_ready()
    api.ask(calls.cancel(made[0]))
    api.until_running(made[1:2])
    done = api.ask(calls.cancel_backfill(job["id"], reason="seen enough"))

    assert (done["withdrawn"], done["stopped"]) == (made[2:], made[1:2])
    ended = [api.until_final(run) for run in made]
    assert {run["state"] for run in ended} == {"cancelled"}
    assert all(run["reason"].endswith("seen enough") for run in ended[1:])
