"""The daemon is killed at any moment: what it acknowledged is there once, and what came due ran once."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from datetime import datetime
from pathlib import Path

from chronos_tui.client import calls
from tests.support.api import Api, Doc, retried
from tests.support.daemon import DaemonHandle, wait_until

CREATIONS = 500
CLIENTS = 4
KILLS = 3


def _kill_and_start(daemon: DaemonHandle, *, times: int, pause: tuple[float, float], seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(times):
        time.sleep(chance.uniform(*pause))
        daemon.kill9()
        daemon.start()


def test_no_acknowledged_job_is_lost_or_doubled_when_the_daemon_is_killed(daemon: DaemonHandle, api: Api) -> None:
    acknowledged: dict[str, str] = {}
    paced = threading.Event()

    def create(numbers: range) -> None:
        for n in numbers:
            request = {"spec": {"name": f"made-{n}", "command": "true"}}
            made = retried(lambda request=request, n=n: api.ask(calls.create_job(request, key=f"key-{n}")))  # type: ignore[misc]  # mypy sees no type for lambda defaults
            acknowledged[made["spec"]["name"]] = made["id"]
            paced.wait(0.02)

    clients = [threading.Thread(target=create, args=(range(n, CREATIONS, CLIENTS),)) for n in range(CLIENTS)]
    for client in clients:
        client.start()
    _kill_and_start(daemon, times=KILLS, pause=(0.1, 0.5), seed=1)
    paced.set()
    for client in clients:
        client.join(60)

    there = Counter((job["name"], job["id"]) for job in api.jobs())
    assert len(acknowledged) == CREATIONS
    assert there == Counter(acknowledged.items())


def test_every_due_instant_runs_once_when_the_daemon_is_killed_around_it(
    daemon: DaemonHandle, api: Api, tmp_path: Path
) -> None:
    jobs = [f"each-second-{n}" for n in range(8)]
    fired = {name: tmp_path / name for name in jobs}
    for name in jobs:
        api.create(
            f'echo "$CHRONOS_RUN" >> {fired[name]}',
            name=name,
            schedule={"expressions": ["* * * * * *"]},
            concurrency="allow",
        )

    for seed in range(3):
        _wait_for_moment_before_the_second(random.Random(seed).uniform(-0.03, 0.06))
        daemon.kill9()
        daemon.start()
    for name in jobs:
        api.ask(calls.pause_job(name))

    for name in jobs:
        runs = wait_until(lambda name=name: _all_ended(api.executions(name)))  # type: ignore[misc]  # mypy sees no type for lambda defaults
        seconds = [datetime.fromisoformat(run["fire_at"]).timestamp() for run in runs]
        assert sorted(seconds) == [min(seconds) + n for n in range(len(seconds))]
        succeeded = Counter(str(run["id"]) for run in runs if run["state"] == "succeeded")
        assert Counter(mark.partition("-")[0] for mark in fired[name].read_text().split()) == succeeded
        assert {run["state"] for run in runs if run["outcome"] != "paused"} <= {"succeeded", "missed"}


def _wait_for_moment_before_the_second(seconds: float) -> None:
    now = time.time()
    time.sleep(max(0.0, int(now) + 1 - seconds - now))


def _all_ended(runs: list[Doc]) -> list[Doc]:
    return runs if all(run["ended_at"] for run in runs) else []
