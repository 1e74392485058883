"""Lists come in pages: newest first, `next` is an opaque cursor or None at the end."""

from typing import Generic, TypeVar

from pydantic import BaseModel

Item = TypeVar("Item")


class Page(BaseModel, Generic[Item]):
    """A part of a list."""

    items: list[Item]
    next: str | None = None
    total: int | None = None
    """How many there are in all, where counting is cheap."""
