"""Say what an engine has found in words, with its evidence."""

from datetime import datetime, timedelta
from typing import Any

from scheduler_daemon.contract.insights import Finding, MetricEvidence, Prediction, Severity
from scheduler_daemon.insights.anomaly import Anomaly, Measure
from scheduler_daemon.insights.prediction import FailureForecast
from scheduler_daemon.insights.streak import Streak

SHOWN = timedelta(days=7)
"""How long an event that nobody judges is shown."""

_CRITICAL = frozenset({"failure_burst", "missed_run"})
_WARNING = frozenset({"duration_high", "memory_high", "cpu_high", "delay_high", "degradation"})
_IN_A_ROW = "failures in a row"
_TITLES = {
    "duration_high": "{job} took {value}, far longer than usual",
    "duration_low": "{job} took only {value}, far shorter than usual",
    "output_high": "{job} wrote {value}, far more than usual",
    "output_low": "{job} wrote only {value}, far less than usual",
    "memory_high": "{job} used {value} of memory, far more than usual",
    "memory_low": "{job} used only {value} of memory, far less than usual",
    "cpu_high": "{job} used {value} of processor time, far more than usual",
    "cpu_low": "{job} used only {value} of processor time, far less than usual",
    "delay_high": "{job} began {value} late, far later than usual",
    "degradation": "{job} takes more time and memory from run to run",
    "failure_burst": "{job} has failed {value} times in a row",
    "missed_run": "{job} missed {value} of its runs",
    "kpi_high": "{metric} of {job} is {value}, far higher than usual",
    "kpi_low": "{metric} of {job} is {value}, far lower than usual",
}


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
        expires=row.ended_at + SHOWN,
    )


def anomaly(row: Any, found: Anomaly) -> Finding:
    """Tell of an odd run, found with the run `row` or because that is missing."""
    first = found.evidence[0]
    title = _TITLES.get(found.kind, "{metric} of {job} is {value}, which is unusual")
    severity = Severity.CRITICAL if found.kind in _CRITICAL else Severity.INFO
    return Finding(
        key=found.event,
        job_id=found.job_id,
        kind=found.kind,
        severity=Severity.WARNING if found.kind in _WARNING else severity,
        confidence=min(1.0, max(0.0, found.confidence)),
        title=title.format(job=row.job, value=figure(first.value, first.unit), metric=first.metric)[:200],
        text=" ".join(_sentence(each) for each in found.evidence if each.predictor != "its schedule"),
        evidence=tuple(_evidence(each, row.id) for each in found.evidence),
        model="watch",
        at=_end(row),
        expires=_end(row) + SHOWN,
    )


def risk(row: Any, forecast: FailureForecast, by: str) -> Finding:
    """Tell that the next run of a job may well fail, once a day; `by` is what forecast it."""
    due = row.next_fire_at
    likely = f"{forecast.probability:.0%}"
    reasons = "; ".join(f"{each.text} ({each.times:.1f} times as likely by this alone)" for each in forecast.reasons)
    return Finding(
        key=f"failure_risk:{row.job_id}:{due:%Y-%m-%d}",
        job_id=row.job_id,
        kind="failure_risk",
        severity=Severity.WARNING if forecast.probability >= 0.5 else Severity.INFO,
        confidence=forecast.probability,
        title=f"The next run of {row.job} fails with a probability of {likely}",
        text=f"Of its runs {forecast.base:.1%} fail in all. {reasons}".strip(),
        evidence=(
            MetricEvidence(
                metric="failure_probability",
                value=forecast.probability,
                expected=forecast.base,
                unit="ratio",
                run_ids=(row.id,),
            ),
        ),
        prediction=Prediction(metric="failure_probability", expected=forecast.probability, by=due),
        model=by,
        at=_end(row),
        expires=max(due, _end(row)) + timedelta(hours=1),
    )


def figure(value: float, unit: str) -> str:
    """Write a figure in its unit, for a sentence."""
    if unit == "bytes":
        for name, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
            if abs(value) >= size:
                return f"{value / size:.3g} {name}"
        return f"{value:.0f} bytes"
    if unit == "s":
        for name, size in (("h", 3600), ("min", 60), ("s", 1)):
            if abs(value) >= size:
                return f"{value / size:.3g} {name}"
        return f"{value * 1000:.3g} ms"
    return f"{value:.6g} {unit}".rstrip()


def _sentence(measure: Measure) -> str:
    if measure.metric == _IN_A_ROW:
        return f"Before, {measure.expected:.1%} of its runs failed; {measure.runs} are known."
    usual = f"{figure(measure.low, measure.unit)} to {figure(measure.high, measure.unit)}"
    return f"Its {measure.metric} is {usual} as a rule, by {measure.predictor}; {measure.runs} runs are known."


def _evidence(measure: Measure, run: int) -> MetricEvidence:
    name = measure.metric.replace(" ", "_")
    if measure.metric == _IN_A_ROW:  # what is known beside it is a share of runs, not a number in a row
        return MetricEvidence(metric=name, value=measure.value, expected=0, run_ids=(run,))
    return MetricEvidence(
        metric=name,
        value=measure.value,
        expected=measure.expected,
        low=min(measure.low, measure.high),
        high=max(measure.low, measure.high),
        unit=measure.unit,
        run_ids=(run,),
    )


def _end(row: Any) -> datetime:
    end: datetime = row.ended_at
    return end
