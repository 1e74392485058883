"""Read a filter of runs or insights into what the API asks for: `status:failed,missed job:backup words`. Pure."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import NamedTuple

_CLAUSE = re.compile(r"(status|state|job|since):(\S+)\Z", re.IGNORECASE)
_SPAN = re.compile(r"(\d{1,6})([smhdw])\Z")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_STATES = {"ok": "succeeded", "success": "succeeded", "active": "queued,starting,running"}


class RunFilter(NamedTuple):
    """What is asked of `/v1/executions`; None asks for all."""

    state: str | None = None
    job: str | None = None
    since: timedelta | None = None
    words: str | None = None

    def since_instant(self, now: datetime) -> str | None:
        """Return the earliest instant as ISO 8601."""
        return (now - self.since).isoformat() if self.since else None


def parse_run_filter(text: str) -> RunFilter:
    """Read a filter. What is no clause is a word, to be found in a job's name or a run's reason."""
    found = RunFilter()
    words: list[str] = []
    for part in text.split():
        matched = _CLAUSE.match(part)
        key, value = (matched[1].lower(), matched[2]) if matched else ("", part)
        span = _SPAN.match(value.lower())
        if key in {"status", "state"}:
            states = [_STATES.get(name, name) for name in value.lower().split(",") if name]
            found = found._replace(state=",".join(states) or None)
        elif key == "job":
            found = found._replace(job=value)
        elif key == "since" and span:
            found = found._replace(since=timedelta(seconds=int(span[1]) * _SECONDS[span[2]]))
        else:
            words.append(part)
    return found._replace(words=" ".join(words) or None)


_INSIGHT_CLAUSE = re.compile(r"(status|state|job|kind|severity):(\S+)\Z", re.IGNORECASE)


class InsightFilter(NamedTuple):
    """What is asked of `/v1/insights`; words are looked for in what it gives."""

    states: tuple[str, ...] = ("open", "applied", "reverted")
    """None of them asks for all."""
    lately: bool = True
    """Of those that were applied only what is being tried, or was decided a short time ago."""
    job: str | None = None
    kind: str | None = None
    severity: str | None = None
    words: tuple[str, ...] = ()


def parse_insight_filter(text: str) -> InsightFilter:
    """Read a filter; without a status open ones are meant and what is tried of them, `status:all` asks for all."""
    found = InsightFilter()
    for part in text.split():
        matched = _INSIGHT_CLAUSE.match(part)
        key, value = (matched[1].lower(), matched[2]) if matched else ("", part)
        if key in {"status", "state"}:
            states = tuple(name for name in value.lower().split(",") if name)
            found = found._replace(states=() if "all" in states else states, lately=False)
        elif key == "job":
            found = found._replace(job=value)
        elif key == "kind":
            found = found._replace(kind=value)
        elif key == "severity":
            found = found._replace(severity=value.lower())
        else:
            found = found._replace(words=(*found.words, value.lower()))
    return found
