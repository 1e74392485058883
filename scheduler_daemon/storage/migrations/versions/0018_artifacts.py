"""Files that runs leave."""

import sqlalchemy as sa
from alembic import op

from scheduler_daemon.storage import types

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "artifact_packs",
        sa.Column("execution_id", types.BigId, nullable=False),
        sa.Column("at", types.UTCDateTime(), nullable=False),
        sa.Column("size", types.BigId, nullable=False),
        sa.Column("notes", types.Json, nullable=False),
        sa.Column("removed_at", types.UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("execution_id", name="pk_artifact_packs"),
        sa.ForeignKeyConstraint(["execution_id"], ["executions.id"], name="fk_artifact_packs_execution_id"),
    )
    op.create_table(
        "artifacts",
        sa.Column("execution_id", types.BigId, nullable=False),
        sa.Column("name", sa.String(512), nullable=False),
        sa.Column("start", types.BigId, nullable=False),
        sa.Column("size", types.BigId, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("execution_id", "name", name="pk_artifacts"),
        sa.ForeignKeyConstraint(["execution_id"], ["executions.id"], name="fk_artifacts_execution_id"),
    )


def downgrade() -> None:
    """Go back."""
    op.drop_table("artifacts")
    op.drop_table("artifact_packs")
