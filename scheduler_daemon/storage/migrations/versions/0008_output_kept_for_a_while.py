"""How much output of each run is stored, and when it was removed."""

import sqlalchemy as sa
from alembic import op

from scheduler_daemon.storage import types

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.add_column("log_states", sa.Column("stored_bytes", types.BigId, nullable=False, server_default="0"))
    op.add_column("log_states", sa.Column("removed_at", types.UTCDateTime(), nullable=True))
    op.execute(
        "UPDATE log_states SET stored_bytes = coalesce((SELECT sum(length(data)) FROM log_chunks "
        "WHERE log_chunks.execution_id = log_states.execution_id), 0)"
    )


def downgrade() -> None:
    """Go back."""
    op.drop_column("log_states", "removed_at")
    op.drop_column("log_states", "stored_bytes")
