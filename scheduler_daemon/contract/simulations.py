"""What-if: a period of the fleet as it would go, as it would go with changes, and as it went."""

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, model_validator

from scheduler_daemon.contract.instants import Instant
from scheduler_daemon.contract.pools import PoolName

MAX_SIMULATED_DAYS = 366
Milliseconds = Annotated[int, Field(ge=0, le=366 * 86_400_000)]


class Change(BaseModel, frozen=True, extra="forbid"):
    """What is to be different about a job."""

    job: str
    """Its name or id."""
    changes: dict[str, Any] = {}
    """Fields of its spec, as in a patch; of a schedule only those that are given are changed."""
    duration_ms: Milliseconds | None = None
    """What each of its runs takes; None is what they took."""


class OutageSpan(BaseModel, frozen=True, extra="forbid"):
    """A time in which nobody starts anything; what runs, runs on."""

    start: Annotated[Instant, Field(alias="from")]
    end: Annotated[Instant, Field(alias="to")]


class SimulationRequest(BaseModel, frozen=True, extra="forbid"):
    """Ask how a past or coming period of all jobs goes, from one instant to before another."""

    start: Annotated[Instant, Field(alias="from")]
    end: Annotated[Instant, Field(alias="to")]
    seed: int = 0
    """What the durations are drawn by: the same seed, the same answer."""
    changes: Annotated[tuple[Change, ...], Field(max_length=1000)] = ()
    pools: Annotated[dict[PoolName, Annotated[int, Field(ge=0, le=100_000)]], Field(max_length=1000)] = {}
    """Pools that are to have another number of slots."""
    max_active: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Another number of runs of all jobs at once."""
    outages: Annotated[tuple[OutageSpan, ...], Field(max_length=100)] = ()
    """In order, and apart. Both the plan as it is and the changed one go through them."""
    default_duration_ms: Milliseconds = 1000
    """What runs of jobs take that never ran."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.end <= self.start:
            raise ValueError("the period ends before it begins")
        if (self.end - self.start).days > MAX_SIMULATED_DAYS:
            raise ValueError(f"the period is longer than {MAX_SIMULATED_DAYS} days")
        marks = [mark for outage in self.outages for mark in (outage.start, outage.end)]
        if marks != sorted(set(marks)):
            raise ValueError("the outages overlap, or are not in order")
        return self


class Figures(BaseModel, frozen=True):
    """How a period goes. Each fire is in one of started, skipped, superseded, missed and waiting."""

    fires: int
    started: int
    overlaps: int
    """Fires that came while another run of the job was active."""
    skipped: int
    superseded: int
    replaced: int
    """Begun runs that gave way to a later one."""
    missed: int
    waiting: int
    """Never began."""
    peak: int
    """Most runs at once."""
    peak_at: datetime | None
    late_p50_ms: int | None
    """By how much half of what began was late at most."""
    late_p99_ms: int | None
    busy_ms: int
    """What all runs took together."""


class JobFigures(BaseModel, frozen=True):
    """How a period goes for one job."""

    job: str
    job_id: str
    plan: Figures
    changed: Figures | None
    """With the changes asked for; None without any."""
    actual: Figures | None
    """As it is recorded; None for a period that is not over."""


class Simulation(BaseModel, frozen=True):
    """How a period goes for all jobs that the reader may see, and for each that fires in it."""

    start: datetime
    end: datetime
    seed: int
    plan: Figures
    changed: Figures | None
    actual: Figures | None
    jobs: tuple[JobFigures, ...]
    notes: tuple[str, ...] = ()
    """What the figures leave out or take for granted."""
