"""What a job is: the spec a user means, the view everyone reads, the requests that change it."""

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, model_validator

from scheduler_daemon.contract.artifacts import DEFAULT_BYTES, MOST_PATTERNS, Pattern
from scheduler_daemon.contract.conditions import Conditions, WallTime
from scheduler_daemon.contract.dependencies import MAX_UPSTREAMS, TriggerRule
from scheduler_daemon.contract.handlers import Handler
from scheduler_daemon.contract.instants import Instant
from scheduler_daemon.contract.parameters import MOST_PARAMETERS, Parameter
from scheduler_daemon.contract.policies import Limits, Network, PolicyName
from scheduler_daemon.contract.pools import PoolName
from scheduler_daemon.contract.retry import Retry
from scheduler_daemon.contract.schedule import ClockEffect, Dialect, Misfire, Schedule
from scheduler_daemon.contract.secrets import SecretName
from scheduler_daemon.contract.texts import AbsolutePath, Command, encodable, plain, speakable

MAX_STDIN_BYTES = 1_048_576
MAX_ENV_BYTES = 131_072
DEFAULT_GRACE_MS = 10_000
DEFAULT_MISFIRE_GRACE_MS = 3_600_000
DEFAULT_OUTPUT_LIMIT_BYTES = 64 * 1024 * 1024
DEFAULT_QUEUE_LIMIT = 100
DEFAULT_PRIORITY = 5

_OURS = frozenset({"LOGNAME", "CHRONOS_FIRE_AT", "CHRONOS_RUN"})
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def _stdin(text: str) -> str:
    size = len(encodable(text).encode())
    if size > MAX_STDIN_BYTES:
        raise ValueError(f"is {size:,} bytes long, the limit is {MAX_STDIN_BYTES:,}; let the command read a file")
    return text


def _variable(name: str) -> None:
    if not _ENV_NAME.match(name):
        raise ValueError(f"{name!r} is no name of a variable; use letters, digits and '_', not beginning with a digit")


def _secrets(secrets: dict[str, str]) -> dict[str, str]:
    for name in secrets:
        _variable(name)
        if name in _OURS:
            raise ValueError(f"{name!r} is set by the daemon; give the secret by another variable")
    return secrets


def _env(env: dict[str, str]) -> dict[str, str]:
    for name, value in env.items():
        _variable(name)
        speakable(value)
    size = sum(len(name.encode()) + len(value.encode()) + 2 for name, value in env.items())
    if size > MAX_ENV_BYTES:
        raise ValueError(f"is {size:,} bytes in all, the limit is {MAX_ENV_BYTES:,}")
    return env


Name = Annotated[str, Field(min_length=1, max_length=80), AfterValidator(plain)]
Tag = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]*$")]


class Concurrency(StrEnum):
    """What happens to a fire while earlier runs of the same job are active."""

    FORBID = "forbid"
    """It is skipped."""
    ALLOW = "allow"
    """It runs beside them, up to a limit if there is one; beyond it, it is skipped."""
    REPLACE = "replace"
    """They are stopped, and it runs when they have ended."""
    QUEUE_ONE = "queue_one"
    """The first waits for their end; further ones are skipped."""
    QUEUE_ALL = "queue_all"
    """As many as the job says wait for their end, and run in the order in which they came."""


class OutputKept(BaseModel, frozen=True, extra="forbid"):
    """For how long the output of a job's runs is kept; None is what the server's settings say."""

    days: Annotated[float, Field(gt=0, le=36_500)] | None = None
    """Since the end of its run."""
    runs: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    """The newest."""
    bytes: Annotated[int, Field(ge=1, le=1 << 50)] | None = None
    """Of all its runs together, as stored."""


