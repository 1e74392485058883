"""Redis dies, forgets everything or was never there: jobs run on time, and the picture comes back equal to SQL."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from redis.asyncio import Redis

from chronos_tui.client import calls
from scheduler_daemon.live import keys
from scheduler_daemon.live.binaries import environment, find_program
from scheduler_daemon.live.client import command
from scheduler_daemon.live.embedded import Home
from tests.support.api import Api, api_of
from tests.support.daemon import DaemonHandle, running_daemon, wait_until

T = TypeVar("T")
LATE = timedelta(seconds=1)


def _in_redis(state: Path, work: Callable[[Redis], Awaitable[T]]) -> T:
    async def run() -> T:
        client = Home.of(state).client()
        try:
            return await work(client)
        finally:
            await client.aclose()

    return asyncio.run(run())


def _redis_pid(state: Path) -> int:
    found = Home.of(state).recorded()
    assert found is not None
    return found[0]


def _assert_picture_equals_sql(daemon: DaemonHandle) -> None:
    done = daemon.chronosd("doctor")
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert done.stdout.endswith("\n0 differences between the live picture and SQL.\n")


def _run_each_second(api: Api, count: int) -> list[str]:
    names = [f"each-second-{n}" for n in range(count)]
    for name in names:
        schedule = {"expressions": ["* * * * * *"]}
        api.create("echo begun; sleep 0.3; echo ended", name=name, schedule=schedule, concurrency="allow")
    wait_until(lambda: api.executions(names[-1]))
    return names


def _assert_on_time(api: Api, names: list[str]) -> None:
    for name in names:
        # The job is paused by now, and what it has skipped since was not to start.
        runs = [run for run in api.executions(name) if run["started_at"] or run["outcome"] != "paused"]
        fires = [datetime.fromisoformat(run["fire_at"]) for run in runs]
        starts = [datetime.fromisoformat(run["started_at"]) for run in runs]
        assert fires == [fires[0] + timedelta(seconds=n) for n in range(len(fires))]
        assert max(start - fire for start, fire in zip(starts, fires, strict=True)) < LATE
        assert {run["state"] for run in runs} <= {"succeeded", "running"}


def test_jobs_run_on_time_while_redis_is_killed_and_emptied(daemon: DaemonHandle, api: Api) -> None:
    names = _run_each_second(api, 5)
    counting = api.run("for i in $(seq 60); do echo $i; sleep 0.1; done")
    api.until_ready()

    os.kill(_redis_pid(daemon.state), signal.SIGKILL)
    assert api.until_failing("redis")
    api.until_ready()
    _flush_and_await_the_new_picture(daemon.state)

    assert api.until_final(counting)["state"] == "succeeded"
    assert api.output(counting) == b"".join(b"%d\n" % n for n in range(1, 61))
    for name in names:
        api.ask(calls.pause_job(name))
    wait_until(lambda: not api.ask(calls.executions(state="queued,starting,running"))["items"])
    _assert_on_time(api, names)
    _assert_picture_equals_sql(daemon)


def _flush_and_await_the_new_picture(state: Path) -> None:
    before = _in_redis(state, lambda redis: redis.get(keys.EPOCH))
    _in_redis(state, lambda redis: command(redis, "FLUSHALL"))
    wait_until(lambda: _in_redis(state, lambda redis: redis.get(keys.EPOCH)) not in {before, None}, seconds=5)


def test_doctor_finds_what_differs_and_mends_it(daemon: DaemonHandle, api: Api) -> None:
    job = api.create("true", name="looked-at")["id"]
    document = f"cs:job:{job}"
    wait_until(lambda: _in_redis(daemon.state, lambda redis: redis.exists(document)))
    _in_redis(daemon.state, lambda redis: command(redis, "JSON.SET", document, "$.name", '"another"'))

    found = daemon.chronosd("doctor")
    mended = daemon.chronosd("doctor", "--reconcile")

    assert (found.returncode, mended.returncode) == (1, 0)
    assert f"\njob {job} is different: name\n" in found.stdout
    assert mended.stdout.endswith("1 differences between the live picture and SQL, mended.\n")
    _assert_picture_equals_sql(daemon)


def test_without_a_usable_redis_jobs_run_and_health_says_why(tmp_path: Path) -> None:
    socket = tmp_path / "own.sock"
    with running_daemon({"CHRONOS_REDIS_URL": f"unix://{socket}?username=me&password=secret"}) as daemon:
        api = api_of(daemon)
        assert str(socket) in api.until_failing("redis")
        assert "does not answer" in api.failing()["redis"]
        assert api.until_final(api.run("echo without", name="runs-anyway"))["state"] == "succeeded"
        assert [job["name"] for job in api.ask(calls.jobs(q="anyway"))["items"]] == ["runs-anyway"]
        assert "redis" in daemon.chronos("status").stdout

        with _bare_redis(socket, tmp_path):
            wait_until(lambda: "lacks the modules" in api.failing()["redis"])

        assert "secret" not in str(api.health())
        assert api.until_final(api.run("echo still"))["state"] == "succeeded"


@contextmanager
def _bare_redis(socket: Path, folder: Path) -> Iterator[None]:
    """A Redis without modules, with a user `me`."""
    found = find_program(folder)
    assert found.program is not None
    words = ["--port", "0", "--unixsocket", str(socket), "--dir", str(folder), "--save", ""]
    users = ["--user", "default", "off", "--user", "me", "on", ">secret", "+@all", "~*", "&*"]
    server = subprocess.Popen(
        [str(found.program.server), *words, *users], env=environment(found.program, folder), stdout=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        server.kill()
        server.wait()
