"""Jobs that run after others: bring up their runs when the set is decided, keep who runs after whom, show the graph.

Runs belong to one set when they are for one instant: that of the fire, or of the request, with which the first of them
began. A job comes up in a set at most once, in the transaction in which the last thing it waits for is written down.
Its row is locked before the ends of its upstreams are read, so that of two daemons that write the last two ends the
second sees the first. An upstream that has no run in a set is not done: a job after two roots comes up where both fire.
A job that is paused or snoozed when its turn comes is skipped. How its run starts is left to what starts all that wait;
one that has a time before which it does not start waits for that first.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from graphlib import TopologicalSorter
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Connection

from scheduler_daemon.contract.dependencies import GraphEdge, GraphNode, JobGraph, TriggerRule
from scheduler_daemon.contract.executions import Outcome, State, Trigger
from scheduler_daemon.contract.jobs import JobSpec
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.domain import access, dependencies
from scheduler_daemon.domain.access import Verb
from scheduler_daemon.domain.concurrency import turn, with_wait, without_wait
from scheduler_daemon.domain.conditions import gate
from scheduler_daemon.domain.dependencies import Answer, Decision, End, decide, end_of
from scheduler_daemon.domain.errors import Conflict, Invalid
from scheduler_daemon.domain.isolation import requested
from scheduler_daemon.services import record, retries
from scheduler_daemon.services.admission import Admissions
from scheduler_daemon.storage import attempts, executions, jobs
from scheduler_daemon.storage import dependencies as storage

_ROOM = 1_000_000
"""Room for all runs is not looked at here: whatever comes up waits until the dispatcher has it start."""

Member = tuple[str, datetime]
"""A job id and the instant of a run set."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What came of news of runs."""

    waits: bool
    """Runs have come up that wait to be started."""
    replaced: list[tuple[int, list[int], list[int]]]
    """As Admissions tells it: the runs that others give way to."""
    later: list[datetime]
    """When the time of those comes that wait for a time of day."""


def settle(db: Connection, news: Sequence[Any], now: datetime) -> Settled:
    """Write down what follows for the jobs behind runs that came up or are over, and for those behind them."""
    waits = False
    replaced: list[tuple[int, list[int], list[int]]] = []
    later: list[datetime] = []
    while news and (edges := storage.behind(db, {row.job_id for row in news})):
        made, more = _follow(db, news, edges, now)
        waits = waits or any(row.state is State.QUEUED for row in made)
        replaced += more
        later += [row.start_after for row in made if row.start_after is not None]
        news = made
    return Settled(waits, replaced, later)


def _follow(
    db: Connection, news: Sequence[Any], edges: Sequence[tuple[str, str]], now: datetime
) -> tuple[list[SimpleNamespace], list[tuple[int, list[int], list[int]]]]:
    facts = {row.id: row for row in jobs.launch_facts(db, {downstream for _, downstream in edges})}
    behind: dict[str, list[str]] = {}
    for upstream, downstream in edges:
        if downstream in facts:
            behind.setdefault(upstream, []).append(downstream)
    wanted = {(job_id, row.fire_at): row for row in news for job_id in behind.get(row.job_id, ())}
    if not wanted:
        return [], []
    decided = _decided(db, facts, wanted)
    admissions = Admissions(db, facts.values(), _ROOM, {job_id: row.active for job_id, row in facts.items()}, now)
    rows = [
        _admitted(admissions, facts[member[0]], _row(facts[member[0]], wanted[member], decision, now))
        for member, decision in decided.items()
    ]
    won = _inserted(db, [_waiting(facts[row["job_id"]], row) for row in rows])
    for job_id, added in Counter(row.job_id for row in won if row.ended_at is None).items():
        jobs.add_active(db, job_id, added)
    record.executions_changed(db, won, {row.id: (row.name, row.owner_id) for row in facts.values()}, now)
    return won, admissions.replaced(won)


def _decided(db: Connection, facts: Mapping[str, Any], wanted: Collection[Member]) -> dict[Member, Decision]:
    """Return what becomes of jobs in their sets, without those that came up before or wait still."""
    upstreams = {upstream for row in facts.values() for upstream in row.spec["after"]}
    instants = sorted({instant for _, instant in wanted})
    standing = storage.standing(db, upstreams.union(facts), instants)
    names = storage.names(db, upstreams)
    found = {}
    for job_id, instant in wanted:
        if (job_id, instant) not in standing:
            decision = _decide(facts[job_id].spec, instant, standing, names)
            if decision.answer is not Answer.WAIT:
                found[job_id, instant] = decision
    return found


