"""Runs that follow the ends of others as their handlers."""

import sqlalchemy as sa
from alembic import op

from scheduler_daemon.storage import types

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.add_column("executions", sa.Column("parent_id", types.BigId, nullable=True))
    op.add_column("executions", sa.Column("handler", sa.String(16), nullable=True))
    where = sa.text("parent_id IS NOT NULL")
    op.create_index(
        "uq_executions_parent_id",
        "executions",
        ["parent_id"],
        unique=True,
        sqlite_where=where,
        postgresql_where=where,
    )


def downgrade() -> None:
    """Go back."""
    op.drop_index("uq_executions_parent_id", "executions")
    op.drop_column("executions", "handler")
    op.drop_column("executions", "parent_id")
