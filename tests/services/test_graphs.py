"""Random graphs of jobs with random rules and ends: a set is decided whole, once, as worked out beside it."""

import random

import pytest
from sqlalchemy import Connection

from scheduler_daemon.contract.dependencies import TriggerRule
from scheduler_daemon.contract.executions import State
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.domain.dependencies import Answer, End, answer
from scheduler_daemon.services import runs
from scheduler_daemon.storage.session import Database
from tests.support.world import HOLDER, MINUTE, NOON, SECOND, add_job, end, fire, recount, rows

FIRE = NOON + MINUTE
JOBS = 8
ENDS = {
    "succeeded": End.SUCCESS,
    "failed": End.FAILED,
    "skipped": End.SKIPPED,
    "missed": End.SKIPPED,
    "blocked": End.UPSTREAM_FAILED,
}
WITHOUT_A_RUN = {Answer.SKIP: "skipped", Answer.UPSTREAM_FAILED: "blocked"}
Graph = dict[int, tuple[TriggerRule, list[int]]]


def drawn(chance: random.Random) -> Graph:
    """Return a rule and the jobs before it for each job; the first two are roots."""
    graph: Graph = {}
    for job in range(JOBS):
        before = chance.sample(range(job), k=chance.randint(1, min(job, 3))) if job > 1 else []
        graph[job] = chance.choice(list(TriggerRule)), before
    return graph


def expected(graph: Graph, missed: set[int], wishes: dict[int, str]) -> dict[int, str]:
    """Return how each job ends: as wished where its rule lets it start."""
    found: dict[int, str] = {}
    for job, (rule, before) in graph.items():
        decided = answer(rule, [ENDS[found[each]] for each in before]) if before else Answer.START
        found[job] = "missed" if job in missed else WITHOUT_A_RUN.get(decided, wishes[job])
    return found


def played(db: Connection, actor: Actor, graph: Graph, missed: set[int], wishes: dict[int, str], seed: int) -> None:
    """Fire the roots, then let runs begin and end in any order until nothing is active."""
    chance = random.Random(seed)
    number: dict[str, int] = {}
    roots = []
    for job, (rule, before) in graph.items():
        upstreams = [f"{seed}-{each}" for each in before]
        schedule = None if before else "* * * * *"
        made = add_job(db, actor, f"{seed}-{job}", schedule=schedule, after=upstreams, trigger_rule=rule)
        number[made.id] = job
        if not before:
            roots.append(made)
    for made in roots:
        job = number[made.id]
        fire(db, made, *([] if job in missed else [FIRE]), missed=[FIRE] if job in missed else [])
    at = FIRE
    while active := [row for row in rows(db, "executions") if not State(row.state).final]:
        at += SECOND
        runs.start_waiting(db, now=at, holder=HOLDER, free=chance.randint(1, 3))
        begun = [row for row in active if row.state != "queued"]
        if begun:
            row = chance.choice(begun)
            end(db, row.id, at=at, exit_code=0 if wishes[number[row.job_id]] == "succeeded" else 1)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_every_job_of_a_graph_ends_once_as_its_rule_says(database: Database, admin: Actor, seed: int) -> None:
    chance = random.Random(seed)
    graph = drawn(chance)
    missed = {job for job in range(2) if chance.random() < 0.3}
    wishes = {job: chance.choice(["succeeded", "failed"]) for job in graph}

    await database.write(lambda db: played(db, admin, graph, missed, wishes, seed))
    names = {row.id: int(row.name.split("-")[1]) for row in await database.read(lambda db: rows(db, "jobs"))}
    found = [(names[row.job_id], row.state) for row in await database.read(lambda db: rows(db, "executions"))]

    assert sorted(found) == sorted(expected(graph, missed, wishes).items())
    assert await database.read(recount) == []
