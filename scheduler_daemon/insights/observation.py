"""What the engines of insights are told of a run. Pure data; whoever reads the runs from SQL makes it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A run that has ended. Those of one job come in the order of their starts; None is what nobody measured."""

    job_id: str
    run_id: str
    at: datetime
    """When it started, UTC."""
    duration_s: float
    output_bytes: int
    memory_bytes: int | None = None
    """The most it had at once."""
    cpu_s: float | None = None
    delay_s: float | None = None
    """From the instant it was due to its start; None of a run that was due at no instant, such as one by hand."""
    failed: bool
    outcome: str
    """The state it ended in, as the contract calls it."""
    exit_code: int | None = None
    parent_failed: bool = False
    """Whether the latest run of a job it depends on failed before this one started."""
    input_size: float | None = None
    """What it had to do, in a unit of the job's own, such as rows."""
    kpis: Mapping[str, float] = field(default_factory=dict)
    """Figures the job reported by name."""
