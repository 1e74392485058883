"""Which jobs run after which."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "dependencies",
        sa.Column("upstream_id", sa.String(length=36), nullable=False),
        sa.Column("downstream_id", sa.String(length=36), nullable=False),
        sa.ForeignKeyConstraint(["upstream_id"], ["jobs.id"], name=op.f("fk_dependencies_upstream_id")),
        sa.ForeignKeyConstraint(["downstream_id"], ["jobs.id"], name=op.f("fk_dependencies_downstream_id")),
        sa.PrimaryKeyConstraint("upstream_id", "downstream_id", name=op.f("pk_dependencies")),
    )
    op.create_index("ix_dependencies_downstream_id", "dependencies", ["downstream_id"])


def downgrade() -> None:
    """Go back."""
    op.drop_index("ix_dependencies_downstream_id", "dependencies")
    op.drop_table("dependencies")