class JobSpec(BaseModel, frozen=True, extra="forbid"):
    """What the user means. Travels, validates, is kept as an immutable version; holds no state."""

    name: Name
    command: Command
    schedule: Schedule = Schedule()
    description: Annotated[str, Field(max_length=4000), AfterValidator(speakable)] = ""
    tags: Annotated[tuple[Tag, ...], Field(max_length=20)] = ()

    after: Annotated[tuple[Name, ...], Field(max_length=MAX_UPSTREAMS)] = ()
    """The jobs it runs after, by id or name; kept by id. It has no schedule of its own then."""
    trigger_rule: TriggerRule = TriggerRule.ALL_SUCCESS
    not_before: WallTime | None = None
    """A run that comes up earlier behind others waits for this time of the day, in the zone of the schedule, of the
    instant of its run set. None waits for nothing."""
    conditions: Conditions = ()
    """What must hold when a run is about to start; one that does not has it skipped."""

    shell: AbsolutePath = "/bin/sh"
    """Called as `shell -c command`."""
    stdin: Annotated[str, AfterValidator(_stdin)] | None = None
    env: Annotated[dict[str, str], AfterValidator(_env)] = {}
    """Set over what cron gives: HOME, LOGNAME, USER, SHELL and PATH."""
    secrets: Annotated[dict[str, SecretName], Field(max_length=64), AfterValidator(_secrets)] = {}
    """The names of secrets by the variables they are given as, when a run starts; their values are masked in output."""
    parameters: Annotated[tuple[Parameter, ...], Field(max_length=MOST_PARAMETERS)] = ()
    """What a run can be told by whoever asks for it, given as variables; other runs take the defaults."""
    cwd: AbsolutePath | None = None
    """None is the home directory of the account."""
    umask: Annotated[int, Field(ge=0, le=0o777)] = 0o022
    user: Annotated[str, Field(min_length=1, max_length=64), AfterValidator(plain)] | None = None
    """The account the job runs as; None is the account of the daemon."""
    policy: PolicyName = "standard"
    """How its runs are kept apart; `trusted` runs as the account would at a shell, with no isolation."""
    limits: Limits = Limits()
    """What its runs may use, within the policy's limits; None takes those."""
    read: Annotated[tuple[AbsolutePath, ...], Field(max_length=64)] = ()
    """What its runs see besides the system's programs, where the policy keeps the rest from them."""
    write: Annotated[tuple[AbsolutePath, ...], Field(max_length=64)] = ()
    network: Network | None = None
    """None is what the policy gives."""

    timeout_ms: Annotated[int, Field(ge=1, le=31 * 86_400_000)] | None = None
    """None lets each attempt of a run take as long as it will, as cron does."""
    run_timeout_ms: Annotated[int, Field(ge=1, le=366 * 86_400_000)] | None = None
    """For the whole run, from the start of its first attempt to the end of its last, waits included."""
    retry: Retry | None = None
    """None begins no run again."""
    on_failure: Handler | None = None
    """Runs when a run has failed for good, as a run of its own."""
    on_success: Handler | None = None
    on_cancel: Handler | None = None
    grace_ms: Annotated[int, Field(ge=0, le=600_000)] = DEFAULT_GRACE_MS
    """From TERM to KILL when a run is cancelled or timed out."""
    concurrency: Concurrency = Concurrency.FORBID
    concurrency_limit: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Runs at once at most. None is any number where overlap is allowed, and one where runs queue."""
    queue_limit: Annotated[int, Field(ge=1, le=10_000)] = DEFAULT_QUEUE_LIMIT
    """Runs that `queue_all` lets wait for the job's own runs at most."""
    pool: PoolName | None = None
    """Whose slots its runs need, beside the room that all runs share."""
    priority: Annotated[int, Field(ge=0, le=9)] = DEFAULT_PRIORITY
    """Of runs that wait, those of the highest start first; each minute of waiting counts as one more."""
    move: Literal["never", "minutes", "hours"] = "minutes"
    """Where its start may be proposed to be moved to, out of the way of others: to another minute of its hour, or to
    another hour of its day. Nothing is moved without somebody who applies it."""
    misfire: Misfire = Misfire.RUN_ONCE
    misfire_grace_ms: Annotated[int, Field(ge=0, le=366 * 86_400_000)] = DEFAULT_MISFIRE_GRACE_MS
    """Fires older than this are recorded as missed."""
    catchup_on_resume: bool = False
    """What comes due while the job is paused is left to `misfire` when it is resumed; otherwise it is skipped."""
    artifacts: Annotated[tuple[Pattern, ...], Field(max_length=MOST_PATTERNS)] = ()
    """Files below its folder that are kept with each run, such as out/*.csv or **/*.log."""
    artifact_limit_bytes: Annotated[int, Field(ge=1, le=1 << 40)] = DEFAULT_BYTES
    """Of all such files of a run together."""
    output_limit_bytes: Annotated[int, Field(ge=4096, le=1 << 40)] = DEFAULT_OUTPUT_LIMIT_BYTES
    """Kept of each stream: head and tail, half each."""
    output_kept: OutputKept | None = None
    """None is what the server's settings say. The output of its last failure stays in any case."""

    @model_validator(mode="after")
    def _limit_means_something(self) -> Self:
        if self.concurrency_limit is not None and self.concurrency in {Concurrency.FORBID, Concurrency.REPLACE}:
            raise ValueError(
                f"concurrency_limit says how many may run at once, and {self.concurrency} lets one; "
                "take it out, or choose allow, queue_one or queue_all"
            )
        return self

    @model_validator(mode="after")
    def _one_thing_sets_a_variable(self) -> Self:
        ways = {"env": self.env, "secrets": self.secrets, "parameters": [one.variable for one in self.parameters]}
        setters: dict[str, str] = {}
        for way, names in ways.items():
            for name in names:
                if name in setters:
                    raise ValueError(f"{name!r} is set by `{setters[name]}` and by `{way}`; take it out of one of them")
                setters[name] = way
        return self

    @model_validator(mode="after")
    def _nobody_is_asked_in_vain(self) -> Self:
        asks = [one.name for one in self.parameters if one.required and one.default is None]
        if asks and (self.schedule.expressions or self.after):
            what = "runs after others" if self.after else "has a schedule"
            raise ValueError(
                f"parameter {asks[0]!r} is required and has no default, and the job {what}, where nobody gives it; "
                "give it a default, or have the job run only when asked"
            )
        return self

    @model_validator(mode="after")
    def _one_thing_starts_it(self) -> Self:
        if self.after and self.schedule.expressions:
            raise ValueError(
                "a job that runs after others comes up when they do, so it has no schedule of its own; "
                "take out `after` or the expressions"
            )
        return self

    @model_validator(mode="after")
    def _gate_means_something(self) -> Self:
        if self.not_before is not None and not self.after:
            raise ValueError(
                "not_before is for a job that runs after others, and this one does not; "
                "take it out, or say when it fires by its schedule"
            )
        return self


