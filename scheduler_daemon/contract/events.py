"""What travels on the live feed: an event is a whole document with its version; a message is an event on a channel.

Who may hear what is decided by the daemon when it names the channels of an event; order and gaps are judged by the
listener from `epoch` and `seq`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, TypeAdapter

EventKind = Literal["job", "execution", "job_deleted", "insight", "note"]


class Event(BaseModel, frozen=True):
    """Something changed: here is all of it, as of `version`. A listener that has a newer version drops it."""

    kind: EventKind
    id: str
    version: int = Field(ge=0)
    at: datetime
    """When it was decided, UTC."""
    doc: dict[str, Any] | None = None
    """The whole document; None for a deletion."""


class FeedMessage(Event, frozen=True):
    """An event as heard on one channel."""

    epoch: str
    """Changes when the live picture was rebuilt: take a new snapshot."""
    seq: int
    """Rises by one with every message of this channel within an epoch; a hole means something was missed."""
    channel: str


class LogMessage(BaseModel, frozen=True):
    """A batch of output lines of one execution, oldest first."""

    kind: Literal["log"]
    epoch: str
    seq: int
    channel: str
    id: str
    """The execution."""
    first: int
    last: int
    """Line numbers of the first and the last line, both included; the first line of an execution is number 1."""
    lines: list[dict[str, Any]]


class Heartbeat(BaseModel, frozen=True):
    """Said every two seconds on each channel that has a listener: repeats the channel's last `seq`."""

    kind: Literal["heartbeat"]
    epoch: str
    """Empty while the picture is being rebuilt."""
    seq: int
    channel: str
    at: datetime


WireMessage = FeedMessage | LogMessage | Heartbeat
_WIRE: TypeAdapter[WireMessage] = TypeAdapter(Annotated[WireMessage, Field(discriminator="kind")])


def parse_message(raw: str | bytes) -> WireMessage:
    """Read one message from the wire. Raises pydantic.ValidationError if it is none of ours."""
    return _WIRE.validate_json(raw)
