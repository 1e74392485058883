"""A job as it is typed: which fields a form has, and what spec the texts mean. Reads no clock and asks nobody."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from chronos_tui import conditiontext
from chronos_tui import format as fmt
from chronos_tui.screens import draftparts
from chronos_tui.screens.draftparts import assignments_of, quoted
from chronos_tui.screens.jobfields import DEFAULTS

if TYPE_CHECKING:
    from scheduler_daemon.contract.jobs import JobSpec


def texts_of(spec: JobSpec) -> dict[str, str]:
    """Return what stands in the fields for a spec."""
    whole, schedule = spec.model_dump(mode="json"), spec.schedule
    return {
        "name": spec.name,
        "command": spec.command.replace("\n", " ⏎ "),
        "schedule.expressions": " | ".join(spec.schedule.expressions),
        "schedule.zone": spec.schedule.zone,
        "description": spec.description.replace("\n", " ⏎ "),
        "tags": " ".join(spec.tags),
        "after": " | ".join(spec.after),
        "trigger_rule": str(spec.trigger_rule),
        "not_before": spec.not_before or "",
        "conditions": shlex.join(fmt.conditions(whole["conditions"])),
        "timeout_ms": _length_text(spec.timeout_ms),
        "run_timeout_ms": _length_text(spec.run_timeout_ms),
        "retry.attempts": "" if spec.retry is None else str(spec.retry.attempts),
        "retry.delay_ms": "" if spec.retry is None else fmt.length_text(spec.retry.delay_ms),
        "concurrency": str(spec.concurrency),
        "concurrency_limit": "" if spec.concurrency_limit is None else str(spec.concurrency_limit),
        "queue_limit": str(spec.queue_limit),
        "pool": spec.pool or "",
        "priority": str(spec.priority),
        "misfire": str(spec.misfire),
        "misfire_grace_ms": fmt.length_text(spec.misfire_grace_ms),
        "catchup_on_resume": "catch_up" if spec.catchup_on_resume else "skip",
        "schedule.calendars": " ".join(_calendar_text(use) for use in whole["schedule"]["calendars"]),
        "schedule.blackouts": shlex.join(_blackout_text(each) for each in whole["schedule"]["blackouts"]),
        "schedule.jitter_s": _length_text(schedule.jitter_s * 1000 or None),
        "schedule.start": whole["schedule"]["start"] or "",
        "schedule.end": whole["schedule"]["end"] or "",
        "schedule.gap": str(schedule.gap),
        "schedule.overlap": str(schedule.overlap),
        "cwd": spec.cwd or "",
        "user": spec.user or "",
        "env": " ".join(f"{name}={shlex.quote(value)}" for name, value in spec.env.items()),
        **draftparts.texts_of(whole),
    }


def _calendar_text(use: Mapping[str, str]) -> str:
    return use["calendar"] if use["move"] == "skip" else f"{use['calendar']}:{use['move']}"


def _blackout_text(blackout: Mapping[str, str]) -> str:
    return f"{blackout['when']}={blackout['name']}" if blackout["name"] else blackout["when"]


def _length_text(ms: int | None) -> str:
    return "" if ms is None else fmt.length_text(ms)


def values_of(texts: Mapping[str, str], problems: dict[str, str]) -> dict[str, Any]:
    """Return the spec's fields that the texts mean; what cannot be read goes into `problems` by field."""
    return {
        "name": texts["name"].strip(),
        "command": texts["command"].replace(" ⏎ ", "\n"),
        "description": texts["description"].replace(" ⏎ ", "\n").strip(),
        "tags": texts["tags"].replace(",", " ").split(),
        "after": parted(texts["after"]),
        "cwd": texts["cwd"].strip() or None,
        "user": texts["user"].strip() or None,
        "pool": texts["pool"].strip() or None,
        "not_before": texts["not_before"].strip() or None,
        "conditions": _conditions_of(texts["conditions"], problems),
        "schedule": schedule_of(texts, problems),
        "retry": _retry_of(texts, problems),
        "env": assignments_of("env", texts["env"], problems),
        "catchup_on_resume": _catches_up(texts["catchup_on_resume"].strip(), problems),
        **{name: texts[name].strip() for name in ("concurrency", "misfire", "trigger_rule")},
        **{name: _length(name, texts, problems) for name in ("timeout_ms", "run_timeout_ms", "misfire_grace_ms")},
        **{name: _number(name, texts, problems) for name in ("concurrency_limit", "queue_limit", "priority")},
        **draftparts.values_of(texts, problems),
    }