class LastRun(BaseModel, frozen=True):
    """The run of a job that ended last; what was skipped or missed never began."""

    id: int
    state: str
    outcome: str | None
    fire_at: datetime
    ended_at: datetime | None
    duration_ms: int | None


class JobView(BaseModel, frozen=True):
    """A job as everyone reads it. `version` counts saved specs, `revision` every change of this document."""

    id: str
    version: int
    revision: int
    name: str
    spec: JobSpec
    paused: bool
    snoozed_until: datetime | None = None
    """Fires before it are skipped; it may have passed."""
    owner: str
    source: str | None
    """Where an import found it, such as `crontab:root`; None for a job made here."""
    words: str
    schedule: str
    """The expressions as one text."""
    next_fire_at: datetime | None
    last: LastRun | None
    active: int
    """How many of its runs are queued, starting or running."""
    created_at: datetime
    updated_at: datetime


class JobVersion(BaseModel, frozen=True):
    """One saved spec and who saved it."""

    version: int
    spec: JobSpec
    author: str
    message: str
    created_at: datetime


class JobCreate(BaseModel, frozen=True, extra="forbid"):
    """A request for a new job."""

    spec: JobSpec
    paused: bool = False
    source: Annotated[str, Field(max_length=200)] | None = None
    source_key: Annotated[str, Field(max_length=200)] | None = None
    """What an importer knows the entry by; a second import finds the job through it."""


class Snooze(BaseModel, frozen=True, extra="forbid"):
    """How long fires of a job are to be skipped: until an instant, for some time, or over the next few of them."""

    until: Instant | None = None
    for_s: Annotated[int, Field(ge=1, le=366 * 86_400)] | None = None
    fires: Annotated[int, Field(ge=1, le=1000)] | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if sum(value is not None for value in (self.until, self.for_s, self.fires)) != 1:
            raise ValueError("say one of `until`, `for_s` and `fires`")
        return self


class JobPatch(BaseModel, frozen=True, extra="forbid"):
    """Fields of the spec to change. `version` is the one the editor saw; another one in between is a conflict."""

    version: int
    changes: dict[str, Any]
    message: Annotated[str, Field(max_length=400), AfterValidator(speakable)] = ""


class ClockNote(BaseModel, frozen=True):
    """A change of clocks that moves, drops or doubles a fire."""

    at: datetime
    """When clocks change, in UTC."""
    kind: ClockEffect
    text: str
    """What happens, in local times."""


class PassedOver(BaseModel, frozen=True):
    """An instant at which the schedule would fire, did not a calendar or a blackout say otherwise."""

    at: datetime
    reason: str
    moved_to: datetime | None = None
    """Where it fires instead; None if it does not."""


class SchedulePreview(BaseModel, frozen=True):
    """What a schedule means: its words, its next fires in UTC, and what to be careful of."""

    words: str
    fires: tuple[datetime, ...]
    warnings: tuple[str, ...]
    expressions: tuple[str, ...] = ()
    """The expressions as we write them, when another dialect was asked about."""
    clock_changes: tuple[ClockNote, ...] = ()
    """Those of the coming year that touch a fire."""
    passed_over: tuple[PassedOver, ...] = ()
    """What calendars and blackouts move or suppress up to the last of `fires`, or in a year where there are none."""


class SchedulePreviewRequest(BaseModel, frozen=True, extra="forbid"):
    """Ask for the next `count` fires strictly after `after` (now when absent)."""

    schedule: Schedule
    dialect: Dialect | None = None
    """How its expressions are written; None for our own way."""
    after: Instant | None = None
    count: Annotated[int, Field(ge=1, le=1000)] = 10
    job_id: str = ""
