"""What earlier attempts taught about retries, also by what they had written. All of it is learnt anew."""

import sqlalchemy as sa
from alembic import op

from scheduler_daemon.storage import types

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_KEY = ("job_id", "code", "again")


def upgrade() -> None:
    """Go forward."""
    _anew(sa.Column("pattern_id", sa.String(16), nullable=False), key=("job_id", "code", "pattern_id", "again"))


def downgrade() -> None:
    """Go back."""
    _anew(key=_KEY)


def _anew(*columns: sa.Column[str], key: tuple[str, ...]) -> None:
    op.drop_table("retry_advice")
    op.create_table(
        "retry_advice",
        sa.Column("job_id", sa.String(36), nullable=False),
        sa.Column("code", sa.String(32), nullable=False),
        *columns,
        sa.Column("again", sa.Boolean(), nullable=False),
        sa.Column("waits_ms", types.Json, nullable=False),
        sa.Column("chance", sa.Float(), nullable=False),
        sa.Column("seen", sa.Integer(), nullable=False),
        sa.Column("at", types.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint(*key, name="pk_retry_advice"),
    )
