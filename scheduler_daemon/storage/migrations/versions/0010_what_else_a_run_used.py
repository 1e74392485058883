"""What a run read, wrote and started, and who counted."""

import sqlalchemy as sa
from alembic import op

from scheduler_daemon.storage import types

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.add_column("executions", sa.Column("used", types.SqlJson, nullable=True))


def downgrade() -> None:
    """Go back."""
    op.drop_column("executions", "used")
