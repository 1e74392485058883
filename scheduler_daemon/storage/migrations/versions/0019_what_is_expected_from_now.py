"""Whether what an insight tells is to be expected from now on."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.add_column("insights", sa.Column("expected", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index("ix_insights_decided_at_id", "insights", ["decided_at", "id"])


def downgrade() -> None:
    """Go back."""
    op.drop_index("ix_insights_decided_at_id", "insights")
    op.drop_column("insights", "expected")
