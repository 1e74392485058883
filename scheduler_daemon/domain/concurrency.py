"""Decide whether a run may begin beside those that are active: by its job's policy, its pool and the room for all.

Every question is answered from counts alone; who counts, under which locks, is left to the callers. A decision is made
when a run comes up and again whenever room may have come for one that waits.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, NamedTuple

from scheduler_daemon.contract.jobs import DEFAULT_PRIORITY, DEFAULT_QUEUE_LIMIT, Concurrency

STEP = timedelta(minutes=1)
"""How long a run waits to gain one step of priority. One of priority 0 is overtaken for nine of these at most."""
_WAITS = "waits: "


class Admission(Enum):
    """What becomes of a run that comes up."""

    START = "start"
    WAIT = "wait"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Policy:
    """What a job says of its own runs."""

    kind: Concurrency
    slots: int | None
    """Runs at once; None for any number."""
    queue: int
    """Runs that may wait for the job's own ones."""


@dataclass(frozen=True, slots=True)
class PoolRoom:
    """A pool and how many runs hold a slot of it or wait for one."""

    name: str
    slots: int
    running: int
    waiting: int

    @property
    def free(self) -> int:
        """How many slots are left."""
        return max(0, self.slots - self.running)

    @property
    def full(self) -> str:
        """Say that nothing is left."""
        return f"pool {self.name} is full ({self.running} of {self.slots})"


class Decision(NamedTuple):
    """What becomes of a run, and why in a sentence where it does not start at once."""

    admission: Admission
    why: str = ""
    replaces: bool = False
    """All active runs of its job give way to it."""


START = Decision(Admission.START)
SINGLE = frozenset({Concurrency.FORBID, Concurrency.REPLACE})
"""Policies that let one run of a job be active, whatever else it says."""


def policy_of(spec: Mapping[str, Any]) -> Policy:
    """Return what a stored spec says, one from before there was a choice too."""
    kind = Concurrency(spec["concurrency"])
    limit = spec.get("concurrency_limit")
    if kind in SINGLE or (limit is None and kind is not Concurrency.ALLOW):
        limit = 1
    queue = {
        Concurrency.QUEUE_ONE: 1,
        Concurrency.QUEUE_ALL: spec.get("queue_limit", DEFAULT_QUEUE_LIMIT),
    }.get(kind, 0)
    return Policy(kind, limit, queue)


def decide(policy: Policy, running: int, waiting: int, free: int, pool: PoolRoom | None = None) -> Decision:
    """Decide on a run of a job with `running` and `waiting` others, where `free` more of all jobs may start.

    One that may start at once as far as its job goes waits behind those that wait for its pool already: whose turn it
    is, is decided among all of them.
    """
    replaces = policy.kind is Concurrency.REPLACE and running + waiting > 0
    if not replaces and (refused := _refused(policy, running, waiting)):
        return Decision(Admission.SKIP, refused)
    ahead = 0 if replaces else waiting  # what it replaces does not wait any more
    why = waits_for(policy, running, ahead, free, pool)
    return Decision(Admission.WAIT if why else Admission.START, why, replaces) if why or replaces else START


def _refused(policy: Policy, running: int, waiting: int) -> str:
    """Say why a run is skipped; "" if it is not."""
    active = running + waiting
    if policy.slots is None or active < policy.slots:
        return ""
    if policy.kind is Concurrency.FORBID:
        return "an earlier run of this job is still active, and the job forbids overlap"
    if policy.kind is Concurrency.ALLOW:
        return f"as many runs of this job are active as it allows at once ({active} of {policy.slots})"
    if waiting < policy.queue:
        return ""
    if policy.kind is Concurrency.QUEUE_ONE:
        return "a run of this job waits already, and the job keeps the first"
    return f"as many runs of this job wait as it lets wait ({waiting} of {policy.queue})"


def waits_for(policy: Policy, running: int, waiting: int, free: int, pool: PoolRoom | None) -> str:
    """Say what a run waits for behind `waiting` others of its job, "" if it may start now."""
    if policy.slots is not None and running >= policy.slots:
        return _WAITS + _own(policy, running)
    if policy.slots is not None and running + waiting >= policy.slots:
        return _WAITS + "earlier runs of this job have not started yet"
    if pool is not None and not pool.free:
        return _WAITS + pool.full
    if pool is not None and pool.waiting:
        return _WAITS + f"its turn in pool {pool.name} ({pool.waiting} before it)"
    if free <= 0:
        return _WAITS + "as many runs are active as may be at once"
    return ""


def _own(policy: Policy, running: int) -> str:
    if policy.kind is Concurrency.REPLACE:
        return "the run it replaces is being stopped"
    if running == 1:
        return "an earlier run of this job is still active"
    return f"{running} earlier runs of this job are still active"


def without_wait(reason: str) -> str:
    """Return a reason as it was before it told what its run waits for."""
    before, waits, _ = reason.rpartition(_WAITS)
    return before.removesuffix("; ") if waits else reason


def with_wait(reason: str, why: str) -> str:
    """Return a reason that tells what its run waits for, behind what somebody said."""
    return f"{reason}; {why}" if reason and why else reason or why


def turn(queued_at: datetime, priority: int | None) -> datetime:
    """Return when a run would have been queued to be equal to it without a priority: the earliest starts first.

    So each `STEP` that a run waits weighs as much as one step of priority, and whoever waits is never overtaken by one
    that comes later by more steps of time than it has more of priority.
    """
    return queued_at - (DEFAULT_PRIORITY if priority is None else priority) * STEP


class Waiter(NamedTuple):
    """A run that waits."""

    id: int
    job_id: str
    slots: int | None
    """How many runs of its job may run at once."""
    pool: str | None


def choose(
    waiters: Iterable[Waiter], running: Mapping[str, int], pools: Mapping[str, PoolRoom], free: int
) -> list[int]:
    """Return which of those that wait, given in the order of their turns, start now.

    `running` counts the begun runs of each job. A pool that is not there any more holds nobody back.
    """
    of_job = dict(running)
    left = {name: pool.free for name, pool in pools.items()}
    chosen: list[int] = []
    for waiter in waiters:
        if len(chosen) >= free:
            break
        if waiter.slots is not None and of_job.get(waiter.job_id, 0) >= waiter.slots:
            continue
        if waiter.pool is not None and left.get(waiter.pool, 1) <= 0:
            continue
        chosen.append(waiter.id)
        of_job[waiter.job_id] = of_job.get(waiter.job_id, 0) + 1
        if waiter.pool in left:
            left[waiter.pool] -= 1
    return chosen
