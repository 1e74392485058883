"""How an insight is written for people: its severity, evidence, prediction and the change it proposes. Pure.

An insight is a document of the API, as JSON has it.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from chronos_tui import format as fmt
from chronos_tui.format import Look

SEVERITIES = {
    "critical": Look("▲", "critical", "!", "failed"),
    "warning": Look("◆", "warning", "!", "late"),
    "info": Look("◇", "info", "i", "queued"),
}
RANK = {"critical": 2, "warning": 1, "info": 0}
_ACTIONS = {
    "set_schedule": "schedule",
    "set_retry": "retries",
    "set_timeout": "timeout",
    "set_memory_limit": "memory limit",
}

LATELY = timedelta(days=1)
"""So long what was applied and decided is still shown beside what is open."""

Document = Mapping[str, Any]


def severity(name: str) -> Look:
    """Return how a severity shows; one we do not know shows as itself."""
    return SEVERITIES.get(name) or Look("?", name, "?", "muted")


def stage(state: str, verdict: str | None, *, proposes: bool) -> tuple[str, str]:
    """Return in a word or two how far an insight has come, and its tone."""
    if state == "open":
        return ("proposed", "accent") if proposes else ("open", "muted")
    if state == "applied":
        return {"keep": ("kept", "ok"), "wait": ("on trial", "running")}.get(verdict or "", ("applied", "ok"))
    return ("taken back", "late") if state == "reverted" else (state, "muted")


def is_current(state: str, verdict: str | None, last: datetime | None, now: datetime) -> bool:
    """Tell whether it is open, or its change is being tried, or was kept or taken back a short time ago.

    `last` is when somebody decided about it, or it was measured.
    """
    if state == "open":
        return True
    lately = last is not None and now - last < LATELY
    return (state == "applied" and (verdict == "wait" or lately)) or (state == "reverted" and lately)


def headline(title: str, job: str) -> str:
    """Return a title without the name of its job, for where that stands beside it."""
    if not job:
        return title
    if title.startswith(f"{job} "):
        short = title.removeprefix(f"{job} ")
        return short[:1].upper() + short[1:]
    return title.replace(f" of {job} ", " ", 1)


def series(metric: str, kind: str) -> tuple[str, str] | None:
    """Return the name of the series that shows a metric of an insight's evidence, and its title; None if none does."""
    if kind.startswith("kpi_"):
        return f"kpi.{metric}", metric
    return _SERIES.get(metric.removesuffix("_bytes").removesuffix("_s"))


def source(insight: Document) -> str:
    """Say what generated it, for nothing that a machine wrote is to be taken for a person's word."""
    name = "Claude" if insight["source"] == "claude" else "the local engine"
    return f"{name} ({insight['model']})" if insight["model"] else name


def paragraphs(insight: Document) -> list[tuple[str, list[str]]]:
    """Return what it says, part by part: a heading and its lines. Parts that it has not are left out."""
    parts = [
        ("what was found", insight["text"].splitlines()),
        ("evidence", [line for each in insight["evidence"] for line in evidence(each)]),
        ("expected", prediction(insight["prediction"])),
        ("proposed change", change(insight["action"])),
        ("what came of it", measured(insight.get("measured"))),
    ]
    return [(heading, lines) for heading, lines in parts if lines]


def evidence(item: Document) -> list[str]:
    """Write one piece of evidence: a figure beside what was expected, or the lines of a log."""
    if item["kind"] == "log":
        lines = f"line {item['first_line']}"
        if item["last_line"] != item["first_line"]:
            lines = f"lines {item['first_line']}-{item['last_line']}"
        return [f"run {item['run_id']}, {lines}", *(f"  {line}" for line in item["text"].splitlines())]
    name, unit = _name(item["metric"]), item["unit"] or _unit(item["metric"])
    text = f"{name}: {figure(item['value'], unit)}"
    if item["expected"] is not None:
        text += f", expected {figure(item['expected'], unit)}"
    if item["low"] is not None and item["high"] is not None:
        text += f" ({figure(item['low'], unit)} to {figure(item['high'], unit)})"
    runs = item["run_ids"]
    if runs:
        text += f"; run{'s' * (len(runs) > 1)} {', '.join(map(str, runs[:8]))}{' …' if len(runs) > 8 else ''}"
    return [text]


