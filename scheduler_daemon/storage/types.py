"""Column types that hold the same meaning on SQLite and Postgres."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pydantic_core
from pydantic import BaseModel
from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Integer
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator, TypeEngine

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Written(str):
    """A value that is JSON text already."""

    __slots__ = ()


def as_json(model: BaseModel) -> Written:
    """Return a model as a column of JSON keeps it, written once however many columns keep it."""
    try:
        return Written(model.model_dump_json())
    except pydantic_core.PydanticSerializationError:  # as below
        return Written(to_json(model.model_dump(mode="json")))


def to_json(value: Any) -> str:
    """Write JSON; the fast writer refuses lone surrogates, which the slow one escapes."""
    if type(value) is Written:
        return str(value)
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

    # What a TypeDecorator usually gives, process_bind_param and process_result_value, is called through two more
    # functions for each value; a burst has tens of thousands.
    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:
        """Return what converts to what the database keeps."""
        return _to_microseconds if dialect.name == "sqlite" else _to_utc

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:  # noqa: ARG002  # its contract
        """Return what converts back to an aware datetime in UTC."""
        return _from_microseconds if dialect.name == "sqlite" else _to_utc


def _to_microseconds(value: datetime | None) -> int | None:
    if value is None:
        return None
    if value.tzinfo is None:
        raise _naive(value)
    since = value - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _from_microseconds(value: int | None) -> datetime | None:
    return None if value is None else _EPOCH + timedelta(0, 0, value)


def _to_utc(value: datetime | None) -> datetime | None:
    if value is None or value.tzinfo is UTC:
        return value
    if value.tzinfo is None:
        raise _naive(value)
    return value.astimezone(UTC)


def _naive(value: datetime) -> ValueError:
    return ValueError(f"{value!r} has no time zone; instants are kept in UTC")


# JSONB on Postgres can be indexed; an edited value must be assigned anew, or it is not saved.
Json = JSON().with_variant(JSONB(), "postgresql")

# None is NULL and not the JSON `null`.
SqlJson = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")

# SQLite gives rising ids, and AUTOINCREMENT, only to a column declared INTEGER.
BigId = BigInteger().with_variant(Integer(), "sqlite")
