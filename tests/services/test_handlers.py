"""What follows a run: one handler for its kind of end, written down with it, that counts for nothing else."""

import pytest

from scheduler_daemon.contract.executions import State
from scheduler_daemon.contract.handlers import Handler
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.domain.handlers import kind_for
from scheduler_daemon.domain.lifecycle import Report
from scheduler_daemon.services import runs
from scheduler_daemon.services import said as said_services
from scheduler_daemon.services.runs import Ended
from scheduler_daemon.storage import executions
from scheduler_daemon.storage.session import Database
from tests.support.world import HOLDER, MINUTE, NOON, add_job, end, fire, recount, rows

FIRST = NOON + MINUTE
HANDLERS = {
    "on_failure": Handler(command="echo failed", timeout_ms=5000),
    "on_success": Handler(command="echo fine"),
    "on_cancel": Handler(command="echo cancelled"),
}


def start_waiting(db):
    return runs.start_waiting(db, now=NOON + 9 * MINUTE, holder=HOLDER, free=10).starts


@pytest.mark.parametrize(
    ("report", "kind"),
    [
        ({"exit_code": 3}, "on_failure"),
        ({"signal": 9}, "on_failure"),
        ({"unknown": True}, "on_failure"),
        ({"spawn_error": "no such user"}, "on_failure"),
        ({"exit_code": -1, "killed_by": "timeout"}, "on_failure"),
        ({"exit_code": 0}, "on_success"),
        ({"signal": 15, "killed_by": "cancel"}, "on_cancel"),
    ],
)
async def test_each_kind_of_end_is_followed_by_its_handler(
    database: Database, admin: Actor, report: dict, kind: str
) -> None:
    def work(db):
        job = add_job(db, admin, **HANDLERS, retry=None, env={"OWN": "1"}, cwd="/srv")
        (start,) = fire(db, job, FIRST).starts
        runs.started(db, {start.execution_id: FIRST}, FIRST)
        again = runs.ended(db, [Ended(start.execution_id, Report(**report), FIRST, FIRST, 1, 1, 1)], FIRST)
        return start.execution_id, again, start_waiting(db)

    parent, again, (start,) = await database.write(work)

    row = await database.read(lambda db: executions.find(db, start.execution_id))
    assert again == [FIRST]
    assert row is not None
    assert (row.parent_id, row.handler, row.trigger, row.state) == (parent, kind, "handler", "starting")
    assert start.spec["command"] == HANDLERS[kind].command
    assert start.spec["timeout_ms"] == HANDLERS[kind].timeout_ms
    assert start.fire_at == FIRST
    assert start.spec["cwd"] == "/srv"
    env = start.spec["env"]
    assert (env["OWN"], env["CHRONOS_HANDLER"], env["CHRONOS_PARENT_RUN"]) == ("1", kind, str(parent))
    code = report.get("exit_code")
    assert env["CHRONOS_PARENT_EXIT_CODE"] == ("" if code is None else str(code))


async def test_a_handler_counts_for_nothing_and_nothing_follows_it(database: Database, admin: Actor) -> None:
    def work(db):
        job = add_job(db, admin, **HANDLERS)
        behind = add_job(db, admin, "behind", schedule=None, after=("job",))
        (start,) = fire(db, job, FIRST).starts
        end(db, start.execution_id, exit_code=1)
        (handler,) = start_waiting(db)
        again = fire(db, job, FIRST + MINUTE, version=job.version)
        end(db, handler.execution_id, exit_code=1)
        return behind, start, handler, again

    behind, start, handler, again = await database.write(work)

    found = await database.read(lambda db: rows(db, "executions"))
    states = await database.read(lambda db: {row.job_id: row for row in rows(db, "job_states")})
    assert len(again.starts) == 1  # the handler ran, and the job forbids overlap
    assert [row.parent_id for row in found if row.parent_id] == [start.execution_id]
    assert states[start.job_id].last_id == start.execution_id
    assert [row.state for row in found if row.job_id == behind.id] == ["blocked"]
    assert await database.read(recount) == []
    assert handler.execution_id not in [row.id for row in found if row.state == "queued"]


async def test_an_end_that_is_told_twice_or_tried_again_is_followed_once(database: Database, admin: Actor) -> None:
    def work(db):
        job = add_job(db, admin, **HANDLERS, retry={"attempts": 1, "delay_ms": 0, "jitter": "none"})
        (start,) = fire(db, job, FIRST).starts
        end(db, start.execution_id, exit_code=1)
        first = [row.parent_id for row in rows(db, "executions") if row.parent_id]
        (again,) = start_waiting(db)
        end(db, again.execution_id, exit_code=1, at=FIRST + MINUTE)
        end(db, again.execution_id, exit_code=1, at=FIRST + MINUTE)
        return first, again.execution_id, [row.parent_id for row in rows(db, "executions") if row.parent_id]

    first, again, parents = await database.write(work)

    assert first == []
    assert parents == [again]


async def test_runs_that_end_at_one_instant_are_each_followed(database: Database, admin: Actor) -> None:
    def work(db):
        job = add_job(db, admin, **HANDLERS, concurrency="allow")
        starts = fire(db, job, *(FIRST + n * MINUTE for n in range(3))).starts
        end(db, *(start.execution_id for start in starts), exit_code=1, at=NOON + 9 * MINUTE)
        return [start.execution_id for start in starts]

    ids = await database.write(work)

    found = [row for row in await database.read(lambda db: rows(db, "executions")) if row.parent_id]
    assert [row.parent_id for row in found] == ids
    assert all(row.fire_at.microsecond for row in found)


async def test_what_was_cancelled_before_it_began_is_not_followed(database: Database, admin: Actor) -> None:
    def work(db):
        job = add_job(db, admin, **HANDLERS)
        fire(db, job, FIRST, free=0)
        (row,) = rows(db, "executions")
        runs.cancel(db, admin, row.id, "no", FIRST + MINUTE)

    await database.write(work)

    assert len(await database.read(lambda db: rows(db, "executions"))) == 1


async def test_a_job_without_the_handler_for_an_end_is_not_followed(database: Database, admin: Actor) -> None:
    def work(db):
        plain, one = add_job(db, admin, "plain"), add_job(db, admin, "one", on_success=Handler(command="true"))
        starts = [*fire(db, plain, FIRST).starts, *fire(db, one, FIRST).starts]
        end(db, *(start.execution_id for start in starts), exit_code=1)

    await database.write(work)

    assert len(await database.read(lambda db: rows(db, "executions"))) == 2


async def test_the_figures_of_a_handler_are_not_the_jobs(database: Database, admin: Actor) -> None:
    def work(db):
        job = add_job(db, admin, **HANDLERS)
        (start,) = fire(db, job, FIRST).starts
        end(db, start.execution_id, exit_code=1)
        (handler,) = start_waiting(db)
        said = {"progress": None, "kpis": [{"name": "a", "value": 1.0, "unit": ""}], "warnings": 0, "warned": []}
        executions.keep_said(db, {handler.execution_id: said | {"heard": [1, 0]}})
        return said_services.kpis(db, admin, "job")

    assert await database.write(work) == []


def test_what_never_ran_is_not_followed() -> None:
    never = (State.SKIPPED, State.MISSED, State.BLOCKED, State.SUPPRESSED)

    assert [kind_for(state, NOON) for state in never] == [None] * 4
    assert kind_for(State.CANCELLED, None) is None
