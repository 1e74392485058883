"""What is found in how jobs run, and what people make of it."""

import sqlalchemy as sa
from alembic import op

from scheduler_daemon.storage import types

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "insights",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.String(length=36), nullable=True),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("evidence", types.Json, nullable=False),
        sa.Column("action", types.SqlJson, nullable=True),
        sa.Column("prediction", types.SqlJson, nullable=True),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("model", sa.String(length=80), nullable=False),
        sa.Column("at", types.UTCDateTime(), nullable=False),
        sa.Column("expires", types.UTCDateTime(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("snoozed_until", types.UTCDateTime(), nullable=True),
        sa.Column("decided_by", sa.String(length=64), nullable=True),
        sa.Column("decided_at", types.UTCDateTime(), nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("applied_version", sa.Integer(), nullable=True),
        sa.Column("undo_until", types.UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_insights_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_insights")),
    )
    op.create_index("ix_insights_at_id", "insights", ["at", "id"])
    op.create_index("ix_insights_job_id_at", "insights", ["job_id", "at"])
    op.create_index("ix_insights_state_expires", "insights", ["state", "expires"])


def downgrade() -> None:
    """Go back."""
    op.drop_table("insights")
