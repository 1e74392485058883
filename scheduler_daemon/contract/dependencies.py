"""Jobs that run after others: the rules that say when, and their graph. What follows is domain.dependencies'."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel

MAX_UPSTREAMS = 100


class TriggerRule(StrEnum):
    """How the runs of the upstream jobs must have ended for a job to start.

    Skipped are also those that were missed or suppressed; failed are also those that were cancelled or whose end nobody
    saw. What did not run because of a failure further up is neither, but upstream_failed.
    """

    ALL_SUCCESS = "all_success"
    ALL_FAILED = "all_failed"
    """Each has failed or is upstream_failed."""
    ALL_DONE = "all_done"
    ALL_DONE_MIN_ONE_SUCCESS = "all_done_min_one_success"
    ALL_SKIPPED = "all_skipped"
    ONE_SUCCESS = "one_success"
    """Without a wait for the others, as with each `one_`."""
    ONE_FAILED = "one_failed"
    """One has failed or is upstream_failed."""
    ONE_DONE = "one_done"
    """One has succeeded or failed."""
    NONE_FAILED = "none_failed"
    """All are done, and none has failed or is upstream_failed."""
    NONE_FAILED_MIN_ONE_SUCCESS = "none_failed_min_one_success"
    NONE_SKIPPED = "none_skipped"
    """All are done, and none was skipped."""
    ALWAYS = "always"
    """As soon as one of them comes up, whatever becomes of it."""


class GraphNode(BaseModel, frozen=True):
    """A job of a graph. `state` is that of its newest run, also of one that never began; None where it has none."""

    id: str
    name: str
    trigger_rule: TriggerRule
    paused: bool
    active: int
    state: str | None
    outcome: str | None
    fire_at: datetime | None
    """Of its newest run: the instant of the run set."""


class GraphEdge(BaseModel, frozen=True):
    """One job runs after another; ids."""

    upstream: str
    downstream: str


class JobGraph(BaseModel, frozen=True):
    """All jobs that are tied to one, however many steps away. Nodes come after those they run after."""

    job_id: str
    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]
