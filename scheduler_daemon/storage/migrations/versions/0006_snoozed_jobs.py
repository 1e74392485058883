"""Jobs whose fires are skipped for a while."""

import sqlalchemy as sa
from alembic import op

from scheduler_daemon.storage import types

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.add_column("jobs", sa.Column("snoozed_until", types.UTCDateTime(), nullable=True))


def downgrade() -> None:
    """Go back."""
    op.drop_column("jobs", "snoozed_until")
