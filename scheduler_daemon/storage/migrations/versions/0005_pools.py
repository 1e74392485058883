"""Pools, and what a run that waits has to wait for."""

import sqlalchemy as sa
from alembic import op

from scheduler_daemon.storage import types

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "pools",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("owner_id", types.BigId, nullable=False),
        sa.Column("created_at", types.UTCDateTime(), nullable=False),
        sa.Column("updated_at", types.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_pools_owner_id")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_pools")),
    )
    op.add_column("executions", sa.Column("pool", sa.String(length=64), nullable=True))
    op.add_column("executions", sa.Column("slots", sa.Integer(), nullable=True))
    op.add_column("executions", sa.Column("turn", types.UTCDateTime(), nullable=True))
    op.add_column("executions", sa.Column("replaced_by", types.BigId, nullable=True))
    op.execute("UPDATE executions SET turn = queued_at WHERE state = 'queued'")
    where = sa.text("state = 'queued'")
    op.create_index("ix_executions_turn_id", "executions", ["turn", "id"], sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    """Go back."""
    op.drop_index("ix_executions_turn_id", "executions")
    for name in ("replaced_by", "turn", "slots", "pool"):
        op.drop_column("executions", name)
    op.drop_table("pools")
