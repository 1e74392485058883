"""Runs with conditions: looked at when they would start, by the account of the job, and never passed by."""

import asyncio
import contextlib
import os
import pwd
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from scheduler_daemon.contract.people import Actor
from scheduler_daemon.domain.masks import Mask
from scheduler_daemon.engine import conditions as gate_module
from scheduler_daemon.engine.dispatcher import Dispatcher
from scheduler_daemon.engine.supervisor import Supervisor
from scheduler_daemon.runners.process import ProcessRunner
from scheduler_daemon.services import jobs, runs
from scheduler_daemon.storage.session import Database
from tests.support.world import HOLDER, MINUTE, NO_KEY, NOON, SECOND, add_job, end, fire, recount, rows

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class Sink:
    """Output is nobody's business here."""

    def expect(self, execution_id: int, *, limit_bytes: int, mask: Mask | None = None) -> None:
        """Take note."""

    def begin(self, ids: Iterable[int]) -> None:
        """Read nothing."""

    def limit_of(self, execution_id: int) -> int | None:
        """No limit is known."""

    def forget(self, execution_id: int) -> None:
        """Nothing was read."""

    async def resume(self, execution_id: int, *, limit_bytes: int) -> None:
        """Read nothing."""

    async def finish(self, execution_id: int) -> None:
        """Nothing is to be kept."""


class Engine:
    """A daemon's dispatcher and supervisor on a real launcher, without its clock."""

    def __init__(self, database: Database, runner: ProcessRunner, state: Path) -> None:
        common: dict[str, Any] = {"holder": HOLDER, "recorded": lambda: None, "now": lambda: datetime.now(UTC)}
        self.database = database
        self.dispatcher = Dispatcher(database, runner, Sink(), max_active=10, vault=NO_KEY, **common)
        self.supervisor = Supervisor(database, runner, Sink(), self.dispatcher, spool=state / "spool", **common)

    async def begin(self, job: Any, instant: datetime = NOON + MINUTE) -> None:
        """Let a job fire."""
        await self.dispatcher.begin(await self.database.write(lambda db: fire(db, job, instant)))

    async def ended(self, number: int = 1, seconds: float = 20) -> Any:
        """Wait until a run has ended, and return it."""
        async with asyncio.timeout(seconds):
            while True:
                found = (await self.database.read(lambda db: rows(db, "executions")))[number - 1]
                if found.ended_at is not None:
                    return found
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def engine(database: Database, state: Path) -> AsyncIterator[Engine]:
    async with ProcessRunner(state) as runner:
        made = Engine(database, runner, state)
        await made.supervisor.recover()
        tasks = [asyncio.create_task(loop()) for loop in (made.supervisor.listen, made.supervisor.run)]
        try:
            yield made
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await made.dispatcher.close()
            await runner.forget(runner.known())
            await runner.shut_down_if_idle()


async def there(path: Path, seconds: float = 20) -> str:
    """Wait until a file holds something, and return it."""
    async with asyncio.timeout(seconds):
        while not path.exists() or not path.read_text():
            await asyncio.sleep(0.02)
    return path.read_text().strip()


async def gone(pid: int, seconds: float = 20) -> None:
    """Wait until a process is no more."""
    async with asyncio.timeout(seconds):
        while Path(f"/proc/{pid}").exists():
            await asyncio.sleep(0.02)


def conditioned(db: Any, admin: Actor, *conditions: dict[str, Any], **fields: Any) -> Any:
    return add_job(db, admin, conditions=conditions, **{"cwd": "/"} | fields)


