"""What the screens know: the newest document of every job and run heard of, and what changed since they last looked.

Pure. Documents carry versions; an older one never replaces a newer one, so snapshots and events may come in any
order. Which of them a screen shows, and in which order, is decided by the server and the screen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the contract takes a third of a second to import; the first frame does not wait for it
    from scheduler_daemon.contract.events import Event
    from scheduler_daemon.contract.executions import ExecutionView
    from scheduler_daemon.contract.insights import Insight
    from scheduler_daemon.contract.jobs import JobView

RUNS_KEPT = 5000
"""Older runs are forgotten; a screen that shows one asks the API."""
INSIGHTS_KEPT = 2000


@dataclass
class Dirty:
    """What changed: ids of jobs and runs. A deleted job is among `jobs` and no longer on the board."""

    jobs: set[str] = field(default_factory=set)
    runs: set[int] = field(default_factory=set)
    insights: set[str] = field(default_factory=set)
    new_jobs: bool = False
    """A job was heard of for the first time, or deleted: lists of jobs may have other members."""
    new_runs: bool = False
    """A run was heard of for the first time."""

    def __bool__(self) -> bool:
        return bool(self.jobs or self.runs or self.insights)


class Board:
    """Jobs by id and runs by number."""

    def __init__(self) -> None:
        self.jobs: dict[str, JobView] = {}
        self.runs: dict[int, ExecutionView] = {}
        self.insights: dict[str, Insight] = {}
        self._gone: dict[str, int] = {}
        self._dirty = Dirty()

    def apply(self, event: Event) -> bool:
        """Take an event; False if it is older than what is known, or nothing to keep."""
        if event.kind == "job_deleted":
            return self._delete(event.id, event.version)
        if event.doc is None:
            return False
        if event.kind == "job":
            known = self.jobs.get(event.id)
            if event.version <= (known.revision if known else self._gone.get(event.id, -1)):
                return False
            from scheduler_daemon.contract.jobs import JobView

            return self.learn_job(JobView.model_validate(event.doc))
        if event.kind == "execution":
            run = self.runs.get(int(event.id))
            if run is not None and event.version <= run.version:
                return False
            from scheduler_daemon.contract.executions import ExecutionView

            return self.learn_run(ExecutionView.model_validate(event.doc))
        if event.kind == "insight":
            from scheduler_daemon.contract.insights import Insight

            return self.learn_insight(Insight.model_validate(event.doc))
        return False

    def learn_job(self, job: JobView) -> bool:
        """Take a job as the API or the feed gave it; False if it is not newer than what is known."""
        known = self.jobs.get(job.id)
        if job.revision <= (known.revision if known else self._gone.get(job.id, -1)):
            return False
        self._gone.pop(job.id, None)
        self.jobs[job.id] = job
        self._dirty.jobs.add(job.id)
        self._dirty.new_jobs |= known is None
        return True

    def learn_run(self, run: ExecutionView) -> bool:
        """Take a run as the API or the feed gave it; False if it is not newer than what is known."""
        known = self.runs.get(run.id)
        if known is not None and run.version <= known.version:
            return False
        self.runs[run.id] = run
        self._dirty.runs.add(run.id)
        self._dirty.new_runs |= known is None
        if len(self.runs) > RUNS_KEPT * 1.2:
            for number in sorted(self.runs)[:-RUNS_KEPT]:
                del self.runs[number]
        return True

    def learn_jobs(self, jobs: Iterable[JobView]) -> None:
        """Take many."""
        for job in jobs:
            self.learn_job(job)

    def learn_runs(self, runs: Iterable[ExecutionView]) -> None:
        """Take many."""
        for run in runs:
            self.learn_run(run)

    def learn_insight(self, insight: Insight) -> bool:
        """Take an insight as the API or the feed gave it; False if it is not newer than what is known."""
        known = self.insights.get(insight.id)
        if known is not None and insight.version <= known.version:
            return False
        self.insights.pop(insight.id, None)
        self.insights[insight.id] = insight
        self._dirty.insights.add(insight.id)
        while len(self.insights) > INSIGHTS_KEPT:
            del self.insights[next(iter(self.insights))]
        return True

    def open_insights(self, job_id: str) -> list[Insight]:
        """Return what is known to be open of a job, the worst first."""
        rank = ("critical", "warning", "info")
        found = [each for each in self.insights.values() if each.job_id == job_id and each.state == "open"]
        return sorted(found, key=lambda each: (rank.index(each.severity), -each.confidence))

    def newest(self, job: JobView) -> JobView:
        """Return what is known of a job, which may be newer than `job`."""
        known = self.jobs.get(job.id)
        return known if known is not None and known.revision >= job.revision else job

    def newest_run(self, run: ExecutionView) -> ExecutionView:
        """Return what is known of a run, which may be newer than `run`."""
        known = self.runs.get(run.id)
        return known if known is not None and known.version >= run.version else run

    def is_gone(self, job_id: str) -> bool:
        """Tell whether a job was deleted."""
        return job_id in self._gone

    def forget_job(self, job_id: str) -> None:
        """Take it that a job was deleted: the API does not know it."""
        known = self.jobs.get(job_id)
        self._delete(job_id, known.revision if known else 0)

    def take_dirty(self) -> Dirty:
        """Return what changed since the last call."""
        taken, self._dirty = self._dirty, Dirty()
        return taken

    def _delete(self, job_id: str, version: int) -> bool:
        known = self.jobs.get(job_id)
        if version < (known.revision if known else self._gone.get(job_id, 0)):
            return False
        new = self._gone.get(job_id) != version
        self._gone[job_id] = version
        if self.jobs.pop(job_id, None) is not None or new:
            self._dirty.jobs.add(job_id)
            self._dirty.new_jobs = True
        return new
