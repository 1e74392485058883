"""Why runs fail, in our own words and in Claude's, and what becomes of a question to it."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel

from scheduler_daemon.contract.executions import LogLine
from scheduler_daemon.contract.jobs import SchedulePreview


class ClaudeOutcome(StrEnum):
    """Why there is an answer, or none; without one the local text stands."""

    ANSWERED = "answered"
    CACHED = "cached"
    """The same had been asked before."""
    NO_KEY = "no_key"
    BAD_KEY = "bad_key"
    NO_BUDGET = "no_budget"
    NO_PRICE = "no_price"
    """The settings name no price for the model, so a budget could not be kept."""
    BUSY = "busy"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    FAILED = "failed"
    CUT = "cut"
    TRUNCATED = "truncated"
    REFUSED = "refused"
    INVALID = "invalid"
    """It did not keep to what was asked: another form, a line that is not there, an action that is not offered."""


class Purpose(StrEnum):
    """What Claude is asked for."""

    FAILURE = "failure"
    PATTERN = "pattern"
    JOB = "job"
    FLEET = "fleet"
    SCHEDULE = "schedule"


class CallState(StrEnum):
    """How far a question is."""

    QUEUED = "queued"
    ASKING = "asking"
    DONE = "done"


class ClaudeCall(BaseModel, frozen=True):
    """A question to Claude, what it cost, and what came of it."""

    id: int
    at: datetime
    actor: str
    purpose: Purpose
    subject: str
    """The run, the job, the pattern it is about; empty for the fleet."""
    state: CallState
    outcome: ClaudeOutcome | None
    detail: str
    text: str
    """What has been said so far; not checked before `outcome` is answered or cached."""
    answer: dict[str, Any] | None
    model: str
    tokens: int
    cost_dollars: float
    ended_at: datetime | None


class ClaudeBudget(BaseModel, frozen=True):
    """What was spent since midnight, UTC, of what may be."""

    configured: bool
    """Whether there is a key to ask with."""
    model: str
    tokens: int
    tokens_most: int
    dollars: float
    dollars_most: float
    my_tokens: int
    my_tokens_most: int
    my_dollars: float
    my_dollars_most: float


class SimilarFailure(BaseModel, frozen=True):
    """An earlier failure that said much the same."""

    run: int
    job: str
    at: datetime
    text: str
    alike: float
    """From 0 to 1; 1 is the same error line but for its values."""


class PatternEnd(BaseModel, frozen=True):
    """What ended an error in a job: it has not come again since."""

    job: str
    run: int
    """The first success after the last such failure."""
    at: datetime
    successes: int
    """Since then."""
    version: int | None
    """The version of the job that came in between; None if the job was the same: it passed by itself, or outside."""
    change: str
    """What was said of that version."""


class Pattern(BaseModel, frozen=True):
    """An error that runs fail with, over all jobs one may see."""

    id: str
    text: str
    """The error line, `<...>` where it differs."""
    name: str
    meaning: str
    fix: str
    count: int
    first_seen: datetime
    last_seen: datetime
    jobs: tuple[str, ...]
    hosts: tuple[str, ...]
    last_run: int
    lift: float | None
    """How many times likelier it stands in a failed run than in a successful one; None before any was looked at."""


class PatternDetail(Pattern, frozen=True):
    """The same with what ended it, by job."""

    ended: tuple[PatternEnd, ...]
    going_on: tuple[str, ...]
    """Jobs whose latest run failed so."""


class ScheduleGuess(BaseModel, frozen=True):
    """What a description of a schedule comes to. Nothing is changed by it."""

    expression: str | None
    """By our own grammar, read by the same parser as any; None where it does not know the words."""
    note: str
    """What was read into the words."""
    preview: SchedulePreview | None
    claude: ClaudeCall | None
    """Where our grammar does not know the words and there is a key. Its expression is to be previewed before use."""


class FleetTold(BaseModel, frozen=True):
    """An answer to a question about the fleet."""

    text: str
    """In our own words, at once."""
    claude: ClaudeCall | None
    """None where there is no key, or it was not to be asked. What it looked up stands in its answer."""


class FailureExplanation(BaseModel, frozen=True):
    """Why a run failed: our own words at once, Claude's when they are there."""

    run: int
    job: str
    title: str
    text: str
    error_line: LogLine | None
    """The line that says best why."""
    tail: tuple[LogLine, ...]
    """The last lines, redacted as all lines here."""
    pattern: PatternDetail | None
    similar: tuple[SimilarFailure, ...]
    claude: ClaudeCall | None
    """None where there is no key, or it was not to be asked."""