@pytest.mark.parametrize(
    ("condition", "state", "reason"),
    [
        ({"kind": "file", "path": "/"}, "succeeded", ""),
        (
            {"kind": "file", "path": "/nowhere/at all"},
            "skipped",
            "condition does not hold: file /nowhere/at all: there is no such file",
        ),
        ({"kind": "file", "path": "/nowhere", "absent": True}, "succeeded", ""),
        ({"kind": "file", "path": "/", "absent": True}, "skipped", "condition does not hold: no file /: it is there"),
        (
            {"kind": "file", "path": f"/{'a' * 300}"},
            "failed",
            f"condition cannot be told: file /{'a' * 300}: it cannot be seen: File name too long",
        ),
        ({"kind": "command", "command": 'test "$PWD $X" = "/ y"'}, "succeeded", ""),
        (
            {"kind": "command", "command": "exit 3"},
            "skipped",
            "condition does not hold: command exit 3: exit code 3",
        ),
        (
            {"kind": "command", "command": "kill -9 $$"},
            "failed",
            "condition cannot be told: command kill -9 $$: it was killed by SIGKILL",
        ),
        (
            {"kind": "command", "command": "/nowhere"},
            "failed",
            "condition cannot be told: command /nowhere: exit code 127: a command or directory of it was not found",
        ),
        ({"kind": "metric", "metric": "failed_24h", "op": "<", "value": 1}, "succeeded", ""),
        (
            {"kind": "metric", "metric": "exit_code", "op": "==", "value": 0},
            "skipped",
            "condition does not hold: exit_code == 0: it has not run yet",
        ),
        ({"kind": "window", "begin": "00:00", "end": "23:59:59"}, "succeeded", ""),
    ],
)
async def test_a_run_starts_only_if_its_condition_holds(
    database: Database, admin: Actor, tmp_path: Path, condition: dict[str, Any], state: str, reason: str
) -> None:
    mark = tmp_path / "it ran"
    job = await database.write(lambda db: conditioned(db, admin, condition, command=f"touch '{mark}'", env={"X": "y"}))
    async with engine(database, tmp_path) as made:
        await made.begin(job)
        run = await made.ended()
        active = made.dispatcher.active

    assert (run.state, run.reason) == (state, reason)
    assert run.outcome == ("ok" if state == "succeeded" else "condition")
    assert mark.exists() is (state == "succeeded")
    assert (run.started_at is not None, active) == (state == "succeeded", 0)
    assert await database.read(recount) == []


async def test_a_directory_that_is_not_there_fails_a_condition_as_it_would_fail_the_run(
    database: Database, admin: Actor, tmp_path: Path
) -> None:
    job = await database.write(
        lambda db: conditioned(db, admin, {"kind": "command", "command": "true"}, cwd="/nowhere")
    )
    async with engine(database, tmp_path) as made:
        await made.begin(job)
        run = await made.ended()

    assert (run.state, run.outcome) == ("failed", "condition")
    assert "may not be run" in run.reason