def _catches_up(text: str, problems: dict[str, str]) -> bool:
    if text not in {"skip", "catch_up"}:
        problems["catchup_on_resume"] = f"{text!r} is neither; write skip or catch_up"
    return text == "catch_up"


def parted(text: str) -> list[str]:
    """Return what stands parted by `|`."""
    return [part.strip() for part in text.split("|") if part.strip()]


def _length(name: str, texts: Mapping[str, str], problems: dict[str, str]) -> int | None:
    """Return a length of time in milliseconds; None for an empty text."""
    if not texts[name].strip() and name not in DEFAULTS:
        return None
    try:
        return fmt.parse_duration_ms(texts[name])
    except ValueError as error:
        problems[name] = str(error)
        return None


def _number(name: str, texts: Mapping[str, str], problems: dict[str, str]) -> int | None:
    """Return a whole number; None for an empty text."""
    text = texts[name].strip()
    if not text and name not in DEFAULTS:
        return None
    if text.isascii() and text.isdigit() and len(text) < 10:
        return int(text)
    problems[name] = f"{text!r} is no number; write how many, such as {DEFAULTS.get(name, '3')}"
    return None


def _retry_of(texts: Mapping[str, str], problems: dict[str, str]) -> dict[str, int] | None:
    """Return the fields of a policy of retries that a form shows; None for no policy."""
    attempts, delay = _number("retry.attempts", texts, problems), _length("retry.delay_ms", texts, problems)
    if attempts is None:
        return None
    return {"attempts": attempts} | ({} if delay is None else {"delay_ms": delay})


def _conditions_of(text: str, problems: dict[str, str]) -> list[dict[str, Any]]:
    try:
        return [conditiontext.read(each) for each in quoted("conditions", text, problems)]
    except ValueError as error:
        problems["conditions"] = f"{error}; quote each, as in 'file /srv/in' 'load succeeded'"
        return []


def _blackouts_of(text: str, problems: dict[str, str]) -> list[dict[str, str]]:
    parts = [each.partition("=") for each in quoted("schedule.blackouts", text, problems)]
    return [{"when": when.strip(), "name": name.strip()} for when, _, name in parts]


def schedule_of(texts: Mapping[str, str], problems: dict[str, str]) -> dict[str, Any]:
    """Return the schedule's fields that a form shows; what cannot be read goes into `problems` by field."""
    uses = [use.partition(":") for use in texts["schedule.calendars"].replace(",", " ").split()]
    jitter = _length("schedule.jitter_s", texts, problems) or 0
    if jitter % 1000:
        problems["schedule.jitter_s"] = "whole seconds only, such as 90s"
    return {
        "expressions": parted(texts["schedule.expressions"]),
        "zone": texts["schedule.zone"].strip() or "UTC",
        "gap": texts["schedule.gap"].strip(),
        "overlap": texts["schedule.overlap"].strip(),
        "start": _bound("schedule.start", texts, problems),
        "end": _bound("schedule.end", texts, problems),
        "calendars": [{"calendar": name, "move": move if colon else "skip"} for name, colon, move in uses],
        "blackouts": _blackouts_of(texts["schedule.blackouts"], problems),
        "jitter_s": jitter // 1000,
    }


def _bound(name: str, texts: Mapping[str, str], problems: dict[str, str]) -> str | None:
    """Return an instant as it is written; None for an empty text."""
    text = texts[name].strip()
    try:
        if not text or datetime.fromisoformat(text).tzinfo is not None:
            return text or None
    except ValueError:
        pass
    problems[name] = f"{text!r} is no instant; write one with its offset, such as 2026-05-01T08:00+02:00, or Z for UTC"
    return None


def changes(before: JobSpec, after: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that differ, whole."""
    old = before.model_dump(mode="json")
    whole = over(old, after)
    return {name: whole[name] for name in after if old.get(name) != whole[name]}


def over(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Put what a form says over a spec; what the form shows in part keeps the rest, as of its schedule."""
    conditions = [_with_its_timeout(each, before["conditions"]) for each in after["conditions"]]
    retry = after["retry"] and {**(before.get("retry") or {}), **after["retry"]}
    return {
        **before,
        **after,
        "conditions": conditions,
        "schedule": {**before["schedule"], **after["schedule"]},
        "retry": retry,
        **draftparts.handlers_over(before, after),
    }


def _with_its_timeout(condition: Mapping[str, Any], before: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return a condition as it was, if the form says the same of it as before."""
    (said,) = fmt.conditions([{"absent": False, "days": [], "job": None, **condition}])
    return next((each for each in before if fmt.conditions([dict(each)]) == [said]), condition)
