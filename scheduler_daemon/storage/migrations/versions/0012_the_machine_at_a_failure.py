"""How the machine was when runs failed."""

import sqlalchemy as sa
from alembic import op

from scheduler_daemon.storage import types

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "host_snapshots",
        sa.Column("id", types.BigId, nullable=False),
        sa.Column("at", types.UTCDateTime(), nullable=False),
        sa.Column("facts", types.Json, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_host_snapshots"),
    )
    op.create_index("ix_host_snapshots_at", "host_snapshots", ["at"])
    op.add_column("executions", sa.Column("snapshot_id", types.BigId, nullable=True))


def downgrade() -> None:
    """Go back."""
    op.drop_column("executions", "snapshot_id")
    op.drop_table("host_snapshots")
