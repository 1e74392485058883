"""A job as it is typed: which fields a form has, and what spec the texts mean. Reads no clock and asks nobody."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from chronos_tui import format as fmt

if TYPE_CHECKING:
    from scheduler_daemon.contract.jobs import JobSpec


class Field(NamedTuple):
    """One line of the form."""

    id: str
    """As the spec names it; `schedule.` fields belong to its schedule, and so on."""
    label: str
    hint: str = ""


FIELDS = (
    Field("name", "Name"),
    Field("command", "Command", "shell text, as in a crontab"),
    Field(
        "schedule.expressions", "Schedule", "*/5 * * * * or @daily or @every 90s; several parted by |; empty: on call"
    ),
    Field("schedule.zone", "Zone", "Europe/Berlin"),
    Field("description", "About"),
    Field("tags", "Tags", "parted by blanks"),
    Field("timeout_ms", "Timeout", "90s, 5m, 2h; empty: none"),
    Field("retry.attempts", "Retries", "how many more times a failed run is tried; empty: never"),
    Field("concurrency", "Overlap", "forbid, allow, replace, queue_one or queue_all"),
    Field("misfire", "Misfire", "skip, run_once or run_all"),
    Field("cwd", "Directory", "empty: the home directory"),
    Field("user", "User", "empty: the server's account"),
    Field("env", "Environment", "NAME=value NAME='two words'"),
)


def texts_of(spec: JobSpec) -> dict[str, str]:
    """Return what stands in the fields for a spec."""
    return {
        "name": spec.name,
        "command": spec.command.replace("\n", " ⏎ "),
        "schedule.expressions": " | ".join(spec.schedule.expressions),
        "schedule.zone": spec.schedule.zone,
        "description": spec.description.replace("\n", " ⏎ "),
        "tags": " ".join(spec.tags),
        "timeout_ms": "" if spec.timeout_ms is None else length_text(spec.timeout_ms),
        "retry.attempts": "" if spec.retry is None else str(spec.retry.attempts),
        "concurrency": str(spec.concurrency),
        "misfire": str(spec.misfire),
        "cwd": spec.cwd or "",
        "user": spec.user or "",
        "env": " ".join(f"{name}={shlex.quote(value)}" for name, value in spec.env.items()),
    }


def length_text(ms: int) -> str:
    """Return milliseconds as one types them, exactly."""
    for unit, name in ((3_600_000, "h"), (60_000, "m"), (1000, "s")):
        if ms % unit == 0:
            return f"{ms // unit}{name}"
    return f"{ms}ms"


def values_of(texts: Mapping[str, str], problems: dict[str, str]) -> dict[str, Any]:
    """Return the spec's fields that the texts mean; what cannot be read goes into `problems` by field."""
    values: dict[str, Any] = {
        "name": texts["name"].strip(),
        "command": texts["command"].replace(" ⏎ ", "\n"),
        "description": texts["description"].replace(" ⏎ ", "\n").strip(),
        "tags": texts["tags"].replace(",", " ").split(),
        "concurrency": texts["concurrency"].strip(),
        "misfire": texts["misfire"].strip(),
        "cwd": texts["cwd"].strip() or None,
        "user": texts["user"].strip() or None,
        "schedule": schedule_of(texts),
        "timeout_ms": None,
        "retry": _retry_of(texts["retry.attempts"].strip(), problems),
    }
    if texts["timeout_ms"].strip():
        try:
            values["timeout_ms"] = fmt.parse_duration_ms(texts["timeout_ms"])
        except ValueError as error:
            problems["timeout_ms"] = str(error)
    try:
        words = shlex.split(texts["env"])
    except ValueError as error:
        problems["env"], words = f"{error}; close what is quoted", []
    for word in words:
        if "=" not in word:
            problems["env"] = f"{word!r} is no assignment; write NAME=value"
    values["env"] = dict(word.partition("=")[::2] for word in words if "=" in word)
    return values


def _retry_of(text: str, problems: dict[str, str]) -> dict[str, int] | None:
    """Return the field of a policy of retries that a form shows; None for no policy."""
    if text and not (text.isascii() and text.isdigit()):
        problems["retry.attempts"] = f"{text!r} is no number; write how many times, such as 3"
        return None
    return {"attempts": int(text)} if text else None


def schedule_of(texts: Mapping[str, str]) -> dict[str, Any]:
    """Return the schedule's fields that a form shows."""
    expressions = [part.strip() for part in texts["schedule.expressions"].split("|")]
    return {"expressions": [part for part in expressions if part], "zone": texts["schedule.zone"].strip() or "UTC"}


def changes(before: JobSpec, after: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that differ, whole."""
    old = before.model_dump(mode="json")
    whole = over(old, after)
    return {name: whole[name] for name in after if old.get(name) != whole[name]}


def over(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Put what a form says over a spec; the schedule and the retries keep what the form does not show."""
    retry = after["retry"] and {**(before.get("retry") or {}), **after["retry"]}
    return {**before, **after, "schedule": {**before["schedule"], **after["schedule"]}, "retry": retry}
