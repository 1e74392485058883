"""Conditions as they are typed, such as `file /path`, `between 22:00-06:00 mon-fri` and `load succeeded`."""

import re
from typing import Any

from chronos_tui.format import parse_duration_ms

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WINDOW = re.compile(r"between\s+([\d:]+)\s*-\s*([\d:]+)(?:\s+(\S.*))?\Z", re.IGNORECASE)
_STATE = re.compile(r"(.*?\S)\s+((?:succeeded|failed|cancelled|unknown)(?:\s+or\s+\w+)*)\Z")
_METRIC = re.compile(
    r"(?:(.*\S)\.)?(duration_ms|cpu_ms|max_rss_bytes|output_bytes|exit_code|failed_24h)\s*(<=|>=|==|!=|<|>)\s*(\S+)\Z"
)
_ACCEPTED = (
    "write 'file /path', 'no file /path', 'command test -s /x', 'between 22:00-06:00 mon-fri', 'JOB succeeded' "
    "(or failed, cancelled, unknown), or '[JOB.]FIGURE < NUMBER' with duration_ms, cpu_ms, max_rss_bytes, "
    "output_bytes, exit_code or failed_24h and one of < <= > >= == !="
)


def read(text: str) -> dict[str, Any]:
    """Return the condition of a spec that a text means. Raises ValueError, which names the text."""
    said = text.strip()
    for reads in (_file, _command, _window, _metric, _state):
        if found := reads(said):
            return found
    raise ValueError(f"{text!r} is no condition; {_ACCEPTED}")


def _file(said: str) -> dict[str, Any] | None:
    match = re.match(r"(no\s+)?file\s+(/.*)", said, re.DOTALL)
    return {"kind": "file", "path": match[2], "absent": bool(match[1])} if match else None


def _command(said: str) -> dict[str, Any] | None:
    word, _, rest = said.partition(" ")
    return {"kind": "command", "command": rest.strip()} if word == "command" and rest.strip() else None


def _window(said: str) -> dict[str, Any] | None:
    match = _WINDOW.match(said)
    if not match:
        return None
    return {"kind": "window", "begin": match[1], "end": match[2], "days": _days(match[3]) if match[3] else []}


def _days(text: str) -> list[str]:
    """Read `mon-fri`, `mon..fri` or `sat,sun`."""
    found: list[str] = []
    for item in text.lower().replace("..", "-").split(","):
        first, dash, last = (part.strip()[:3] for part in item.partition("-"))
        if first not in _DAYS or (dash and last not in _DAYS):
            raise ValueError(f"{item.strip()!r} is no day of the week; write mon-fri, or sat,sun")
        begin = _DAYS.index(first)
        span = (_DAYS.index(last) - begin) % 7 + 1 if dash else 1
        found += [_DAYS[(begin + step) % 7] for step in range(span)]
    return [day for day in _DAYS if day in found]


def _metric(said: str) -> dict[str, Any] | None:
    match = _METRIC.match(said)
    if not match:
        return None
    of = {"job": match[1]} if match[1] else {}
    return {"kind": "metric", **of, "metric": match[2], "op": match[3], "value": _value(match[2], match[4])}


def _value(metric: str, text: str) -> int:
    if re.fullmatch(r"-?[0-9]{1,16}", text):
        return int(text)
    if not metric.endswith("_ms"):
        raise ValueError(f"{text!r} is no number for {metric}; write one such as 3")
    try:
        return parse_duration_ms(text)
    except ValueError:
        raise ValueError(f"{text!r} is no number of ms for {metric}; write 60000, or 60s") from None


def _state(said: str) -> dict[str, Any] | None:
    match = _STATE.match(said)
    return {"kind": "state", "job": match[1], "states": re.split(r"\s+or\s+", match[2])} if match else None
