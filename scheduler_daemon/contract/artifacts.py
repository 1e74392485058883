"""Files that a run leaves and that are kept with it."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field

from scheduler_daemon.contract.texts import speakable

MOST_FILES = 100
"""Of one run."""
DEFAULT_BYTES = 100 * 1024 * 1024
MOST_PATTERNS = 20


def _pattern(text: str) -> str:
    speakable(text)
    parts = text.split("/")
    if text.startswith("/"):
        raise ValueError(f"{text!r} begins with '/'; patterns name files below the job's folder, such as out/*.csv")
    if any(part in {"", ".", ".."} for part in parts):
        raise ValueError(f"{text!r} holds an empty part, '.' or '..'; write it such as out/*.csv or **/*.log")
    if len(parts) > 32:
        raise ValueError(f"{text[:40]!r}… has more than 32 parts")
    return text


Pattern = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_pattern)]


class Artifact(BaseModel, frozen=True):
    """A file as it was when its run had ended."""

    name: str
    """With the folders on the way, below the job's folder."""
    size: int
    sha256: str


class Artifacts(BaseModel, frozen=True):
    """What was collected of a run, by name, and what was left out and why."""

    items: tuple[Artifact, ...] = ()
    notes: tuple[str, ...] = ()
    collected_at: datetime | None = None
    """None where nothing was asked for, or it is not done yet."""
    removed_at: datetime | None = None
    """They were kept until then."""
