"""What the launcher knows of one job, and how a job is ended so that no process of it is left.

An end by us: the spawner is asked to hold the job (so that nobody else writes its end), every process of it gets TERM,
has the grace to go, and is then killed, again and again until a census finds none. What holds a box together is not
asked to go: it waits for the job and notes its exit code. Sending is the server's.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from enum import Enum

from scheduler_daemon.launcher import cgroups, kernel
from scheduler_daemon.launcher.kernel import Process
from scheduler_daemon.launcher.protocol import Message
from scheduler_daemon.launcher.sweep import Census, Target

_GIVE_UP_AFTER = 30.0
"""Seconds of KILL after which what cannot be killed (not ours, or stuck in the kernel) is reported and left."""
CPU_TIME = "cpu_time"
"""What ends a run that used all the processor time it may."""
_FIRST_LOOK, _TERM_LOOK, _KILL_LOOK = 0.002, 0.1, 0.05


class State(Enum):
    """Where a job is, as the launcher sees it."""

    HELD = "held"
    """Its instant has not come."""
    QUEUED = "queued"
    SENT = "sent"
    RUNNING = "running"
    ENDED = "ended"


class Phase(Enum):
    """How far the killing of a job has come."""

    HOLD = "hold"
    TERM = "term"
    KILL = "kill"


@dataclass(slots=True)
class Killing:
    """A job being ended by us. Times are of the monotonic clock, in seconds."""

    by: str
    reason: str
    grace: float
    phase: Phase = Phase.HOLD
    deadline: float = 0.0
    look_at: float = 0.0
    pause: float = _FIRST_LOOK
    signalled: set[tuple[int, int]] = field(default_factory=set)
    survivors: int = 0
    main_end: Message | None = None
    natural: bool = False

    def begin(self, now: float) -> None:
        """Start with TERM; at an end that came by itself what is left is killed at once."""
        self.phase = Phase.KILL if self.natural else Phase.TERM
        self.deadline = now + (0.0 if self.natural else self.grace)
        self.look_at = now

    def verdict(self) -> Message:
        """Return what the end record says of this killing."""
        told: Message = {"killed": len(self.signalled), "survivors": self.survivors, "leftover": 0}
        if self.natural:
            return told
        if self.by == CPU_TIME:
            return told | {"limit_hit": CPU_TIME, "reason": self.reason}
        told |= {"killed_by": self.by, "reason": self.reason, "timed_out": self.by == "timeout"}
        return told


@dataclass(slots=True, eq=False)
class Job:
    """One run. `spawner` is the pid of the process that reaps it; `record` is its end, once known."""

    run: int
    request: bytes = b""
    state: State = State.QUEUED
    spawner: int = 0
    start: Message | None = None
    target: Target | None = None
    killing: Killing | None = None
    record: Message | None = None
    held: bool = False
    boxed: bool = False

    def began(self, start: Message) -> None:
        """Take over what the record of the start says."""
        self.state = State.RUNNING
        self.start = start
        self.request = b""
        self.spawner = start["spawner"]
        self.target = Target(start["pid"], start["ticks"], start["mark"], start["number"], start["group"])
        self.boxed = bool(start.get("boxed"))

    def released(self) -> Job:
        """Wait for a spawner from now on."""
        self.state = State.QUEUED
        return self

    def view(self) -> Message:
        """Return the job as `list` shows it: its end if it has one, else its start."""
        if self.record is not None:
            return {"event": "ended", **self.record}
        if self.start is not None:
            return {"event": "started", "id": self.run, **self.start}
        return {"event": "queued", "id": self.run}


def press(job: Job, census: Census, spared: frozenset[int], now: float) -> bool:
    """Take one step of killing against this census. True when no process of the job is left, or we had to give up."""
    killing, target = job.killing, job.target
    assert killing is not None
    assert target is not None
    left = census.of(target)
    if not left:
        return True
    if killing.phase is Phase.TERM and now >= killing.deadline:
        killing.phase, killing.pause = Phase.KILL, _FIRST_LOOK / 2
    if killing.phase is Phase.TERM:
        _ask_to_go(killing, [one for one in left if not (job.boxed and one.pid == target.pid)])
    else:
        _kill(killing, target, left, spared)
        if now > killing.deadline + _GIVE_UP_AFTER:
            killing.survivors = len(left)
            return True
    most = _TERM_LOOK if killing.phase is Phase.TERM else _KILL_LOOK
    killing.pause = min(killing.pause * 2, most)
    killing.look_at = now + killing.pause
    if killing.phase is Phase.TERM:
        killing.look_at = min(killing.look_at, killing.deadline)
    return False


def _ask_to_go(killing: Killing, left: list[Process]) -> None:
    """TERM whoever has not had it; a stopped process hears it only when it goes on."""
    for one in left:
        if (one.pid, one.ticks) not in killing.signalled and kernel.send(one.pid, one.ticks, signal.SIGTERM):
            killing.signalled.add((one.pid, one.ticks))
            if one.state in "Tt":
                kernel.send(one.pid, one.ticks, signal.SIGCONT)


def _kill(killing: Killing, target: Target, left: list[Process], spared: frozenset[int]) -> None:
    """KILL all at one stroke by the control group, then each one; first stop them, so that they fork no more."""
    killing.signalled.update((one.pid, one.ticks) for one in left)
    if target.group is not None and cgroups.kill(target.group, spared):
        left = [one for one in left if kernel.is_living(one.pid, one.ticks)]
    if len(left) > 1:
        for one in left:
            kernel.send(one.pid, one.ticks, signal.SIGSTOP)
    for one in left:
        kernel.send(one.pid, one.ticks, signal.SIGKILL)
