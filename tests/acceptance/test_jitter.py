"""A process starts later than its fire by the jitter anyone can work out; in a blackout only people start it."""

from datetime import datetime, timedelta

from chronos_tui.client import calls
from scheduler_daemon.domain.jitter import jitter
from tests.support.api import Api
from tests.support.daemon import wait_until

WINDOW = timedelta(seconds=1)
SLACK = timedelta(seconds=0.5)
"""On a busy machine a process takes its time."""


def test_a_process_starts_its_jitter_after_the_fire(api: Api) -> None:
    schedule = {"expressions": ["*/2 * * * * *"], "jitter_s": 1}
    job = api.create("true", schedule=schedule, concurrency="allow")

    def three() -> list[dict]:
        begun = [run for run in api.executions(job["id"]) if run["started_at"]]
        return begun if len(begun) >= 3 else []

    found = wait_until(three, seconds=20)
    api.ask(calls.delete_job(job["id"]))

    for run in found:
        fire, start = (datetime.fromisoformat(run[key]) for key in ("fire_at", "started_at"))
        delay = jitter(job["id"], fire, WINDOW, fire + timedelta(seconds=2))
        assert delay <= start - fire < delay + SLACK
        assert (fire.microsecond, fire.second % 2) == (0, 0)


def test_in_a_blackout_fires_are_recorded_and_a_person_may_still_run_the_job(api: Api) -> None:
    dark = {"expressions": ["* * * * * *"], "blackouts": ["2020-01-01T00:00Z/2050-01-01T00:00Z"]}
    job = api.create("true", schedule=dark, concurrency="allow")

    asked = api.ask(calls.run_job(job["id"]))
    by_hand = api.until_final(asked["id"])
    found = wait_until(lambda: api.executions(job["id"])[2:], seconds=20)
    api.ask(calls.delete_job(job["id"]))

    assert by_hand["state"] == "succeeded"
    assert {run["state"] for run in found if run["trigger"] == "schedule"} == {"suppressed"}