def _decide(
    spec: Mapping[str, Any], instant: datetime, standing: Mapping[Member, Any], names: Mapping[str, str]
) -> Decision:
    ends: dict[str, End | None] = {}
    for upstream in spec["after"]:
        run = standing.get((upstream, instant))
        ends[names[upstream]] = end_of(State(run.state), run.attempt) if run else None
    return decide(TriggerRule(spec["trigger_rule"]), ends)


def _row(job: Any, behind: Any, decision: Decision, now: datetime) -> dict[str, Any]:
    """Return the run of a job in the set of the run that decided it."""
    row = {
        "job_id": job.id,
        "job_version": job.version,
        "version": 1,
        "fire_at": behind.fire_at,
        "attempt": 0,
        "attempts": 1,
        "trigger": Trigger.DEPENDENCY,
        "state": State.QUEUED,
        "outcome": None,
        "reason": decision.why,
        "actor": behind.actor,
        "host": behind.host,
        "fence": behind.fence,
        "queued_at": now,
        "ended_at": None,
        "policy": requested(job.spec),
        "pool": None,
        "slots": None,
        "turn": None,
    }
    if decision.answer is Answer.SKIP:
        return row | {"state": State.SKIPPED, "outcome": Outcome.TRIGGER_RULE, "ended_at": now}
    if decision.answer is Answer.UPSTREAM_FAILED:
        return row | {"state": State.BLOCKED, "outcome": Outcome.UPSTREAM_FAILED, "ended_at": now}
    if job.paused or (job.snoozed_until is not None and now < job.snoozed_until):
        why = "the job was paused" if job.paused else f"snoozed until {job.snoozed_until:%Y-%m-%d %H:%M:%S} UTC"
        return row | {"state": State.SKIPPED, "outcome": Outcome.PAUSED, "reason": why, "ended_at": now}
    return row


def _admitted(admissions: Admissions, job: Any, row: dict[str, Any]) -> dict[str, Any]:
    if row["ended_at"] is not None:
        return row
    row = admissions.admit(row)
    row["attempts"] = retries.most(job.spec)
    return row


def _waiting(job: Any, row: dict[str, Any]) -> dict[str, Any]:
    """Return a run that may start at once as one that waits, for another transaction hands it to a daemon."""
    if row["state"] is State.STARTING:
        row |= {"state": State.QUEUED, "turn": turn(row["queued_at"], job.spec.get("priority"))}
    if row["state"] is State.QUEUED and job.spec.get("not_before"):
        return _gated(job, row)
    return row


def _gated(job: Any, row: dict[str, Any]) -> dict[str, Any]:
    """Let a run wait for the time of the day of its set before which its job does not start."""
    spec = job.spec
    zone = spec["schedule"]["zone"]
    opens = gate(spec["not_before"], zone, row["fire_at"])
    if opens <= row["queued_at"]:
        return row
    why = f"waits: not before {spec['not_before']} ({zone}), {opens:%Y-%m-%d %H:%M:%S} UTC"
    return row | {
        "start_after": opens,
        "turn": turn(opens, spec.get("priority")),
        "reason": with_wait(without_wait(row["reason"]), why),
    }


def _inserted(db: Connection, rows: Sequence[dict[str, Any]]) -> list[SimpleNamespace]:
    whole: list[dict[str, Any]] = [executions.NOTHING_YET | row for row in rows]
    won = attempts.insert(db, whole)
    made = ((won.get((row["job_id"], row["fire_at"], 0)), row) for row in whole)
    return [SimpleNamespace(**row, id=number) for number, row in made if number is not None]


def resolved(db: Connection, actor: Actor, spec: JobSpec) -> JobSpec:
    """Return a spec that names the jobs it runs after by id. Raises Invalid for one that there is not."""
    if not spec.after:
        return spec
    storage.lock_graph(db)
    found: dict[str, None] = {}
    for ref in spec.after:
        row = jobs.find(db, ref)
        if row is None or not access.can(actor, Verb.VIEW, row.owner_id):
            raise Invalid(f"there is no job {ref!r} to run after; `chronos job list` shows all", field="after")
        found[row.id] = None
    return spec.model_copy(update={"after": tuple(found)})


