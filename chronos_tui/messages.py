"""What screens ask of the app, and the sentences in which the app says what went wrong."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from textual.message import Message

from chronos_tui.client.errors import ServerError, Unreachable
from chronos_tui.format import printable

KINDS = {
    "not_allowed": "You may not do that",
    "not_found": "There is no such thing",
    "conflict": "Somebody was faster",
    "unavailable": "Not now",
    "invalid": "That cannot be taken",
}


@dataclass(frozen=True)
class Window:
    """A figure of a job's runs around an instant."""

    metric: str
    """As the API names its series."""
    title: str
    at: datetime
    run: int
    """That shows it."""


@dataclass
class OpenJob(Message):
    """Show a job on top of this screen, with a figure of its runs where one is named."""

    job_id: str
    window: Window | None = None


@dataclass
class OpenRun(Message):
    """Show a run on top of this screen."""

    run: int


@dataclass
class OpenLog(Message):
    """Show the output of a run on top of this screen."""

    run: int
    job: str = ""
    line: int | None = None
    """The line to go to; None follows the end."""


@dataclass
class OpenList(Message):
    """Show one of the screens that have a number, with a filter if one is named."""

    screen: str
    filter: str | None = None


def title(error: Exception) -> str:
    """Return a few words for an error we expect."""
    if isinstance(error, ServerError):
        return KINDS.get(error.kind, str(error.problem.get("title") or "The server refuses"))
    return "The server does not answer" if isinstance(error, Unreachable) else "This did not work"


def sentence(error: Exception) -> str:
    """Return what went wrong, why, and what to do, for an error we expect."""
    if isinstance(error, Unreachable):
        return f"{printable(error.why)}. What is shown may be old; the connection is tried again by itself (R: now)."
    if not isinstance(error, ServerError):
        return printable(str(error)) or type(error).__name__
    problem: dict[str, Any] = error.problem
    said = [str(problem.get("detail") or problem.get("title") or error)]
    for wrong in problem.get("errors") or ():
        if str(wrong.get("message")) not in said[0]:
            said.append(f"{wrong.get('field')}: {wrong.get('message')}")
    if (suggestion := problem.get("suggestion")) and str(suggestion) not in said[0]:
        said.append(f"try {suggestion}")
    return printable("; ".join(said))
