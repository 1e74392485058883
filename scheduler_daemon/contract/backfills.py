"""Backfills: runs that somebody asks for, one for each past fire of a job that never ran."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, Field, model_validator

from scheduler_daemon.contract.executions import Reason
from scheduler_daemon.contract.instants import Instant

MAX_BACKFILL = 1000


class BackfillRequest(BaseModel, frozen=True, extra="forbid"):
    """Ask for the fires from one instant to another, both included, that did not run."""

    start: Annotated[Instant, Field(alias="from")]
    end: Annotated[Instant, Field(alias="to")]
    dry_run: bool = False
    """Only list them."""
    limit: Annotated[int, Field(ge=1, le=MAX_BACKFILL)] = MAX_BACKFILL
    """More than so many are refused as a whole."""
    at_once: Annotated[int, Field(ge=1, le=1000)] = 1
    """So many of them run at once, and never more than the job lets run."""
    reason: Reason = ""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.end < self.start:
            raise ValueError("the range ends before it begins")
        return self


class LeftOut(BaseModel, frozen=True):
    """A fire in the range that is not run."""

    at: datetime
    why: str
    run: int | None = None
    """The run for it, where there is one."""


class Backfill(BaseModel, frozen=True):
    """What a backfill comes to. All instants are UTC."""

    job: str
    job_id: str
    dry_run: bool
    fires: tuple[datetime, ...]
    """The fires to run, oldest first; their runs are queued unless it was a dry run."""
    runs: tuple[int, ...] = ()
    """The run of each, in the same order; none after a dry run."""
    left_out: tuple[LeftOut, ...] = ()
    """The first thousand of those that are not run."""
    left_out_count: int = 0


class BackfillCancelled(BaseModel, frozen=True):
    """What became of the backfilled runs of a job that were not over."""

    job: str
    job_id: str
    withdrawn: tuple[int, ...]
    """Runs that waited; they are cancelled."""
    stopped: tuple[int, ...]
    """Runs that had begun; they are being stopped."""
