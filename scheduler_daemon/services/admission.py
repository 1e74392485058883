"""Admit runs that come up or wait: count what is active, in the transaction that writes them, and let the rules decide.

Jobs are locked by the callers, their pools here, so that of two daemons one counts what the other has written.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection

from scheduler_daemon.contract.executions import Outcome, State
from scheduler_daemon.contract.jobs import DEFAULT_QUEUE_LIMIT, Concurrency
from scheduler_daemon.domain.concurrency import (
    Admission,
    Decision,
    Policy,
    PoolRoom,
    Waiter,
    choose,
    decide,
    policy_of,
    turn,
    waits_for,
    with_wait,
)
from scheduler_daemon.storage import backfills, executions, job_states, pools

_TOLD_APART = frozenset({Concurrency.REPLACE, Concurrency.QUEUE_ONE, Concurrency.QUEUE_ALL})
"""Policies that ask how many of the active runs have begun."""


def pool_rooms(
    db: Connection, names: Collection[str], now: datetime | None = None, *, lock: bool = False
) -> dict[str, PoolRoom]:
    """Return how full these pools are; nobody else takes a slot of locked ones before the transaction ends.

    Attempts whose time has not come `now` do not wait for a slot; without an instant they count too.
    """
    if not names:
        return {}
    slots = pools.slots(db, names, lock=lock)
    counts = pools.counts(db, names, now)
    return {name: PoolRoom(name, wanted, *counts.get(name, (0, 0))) for name, wanted in slots.items()}


@dataclass(slots=True)
class _Job:
    """A job while its runs are decided on."""

    policy: Policy
    pool: str | None
    priority: int | None
    running: int
    waiting: int


class Admissions:
    """Decides on runs of locked jobs, one after the other, each seeing those before it.

    `jobs` gives id and spec of each, `active` how many of its runs are active; `free` is how many runs of all jobs may
    start `now`.
    """

    def __init__(
        self, db: Connection, jobs: Iterable[Any], free: int, active: Mapping[str, int], now: datetime
    ) -> None:
        self._free = free
        self._jobs: dict[str, _Job] = {}
        apart: list[str] = []
        bound: list[str] = []
        for row in jobs:
            policy = _policy(*map(row.spec.get, ("concurrency", "concurrency_limit", "queue_limit")))
            self._jobs[row.id] = _Job(policy, row.spec.get("pool"), row.spec.get("priority"), active[row.id], 0)
            if active[row.id] and policy.slots is not None:
                bound.append(row.id)
            if active[row.id] and policy.kind in _TOLD_APART:
                apart.append(row.id)
        for job_id, aside in backfills.aside(db, bound).items() if bound else ():
            self._jobs[job_id].running -= aside
        self._pools = pool_rooms(db, {job.pool for job in self._jobs.values() if job.pool}, now, lock=True)
        self._older: dict[str, list[int]] = {}
        """The active runs of jobs, by id, where they are told apart."""
        self._queued: set[int] = set()
        if apart:
            self._tell_apart(db, apart)
        self._made: dict[str, list[dict[str, Any]]] = {}
        """Rows of jobs that replace their runs, which a later one may replace before they are written."""
        self._replacing: dict[str, dict[str, Any]] = {}

    def _tell_apart(self, db: Connection, ids: Sequence[str]) -> None:
        for row in executions.standing(db, ids):
            self._older.setdefault(row.job_id, []).append(row.id)
            if row.state == State.QUEUED:
                self._queued.add(row.id)
        for job_id in ids:
            older = self._older.get(job_id, [])
            waiting = len(self._queued.intersection(older))
            self._jobs[job_id].running, self._jobs[job_id].waiting = len(older) - waiting, waiting

    def look(self, job_id: str) -> Decision:
        """Decide on a run of a job as things stand."""
        job = self._jobs[job_id]
        return decide(job.policy, job.running, job.waiting, self._free, self._pools.get(job.pool or ""))

    def admit(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return the row of a run with what becomes of it, and count it. Rows that it replaces are changed."""
        job = self._jobs[row["job_id"]]
        replaces = job.policy.kind is Concurrency.REPLACE
        if replaces:
            self._withdraw(job, row)
        decision = self.look(row["job_id"])
        row = row | {"pool": job.pool, "slots": job.policy.slots}
        if decision.admission is Admission.SKIP:
            return row | {
                "state": State.SKIPPED,
                "outcome": Outcome.OVERLAP,
                "reason": decision.why,
                "ended_at": row["queued_at"],
            }
        if decision.admission is Admission.START:
            row["state"] = State.STARTING
        else:
            told = with_wait(row["reason"], decision.why)
            row |= {"state": State.QUEUED, "reason": told, "turn": turn(row["queued_at"], job.priority)}
        if replaces:
            self._made[row["job_id"]] = [row]
            if decision.replaces:
                self._replacing[row["job_id"]] = row
                job.waiting = 0
        self._count(job, decision.admission, 1)
        return row

    def _withdraw(self, job: _Job, by: Mapping[str, Any]) -> None:
        """Let rows of the job that are not written yet give way to a later one."""
        for row in self._made.pop(by["job_id"], ()):
            self._count(job, Admission.START if row["state"] is State.STARTING else Admission.WAIT, -1)
            row.update(
                state=State.SKIPPED,
                outcome=Outcome.SUPERSEDED,
                reason=f"replaced by the run for {by['fire_at']:%Y-%m-%d %H:%M:%S} UTC before it began",
                ended_at=row["queued_at"],
            )

    def _count(self, job: _Job, admission: Admission, by: int) -> None:
        starts = admission is Admission.START
        job.running += by * starts
        job.waiting += by * (not starts)
        self._free -= by * starts
        pool = self._pools.get(job.pool or "")
        if pool:
            running, waiting = pool.running + by * starts, pool.waiting + by * (not starts)
            self._pools[pool.name] = PoolRoom(pool.name, pool.slots, running, waiting)

    def replaced(self, won: Iterable[Any]) -> list[tuple[int, list[int], list[int]]]:
        """Return for each written run that replaces others: its id, those that have begun, and those that wait."""
        found = []
        for row in won:
            replacing = self._replacing.get(row.job_id)
            if replacing and replacing["fire_at"] == row.fire_at:
                older = self._older.get(row.job_id, [])
                begun = [number for number in older if number not in self._queued]
                found.append((row.id, begun, [number for number in older if number in self._queued]))
        return found


