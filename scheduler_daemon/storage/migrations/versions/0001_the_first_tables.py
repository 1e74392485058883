"""The first tables."""

import sqlalchemy as sa
from alembic import op

from scheduler_daemon.storage import types

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "audit",
        sa.Column("id", types.BigId, nullable=False),
        sa.Column("at", types.UTCDateTime(), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("verb", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("detail", types.Json, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "events",
        sa.Column("id", types.BigId, nullable=False),
        sa.Column("at", types.UTCDateTime(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("owner_id", types.BigId, nullable=False),
        sa.Column("doc", types.Json, nullable=False),
        sa.Column("pending", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.create_index("ix_events_at", ["at"], unique=False)
        batch_op.create_index(
            "ix_events_pending",
            ["id"],
            unique=False,
            sqlite_where=sa.text("pending"),
            postgresql_where=sa.text("pending"),
        )

    op.create_table(
        "idempotency",
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("body", types.Json, nullable=False),
        sa.Column("at", types.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("actor", "key", name=op.f("pk_idempotency")),
    )
    op.create_table(
        "meta",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_meta")),
    )
    op.create_table(
        "users",
        sa.Column("id", types.BigId, nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("uid", types.BigId, nullable=True),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", types.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("name", name=op.f("uq_users_name")),
        sa.UniqueConstraint("uid", name=op.f("uq_users_uid")),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("spec", types.Json, nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("owner_id", types.BigId, nullable=False),
        sa.Column("source", sa.String(length=200), nullable=True),
        sa.Column("source_key", sa.String(length=200), nullable=True),
        sa.Column("created_at", types.UTCDateTime(), nullable=False),
        sa.Column("updated_at", types.UTCDateTime(), nullable=False),
        sa.Column("deleted_at", types.UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_jobs_owner_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.create_index(
            "uq_jobs_name_living",
            ["name"],
            unique=True,
            sqlite_where=sa.text("deleted_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NULL"),
        )
        batch_op.create_index(
            "uq_jobs_source_living",
            ["source", "source_key"],
            unique=True,
            sqlite_where=sa.text("deleted_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NULL"),
        )

    op.create_table(
        "executions",
        sa.Column("id", types.BigId, nullable=False),
        sa.Column("job_id", sa.String(length=36), nullable=False),
        sa.Column("job_version", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("fire_at", types.UTCDateTime(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("trigger", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("fence", sa.String(length=36), nullable=False),
        sa.Column("queued_at", types.UTCDateTime(), nullable=False),
        sa.Column("started_at", types.UTCDateTime(), nullable=True),
        sa.Column("ended_at", types.UTCDateTime(), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("signal", sa.Integer(), nullable=True),
        sa.Column("cancel_actor", sa.String(length=64), nullable=True),
        sa.Column("cancel_reason", sa.String(), nullable=True),
        sa.Column("cpu_ms", types.BigId, nullable=True),
        sa.Column("max_rss_bytes", types.BigId, nullable=True),
        sa.Column("output_bytes", types.BigId, nullable=True),
        sa.Column("policy", types.Json, nullable=False),
        sa.CheckConstraint("attempt >= 0", name=op.f("ck_executions_attempt")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_executions_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_executions")),
        sa.UniqueConstraint("job_id", "fire_at", "attempt", name=op.f("uq_executions_job_id_fire_at_attempt")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("executions", schema=None) as batch_op:
        batch_op.create_index(
            "ix_executions_active",
            ["state", "id"],
            unique=False,
            sqlite_where=sa.text("state IN ('queued', 'starting', 'running')"),
            postgresql_where=sa.text("state IN ('queued', 'starting', 'running')"),
        )
        batch_op.create_index("ix_executions_ended_at_state", ["ended_at", "state"], unique=False)
        batch_op.create_index("ix_executions_job_id_id", ["job_id", "id"], unique=False)

    op.create_table(
        "job_states",
        sa.Column("job_id", sa.String(length=36), nullable=False),
        sa.Column("last_handled", types.UTCDateTime(), nullable=False),
        sa.Column("next_fire_at", types.UTCDateTime(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("active", sa.Integer(), nullable=False),
        sa.Column("last_id", types.BigId, nullable=True),
        sa.Column("last_state", sa.String(length=16), nullable=True),
        sa.Column("last_outcome", sa.String(length=16), nullable=True),
        sa.Column("last_fire_at", types.UTCDateTime(), nullable=True),
        sa.Column("last_ended_at", types.UTCDateTime(), nullable=True),
        sa.Column("last_duration_ms", types.BigId, nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_states_job_id")),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_job_states")),
    )
    with op.batch_alter_table("job_states", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_job_states_next_fire_at"), ["next_fire_at"], unique=False)

    op.create_table(
        "job_versions",
        sa.Column("job_id", sa.String(length=36), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("spec", types.Json, nullable=False),
        sa.Column("author", sa.String(length=64), nullable=False),
        sa.Column("message", sa.String(length=400), nullable=False),
        sa.Column("created_at", types.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_versions_job_id")),
        sa.PrimaryKeyConstraint("job_id", "version", name=op.f("pk_job_versions")),
    )
    op.create_table(
        "log_chunks",
        sa.Column("execution_id", types.BigId, nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("stream", sa.String(length=6), nullable=False),
        sa.Column("start", types.BigId, nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("first_line", types.BigId, nullable=False),
        sa.Column("lines", types.BigId, nullable=False),
        sa.Column("continues", sa.Boolean(), nullable=False),
        sa.Column("at", types.UTCDateTime(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["execution_id"], ["executions.id"], name=op.f("fk_log_chunks_execution_id")),
        sa.PrimaryKeyConstraint("execution_id", "seq", name=op.f("pk_log_chunks")),
    )
    with op.batch_alter_table("log_chunks", schema=None) as batch_op:
        batch_op.create_index(
            "ix_log_chunks_execution_id_first_line", ["execution_id", "first_line", "seq"], unique=False
        )

    op.create_table(
        "log_states",
        sa.Column("execution_id", types.BigId, nullable=False),
        sa.Column("lines", types.BigId, nullable=False),
        sa.Column("dropped_bytes", types.BigId, nullable=False),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["execution_id"], ["executions.id"], name=op.f("fk_log_states_execution_id")),
        sa.PrimaryKeyConstraint("execution_id", name=op.f("pk_log_states")),
    )


def downgrade() -> None:
    """Go back."""
    op.drop_table("log_states")
    with op.batch_alter_table("log_chunks", schema=None) as batch_op:
        batch_op.drop_index("ix_log_chunks_execution_id_first_line")

    op.drop_table("log_chunks")
    op.drop_table("job_versions")
    with op.batch_alter_table("job_states", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_job_states_next_fire_at"))

    op.drop_table("job_states")
    with op.batch_alter_table("executions", schema=None) as batch_op:
        batch_op.drop_index("ix_executions_job_id_id")
        batch_op.drop_index("ix_executions_ended_at_state")
        batch_op.drop_index(
            "ix_executions_active",
            sqlite_where=sa.text("state IN ('queued', 'starting', 'running')"),
            postgresql_where=sa.text("state IN ('queued', 'starting', 'running')"),
        )

    op.drop_table("executions")
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_jobs_source_living",
            sqlite_where=sa.text("deleted_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NULL"),
        )
        batch_op.drop_index(
            "uq_jobs_name_living",
            sqlite_where=sa.text("deleted_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NULL"),
        )

    op.drop_table("jobs")
    op.drop_table("users")
    op.drop_table("meta")
    op.drop_table("idempotency")
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.drop_index("ix_events_pending", sqlite_where=sa.text("pending"), postgresql_where=sa.text("pending"))
        batch_op.drop_index("ix_events_at")

    op.drop_table("events")
    op.drop_table("audit")
