"""The state of the daemon as /healthz, `status` and the terminal show it."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel

from scheduler_daemon.contract.people import Actor


class Component(BaseModel, frozen=True):
    """One part the daemon needs, and whether it works."""

    name: str
    ok: bool
    detail: str = ""


class Health(BaseModel, frozen=True):
    """`live` answers; `ready` has taken its work up; `degraded` names what does not work."""

    status: Literal["ready", "degraded", "starting"]
    components: tuple[Component, ...]
    version: str
    started_at: datetime
    now: datetime


class Counts(BaseModel, frozen=True):
    """The Overview's numbers, counted in SQL at one instant."""

    jobs: int
    paused: int
    queued: int
    running: int
    failed_24h: int
    succeeded_24h: int
    missed_24h: int
    insights: int = 0
    """Open ones."""
    insights_critical: int = 0


class Fire(BaseModel, frozen=True):
    """One coming fire."""

    job_id: str
    job: str
    at: datetime


class Status(BaseModel, frozen=True):
    """What `chronos status` prints."""

    health: Health
    counts: Counts
    next_fires: tuple[Fire, ...]
    pid: int
    state_dir: str
    host: str


class Session(BaseModel, frozen=True):
    """What a terminal needs to hear: a Redis account that can hear its channels and do nothing else."""

    id: str
    actor: Actor
    redis_url: str
    """unix:///path or redis://host:port, without credentials."""
    username: str
    password: str
    channels: tuple[str, ...]
    epoch: str


class LogChannel(BaseModel, frozen=True):
    """Where the lines of one run are heard, and the number of the last line that history holds."""

    channel: str
    last: int


class SeriesPoint(BaseModel, frozen=True):
    """One bucket of a metric."""

    at: datetime
    value: float


class Series(BaseModel, frozen=True):
    """A metric of a job over time."""

    metric: str
    points: tuple[SeriesPoint, ...]


class EventRecord(BaseModel, frozen=True):
    """One thing that happened, as `chronos events` prints it. Ids strictly rise."""

    id: int
    at: datetime
    kind: str
    subject: str
    doc: dict[str, Any]
