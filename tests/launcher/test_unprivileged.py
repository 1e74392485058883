"""A launcher that is not root: it starts jobs as itself, and refuses to be anybody else."""

from __future__ import annotations

import os
import pwd
import signal
from datetime import timedelta

from tests.launcher.bench import Bench, processes_marked, shell

NOBODY = pwd.getpwnam("nobody")


async def test_it_runs_jobs_as_itself(humble: Bench) -> None:
    end = await humble.run(shell(1, "id -u; exit 7", user="nobody"))

    owner = (humble.state / "spool" / "1" / "stdout").stat().st_uid
    assert end.exit_code == 7
    assert owner == NOBODY.pw_uid
    assert humble.out(1) == f"{NOBODY.pw_uid}\n".encode()


async def test_it_refuses_to_become_somebody_else(humble: Bench) -> None:
    end = await humble.run(shell(1, "id -u", user="root"))

    assert "only root" in (end.spawn_error or "")


async def test_it_ends_all_that_a_job_started(humble: Bench) -> None:
    await humble.start(shell(1, "trap '' TERM; setsid -f env -i sleep 70; sleep 70 & echo up; sleep 70"))
    await humble.says(1, "up")

    await humble.runner.cancel(1, "enough", timedelta(seconds=0.1))
    await humble.until(lambda: 1 in humble.ended)

    assert humble.ended[1].survivors == 0
    assert humble.ended[1].killed >= 3
    assert processes_marked(humble.state, 1) == []


async def test_its_jobs_end_true_when_a_spawner_is_killed(humble: Bench) -> None:
    await humble.start(shell(1, "sleep 0.5; exit 6"))

    os.kill(humble.spawner_of(1), signal.SIGKILL)
    await humble.until(lambda: 1 in humble.ended)

    assert humble.ended[1].exit_code == 6
