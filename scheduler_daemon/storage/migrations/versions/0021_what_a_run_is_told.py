"""What runs are told."""

import sqlalchemy as sa
from alembic import op

from scheduler_daemon.storage import types

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "run_parameters",
        sa.Column("execution_id", types.BigId, nullable=False),
        sa.Column("given", types.Json, nullable=False),
        sa.Column("key_id", sa.String(16), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("execution_id", name="pk_run_parameters"),
        sa.ForeignKeyConstraint(["execution_id"], ["executions.id"], name="fk_run_parameters_execution_id"),
    )


def downgrade() -> None:
    """Go back."""
    op.drop_table("run_parameters")
