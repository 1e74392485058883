"""Say what an engine has found in words, with its evidence."""

from datetime import timedelta
from typing import Any

from scheduler_daemon.contract.insights import Finding, MetricEvidence, Severity
from scheduler_daemon.insights.streak import Streak

_STREAK_SHOWN = timedelta(days=7)


def streak(row: Any, found: Streak) -> Finding:
    """Tell that a job fails again and again, found with its run `row`."""
    return Finding(
        key=f"failure_streak:{row.job_id}:{found.runs[0]}",
        job_id=row.job_id,
        kind="failure_streak",
        severity=Severity.CRITICAL,
        confidence=0.99,
        title=f"{row.job} has failed {found.failures} times in a row",
        text=(
            f"It had succeeded {found.successes} times in a row before, and has failed with every run since "
            f"{found.since:%Y-%m-%d %H:%M} UTC. What changed then is the first place to look."
        ),
        evidence=(
            MetricEvidence(
                metric="failures_in_a_row", value=found.failures, expected=0, run_ids=tuple(map(int, found.runs))
            ),
        ),
        model="streak",
        at=row.ended_at,
        expires=row.ended_at + _STREAK_SHOWN,
    )
