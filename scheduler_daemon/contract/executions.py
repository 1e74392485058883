"""What a run is: its states, why it ended so, what it used."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, StrictBool, StrictFloat, StrictInt, StrictStr

from scheduler_daemon.contract.artifacts import Artifacts
from scheduler_daemon.contract.handlers import HandlerKind
from scheduler_daemon.contract.host import HostFacts
from scheduler_daemon.contract.job_lines import Kpi
from scheduler_daemon.contract.parameters import MOST_PARAMETERS


class State(StrEnum):
    """Where a run is in its life. The last eight are final."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    MISSED = "missed"
    SUPPRESSED = "suppressed"
    BLOCKED = "blocked"
    UNKNOWN = "unknown"

    @property
    def final(self) -> bool:
        """Whether nothing can follow."""
        return self not in ACTIVE


ACTIVE = frozenset({State.QUEUED, State.STARTING, State.RUNNING})


class Outcome(StrEnum):
    """Why a run is in its final state."""

    OK = "ok"
    EXIT_CODE = "exit_code"
    SIGNAL = "signal"
    TIMED_OUT = "timed_out"
    OOM_KILLED = "oom_killed"
    """The kernel killed in it for its limit of memory."""
    PIDS_LIMIT = "pids_limit"
    CPU_LIMIT = "cpu_limit"
    DISK_LIMIT = "disk_limit"
    SPAWN_FAILED = "spawn_failed"
    CANCELLED = "cancelled"
    OVERLAP = "overlap"
    PAUSED = "paused"
    MISFIRE = "misfire"
    CALENDAR = "calendar"
    BLACKOUT = "blackout"
    SUPERSEDED = "superseded"
    DELETED = "deleted"
    LOST = "lost"
    ISOLATION = "isolation"
    """With state `blocked`: what its policy requires is not in force on the machine."""
    SECRET = "secret"  # noqa: S105 - the word, not one
    """With state `blocked`: a secret it names is not there, or cannot be opened."""
    UPSTREAM_FAILED = "upstream_failed"
    """With state `blocked`: a job before it failed, and its trigger rule asks for success."""
    TRIGGER_RULE = "trigger_rule"
    """With state `skipped`: the jobs before it did not end as its trigger rule asks."""
    CONDITION = "condition"
    """With state `skipped`: a condition did not hold at its start; with `failed`: it could not be told whether."""


class Trigger(StrEnum):
    """What asked for a run."""

    SCHEDULE = "schedule"
    CATCH_UP = "catch_up"
    REBOOT = "reboot"
    MANUAL = "manual"
    DEPENDENCY = "dependency"
    BACKFILL = "backfill"
    HANDLER = "handler"
    """The end of another run of the job, whose handler it is."""


class PolicyInForce(BaseModel, frozen=True):
    """The isolation asked for, what held, what was missing."""

    requested: str
    version: int | None = None
    """Of the policy that it was given; None for one that is built in, or before that was decided."""
    in_force: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


class Usage(BaseModel, frozen=True):
    """What a run used, in ms and bytes; None where it could not be measured."""

    cpu_ms: int | None = None
    max_rss_bytes: int | None = None
    """The most memory at one time: of all its processes where the source is `cgroup`, else of its largest."""
    output_bytes: int | None = None
    read_bytes: int | None = None
    """From disks; what the kernel had in memory is not counted."""
    write_bytes: int | None = None
    """To disks."""
    processes: int | None = None
    """The most at one time, threads included."""
    source: Literal["cgroup", "rusage"] | None = None
    """Who counted: the run's control group, or the kernel for the first process and those it waited for."""
    sampled: tuple[str, ...] = ()
    """Names of those above that are the highest of looks taken every few seconds."""
    limit_hit: Literal["memory", "pids", "cpu_time", "file_size", "output"] | None = None
    """The limit that is known to have struck it, also where it went on and ended well."""


class ExecutionView(BaseModel, frozen=True):
    """A run as everyone reads it, or one attempt of it. `version` rises with each change of this document."""

    id: int
    job: str
    job_id: str
    job_version: int
    version: int
    state: State
    outcome: Outcome | None
    reason: str
    fire_at: datetime
    queued_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    duration_ms: int | None
    attempt: int
    """Counts from 0. All attempts of a run share its fire."""
    attempts: int = 1
    """How many the run may have at most."""
    first_id: int | None = None
    """The id of the run's first attempt, its own if it is that."""
    start_after: datetime | None = None
    """The attempt does not begin before this."""
    exit_code: int | None
    signal: int | None
    trigger: Trigger
    actor: str
    host: str
    policy: PolicyInForce
    usage: Usage
    parent_id: int | None = None
    """The run that it follows as a handler."""
    handler: HandlerKind | None = None
    progress: int | None = None
    """Per cent, as the job last said it."""
    kpis: tuple[Kpi, ...] = ()
    """Figures that the job gave of this run."""
    warnings: int = 0
    """How many the job told of."""
    warned: tuple[str, ...] = ()
    """The first of them."""


class RunFacts(BaseModel, frozen=True):
    """What is known of a run beside its document."""

    host_facts: HostFacts | None = None
    """How the machine was when it failed."""
    handlers: tuple[ExecutionView, ...] = ()
    """What followed it."""
    artifacts: Artifacts = Artifacts()
    """Files that it left."""
    parameters: dict[str, str | None] = {}
    """What it was told, as its command got it; None for a secret."""


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("holds a NUL byte; remove it")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"is not valid Unicode at position {error.start}") from None
    return text


Reason = Annotated[str, Field(max_length=400), AfterValidator(_storable)]


class RunRequest(BaseModel, frozen=True, extra="forbid"):
    """Ask for a run now."""

    reason: Reason = ""
    parameters: Annotated[
        dict[str, StrictBool | StrictInt | StrictFloat | StrictStr], Field(max_length=MOST_PARAMETERS)
    ] = {}
    """What the run is told, by the names that its job declares."""
    like: Annotated[int, Field(ge=1, le=2**53)] | None = None
    """A run of the same job, whose values it is given where `parameters` says no other."""


class CancelRequest(BaseModel, frozen=True, extra="forbid"):
    """Ask for a run to be stopped."""

    reason: Reason = ""


class LogLine(BaseModel, frozen=True):
    """One line of output. `number` counts from 1 over both streams in the order they were read."""

    number: int
    stream: str
    at: datetime
    text: str
    """Invalid UTF-8 appears as U+FFFD; control characters are as the job wrote them."""
    partial: bool = False
    """The job has not ended this line, or it was longer than a line may be and goes on in the next."""


class FoundLine(BaseModel, frozen=True):
    """A line that holds what was looked for, and whose it is."""

    run: int
    job: str
    fire_at: datetime
    number: int
    stream: str
    at: datetime
    text: str


class LogPage(BaseModel, frozen=True):
    """Lines of a run from SQL, oldest first; `next` is the number to ask from for more."""

    lines: tuple[LogLine, ...]
    next: int
    ended: bool
    """The run is over and every line of it is kept."""
    dropped_bytes: int = 0
    """What the cap cut out of the middle."""
    removed_at: datetime | None = None
    """The output was kept until then, as the settings of the server say; nothing is left of it."""
