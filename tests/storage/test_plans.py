"""What is asked often reads an index, and never every run or job there is."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, event

from scheduler_daemon.storage import attempts, dependencies, events, executions, jobs, pools
from scheduler_daemon.storage.session import Database
from tests.support.rows import NOON

HOT: dict[str, Callable[[Connection], Any]] = {
    "the events to show": lambda db: events.pending(db, 500),
    "the runs that wait": lambda db: executions.queued(db, 10, NOON),
    "the active runs of jobs": lambda db: executions.standing(db, ["x"]),
    "which slots are taken": pools.taken,
    "how full pools are": lambda db: pools.counts(db, ["x"]),
    "whether any run waits": lambda db: executions.any_queued(db, NOON),
    "the attempts whose time has come": lambda db: attempts.late(db, NOON),
    "the attempts that wait": lambda db: attempts.waiting(db, ["x"]),
    "when the next attempt begins": lambda db: attempts.next_start(db, NOON),
    "the attempts of a run": lambda db: attempts.of_run(db, "x", NOON),
    "the runs that have not ended": executions.active,
    "how many have not ended": executions.active_counts,
    "a list of running runs": lambda db: executions.page(db, states=["running", "starting"]),
    "a run at an instant": lambda db: executions.page(db, job_id="x"),
    "a job by its id or name": lambda db: jobs.find(db, "nobody"),
    "jobs by their ids": lambda db: jobs.by_ids(db, ["x"]),
    "jobs that are due": lambda db: jobs.launch_facts(db, ["x"]),
    "specs of runs": lambda db: jobs.specs(db, [("x", 1)]),
    "runs by their ids": lambda db: executions.by_ids(db, [1]),
    "the next fires": lambda db: jobs.next_fires(db, 10),
    "what runs after jobs": lambda db: dependencies.behind(db, ["x"]),
    "how upstream jobs stand in a run set": lambda db: dependencies.standing(db, ["x"], [NOON]),
    "the last run set": lambda db: dependencies.latest_instant(db, ["x"]),
    "jobs of an import": lambda db: jobs.by_source(db, "crontab:root"),
}


@pytest.mark.parametrize("question", HOT)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_hot_questions_use_an_index(database: Database, question: str) -> None:
    def plan(db: Connection) -> list[str]:
        asked: list[tuple[str, Any]] = []

        def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
            asked.append((statement, parameters))

        event.listen(db, "before_cursor_execute", note)
        HOT[question](db)
        event.remove(db, "before_cursor_execute", note)
        return [
            row.detail for query, values in asked for row in db.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", values)
        ]

    steps = await database.read(plan)

    assert steps
    scans = [step for step in steps if step.startswith("SCAN") and "VIRTUAL TABLE" not in step]  # given values
    partial = ("ix_events_pending", "ix_executions_active", "ix_executions_turn_id", "ix_executions_start_after")
    assert [step for step in scans if not any(index in step for index in partial)] == []
