"""What a run says of itself in its output."""

import sqlalchemy as sa
from alembic import op

from scheduler_daemon.storage import types

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.add_column("executions", sa.Column("said", types.SqlJson, nullable=True))


def downgrade() -> None:
    """Go back."""
    op.drop_column("executions", "said")
