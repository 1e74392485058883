"""What must hold for a run to start: a file, a command, a time of day, a figure of a run, how another job ended.

All conditions of a job must hold when a run of it is about to start. How each is read is left to the engine, what it
then means to `domain.conditions`.
"""

import re
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, model_validator

from scheduler_daemon.contract.texts import AbsolutePath, plain, speakable

MAX_CONDITIONS = 10
DEFAULT_TIMEOUT_MS = 30_000
MAX_TIMEOUT_MS = 600_000
_MAX_COMMAND = 10_000
_WALL_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?\Z", re.ASCII)


def _wall_time(text: str) -> str:
    if not _WALL_TIME.match(text):
        raise ValueError(f"{text!r} is no time of day; write HH:MM or HH:MM:SS, from 00:00 to 23:59:59")
    return text


def _not_blank(text: str) -> str:
    if not speakable(text).strip():
        raise ValueError("is empty; give the command whose success is asked for")
    return text


WallTime = Annotated[str, AfterValidator(_wall_time)]
"""A time of day on the wall clock of the job's zone."""
Ref = Annotated[str, Field(min_length=1, max_length=80), AfterValidator(plain)]
"""A job by id or name; kept by id."""
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class FileCondition(BaseModel, frozen=True, extra="forbid"):
    """A file is there, or is not, for the account of the job. A link counts as what it leads to."""

    kind: Literal["file"] = "file"
    path: AbsolutePath
    absent: bool = False


class CommandCondition(BaseModel, frozen=True, extra="forbid"):
    """A command succeeds that is run as the job's would be: its account, shell, environment, umask and directory."""

    kind: Literal["command"] = "command"
    command: Annotated[str, Field(max_length=_MAX_COMMAND), AfterValidator(_not_blank)]
    timeout_ms: Annotated[int, Field(ge=1, le=MAX_TIMEOUT_MS)] = DEFAULT_TIMEOUT_MS


class WindowCondition(BaseModel, frozen=True, extra="forbid"):
    """The wall clock of the job's zone shows a time from `begin` up to, but not, `end`; it may cross midnight."""

    kind: Literal["window"] = "window"
    begin: WallTime
    end: WallTime
    days: Annotated[tuple[Day, ...], Field(max_length=7)] = ()
    """On which the window begins; none for every day."""

    @model_validator(mode="after")
    def _has_a_length(self) -> Self:
        if f"{self.begin}:00"[:8] == f"{self.end}:00"[:8]:
            raise ValueError(f"the window begins and ends at {self.begin}; give two times, or leave it out")
        return self


class Ending(StrEnum):
    """How the last run of a job ended that has begun or was to begin."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


class StateCondition(BaseModel, frozen=True, extra="forbid"):
    """The last run of another job ended in one of these ways; what was skipped or missed is no run."""

    kind: Literal["state"] = "state"
    job: Ref
    states: Annotated[tuple[Ending, ...], Field(min_length=1)] = (Ending.SUCCEEDED,)


class Metric(StrEnum):
    """A figure of a job: of its last run, or of its runs of late."""

    DURATION_MS = "duration_ms"
    CPU_MS = "cpu_ms"
    MAX_RSS_BYTES = "max_rss_bytes"
    OUTPUT_BYTES = "output_bytes"
    EXIT_CODE = "exit_code"
    FAILED_24H = "failed_24h"
    """How many of its attempts have failed within the last 24 hours."""


Comparison = Literal["<", "<=", ">", ">=", "==", "!="]


class MetricCondition(BaseModel, frozen=True, extra="forbid"):
    """A figure of a job compares so with a value. One that there is not, such as before the first run, does not."""

    kind: Literal["metric"] = "metric"
    job: Ref | None = None
    """None is the job itself."""
    metric: Metric
    op: Comparison
    value: Annotated[int, Field(ge=-(2**53), le=2**53)]


Condition = Annotated[
    FileCondition | CommandCondition | WindowCondition | StateCondition | MetricCondition, Field(discriminator="kind")
]
Conditions = Annotated[tuple[Condition, ...], Field(max_length=MAX_CONDITIONS)]


def said(condition: Condition, job: str | None = None) -> str:
    """Say a condition as the command line takes it; `job` is the name of the job that it names."""
    match condition:
        case FileCondition():
            return f"{'no ' if condition.absent else ''}file {condition.path}"
        case CommandCondition():
            return f"command {condition.command}"
        case WindowCondition():
            days = f" {','.join(condition.days)}" if condition.days else ""
            return f"between {condition.begin}-{condition.end}{days}"
        case StateCondition():
            return f"{job or condition.job} {' or '.join(condition.states)}"
        case MetricCondition():
            of = job or condition.job
            return f"{f'{of}.' if of else ''}{condition.metric} {condition.op} {condition.value}"
