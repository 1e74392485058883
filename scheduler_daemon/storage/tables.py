"""Every table. Rows are written from validated specs only: SQLModel tables accept rubbish silently."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    UniqueConstraint,
    false,
    text,
)
from sqlmodel import Field, SQLModel

from scheduler_daemon.storage.types import BigId, Json, SqlJson, UTCDateTime

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Not the list of active states, which says the same: SQLite would build the list anew for each row it writes.
_ACTIVE = text("ended_at IS NULL")
_QUEUED = text("state = 'queued'")
_PENDING = text("pending")
_TIMED = text("start_after IS NOT NULL AND ended_at IS NULL")
_FOLLOWS = text("parent_id IS NOT NULL")
_LIVING = text("deleted_at IS NULL")


class Row(SQLModel):
    """The base of every table."""

    metadata: ClassVar[MetaData] = metadata


class UserRow(Row, table=True):
    """An account. `uid` is the Unix account that signs in through the socket."""

    __tablename__ = "users"
    id: int | None = Field(default=None, sa_column=Column(BigId, primary_key=True))
    name: str = Field(max_length=64, unique=True)
    role: str = Field(max_length=16)
    uid: int | None = Field(default=None, unique=True, sa_type=BigId)
    disabled: bool = False
    created_at: datetime = Field(sa_type=UTCDateTime)


class JobRow(Row, table=True):
    """What the user last saved. What changes with each run stands in JobStateRow."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("uq_jobs_name_living", "name", unique=True, sqlite_where=_LIVING, postgresql_where=_LIVING),
        Index(
            "uq_jobs_source_living", "source", "source_key", unique=True, sqlite_where=_LIVING, postgresql_where=_LIVING
        ),
    )
    id: str = Field(primary_key=True, max_length=36)
    version: int
    revision: int
    name: str = Field(max_length=80)
    spec: dict[str, Any] = Field(sa_type=Json)
    paused: bool
    snoozed_until: datetime | None = Field(default=None, sa_type=UTCDateTime)
    """Fires before it are skipped."""
    owner_id: int = Field(sa_column=Column(BigId, ForeignKey("users.id"), nullable=False))
    source: str | None = Field(default=None, max_length=200)
    source_key: str | None = Field(default=None, max_length=200)
    created_at: datetime = Field(sa_type=UTCDateTime)
    updated_at: datetime = Field(sa_type=UTCDateTime)
    deleted_at: datetime | None = Field(default=None, sa_type=UTCDateTime)


class JobStateRow(Row, table=True):
    """What changes with each fire and run, apart from the wide spec."""

    __tablename__ = "job_states"
    job_id: str = Field(sa_column=Column(ForeignKey("jobs.id"), primary_key=True))
    last_handled: datetime = Field(sa_type=UTCDateTime)
    """Every fire up to here has a recorded end or an execution."""
    next_fire_at: datetime | None = Field(default=None, sa_type=UTCDateTime, index=True)
    revision: int = 0
    active: int = 0
    """Runs that are queued, starting or running."""
    last_id: int | None = Field(default=None, sa_type=BigId)
    last_state: str | None = Field(default=None, max_length=16)
    last_outcome: str | None = Field(default=None, max_length=16)
    last_fire_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    last_ended_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    last_duration_ms: int | None = Field(default=None, sa_type=BigId)


class JobVersionRow(Row, table=True):
    """An immutable saved spec."""

    __tablename__ = "job_versions"
    job_id: str = Field(sa_column=Column(ForeignKey("jobs.id"), primary_key=True))
    version: int = Field(primary_key=True)
    spec: dict[str, Any] = Field(sa_type=Json)
    author: str = Field(max_length=64)
    message: str = Field(max_length=400)
    created_at: datetime = Field(sa_type=UTCDateTime)


class DependencyRow(Row, table=True):
    """One job runs after another, as the downstream's spec says."""

    __tablename__ = "dependencies"
    __table_args__ = (Index("ix_dependencies_downstream_id", "downstream_id"),)
    upstream_id: str = Field(sa_column=Column(ForeignKey("jobs.id"), primary_key=True))
    downstream_id: str = Field(sa_column=Column(ForeignKey("jobs.id"), primary_key=True))


