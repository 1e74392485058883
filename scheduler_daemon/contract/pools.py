"""What a pool is: slots that runs of several jobs share, so that no more of them run at once."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

PoolName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


class PoolPut(BaseModel, frozen=True, extra="forbid"):
    """A request for a pool, or for another number of slots."""

    slots: Annotated[int, Field(ge=0, le=100_000)]
    """Runs at once; with none, every run of the pool waits."""


class PoolView(BaseModel, frozen=True):
    """A pool as everyone reads it."""

    name: str
    slots: int
    running: int
    """Runs that hold a slot: starting or running. More than `slots` after these were made fewer."""
    waiting: int
    """Runs that are queued for one."""
    owner: str
    used_by: tuple[str, ...]
    """The jobs that name it, as far as the reader may see them."""
    created_at: datetime
    updated_at: datetime
