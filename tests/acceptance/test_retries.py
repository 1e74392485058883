"""A run that fails is begun again, over a killed daemon too, and within the time the whole run may take."""

from __future__ import annotations

import json
import time
from datetime import datetime
from pathlib import Path

from chronos_tui.client import calls
from tests.support.api import Api
from tests.support.daemon import DaemonHandle, wait_until

FAILS_TWICE = 'echo x >> {tries}; echo "try $(wc -l < {tries})"; [ "$(wc -l < {tries})" -ge 3 ] || exit 75'


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_a_run_fails_twice_and_succeeds_over_a_daemon_killed_while_it_waits(
    daemon: DaemonHandle, api: Api, tmp_path: Path
) -> None:
    tries = tmp_path / "tries"
    retry = {"attempts": 3, "delay_ms": 1500, "factor": 1, "exit_codes": [75]}
    first = api.run(FAILS_TWICE.format(tries=tries), name="flaky", cwd="/", retry=retry)
    api.until_final(first)
    waiting = wait_until(lambda: api.executions("flaky")[1:])[0]
    killed_while = waiting["state"]

    daemon.kill9()
    daemon.start()

    done = wait_until(lambda: [run for run in api.executions("flaky") if run["state"] == "succeeded"])
    found = api.executions("flaky")
    assert killed_while == "queued"
    assert tries.read_text() == "x\n" * 3
    assert [(run["attempt"], run["attempts"], run["first_id"], run["state"]) for run in found] == [
        (0, 4, first, "failed"), (1, 4, first, "failed"), (2, 4, first, "succeeded"),
    ]  # fmt: skip
    assert len({(run["fire_at"], run["trigger"], run["actor"]) for run in found}) == 1
    for run in found[1:]:
        assert _instant(run["started_at"]) >= _instant(run["start_after"])
    assert api.output(done[0]["id"]) == b"try 3\n"
    assert [run["id"] for run in api.ask(calls.attempts(done[0]["id"]))["items"]] == [run["id"] for run in found]
    examined = daemon.chronosd("doctor")
    assert examined.returncode == 0, examined.stdout
    job = api.ask(calls.job("flaky"))
    assert (job["active"], job["last"]["id"], job["last"]["state"]) == (0, done[0]["id"], "succeeded")


def test_the_command_line_makes_waits_for_shows_and_explains_a_run_that_is_retried(daemon: DaemonHandle) -> None:
    daemon.json(
        *("job", "add", "bad", "--retries", "2", "--retry-delay", "300ms", "--retry-factor", "1"),
        *("--retry-not-exit-codes", "127", "--run-timeout", "1h", "--", "exit 3"),
    )
    waited = daemon.chronos("run", "bad", "--wait", "--json")
    last = json.loads(waited.stdout)
    first = last["first_id"]

    shown = daemon.chronos("run", "show", str(last["id"])).stdout
    listed = daemon.chronos("runs", "list", "--job", "bad").stdout
    explained = daemon.chronos("explain", "bad", "--at", last["fire_at"]).stdout

    assert (waited.returncode, last["state"], last["attempt"], first < last["id"]) == (1, "failed", 2, True)
    assert f"3 of at most 3 others 1: run {first}, failed, 2: run" in " ".join(shown.split())
    assert "all 2 retries are used up" in " ".join(shown.split())
    assert [number in listed for number in ("1/3", "2/3", "3/3")] == [True] * 3
    assert "attempt 1 of 3: failed" in " ".join(explained.split())


def test_a_run_ends_when_its_whole_time_is_over(api: Api) -> None:
    began = time.monotonic()
    first = api.run(
        "sleep 30", name="slow", retry={"attempts": 50, "delay_ms": 100, "factor": 1},
        timeout_ms=500, run_timeout_ms=1500, grace_ms=100,
    )  # fmt: skip
    api.until_final(first)

    wait_until(lambda: api.ask(calls.job("slow"))["active"] == 0)

    found = api.executions("slow")
    assert time.monotonic() - began < 10
    assert 2 <= len(found) <= 3
    assert {run["outcome"] for run in found} == {"timed_out"}
    assert "the whole run had to be over by" in found[-1]["reason"]
    took = _instant(found[-1]["ended_at"]) - _instant(found[0]["started_at"])
    assert 1.0 <= took.total_seconds() < 4


def test_cancelling_a_run_that_waits_for_its_next_attempt_ends_it(api: Api) -> None:
    first = api.run("exit 1", name="hopeless", retry={"attempts": 5, "delay_ms": 3_600_000})
    wait_until(lambda: len(api.executions("hopeless")) == 2)

    view = api.ask(calls.cancel(first, reason="enough"))

    assert (view["attempt"], view["state"]) == (1, "cancelled")
    assert api.ask(calls.job("hopeless"))["active"] == 0
