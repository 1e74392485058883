"""How the machine was is attached to failed runs, once for a burst, with nothing that may be secret."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from scheduler_daemon.contract.people import Actor
from scheduler_daemon.engine import failures, host
from scheduler_daemon.engine.failures import Failures
from scheduler_daemon.services import snapshots
from scheduler_daemon.storage import executions
from scheduler_daemon.storage import snapshots as storage
from scheduler_daemon.storage.session import Database
from tests.support.rig import Clock
from tests.support.world import NOON, add_job, end, fire, rows

SECRET = "hunter2-in-an-argument"


async def failed_runs(database: Database, admin: Actor, count: int, **fields: object) -> list[int]:
    """Let a job fire and fail so often."""
    instants = [NOON + timedelta(minutes=n) for n in range(1, count + 1)]

    def work(db):
        job = add_job(db, admin, concurrency="allow", **fields)
        ids = [start.execution_id for start in fire(db, job, *instants).starts]
        end(db, *ids, exit_code=1)
        return ids

    return await database.write(work)


async def test_a_burst_of_failures_shares_one_look(database: Database, admin: Actor, tmp_path: Path) -> None:
    clock = Clock()
    ids = await failed_runs(database, admin, 60, cwd=str(tmp_path))
    watch = Failures(database, str(tmp_path), "here", clock)

    for number in ids[:40]:
        watch.failed(number, clock.now)
    await watch.step()
    watch.failed(ids[40], clock.now)
    await watch.step()
    clock.forward(seconds=2)
    watch.failed(ids[41], clock.now)
    await watch.step()

    kept = await database.read(lambda db: rows(db, "host_snapshots"))
    assert [row.at for row in kept] == [NOON, NOON, NOON + timedelta(seconds=2)]
    found = await database.read(lambda db: snapshots.of_run(db, executions.find(db, ids[0])))
    assert found is not None
    assert [disk.path for disk in found.disks] == [str(tmp_path), str(tmp_path)]
    assert all(disk.total_bytes and disk.free_bytes is not None and not disk.fault for disk in found.disks)
    assert await database.read(lambda db: snapshots.of_run(db, executions.find(db, ids[50]))) is None


async def test_a_failure_of_long_ago_tells_nothing_of_the_machine_now(
    database: Database, admin: Actor, tmp_path: Path
) -> None:
    clock = Clock()
    (number,) = await failed_runs(database, admin, 1)
    watch = Failures(database, str(tmp_path), "here", clock)

    watch.failed(number, clock.now - failures.STALE - timedelta(seconds=1))
    await watch.step()

    assert await database.read(lambda db: rows(db, "host_snapshots")) == []


async def test_a_folder_that_is_gone_says_so_and_the_rest_is_known(
    database: Database, admin: Actor, tmp_path: Path
) -> None:
    clock = Clock()
    (number,) = await failed_runs(database, admin, 1, cwd="/nowhere/at all")
    watch = Failures(database, str(tmp_path), "here", clock)

    watch.failed(number, clock.now)
    await watch.step()

    found = await database.read(lambda db: snapshots.of_run(db, executions.find(db, number)))
    assert found is not None
    assert found.disks[1].fault == "No such file or directory"
    assert found.memory_total_bytes
    assert found.processors >= 1


async def test_what_uses_most_is_named_by_its_short_name_only(tmp_path: Path) -> None:
    code = "held = bytearray(b'x') * (700 << 20); print(1, flush=True)\nwhile True: pass"
    hog = subprocess.Popen([sys.executable, "-c", code, SECRET], stdout=subprocess.PIPE)
    assert hog.stdout is not None
    try:
        hog.stdout.readline()
        facts = await host.take(str(tmp_path), "here", NOON)
    finally:
        hog.kill()
        hog.wait()
        hog.stdout.close()

    assert len(facts.by_cpu) <= host.TOP
    assert hog.pid in [each.pid for each in facts.by_memory]
    assert all(each.cpu_percent > 0 for each in facts.by_cpu)
    assert all(len(each.name) <= 64 for each in (*facts.by_cpu, *facts.by_memory))
    assert SECRET not in facts.model_dump_json()
    assert len(facts.model_dump_json()) < 8192


@pytest.mark.parametrize("most", [1, 2])
async def test_what_is_old_or_too_much_goes_and_the_run_knows_nothing_then(database: Database, most: int) -> None:
    ids = await database.write(lambda db: [storage.add(db, NOON + timedelta(days=n), {"n": n}) for n in range(3)])

    await database.write(lambda db: storage.prune(db, NOON + timedelta(hours=1), most))

    kept = await database.read(lambda db: [storage.find(db, number) for number in ids])
    assert kept == [None, {"n": 1} if most == 2 else None, {"n": 2}]