class ExecutionRow(Row, table=True):
    """One attempt of a run. Who inserts (job_id, fire_at, attempt), runs it; fires are whole seconds; manual and
    backfilled runs never are. Attempts of one run share the fire.
    """

    __tablename__ = "executions"
    __table_args__ = (
        UniqueConstraint("job_id", "fire_at", "attempt"),
        Index("ix_executions_job_id_id", "job_id", "id"),
        Index("ix_executions_active", "state", "id", sqlite_where=_ACTIVE, postgresql_where=_ACTIVE),
        Index("ix_executions_ended_at_state", "ended_at", "state"),
        Index("ix_executions_start_after", "start_after", sqlite_where=_TIMED, postgresql_where=_TIMED),
        Index("ix_executions_turn_id", "turn", "id", sqlite_where=_QUEUED, postgresql_where=_QUEUED),
        Index("uq_executions_parent_id", "parent_id", unique=True, sqlite_where=_FOLLOWS, postgresql_where=_FOLLOWS),
        CheckConstraint("attempt >= 0", "attempt"),
        {"sqlite_autoincrement": True},
    )
    id: int | None = Field(default=None, sa_column=Column(BigId, primary_key=True))
    job_id: str = Field(sa_column=Column(ForeignKey("jobs.id"), nullable=False))
    job_version: int
    version: int
    fire_at: datetime = Field(sa_type=UTCDateTime)
    attempt: int
    """Counts from 0."""
    attempts: int = Field(default=1, sa_column_kwargs={"server_default": "1"})
    """How many the run may have at most."""
    first_id: int | None = Field(default=None, sa_type=BigId)
    """The first attempt of the run; None for the first itself."""
    start_after: datetime | None = Field(default=None, sa_type=UTCDateTime)
    """The attempt waits for this instant."""
    run_ends_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    """By when the whole run is to be over; None on its first attempt, whose start decides."""
    trigger: str = Field(max_length=16)
    state: str = Field(max_length=16)
    outcome: str | None = Field(default=None, max_length=16)
    reason: str = ""
    actor: str = Field(max_length=64)
    host: str = Field(max_length=255)
    fence: str = Field(default="", max_length=36)
    """Which start of which daemon holds it."""
    queued_at: datetime = Field(sa_type=UTCDateTime)
    started_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    exit_code: int | None = None
    signal: int | None = None
    cancel_actor: str | None = Field(default=None, max_length=64)
    cancel_reason: str | None = None
    cpu_ms: int | None = Field(default=None, sa_type=BigId)
    max_rss_bytes: int | None = Field(default=None, sa_type=BigId)
    output_bytes: int | None = Field(default=None, sa_type=BigId)
    used: dict[str, Any] | None = Field(default=None, sa_type=SqlJson)
    """The rest of what it used, and who counted: the other fields of `contract.executions.Usage`."""
    parent_id: int | None = Field(default=None, sa_type=BigId)
    """The run whose end brought it up. It counts for nothing that decides on runs of the job."""
    handler: str | None = Field(default=None, max_length=16)
    """Which of the job's handlers it is."""
    snapshot_id: int | None = Field(default=None, sa_type=BigId)
    """How the machine was when it failed, in host_snapshots, as long as that is kept."""
    said: dict[str, Any] | None = Field(default=None, sa_type=SqlJson)
    """What it has said of itself in its output, as `domain.job_lines` writes it."""
    policy: dict[str, Any] = Field(sa_type=Json)
    pool: str | None = Field(default=None, max_length=64)
    """Whose slot it holds or waits for."""
    slots: int | None = None
    """Of a run that waits: how many of its job may run at once; None is any number."""
    turn: datetime | None = Field(default=None, sa_type=UTCDateTime)
    """Of a run that waits: those with the earliest start first."""
    replaced_by: int | None = Field(default=None, sa_type=BigId)
    """The run it was told to give way to."""


class RetryAdviceRow(Row, table=True):
    """What was learnt of attempts after the ends of one kind, of one job or of all. Can be learnt anew at any time."""

    __tablename__ = "retry_advice"
    job_id: str = Field(primary_key=True, max_length=36)
    """"" for all jobs together."""
    code: str = Field(primary_key=True, max_length=32)
    """Such as `exit 75`."""
    pattern_id: str = Field(primary_key=True, max_length=16)
    """Of what the attempt had written; "" for whatever it wrote."""
    again: bool = Field(primary_key=True)
    """The job's run before had ended so too."""
    waits_ms: list[int] = Field(sa_type=Json)
    """How long each retry waits; none at all where it would be wasted."""
    chance: float
    seen: int
    at: datetime = Field(sa_type=UTCDateTime)


