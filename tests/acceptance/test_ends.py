"""How runs end: cancelled, timed out, never begun. Whatever a job started is gone then, and the run says why."""

from __future__ import annotations

import itertools
import random
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chronos_tui.client import ServerError, calls
from tests.support.api import Api, Doc
from tests.support.daemon import wait_until

_MARKS = itertools.count(1)

HOSTILE = {
    "ignores TERM": "trap '' TERM; while :; do sleep {mark}; done",
    "forks twice": "(setsid sh -c 'trap \"\" TERM; sleep {mark}' &) ; sleep {mark}",
    "left its session": "setsid sleep {mark} & exec setsid --wait sh -c 'trap \"\" TERM; sleep {mark}; sleep {mark}'",
    "keeps forking": "trap '' TERM; while :; do (setsid sleep {mark} &) ; sleep 0.02; done",
}


def _mark() -> str:
    """Return a number of seconds that no other test sleeps."""
    return f"987{next(_MARKS)}.{random.randrange(10**6):06}"


def _living(mark: str) -> list[str]:
    """Return the command lines that name a mark."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if mark.encode() in words:
                found.append(words.replace(b"\0", b" ").decode())
    return found


@pytest.mark.parametrize("kind", HOSTILE)
def test_cancelling_leaves_no_process(api: Api, kind: str) -> None:
    mark = _mark()
    run = api.run(HOSTILE[kind].format(mark=mark), grace_ms=300)
    wait_until(lambda: _living(f"sleep\0{mark}"))

    api.ask(calls.cancel(run, reason="enough of it"))

    end = api.until_final(run)
    assert (end["state"], end["outcome"]) == ("cancelled", "cancelled")
    assert end["reason"] == f"cancelled by {api.ask(calls.whoami())['name']}: enough of it"
    assert _living(mark) == []


def test_a_run_beyond_its_timeout_fails_and_leaves_no_process(api: Api) -> None:
    mark = _mark()
    run = api.run(HOSTILE["forks twice"].format(mark=mark), timeout_ms=700, grace_ms=200)

    end = api.until_final(run)

    assert (end["state"], end["outcome"]) == ("failed", "timed_out")
    assert end["reason"] == "timed out after 700 ms"
    assert 700 <= end["duration_ms"] < 5000
    assert _living(mark) == []


def test_a_job_that_heeds_term_may_clean_up_and_is_cancelled_all_the_same(api: Api) -> None:
    run = api.run("trap 'echo cleaning; exit 3' TERM; echo ready; while :; do sleep 0.05; done", grace_ms=5000)
    wait_until(lambda: api.output(run))

    api.ask(calls.cancel(run))

    assert api.until_final(run)["state"] == "cancelled"
    api.finished_log(run)
    assert api.output(run) == b"ready\ncleaning\n"


def test_a_cancel_at_any_moment_of_the_start_ends_the_run_once(api: Api) -> None:
    chance = random.Random(7)

    def race(delay: float) -> Doc:
        mark = _mark()
        run = api.run(f"sleep {mark}; true", grace_ms=100)
        time.sleep(delay)
        api.ask(calls.cancel(run))
        end = api.until_final(run)
        assert _living(mark) == []
        return end

    with ThreadPoolExecutor(4) as pool:
        ends = list(pool.map(race, [chance.uniform(0, 0.05) for _ in range(30)]))

    assert {(end["state"], end["outcome"]) for end in ends} == {("cancelled", "cancelled")}


def test_cancelling_what_the_clock_has_just_started_is_never_forgotten(api: Api) -> None:
    mark = _mark()
    at = (datetime.now(UTC) + timedelta(seconds=3)).isoformat(timespec="seconds")
    jobs = [api.create(f"sleep {mark}", schedule={"expressions": [f"@at {at}"]}, grace_ms=100)["id"] for _ in range(12)]
    runs: dict[int, None] = {}

    def cancel_all() -> bool:
        for found in api.ask(calls.executions(state="queued,starting,running", limit=100))["items"]:
            if found["job_id"] in jobs and found["id"] not in runs:
                api.ask(calls.cancel(found["id"]))
                runs[found["id"]] = None
        return len(runs) == len(jobs)

    wait_until(cancel_all, every=0.001)

    assert {api.until_final(run)["state"] for run in runs} == {"cancelled"}
    assert _living(mark) == []


def test_an_ended_run_cannot_be_cancelled(api: Api) -> None:
    run = api.run("true")
    api.until_final(run)

    with pytest.raises(ServerError, match="ended already") as refused:
        api.ask(calls.cancel(run))

    assert refused.value.status == 409


@pytest.mark.parametrize(
    ("spec", "outcome", "said"),
    [
        ({"shell": "/no/such/shell"}, "spawn_failed", "/no/such/shell"),
        ({"cwd": "/no/such/folder"}, "spawn_failed", "/no/such/folder"),
        ({"user": "nobody-of-that-name"}, "spawn_failed", "nobody-of-that-name"),
        ({"shell": "/etc/passwd"}, "spawn_failed", "/etc/passwd"),
        ({"command": "no-such-command-at-all"}, "exit_code", "exit code 127: the shell did not find the command"),
        ({"command": "/etc/passwd"}, "exit_code", "exit code 126: the shell may not run the command"),
        ({"command": "kill -SEGV $$"}, "signal", "killed by SIGSEGV"),
    ],
)
def test_a_run_that_cannot_be_says_why(api: Api, spec: Doc, outcome: str, said: str) -> None:
    end = api.until_final(api.run(**{"command": "true"} | spec))

    assert (end["state"], end["outcome"]) == ("failed", outcome)
    assert said in end["reason"]
