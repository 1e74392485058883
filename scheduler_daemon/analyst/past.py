"""The last runs of a job as arrays, for engines that look at all of them at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scheduler_daemon.contract.executions import Outcome, State
from scheduler_daemon.contract.jobs import JobSpec

Floats = NDArray[np.float64]
_ENDS_OF_ITS_OWN = frozenset({State.SUCCEEDED, State.FAILED})


@dataclass(frozen=True, slots=True)
class Subject:
    """A living job."""

    id: str
    name: str
    version: int
    spec: JobSpec
    paused: bool


Run = tuple[str, float, float]
"""(job, start, end) of a run, in epoch seconds."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """What is known of all jobs together."""

    jobs: Sequence["Subject"]
    typical_s: Mapping[str, float]
    """What a run of a job takes, of those that ran often enough."""
    runs: Sequence[Run]
    """Of the last weeks."""
    rare: Sequence[Run] = ()
    """The last ones of jobs that had none in these."""


@dataclass(frozen=True, slots=True)
class Past:
    """Runs of a job in the order of their starts, first attempts that came to an end of their own; None is nan."""

    ids: NDArray[np.int64]
    versions: NDArray[np.int64]
    started: Floats
    """Epoch seconds."""
    took: Floats
    """Seconds."""
    memory: Floats
    cpu: Floats
    """Seconds."""
    output: Floats
    failed: NDArray[np.bool_]
    outcomes: tuple[str, ...]
    results: tuple[str, ...]
    """What each reported of what it did, as a text that is the same for the same."""

    def __len__(self) -> int:
        """Return how many they are."""
        return len(self.ids)

    def since(self, version: int) -> "Past":
        """Return those of a version of the job, and of later ones."""
        return self.where(self.versions >= version)

    def where(self, chosen: NDArray[np.bool_]) -> "Past":
        """Return some of them."""
        places = np.flatnonzero(chosen)
        return Past(
            ids=self.ids[chosen],
            versions=self.versions[chosen],
            started=self.started[chosen],
            took=self.took[chosen],
            memory=self.memory[chosen],
            cpu=self.cpu[chosen],
            output=self.output[chosen],
            failed=self.failed[chosen],
            outcomes=tuple(self.outcomes[place] for place in places),
            results=tuple(self.results[place] for place in places),
        )

    @property
    def succeeded(self) -> "Past":
        """Those that did not fail: what a failed one used says little."""
        return self.where(~self.failed)


def past(rows: Sequence[Any]) -> Past:
    """Return the runs of `storage.histories.last_runs`."""
    kept = [row for row in rows if row.state in _ENDS_OF_ITS_OWN and row.attempt == 0]
    return Past(
        ids=np.array([row.id for row in kept], np.int64),
        versions=np.array([row.job_version for row in kept], np.int64),
        started=np.array([row.started_at.timestamp() for row in kept], np.float64),
        took=np.array([max(0.0, (row.ended_at - row.started_at).total_seconds()) for row in kept], np.float64),
        memory=_numbers(kept, "max_rss_bytes"),
        cpu=_numbers(kept, "cpu_ms") / 1000,
        output=_numbers(kept, "output_bytes"),
        failed=np.array([row.state == State.FAILED for row in kept], np.bool_),
        outcomes=tuple(row.outcome or "" for row in kept),
        results=tuple(_result(row.said) for row in kept),
    )


def killed_by_memory(runs: Past) -> int:
    """Return how many met their limit of memory."""
    return sum(outcome == Outcome.OOM_KILLED for outcome in runs.outcomes)


def _numbers(rows: Sequence[Any], name: str) -> Floats:
    return np.array([np.nan if getattr(row, name) is None else getattr(row, name) for row in rows], np.float64)


def _result(said: Mapping[str, Any] | None) -> str:
    kpis = (said or {}).get("kpis", ())
    return " ".join(sorted(f"{kpi['name']}={kpi['value']:g}" for kpi in kpis))