class HostSnapshotRow(Row, table=True):
    """How the machine was when runs failed; those of one second share it."""

    __tablename__ = "host_snapshots"
    id: int | None = Field(default=None, sa_column=Column(BigId, primary_key=True))
    at: datetime = Field(sa_type=UTCDateTime, index=True)
    facts: dict[str, Any] = Field(sa_type=Json)


class RunParametersRow(Row, table=True):
    """What a run was told by whoever asked for it; a run without such a row took the defaults of its job."""

    __tablename__ = "run_parameters"
    execution_id: int = Field(sa_column=Column(BigId, ForeignKey("executions.id"), primary_key=True))
    """The first attempt."""
    given: dict[str, Any] = Field(sa_type=Json)
    """Texts by names; None for secrets."""
    key_id: str | None = Field(default=None, max_length=16)
    """The master key that opens the secrets; None if there are none."""
    sealed: bytes | None = Field(default=None, sa_type=LargeBinary)


class ArtifactPackRow(Row, table=True):
    """That files of a run were collected, and what was left out."""

    __tablename__ = "artifact_packs"
    execution_id: int = Field(sa_column=Column(BigId, ForeignKey("executions.id"), primary_key=True))
    at: datetime = Field(sa_type=UTCDateTime)
    size: int = Field(sa_type=BigId)
    notes: list[str] = Field(sa_type=Json)
    removed_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    """The files were kept until then."""


class ArtifactRow(Row, table=True):
    """A file that a run left, and where in the run's pack it lies."""

    __tablename__ = "artifacts"
    execution_id: int = Field(sa_column=Column(BigId, ForeignKey("executions.id"), primary_key=True))
    name: str = Field(primary_key=True, max_length=512)
    start: int = Field(sa_type=BigId)
    size: int = Field(sa_type=BigId)
    sha256: str = Field(max_length=64)


class PoolRow(Row, table=True):
    """Slots that runs of several jobs share. Jobs name it in their specs."""

    __tablename__ = "pools"
    name: str = Field(primary_key=True, max_length=64)
    slots: int
    owner_id: int = Field(sa_column=Column(BigId, ForeignKey("users.id"), nullable=False))
    created_at: datetime = Field(sa_type=UTCDateTime)
    updated_at: datetime = Field(sa_type=UTCDateTime)


_KEPT = text("replaced_at IS NULL")


class SecretRow(Row, table=True):
    """A value of a secret, sealed. Jobs name the secret in their specs."""

    __tablename__ = "secrets"
    __table_args__ = (Index("uq_secrets_name_living", "name", unique=True, sqlite_where=_KEPT, postgresql_where=_KEPT),)
    id: str = Field(primary_key=True, max_length=36)
    """The sealed value is bound to it."""
    name: str = Field(max_length=64)
    version: int
    owner_id: int = Field(sa_column=Column(BigId, ForeignKey("users.id"), nullable=False))
    key_id: str = Field(max_length=16)
    """The master key that opens it."""
    sealed: bytes = Field(sa_type=LargeBinary)
    created_at: datetime = Field(sa_type=UTCDateTime)
    updated_at: datetime = Field(sa_type=UTCDateTime)
    replaced_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    """Since when it is given to no run; kept to mask what earlier runs print."""


class CalendarRow(Row, table=True):
    """What a calendar now says. Jobs name it in their specs."""

    __tablename__ = "calendars"
    name: str = Field(primary_key=True, max_length=64)
    version: int
    spec: dict[str, Any] = Field(sa_type=Json)
    owner_id: int = Field(sa_column=Column(BigId, ForeignKey("users.id"), nullable=False))
    created_at: datetime = Field(sa_type=UTCDateTime)
    updated_at: datetime = Field(sa_type=UTCDateTime)


class CalendarVersionRow(Row, table=True):
    """An immutable saved calendar; it outlives the calendar, for it explains the past."""

    __tablename__ = "calendar_versions"
    name: str = Field(primary_key=True, max_length=64)
    version: int = Field(primary_key=True)
    spec: dict[str, Any] = Field(sa_type=Json)
    author: str = Field(max_length=64)
    message: str = Field(max_length=400)
    created_at: datetime = Field(sa_type=UTCDateTime)


