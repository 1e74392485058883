"""A run may have several attempts: how many at most, which was the first, and when the next may begin."""

import sqlalchemy as sa
from alembic import op

from scheduler_daemon.storage import types

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """See the module."""
    op.add_column("executions", sa.Column("attempts", sa.Integer(), server_default="1", nullable=False))
    op.add_column("executions", sa.Column("first_id", types.BigId, nullable=True))
    op.add_column("executions", sa.Column("start_after", types.UTCDateTime(), nullable=True))
    op.add_column("executions", sa.Column("run_ends_at", types.UTCDateTime(), nullable=True))
    where = sa.text("start_after IS NOT NULL AND ended_at IS NULL")
    op.create_index(
        "ix_executions_start_after", "executions", ["start_after"], sqlite_where=where, postgresql_where=where
    )


def downgrade() -> None:
    """See the module."""
    op.drop_index("ix_executions_start_after", "executions")
    for name in ("run_ends_at", "start_after", "first_id", "attempts"):
        op.drop_column("executions", name)
