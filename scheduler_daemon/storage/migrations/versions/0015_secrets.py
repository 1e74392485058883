"""Secrets, sealed."""

import sqlalchemy as sa
from alembic import op

from scheduler_daemon.storage import types

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "secrets",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("owner_id", types.BigId, nullable=False),
        sa.Column("key_id", sa.String(length=16), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", types.UTCDateTime(), nullable=False),
        sa.Column("updated_at", types.UTCDateTime(), nullable=False),
        sa.Column("replaced_at", types.UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_secrets_owner_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_secrets")),
    )
    where = sa.text("replaced_at IS NULL")
    op.create_index(
        "uq_secrets_name_living", "secrets", ["name"], unique=True, sqlite_where=where, postgresql_where=where
    )


def downgrade() -> None:
    """Go back."""
    op.drop_table("secrets")