class PolicyRow(Row, table=True):
    """What a policy now says that somebody here has made. Jobs name it in their specs."""

    __tablename__ = "policies"
    name: str = Field(primary_key=True, max_length=64)
    version: int
    spec: dict[str, Any] = Field(sa_type=Json)
    based_on: str = Field(max_length=64)
    owner_id: int = Field(sa_column=Column(BigId, ForeignKey("users.id"), nullable=False))
    created_at: datetime = Field(sa_type=UTCDateTime)
    updated_at: datetime = Field(sa_type=UTCDateTime)


class PolicyVersionRow(Row, table=True):
    """An immutable saved policy; it outlives the policy, for runs name it."""

    __tablename__ = "policy_versions"
    name: str = Field(primary_key=True, max_length=64)
    version: int = Field(primary_key=True)
    spec: dict[str, Any] = Field(sa_type=Json)
    author: str = Field(max_length=64)
    message: str = Field(max_length=400)
    created_at: datetime = Field(sa_type=UTCDateTime)


class EventRow(Row, table=True):
    """What happened, written with the change itself. `pending` until the relay has projected it to Redis."""

    __tablename__ = "events"
    __table_args__ = (
        Index("ix_events_pending", "id", sqlite_where=_PENDING, postgresql_where=_PENDING),
        Index("ix_events_at", "at"),
        {"sqlite_autoincrement": True},
    )
    id: int | None = Field(default=None, sa_column=Column(BigId, primary_key=True))
    at: datetime = Field(sa_type=UTCDateTime)
    kind: str = Field(max_length=32)
    subject: str = Field(max_length=64)
    version: int
    owner_id: int = Field(sa_type=BigId)
    doc: dict[str, Any] = Field(sa_type=Json)
    pending: bool = True


class LogChunkRow(Row, table=True):
    """Some bytes of one stream of a run, compressed, exactly as the job wrote them."""

    __tablename__ = "log_chunks"
    __table_args__ = (Index("ix_log_chunks_execution_id_first_line", "execution_id", "first_line", "seq"),)
    execution_id: int = Field(sa_column=Column(BigId, ForeignKey("executions.id"), primary_key=True))
    seq: int = Field(primary_key=True)
    """Counts from 0 in the order stored; two daemons that follow one run collide here."""
    stream: str = Field(max_length=6)
    start: int = Field(sa_type=BigId)
    """Offset of the first byte in the stream."""
    size: int
    """Bytes before compression."""
    first_line: int = Field(sa_type=BigId)
    lines: int = Field(sa_type=BigId)
    """How many lines it holds a part of; they are numbered without a gap."""
    continues: bool
    """The first bytes go on with the stream's last line, which the chunk before left open."""
    at: datetime = Field(sa_type=UTCDateTime)
    data: bytes = Field(sa_type=LargeBinary)


class LogStateRow(Row, table=True):
    """What is known of a run's log as a whole; there from its first chunk on."""

    __tablename__ = "log_states"
    execution_id: int = Field(sa_column=Column(BigId, ForeignKey("executions.id"), primary_key=True))
    lines: int = Field(default=0, sa_type=BigId)
    dropped_bytes: int = Field(default=0, sa_type=BigId)
    complete: bool = False
    stored_bytes: int = Field(default=0, sa_column=Column(BigId, nullable=False, server_default="0"))
    """Of its chunks, compressed."""
    removed_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    """Its output was kept until then."""


class InsightRow(Row, table=True):
    """What was found in how jobs run, and what people made of it."""

    __tablename__ = "insights"
    __table_args__ = (
        Index("ix_insights_at_id", "at", "id"),
        Index("ix_insights_job_id_at", "job_id", "at"),
        Index("ix_insights_state_expires", "state", "expires"),
        Index("ix_insights_kind_at", "kind", "at"),
        Index("ix_insights_decided_at_id", "decided_at", "id"),
    )
    id: str = Field(primary_key=True, max_length=36)
    """Made of the finding's key: a finding that is told twice is one insight."""
    version: int
    job_id: str | None = Field(default=None, sa_column=Column(ForeignKey("jobs.id"), nullable=True))
    """None for what is about the whole fleet."""
    kind: str = Field(max_length=40)
    severity: str = Field(max_length=16)
    confidence: float
    title: str = Field(max_length=200)
    text: str
    evidence: list[Any] = Field(sa_type=Json)
    action: dict[str, Any] | None = Field(default=None, sa_type=SqlJson)
    prediction: dict[str, Any] | None = Field(default=None, sa_type=SqlJson)
    source: str = Field(max_length=16)
    model: str = Field(max_length=80)
    at: datetime = Field(sa_type=UTCDateTime)
    expires: datetime = Field(sa_type=UTCDateTime)
    state: str = Field(max_length=16)
    snoozed_until: datetime | None = Field(default=None, sa_type=UTCDateTime)
    decided_by: str | None = Field(default=None, max_length=64)
    decided_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    reason: str
    expected: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=false()))
    """Somebody said that it is to be expected from now on."""
    applied_version: int | None = None
    undo_until: datetime | None = Field(default=None, sa_type=UTCDateTime)
    measured: dict[str, Any] | None = Field(default=None, sa_type=SqlJson)


