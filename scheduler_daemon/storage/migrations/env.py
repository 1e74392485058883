"""What alembic runs for every command. The connection, its transaction and its lock come from the package."""

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import JSON, BigInteger, Connection, String

from scheduler_daemon.storage.tables import metadata
from scheduler_daemon.storage.types import UTCDateTime


def render_item(kind: str, item: Any, autogen: AutogenContext) -> str | Literal[False]:
    """Write our types by their own names; alembic would lose the variants."""
    name = None
    if kind == "type":
        if isinstance(item, UTCDateTime):
            name = "types.UTCDateTime()"
        elif isinstance(item, JSON):
            name = "types.Json"
        elif isinstance(item, BigInteger):
            name = "types.BigId"
        elif isinstance(getattr(item, "impl", item), String):
            length = item.length
            return f"sa.String(length={length})" if length else "sa.String()"
    if name is None:
        return False
    autogen.imports.add("from scheduler_daemon.storage import types")
    return name


def run() -> None:
    """Run the steps on the connection that was given, or compare it with the tables."""
    connection: Connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        render_item=render_item,
        compare_type=True,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()


run()