def figure(value: float, unit: str) -> str:
    """Write a value in its unit."""
    if unit == "s":
        return fmt.duration(value * 1000)
    if unit == "bytes":
        return fmt.size(value)
    if unit == "ratio":
        return f"{value:.0%}" if value == 0 or abs(value) >= 0.1 else f"{value:.1%}"
    number = f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 1000 else f"{value:,.3g}"
    return f"{number} {unit}".rstrip()


def _name(metric: str) -> str:
    """Write a metric without its unit, which stands with the figure."""
    return metric.removesuffix("_bytes").removesuffix("_s").replace("_", " ")


def _unit(metric: str) -> str:
    if metric.endswith("_bytes"):
        return "bytes"
    if metric.endswith("_s"):
        return "s"
    return "ratio" if "probability" in metric or metric.endswith(("_share", "_rate")) else ""


_SERIES = {
    "duration": ("duration_ms", "Duration"),
    "memory": ("max_rss_bytes", "Memory"),
    "cpu": ("cpu_ms", "Processor time"),
    "output": ("output_bytes", "Output"),
    "delay": ("delay_ms", "Delay"),
    **dict.fromkeys(("failures_in_a_row", "failure_rate", "failure_probability", "recovered_share"), ("ok", "Success")),
}
_VERDICTS = {"keep": "kept", "revert": "taken back", "wait": "still being tried"}


def measured(found: Document | None) -> list[str]:
    """Write what came of a change that was applied, or of what was foretold."""
    if found is None:
        return []
    unit = _unit(found["metric"])
    text = f"{_name(found['metric'])}: {figure(found['after'], unit)}"
    if found["before"] is not None:
        text += f", before {figure(found['before'], unit)}"
    if found["gain"] is not None:
        text += f"; gain {found['gain']:+.0%}"
        if found["low"] is not None and found["high"] is not None and found["low"] != found["high"]:
            text += f" ({found['low']:+.0%} to {found['high']:+.0%})"
    lines = [f"{text}; {found['runs']} run{'s' * (found['runs'] != 1)}"]
    if found["verdict"]:
        lines.append(f"{_VERDICTS.get(found['verdict'], found['verdict'])}: {found['why']}")
    if found["came"] is not None:
        lines.append(f"what was foretold {'came' if found['came'] else 'did not come'}")
    return lines


def prediction(expected: Document | None) -> list[str]:
    """Write what is expected to come."""
    if expected is None:
        return []
    unit = _unit(expected["metric"])
    text = f"{_name(expected['metric'])}: {figure(expected['expected'], unit)}"
    if expected["low"] is not None and expected["high"] is not None:
        text += f" ({figure(expected['low'], unit)} to {figure(expected['high'], unit)})"
    if expected["by"]:
        text += f", by {datetime.fromisoformat(expected['by']).astimezone():%Y-%m-%d %H:%M}"
    return [text]


def change(action: Document | None) -> list[str]:
    """Write a proposed change as a difference: what stays as it is is left out."""
    if action is None:
        return []
    verb = action["verb"]
    if verb in {"pause", "resume"}:
        return [f"{verb} the job"]
    name = _ACTIONS.get(verb) or str(verb)
    before, after = (_side(name, verb, action[side]) for side in ("before", "value"))
    gone, come = [each for each in before if each not in after], [each for each in after if each not in before]
    return [*(f"- {each}" for each in gone), *(f"+ {each}" for each in come)]


def _side(name: str, verb: str, value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [f"{name}.{key}: {_plain(each)}" for key, each in value.items() if each not in (None, [], {})]
    if value is None:
        return [f"{name}: none"]
    if verb == "set_timeout":
        return [f"{name}: {fmt.duration(value)}"]
    return [f"{name}: {fmt.size(value) if verb == 'set_memory_limit' else _plain(value)}"]


def _plain(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return " | ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def worst(insights: Iterable[Document]) -> Document | None:
    """Return the most severe one, the surest of equals; None of none."""
    return max(insights, key=lambda each: (RANK.get(each["severity"], -1), each["confidence"]), default=None)