async def test_a_condition_that_takes_too_long_is_killed_with_what_it_started(
    database: Database, admin: Actor, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    slow = {"kind": "command", "command": f"sleep 60 & echo $! > '{pid}'; wait", "timeout_ms": 1000}
    job = await database.write(lambda db: conditioned(db, admin, slow))
    async with engine(database, tmp_path) as made:
        await made.begin(job)
        run = await made.ended()
        await gone(int(pid.read_text()))

    assert (run.state, run.outcome) == ("failed", "condition")
    assert run.reason.endswith("it took longer than 1 s and was killed")


@pytest.mark.parametrize("end", ["wait", "exit 0"])
async def test_what_a_condition_lets_slip_away_is_killed_too(
    database: Database, admin: Actor, tmp_path: Path, end: str
) -> None:
    pid = tmp_path / "pid"
    escape = f"setsid env -i sh -c 'echo $$ > {pid}; exec sleep 60' & until test -s {pid}; do sleep 0.02; done; {end}"
    job = await database.write(
        lambda db: conditioned(db, admin, {"kind": "command", "command": escape, "timeout_ms": 2000})
    )
    async with engine(database, tmp_path) as made:
        await made.begin(job)
        run = await made.ended()
        await gone(int(pid.read_text()))

    assert run.state == ("failed" if end == "wait" else "succeeded")


async def test_slow_conditions_of_one_account_hold_up_nobody_else(
    database: Database, admin: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate_module, "AT_ONCE", 2)
    monkeypatch.setattr(gate_module, "SHARE", 1)
    go = tmp_path / "go"
    slow = {"kind": "command", "command": f"until test -e '{go}'; do sleep 0.05; done"}
    other = {"kind": "file", "path": "/"}
    window = {"kind": "window", "begin": "00:00", "end": "23:59:59"}
    wanted = {"one": (slow, None), "two": (slow, None), "other": (other, "nobody"), "window": (window, None)}
    made_jobs = await database.write(
        lambda db: [conditioned(db, admin, what, name=name, user=user) for name, (what, user) in wanted.items()]
    )
    async with engine(database, tmp_path) as made:
        for job in made_jobs:
            await made.begin(job)
        passed = [(await made.ended(number)).state for number in (3, 4)]
        held = [row.state for row in await database.read(lambda db: rows(db, "executions"))][:2]
        go.touch()
        late = [(await made.ended(number)).state for number in (1, 2)]

    assert held == ["starting", "starting"]
    assert passed == late == ["succeeded", "succeeded"]


async def test_nothing_is_left_of_a_condition_that_has_ended(database: Database, admin: Actor, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    leaves = {"kind": "command", "command": f"sleep 60 & echo $! > '{pid}'"}
    job = await database.write(lambda db: conditioned(db, admin, leaves))
    async with engine(database, tmp_path) as made:
        await made.begin(job)
        run = await made.ended()
        await gone(int(pid.read_text()))

    assert run.state == "succeeded"


async def test_a_run_is_cancelled_while_its_condition_is_looked_at(
    database: Database, admin: Actor, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    slow = {"kind": "command", "command": f"sleep 60 & echo $! > '{pid}'; wait"}
    job = await database.write(lambda db: conditioned(db, admin, slow))
    async with engine(database, tmp_path) as made:
        await made.begin(job)
        child = int(await there(pid))
        before = (await database.read(lambda db: rows(db, "executions")))[0].state
        await database.write(lambda db: runs.cancel(db, admin, 1, "not now", NOON))
        await made.supervisor.stop(1, "not now")
        run = await made.ended()
        await gone(child)

    assert before == "starting"
    assert (run.state, run.reason, run.started_at) == ("cancelled", f"cancelled by {admin.name}: not now", None)
    assert await database.read(recount) == []


async def test_a_run_that_is_cancelled_in_the_moment_it_is_taken_up_ends(
    database: Database, admin: Actor, tmp_path: Path
) -> None:
    job = await database.write(lambda db: conditioned(db, admin, {"kind": "file", "path": "/"}))
    async with engine(database, tmp_path) as made:
        fired = await database.write(lambda db: fire(db, job, NOON + MINUTE))
        await made.dispatcher.hand_over(fired.starts)
        await made.dispatcher.cancel(1, "at once", SECOND)
        run = await made.ended()

    assert (run.state, run.reason) == ("cancelled", "cancelled by the daemon: at once")


async def test_a_run_that_was_cancelled_before_anybody_looked_is_not_looked_at(
    database: Database, admin: Actor, tmp_path: Path
) -> None:
    mark = tmp_path / "looked"
    looks = {"kind": "command", "command": f"touch '{mark}'"}
    job = await database.write(lambda db: conditioned(db, admin, looks))
    await database.write(lambda db: fire(db, job, NOON + MINUTE))
    await database.write(lambda db: runs.cancel(db, admin, 1, "", NOON))

    async with engine(database, tmp_path) as made:
        run = await made.ended()

    assert (run.state, mark.exists()) == ("cancelled", False)


async def test_conditions_are_looked_at_again_when_the_daemon_was_killed_meanwhile(
    database: Database, admin: Actor, tmp_path: Path
) -> None:
    looks, go = tmp_path / "looks", tmp_path / "go"
    waits = {"kind": "command", "command": f"echo x >> '{looks}'; until test -e '{go}'; do sleep 0.05; done; exit 1"}
    job = await database.write(lambda db: conditioned(db, admin, waits))
    async with engine(database, tmp_path) as first:
        await first.begin(job)
        await there(looks)
    between = (await database.read(lambda db: rows(db, "executions")))[0].state
    go.touch()

    async with engine(database, tmp_path) as second:
        run = await second.ended()

    assert between == "starting"
    assert (run.state, run.outcome, looks.read_text()) == ("skipped", "condition", "x\nx\n")
    assert await database.read(recount) == []


async def test_the_first_condition_that_does_not_hold_is_the_last_one_that_is_looked_at(
    database: Database, admin: Actor, tmp_path: Path
) -> None:
    mark = tmp_path / "looked"
    wanted = (
        {"kind": "file", "path": "/"},
        {"kind": "file", "path": "/nowhere"},
        {"kind": "command", "command": f"touch '{mark}'"},
    )
    job = await database.write(lambda db: conditioned(db, admin, *wanted))
    async with engine(database, tmp_path) as made:
        await made.begin(job)
        run = await made.ended()

    assert (run.state, run.reason) == ("skipped", "condition does not hold: file /nowhere: there is no such file")
    assert not mark.exists()


async def test_a_condition_on_a_job_that_was_deleted_fails_the_run(
    database: Database, admin: Actor, tmp_path: Path
) -> None:
    await database.write(lambda db: add_job(db, admin, "extract"))
    job = await database.write(lambda db: conditioned(db, admin, {"kind": "state", "job": "extract"}, name="load"))
    await database.write(lambda db: jobs.delete(db, admin, "extract", NOON))
    async with engine(database, tmp_path) as made:
        await made.begin(job)
        run = await made.ended()

    assert (run.state, run.outcome) == ("failed", "condition")
    assert run.reason == "condition cannot be told: extract succeeded: that job has been deleted"


async def test_conditions_are_looked_at_when_jitter_lets_the_run_start(
    database: Database, admin: Actor, tmp_path: Path
) -> None:
    looked = tmp_path / "looked"
    job = await database.write(
        lambda db: conditioned(db, admin, {"kind": "command", "command": f"date +%s%N > '{looked}'"})
    )
    fired = await database.write(lambda db: fire(db, job, NOON + MINUTE))
    held = datetime.now(UTC) + SECOND
    async with engine(database, tmp_path) as made:
        await made.ended()  # the recovery has taken it up, without a hold
        looked.unlink()
        again = await database.write(lambda db: fire(db, job, NOON + 2 * MINUTE))
        start = again.starts[0]
        await made.dispatcher.hand_over([type(start)(start.execution_id, start.job_id, start.spec, held)])
        run = await made.ended(2)

    assert fired.starts
    assert int(looked.read_text()) >= held.timestamp() * 1e9
    assert run.started_at >= held


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may be somebody else")
async def test_conditions_are_looked_at_by_the_account_of_the_job(
    database: Database, admin: Actor, tmp_path: Path
) -> None:
    nobody = pwd.getpwnam("nobody")
    secret = tmp_path / "secret"
    secret.mkdir(mode=0o700)
    (secret / "file").touch()
    for number, condition in enumerate(
        (
            {"kind": "command", "command": f'test "$(id -u) $(id -g)" = "{nobody.pw_uid} {nobody.pw_gid}"'},
            {"kind": "file", "path": "/etc/passwd"},
            {"kind": "file", "path": "/etc/nowhere"},
            {"kind": "file", "path": str(secret / "file")},
        )
    ):
        job = await database.write(
            lambda db, condition=condition, number=number: conditioned(
                db, admin, condition, name=str(number), user="nobody"
            )
        )
        async with engine(database, tmp_path) as made:
            await made.begin(job)
            await made.ended(number + 1)

    found = await database.read(lambda db: rows(db, "executions"))
    assert [row.state for row in found] == ["succeeded", "succeeded", "skipped", "failed"]
    assert found[3].reason.endswith("it cannot be seen: Permission denied")


async def test_what_became_of_another_job_while_a_command_ran_counts(
    database: Database, admin: Actor, tmp_path: Path
) -> None:
    begun, go = tmp_path / "begun", tmp_path / "go"
    other = await database.write(lambda db: add_job(db, admin, "other"))
    await database.write(lambda db: end(db, fire(db, other, NOON + SECOND).starts[0].execution_id))
    slow = {"kind": "command", "command": f"echo yes > '{begun}'; while ! test -e '{go}'; do sleep 0.02; done"}
    job = await database.write(lambda db: conditioned(db, admin, slow, {"kind": "state", "job": "other"}))
    async with engine(database, tmp_path) as made:
        await made.begin(job)
        await there(begun)
        fails = await database.write(lambda db: fire(db, other, NOON + 2 * SECOND))
        await database.write(lambda db: end(db, fails.starts[0].execution_id, exit_code=1))
        go.touch()
        run = await made.ended(2)

    assert (run.state, run.outcome) == ("skipped", "condition")
    assert "its last run failed" in run.reason


async def test_a_fault_in_handing_over_a_run_whose_conditions_hold_loses_it_not(
    database: Database, admin: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate_module, "RETRY", 0.0)
    job = await database.write(lambda db: conditioned(db, admin, {"kind": "file", "path": "/"}))
    async with engine(database, tmp_path) as made:
        launch, faults = made.dispatcher._gate._launch, [RuntimeError("nobody expected this")]

        async def stumble(starts: Any) -> None:
            if faults:
                raise faults.pop()
            await launch(starts)

        monkeypatch.setattr(made.dispatcher._gate, "_launch", stumble)
        await made.begin(job)
        run = await made.ended()

    assert (run.state, faults) == ("succeeded", [])
