"""Column types that hold the same meaning on SQLite and Postgres."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pydantic_core
from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Integer
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator, TypeEngine

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_json(value: Any) -> str:
    """Write JSON; the fast writer refuses lone surrogates, which the slow one escapes."""
    try:
        return pydantic_core.to_json(value).decode()
    except pydantic_core.PydanticSerializationError:
        return json.dumps(value)


from_json = pydantic_core.from_json
"""Read JSON."""


class UTCDateTime(TypeDecorator[datetime]):
    """An instant: timestamptz on Postgres, integer microseconds on SQLite. Refuses naive datetimes."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Pick the column type."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(BigInteger())
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Convert to what the database keeps."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone; instants are kept in UTC")
        if dialect.name == "sqlite":
            return (value - _EPOCH) // _MICROSECOND
        return value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Convert back to an aware datetime in UTC."""
        if value is None:
            return None
        if dialect.name == "sqlite":
            return _EPOCH + timedelta(microseconds=value)
        return value.astimezone(UTC)  # type: ignore[no-any-return]  # the driver gives a datetime


# JSONB on Postgres can be indexed; an edited value must be assigned anew, or it is not saved.
Json = JSON().with_variant(JSONB(), "postgresql")

# SQLite gives rising ids, and AUTOINCREMENT, only to a column declared INTEGER.
BigId = BigInteger().with_variant(Integer(), "sqlite")
