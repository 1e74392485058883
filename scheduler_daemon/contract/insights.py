"""What an insight is: something found in how jobs run, with its evidence, and at most one change that it proposes."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Base64Bytes, BaseModel, Field

from scheduler_daemon.contract.instants import Instant

Confidence = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Severity(StrEnum):
    """How much it matters."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class InsightState(StrEnum):
    """What people, or time, have made of it."""

    OPEN = "open"
    SNOOZED = "snoozed"
    """Open again when its time comes."""
    ACCEPTED = "accepted"
    """True, and nothing is to be done, or something by hand."""
    DISMISSED = "dismissed"
    APPLIED = "applied"
    REVERTED = "reverted"
    """Applied, and undone."""
    EXPIRED = "expired"
    MUTED = "muted"
    """Recorded and scored, but not shown: less sure than people made us ask for, or of a kind that is muted."""


WAITING = frozenset({InsightState.OPEN, InsightState.SNOOZED, InsightState.ACCEPTED})
"""States in which it can still be judged or applied."""


class MetricEvidence(BaseModel, frozen=True):
    """A figure beside what was expected of it, in `unit`; `low` and `high` bound what would have been usual."""

    kind: Literal["metric"] = "metric"
    metric: str
    value: float
    expected: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    run_ids: Annotated[tuple[int, ...], Field(max_length=100)] = ()


class LogEvidence(BaseModel, frozen=True):
    """Lines of a run's output, first to last, numbered from 1; `text` is what they say."""

    kind: Literal["log"] = "log"
    run_id: int
    first_line: int
    last_line: int
    text: Annotated[str, Field(max_length=4000)] = ""


Evidence = Annotated[MetricEvidence | LogEvidence, Field(discriminator="kind")]


class ActionVerb(StrEnum):
    """All that an insight may propose."""

    SET_SCHEDULE = "set_schedule"
    SET_RETRY = "set_retry"
    SET_TIMEOUT = "set_timeout"
    SET_MEMORY_LIMIT = "set_memory_limit"
    PAUSE = "pause"
    RESUME = "resume"


class Action(BaseModel, frozen=True, extra="forbid"):
    """A change of a job. `value` is what the field is set to, as a job's document writes it; pausing has none.

    It is validated as any other edit when it is applied.
    """

    verb: ActionVerb
    value: Any = None
    before: Any = None
    """What the field was when this was proposed: with another value in between nothing is applied. Also the undo."""


class Prediction(BaseModel, frozen=True):
    """What is expected to come, to be compared with what does."""

    metric: str
    expected: float
    low: float | None = None
    high: float | None = None
    by: datetime | None = None


class Verdict(StrEnum):
    """What is to become of an applied change."""

    KEEP = "keep"
    REVERT = "revert"
    WAIT = "wait"


class Measured(BaseModel, frozen=True, extra="forbid"):
    """What came of an insight: of the change that was applied, or of what was foretold."""

    verdict: Verdict | None = None
    """Of an applied change; None where nothing was applied."""
    metric: str
    before: float | None = None
    after: float
    gain: float | None = None
    """By what share the figure is better than before; negative for worse."""
    low: float | None = None
    high: float | None = None
    """Where the gain surely lies."""
    runs: int
    """That were looked at since."""
    came: bool | None = None
    """Whether what was foretold has come; None while nobody knows."""
    why: str = ""
    at: Instant


class Finding(BaseModel, frozen=True, extra="forbid"):
    """What an engine has found, before it is recorded. The same `key` is the same finding, however often it is told."""

    key: Annotated[str, Field(min_length=1, max_length=200)]
    job_id: str | None
    """None for what is about the whole fleet."""
    kind: Annotated[str, Field(min_length=1, max_length=40)]
    severity: Severity
    confidence: Confidence
    title: Annotated[str, Field(min_length=1, max_length=200)]
    text: Annotated[str, Field(max_length=8000)] = ""
    evidence: Annotated[tuple[Evidence, ...], Field(max_length=50)] = ()
    action: Action | None = None
    prediction: Prediction | None = None
    source: Literal["local", "claude"] = "local"
    model: str = ""
    """Which engine or model said so."""
    at: Instant
    expires: Instant