def keep(db: Connection, saved: Mapping[str, Sequence[str]]) -> None:
    """Note after which jobs new ones run, by id."""
    storage.insert(db, [(upstream, job_id) for job_id, upstreams in saved.items() for upstream in upstreams])


def change(db: Connection, job_id: str, name: str, before: Collection[str], after: Sequence[str]) -> None:
    """Let a job run after these from now on. Raises Invalid for a cycle, with the way round it."""
    if set(before) == set(after):
        return
    storage.lock_graph(db)
    graph: dict[str, list[str]] = {}
    for upstream, downstream in storage.all_of_them(db):
        graph.setdefault(downstream, []).append(upstream)
    way = dependencies.cycle(graph | {job_id: list(after)}, job_id)
    if way:
        names = storage.names(db, way) | {job_id: name}
        path = " -> ".join(names[each] for each in way)
        raise Invalid(f"{name!r} would wait for itself: {path}; take one of these out", field="after")
    storage.put(db, job_id, after)


def drop(db: Connection, job_id: str, name: str) -> None:
    """Let a job that is being deleted run after nothing. Raises Conflict while others run after it."""
    storage.lock_graph(db)
    behind = storage.names(db, [downstream for _, downstream in storage.behind(db, [job_id])])
    if behind:
        raise Conflict(f"{', '.join(sorted(behind.values()))} run after {name!r}; change or delete them before it")
    storage.put(db, job_id, ())


def in_set(db: Connection, spec: JobSpec, instant: datetime) -> Decision:
    """Return what becomes of a job in a set, as things stand."""
    after = spec.after
    return _decide(
        {"after": after, "trigger_rule": spec.trigger_rule},
        instant,
        storage.standing(db, after, [instant]),
        storage.names(db, after),
    )


def latest_set(db: Connection, spec: JobSpec) -> datetime | None:
    """Return the instant of the last set in which a job before this one has a run."""
    return storage.latest_instant(db, spec.after)


def has_begun(db: Connection, spec: JobSpec, instant: datetime) -> bool:
    """Tell whether any job before this one has a run in a set."""
    return bool(storage.standing(db, spec.after, [instant]))


def names(db: Connection, spec: JobSpec) -> list[str]:
    """Return the names of the jobs that one runs after."""
    found = storage.names(db, spec.after)
    return [found[upstream] for upstream in spec.after]


def graph(db: Connection, actor: Actor, job_id: str) -> JobGraph:
    """Return all jobs that are tied to one, as far as the actor may see them; those of one rank by name."""
    edges = storage.all_of_them(db)
    found = [row for row in storage.nodes(db, _tied(edges, job_id)) if access.can(actor, Verb.VIEW, row.owner_id)]
    rows = {row.id: row for row in sorted(found, key=lambda row: row.name)}
    seen = [(upstream, downstream) for upstream, downstream in edges if upstream in rows and downstream in rows]
    seen.sort(key=lambda edge: (rows[edge[0]].name, rows[edge[1]].name))
    sorter: TopologicalSorter[str] = TopologicalSorter(dict.fromkeys(rows, ()))
    for upstream, downstream in seen:
        sorter.add(downstream, upstream)
    return JobGraph(
        job_id=job_id,
        nodes=tuple(_node(rows[each]) for each in sorter.static_order()),
        edges=tuple(GraphEdge(upstream=upstream, downstream=downstream) for upstream, downstream in seen),
    )


def _tied(edges: Sequence[tuple[str, str]], job_id: str) -> set[str]:
    beside: dict[str, set[str]] = {}
    for upstream, downstream in edges:
        beside.setdefault(upstream, set()).add(downstream)
        beside.setdefault(downstream, set()).add(upstream)
    found, open_ones = {job_id}, [job_id]
    while open_ones:
        more = beside.get(open_ones.pop(), set()) - found
        found |= more
        open_ones += more
    return found


def _node(row: Any) -> GraphNode:
    return GraphNode(
        id=row.id,
        name=row.name,
        trigger_rule=row.spec.get("trigger_rule", TriggerRule.ALL_SUCCESS),
        paused=row.paused,
        active=row.active,
        state=row.state,
        outcome=row.outcome,
        fire_at=row.fire_at,
    )
