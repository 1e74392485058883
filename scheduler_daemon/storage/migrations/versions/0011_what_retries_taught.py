"""What earlier attempts taught about retries."""

import sqlalchemy as sa
from alembic import op

from scheduler_daemon.storage import types

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "retry_advice",
        sa.Column("job_id", sa.String(36), nullable=False),
        sa.Column("code", sa.String(32), nullable=False),
        sa.Column("again", sa.Boolean(), nullable=False),
        sa.Column("waits_ms", types.Json, nullable=False),
        sa.Column("chance", sa.Float(), nullable=False),
        sa.Column("seen", sa.Integer(), nullable=False),
        sa.Column("at", types.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "code", "again", name="pk_retry_advice"),
    )


def downgrade() -> None:
    """Go back."""
    op.drop_table("retry_advice")
