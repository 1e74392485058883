"""What Claude may look up while it answers a question about the fleet: tools that read, and nothing else. Pure.

A lookup gives names, states, instants and numbers: never what a run wrote, a command, a reason or a description. Names,
of jobs, calendars and blackouts, are all that somebody could put there for it to read: they can mislead an answer, and
cause nothing else.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field, ValidationError

from scheduler_daemon.contract.jobs import Name
from scheduler_daemon.domain.errors import Invalid

ROUNDS: Final = 4
"""Times that it may ask for lookups; then it must answer."""
AT_ONCE: Final = 4
"""Lookups of one round."""
MOST_CHARS: Final = 16_000
"""Of all that is looked up for a question."""

Days = Annotated[int, Field(ge=1, le=31)]
Limit = Annotated[int, Field(ge=1, le=40)]


class Lookup(BaseModel, frozen=True, extra="forbid"):
    """What is asked for; its docstring is what Claude reads of it."""


class Jobs(Lookup):
    """List jobs by name, with schedule, state of the last run, and next fire."""

    state: Literal["any", "failed", "ok", "running", "paused"] = "any"
    limit: Limit = 20


class Job(Lookup):
    """Show one job: settings in figures, and its last ten runs."""

    name: Name


class Runs(Lookup):
    """List runs, newest first, with how they ended, how long they took, and the memory they used."""

    job: Name | None = None
    state: Literal["any", "succeeded", "failed", "missed", "cancelled", "running"] = "any"
    days: Days = 7
    limit: Limit = 20


class Tally(Lookup):
    """Count the runs of the last days, those that failed, and their processor time: by job, or by how they ended."""

    by: Literal["job", "outcome"] = "job"
    days: Days = 7
    limit: Limit = 20


class Fires(Lookup):
    """List the jobs that fire next, and when."""

    limit: Limit = 20


class Found(Lookup):
    """List what was found in how jobs run (insights) and is open: kind, severity, job, confidence."""

    job: Name | None = None


LOOKUPS: Final[Mapping[str, type[Lookup]]] = {
    "list_jobs": Jobs,
    "show_job": Job,
    "list_runs": Runs,
    "count_runs": Tally,
    "list_fires": Fires,
    "list_insights": Found,
}


def understood(name: str, given: Any) -> Lookup:
    """Return what is asked for. Raises Invalid for a tool that is none, and for arguments that are none of it."""
    kind = LOOKUPS.get(name)
    if kind is None:
        raise Invalid(f"there is no such tool; there are {', '.join(LOOKUPS)}, which only read")
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        raise Invalid(f"{'.'.join(map(str, first['loc'])) or name}: {first['msg']}") from None


def offered() -> list[dict[str, Any]]:
    """Return the tools as the API takes them."""
    return [
        {"name": name, "description": kind.__doc__ or "", "input_schema": _schema(kind)}
        for name, kind in LOOKUPS.items()
    ]


def _schema(kind: type[Lookup]) -> dict[str, Any]:
    schema = kind.model_json_schema()
    schema.pop("description", None)
    return schema
