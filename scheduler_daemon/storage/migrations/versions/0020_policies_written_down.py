"""The policy of every saved job, written down: where a spec said nothing it was `trusted`."""

import sqlalchemy as sa
from alembic import op

from scheduler_daemon.storage import types

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_JOBS = sa.table("jobs", sa.column("id"), sa.column("spec", types.Json))
_VERSIONS = sa.table("job_versions", sa.column("job_id"), sa.column("version"), sa.column("spec", types.Json))


def upgrade() -> None:
    """Go forward."""
    db = op.get_bind()
    for row in db.execute(sa.select(_JOBS)).all():
        if "policy" not in row.spec:
            db.execute(sa.update(_JOBS).where(_JOBS.c.id == row.id).values(spec=_trusted(row.spec)))
    for row in db.execute(sa.select(_VERSIONS)).all():
        if "policy" not in row.spec:
            this = sa.and_(_VERSIONS.c.job_id == row.job_id, _VERSIONS.c.version == row.version)
            db.execute(sa.update(_VERSIONS).where(this).values(spec=_trusted(row.spec)))


def _trusted(spec: dict[str, object]) -> dict[str, object]:
    return spec | {"policy": "trusted"}


def downgrade() -> None:
    """Go back. What is written down says the same there."""
