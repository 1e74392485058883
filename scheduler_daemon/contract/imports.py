"""What an import did with each line of a crontab."""

from enum import StrEnum

from pydantic import BaseModel


class Action(StrEnum):
    """What became of a line."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    NOTED = "noted"
    """Blank, comment or environment: understood, makes no job of its own."""
    REFUSED = "refused"


class ImportLine(BaseModel, frozen=True):
    """One physical line."""

    number: int
    kind: str
    text: str
    action: Action
    job: str | None = None
    warnings: tuple[str, ...] = ()
    reason: str = ""


class ImportReport(BaseModel, frozen=True):
    """The whole file. `dry_run` says that nothing was written."""

    source: str
    dry_run: bool
    created: int
    updated: int
    unchanged: int
    refused: int
    gone: tuple[str, ...] = ()
    """Jobs an earlier import made from this source whose line is no longer there; left as they are."""
    warnings: tuple[str, ...] = ()
    """About the file as such: line ends, byte order mark, its format."""
    lines: tuple[ImportLine, ...]
