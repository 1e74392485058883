"""Records of runs as SQL returns them, made up."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np

from scheduler_daemon.analyst.past import Past, Subject, past
from tests.support.world import job_spec

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
MIB = 1 << 20


def subject(schedule: str | None = "0 * * * *", *, version: int = 1, name: str = "job", **fields: Any) -> Subject:
    """Return a job whose id is its name."""
    return Subject(name, name, version, job_spec(name, schedule, **fields), paused=False)


def rows(count: int, each: Callable[[int], dict[str, Any]], *, every: float = 3600, until: datetime = NOW) -> list[Any]:
    """Return runs that began so many seconds apart, the last one `every` before `until`; `each` says what is unusual.

    `took` is in seconds; an `exit` that is not 0 makes it a failure.
    """
    found = []
    for number in range(count):
        said = each(number)
        started = until - timedelta(seconds=every * (count - number))
        failed = bool(said.get("exit"))
        run = {
            "id": number + 1, "job_version": 1, "trigger": "schedule", "attempt": 0, "fire_at": started,
            "started_at": started, "ended_at": started + timedelta(seconds=said.get("took", 10)),
            "state": "failed" if failed else "succeeded", "outcome": "exit_code", "exit_code": said.get("exit", 0),
            "cpu_ms": 1000, "max_rss_bytes": 100 * MIB, "output_bytes": 100, "said": None,
        }  # fmt: skip
        found.append(SimpleNamespace(**(run | {key: value for key, value in said.items() if key in run})))
    return found


def runs(count: int, each: Callable[[int], dict[str, Any]] = lambda _: {}, **how: Any) -> Past:
    """Return such runs as arrays."""
    return past(rows(count, each, **how))


def noise(count: int, seed: int = 1, size: float = 0.05) -> Sequence[float]:
    """Return factors about 1."""
    return [float(value) for value in np.exp(np.random.default_rng(seed).normal(0, size, count))]
