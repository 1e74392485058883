"""What runs cost: a price list, and sums of what jobs used at its prices."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, Field

Price = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]
FigureName = Annotated[str, Field(min_length=1, max_length=40)]


class Prices(BaseModel, frozen=True, extra="forbid"):
    """What is paid for what runs use. Without any, figures are told and no money."""

    currency: Annotated[str, Field(min_length=1, max_length=8)] = "EUR"
    cpu_hour: Price = 0.0
    """An hour of one processor at work."""
    memory_gib_hour: Price = 0.0
    """A GiB for an hour: a run is taken to hold the most it had for as long as it ran."""
    figures: Annotated[dict[FigureName, Price], Field(max_length=50)] = {}
    """For one of what a run counts itself, by the name of the figure, such as `tokens`."""

    @property
    def any(self) -> bool:
        """Whether anything has a price."""
        return bool(self.cpu_hour or self.memory_gib_hour or any(self.figures.values()))


class CostsBy(StrEnum):
    """What costs are summed by."""

    JOB = "job"
    OWNER = "owner"
    TAG = "tag"
    """A job counts under each of its tags, so that the lines may add up to more than the total."""


class Cost(BaseModel, frozen=True):
    """What some runs used, and what that cost."""

    name: str
    """Of the job, the owner or the tag; "" for jobs without a tag."""
    runs: int
    cpu_s: float
    memory_gib_s: float
    figures: dict[str, float]
    """Sums of the figures that have a price."""
    cost: float
    unmeasured: int
    """Runs of which neither processor time nor memory is known; they count as nothing."""


class Costs(BaseModel, frozen=True):
    """What the runs that ended in a period cost, the dearest first."""

    start: datetime
    end: datetime
    by: CostsBy
    currency: str
    priced: bool
    """Whether anything has a price; if not, lines are in the order of processor time."""
    total: Cost
    lines: tuple[Cost, ...]
