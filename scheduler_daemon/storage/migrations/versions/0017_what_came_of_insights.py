"""What came of insights."""

import sqlalchemy as sa
from alembic import op

from scheduler_daemon.storage import types

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.add_column("insights", sa.Column("measured", types.SqlJson, nullable=True))
    op.create_index("ix_insights_kind_at", "insights", ["kind", "at"])


def downgrade() -> None:
    """Go back."""
    op.drop_index("ix_insights_kind_at", "insights")
    op.drop_column("insights", "measured")