@lru_cache(maxsize=1024)
def _policy(kind: str, limit: int | None, queue: int | None) -> Policy:
    return policy_of(
        {
            "concurrency": kind,
            "concurrency_limit": limit,
            "queue_limit": DEFAULT_QUEUE_LIMIT if queue is None else queue,
        }
    )


def next_in_turn(db: Connection, now: datetime, free: int) -> list[Any]:
    """Return up to `free` runs that wait and may start now, in turn.

    On a server that several daemons share, jobs and pools are locked before it is counted what holds them back.
    """
    found = executions.queued(db, free, now, full_pools=_full_pools(db))
    if db.dialect.name != "sqlite" and found:
        job_states.lock(db, {row.job_id for row in found})
    rooms = pool_rooms(db, {row.pool for row in found if row.pool}, lock=True)
    if db.dialect.name != "sqlite" and found:
        full = [room.name for room in rooms.values() if not room.free]
        found = executions.queued(db, free, now, full_pools=full, of_jobs={row.job_id for row in found}, lock=True)
    waiters = (Waiter(row.id, row.job_id, row.slots, row.pool) for row in found)
    chosen = set(choose(waiters, {row.job_id: row.begun for row in found}, rooms, free))
    return [row for row in found if row.id in chosen]


def _full_pools(db: Connection) -> list[str]:
    slots = pools.slots(db)
    taken = pools.taken(db) if slots else {}
    return [name for name, wanted in slots.items() if taken.get(name, 0) >= wanted]


def why_it_waits(db: Connection, row: Any, policy: Policy) -> str:
    """Say what a queued run waits for as things stand."""
    active = executions.standing(db, [row.job_id])
    running = sum(other.state != State.QUEUED for other in active)
    pool = pool_rooms(db, [row.pool]).get(row.pool) if row.pool else None
    ahead = executions.ahead_in_pool(db, row) if pool else 0
    before = sum(other.state == State.QUEUED and other.id < row.id for other in active)
    room = PoolRoom(pool.name, pool.slots, pool.running, ahead) if pool else None
    return waits_for(policy, running, before, 0, room)
