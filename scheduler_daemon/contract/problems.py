"""The only error body: application/problem+json (RFC 9457) with the fields both programs read."""

from pydantic import BaseModel


class FieldError(BaseModel, frozen=True):
    """One field of a request and what is wrong with it."""

    field: str
    message: str


class Problem(BaseModel, frozen=True):
    """What went wrong, why, and what to do. `kind` is the stable word programs may test."""

    type: str = "about:blank"
    kind: str
    title: str
    status: int
    detail: str
    position: int | None = None
    """Column of a schedule expression, from 0."""
    suggestion: str | None = None
    errors: tuple[FieldError, ...] = ()