class Insight(BaseModel, frozen=True):
    """An insight as everyone reads it. `version` rises with each change of this document."""

    id: str
    version: int
    job_id: str | None
    job: str
    """The job's name; empty for the fleet."""
    kind: str
    severity: Severity
    confidence: Confidence
    title: str
    text: str
    evidence: tuple[Evidence, ...]
    action: Action | None
    prediction: Prediction | None
    source: str
    model: str
    at: datetime
    expires: datetime
    state: InsightState
    snoozed_until: datetime | None
    decided_by: str | None
    """Who judged, applied or undid it last."""
    decided_at: datetime | None
    reason: str
    applied_version: int | None
    """The version of the job that applying it made."""
    undo_until: datetime | None
    """Until then what was applied can be undone."""
    measured: Measured | None = None
    """What came of it, as far as it is known."""


class InsightDecision(BaseModel, frozen=True, extra="forbid"):
    """A judgement: what the judge says of it."""

    reason: Annotated[str, Field(max_length=400)] = ""
    expected: bool = False
    """What was odd is to be expected from now on; said with a dismissal."""


class InsightSnooze(BaseModel, frozen=True, extra="forbid"):
    """For how long it is not to be shown."""

    for_s: Annotated[int, Field(ge=60, le=366 * 86_400)]


class AnalystLoad(BaseModel, frozen=True):
    """What the process that finds insights has done since it started, and what it takes."""

    runs: int
    """Runs it has learnt from."""
    cpu_ms: int
    """Processor time of the process in all."""
    run_us: float
    """Processor time for each run."""
    jobs: int
    """Jobs of which what was learnt is in its memory."""
    memory_bytes: int
    foresees_by: str = "regression"
    """What failures are foreseen by: what was trained last, where it did better."""


class Measurement(BaseModel, frozen=True, extra="forbid"):
    """What came of an insight."""

    insight_id: str
    measured: Measured


class LearntRetry(BaseModel, frozen=True, extra="forbid"):
    """How attempts after an end of a job went, or of all jobs together."""

    job_id: str
    """"" for all."""
    code: Annotated[str, Field(max_length=32)]
    """How the attempt had ended, such as `exit 75`."""
    pattern_id: Annotated[str, Field(max_length=16)] = ""
    """Of what it had written; "" for whatever it wrote."""
    again: bool
    """The run before had ended so too."""
    waits_ms: tuple[int, ...]
    chance: Confidence
    seen: Annotated[int, Field(ge=0)]


class KindCard(BaseModel, frozen=True):
    """How good a kind of insight is, by what people said and by what came."""

    kind: str
    told: int
    """Insights of the last half year."""
    judged: int
    right: int
    """Accepted, or applied and not taken back."""
    precision: float | None
    low: float
    high: float
    """Nine times in ten the precision lies between."""
    scored: int
    """Of which it is known whether what was foretold came."""
    brier: float | None
    """Mean squared difference of what was foretold from what came; 0 is perfect."""
    base: float | None
    """The same of someone who always says how often it comes at all, which it must beat."""
    applied: int
    """Changes that were measured."""
    kept: int
    gain: float | None
    """Of the kept ones, in the mean."""
    muted: bool
    why: str


class FailureSaid(BaseModel, frozen=True, extra="forbid"):
    """What a failed run said of why, redacted, and the pattern it is of."""

    run_id: int
    job_id: str
    at: Instant
    pattern_id: Annotated[str, Field(max_length=16)]
    pattern_text: Annotated[str, Field(max_length=1000)]
    line: int
    text: Annotated[str, Field(max_length=400)]
    vector: Base64Bytes


class RunsSaid(BaseModel, frozen=True, extra="forbid"):
    """What runs said that failed; and of how many successful ones that were looked at which patterns stood in some."""

    failures: tuple[FailureSaid, ...] = ()
    looked_at: int = 0
    successes_with: dict[str, int] = {}


class AnalystReport(BaseModel, frozen=True, extra="forbid"):
    """A line of that process to the daemon, which answers each with a line."""

    findings: tuple[Finding, ...] = ()
    said: RunsSaid = RunsSaid()
    measured: tuple[Measurement, ...] = ()
    retries: tuple[LearntRetry, ...] | None = None
    """All that is known of retries, in the place of what was known before; None for nothing new."""
    load: AnalystLoad | None = None
