"""Who acts."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel


class Role(StrEnum):
    """What an account may do at most."""

    ADMIN = "admin"
    USER = "user"
    VIEWER = "viewer"


class Actor(BaseModel, frozen=True):
    """The account behind a request, or the daemon itself."""

    id: int
    name: str
    role: Role


class AuditEntry(BaseModel, frozen=True):
    """One act, written in the same transaction as the act."""

    id: int
    at: datetime
    actor: str
    verb: str
    subject: str
    detail: dict[str, object]
