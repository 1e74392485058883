"""What failed runs said, and what Claude was asked."""

import sqlalchemy as sa
from alembic import op

from scheduler_daemon.storage import types

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "error_patterns",
        sa.Column("id", sa.String(16), nullable=False),
        sa.Column("text", sa.String(1000), nullable=False),
        sa.Column("succeeded_with", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("meaning", sa.String(), nullable=False),
        sa.Column("fix", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_error_patterns"),
    )
    op.create_table(
        "failures",
        sa.Column("execution_id", types.BigId, nullable=False),
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("pattern_id", sa.String(16), nullable=False),
        sa.Column("at", types.UTCDateTime(), nullable=False),
        sa.Column("line", types.BigId, nullable=False),
        sa.Column("text", sa.String(400), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["execution_id"], ["executions.id"], name="fk_failures_execution_id_executions"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_failures_job_id_jobs"),
        sa.PrimaryKeyConstraint("execution_id", name="pk_failures"),
    )
    op.create_index("ix_failures_pattern_id_execution_id", "failures", ["pattern_id", "execution_id"])
    op.create_index("ix_failures_job_id_execution_id", "failures", ["job_id", "execution_id"])
    op.create_table(
        "claude_calls",
        sa.Column("id", types.BigId, nullable=False),
        sa.Column("at", types.UTCDateTime(), nullable=False),
        sa.Column("user_id", types.BigId, nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("purpose", sa.String(16), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("prompt", types.SqlJson, nullable=True),
        sa.Column("digest", sa.String(200), nullable=False),
        sa.Column("model", sa.String(80), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=True),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("answer", types.SqlJson, nullable=True),
        sa.Column("tokens", sa.Integer(), nullable=False),
        sa.Column("cost_micros", types.BigId, nullable=False),
        sa.Column("ended_at", types.UTCDateTime(), nullable=True),
        sa.Column("request_id", sa.String(80), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_claude_calls"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_claude_calls_digest", "claude_calls", ["digest"])
    op.create_index("ix_claude_calls_at", "claude_calls", ["at"])
    op.create_index("ix_claude_calls_subject", "claude_calls", ["purpose", "subject", "id"])


def downgrade() -> None:
    """Go back."""
    op.drop_table("claude_calls")
    op.drop_table("failures")
    op.drop_table("error_patterns")