class FailureRow(Row, table=True):
    """What a failed run said of why, kept so that later ones can be compared with it."""

    __tablename__ = "failures"
    __table_args__ = (
        Index("ix_failures_pattern_id_execution_id", "pattern_id", "execution_id"),
        Index("ix_failures_job_id_execution_id", "job_id", "execution_id"),
    )
    execution_id: int = Field(sa_column=Column(BigId, ForeignKey("executions.id"), primary_key=True))
    job_id: str = Field(sa_column=Column(ForeignKey("jobs.id"), nullable=False))
    pattern_id: str = Field(max_length=16)
    at: datetime = Field(sa_type=UTCDateTime)
    line: int = Field(sa_type=BigId)
    text: str = Field(max_length=400)
    """The line, redacted."""
    vector: bytes = Field(sa_type=LargeBinary)


class PatternRow(Row, table=True):
    """Error lines that differ in their values alone, in failed runs and in successful ones that were looked at."""

    __tablename__ = "error_patterns"
    id: str = Field(primary_key=True, max_length=16)
    text: str = Field(max_length=1000)
    succeeded_with: int = 0
    """Successful runs with such a line, of those looked at."""
    name: str = Field(default="", max_length=60)
    meaning: str = ""
    fix: str = ""


class ClaudeCallRow(Row, table=True):
    """A question to Claude: the queue, the ledger of what was spent, and the answers that need not be bought again."""

    __tablename__ = "claude_calls"
    __table_args__ = (
        Index("ix_claude_calls_digest", "digest"),
        Index("ix_claude_calls_at", "at"),
        Index("ix_claude_calls_subject", "purpose", "subject", "id"),
        {"sqlite_autoincrement": True},
    )
    id: int | None = Field(default=None, sa_column=Column(BigId, primary_key=True))
    at: datetime = Field(sa_type=UTCDateTime)
    user_id: int = Field(sa_type=BigId)
    actor: str = Field(max_length=64)
    purpose: str = Field(max_length=16)
    subject: str = Field(max_length=64)
    state: str = Field(max_length=16)
    prompt: dict[str, Any] | None = Field(default=None, sa_type=SqlJson)
    """What is to be sent, redacted; only until it is over."""
    digest: str = Field(max_length=200)
    model: str = Field(max_length=80)
    outcome: str | None = Field(default=None, max_length=16)
    detail: str = ""
    text: str = ""
    """What has been said so far."""
    answer: dict[str, Any] | None = Field(default=None, sa_type=SqlJson)
    tokens: int = 0
    """In and out; what it may come to, while it is not known."""
    cost_micros: int = Field(default=0, sa_type=BigId)
    """Millionths of a dollar, as `tokens`."""
    ended_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    request_id: str = Field(default="", max_length=80)


class AuditRow(Row, table=True):
    """Who did what, in the same transaction as the act."""

    __tablename__ = "audit"
    __table_args__ = ({"sqlite_autoincrement": True},)
    id: int | None = Field(default=None, sa_column=Column(BigId, primary_key=True))
    at: datetime = Field(sa_type=UTCDateTime)
    actor: str = Field(max_length=64)
    verb: str = Field(max_length=32)
    subject: str = Field(max_length=64)
    detail: dict[str, Any] = Field(sa_type=Json)


class IdempotencyRow(Row, table=True):
    """The answer to a request that may be sent again."""

    __tablename__ = "idempotency"
    actor: str = Field(primary_key=True, max_length=64)
    key: str = Field(primary_key=True, max_length=200)
    digest: str = Field(max_length=64)
    status: int
    body: dict[str, Any] = Field(sa_type=Json)
    at: datetime = Field(sa_type=UTCDateTime)


class MetaRow(Row, table=True):
    """Small facts of the installation: the epoch of the picture, the tzdata version, the last boot handled."""

    __tablename__ = "meta"
    key: str = Field(primary_key=True, max_length=64)
    value: str
