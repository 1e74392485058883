"""Review a job by its last runs: limits that do not fit, runs for nothing, changes for good, retries. In words.

Each finding says what it rests on, what it would change, and what is then expected, to be measured by `measuring`.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, Final

import numpy as np

from scheduler_daemon.analyst.past import Past, Subject
from scheduler_daemon.contract.insights import Action, ActionVerb, Finding, MetricEvidence, Prediction, Severity
from scheduler_daemon.domain.shifts import rarer
from scheduler_daemon.insights.changes import Change, changes, trend
from scheduler_daemon.insights.retry_advice import Advice
from scheduler_daemon.insights.usage import idle, limit

_SHOWN: Final = timedelta(days=30)
_NEW: Final = 80
"""Runs within which a change is news."""
_LOOKED_AT: Final = 200
"""Runs among which a change is looked for."""
_AHEAD_DAYS: Final = 30
_WORTH_TELLING: Final = 0.3
"""A change by a lesser share is the business of the statistics screen."""
_SURE: Final = 0.5
"""A chance of a retry to help from which it is proposed to a job without any."""
_MIB: Final = 1 << 20
_TOLD_RUNS: Final = 10


def review(job: Subject, runs: Past, now: datetime, advice: Mapping[tuple[str, bool], Advice]) -> list[Finding]:
    """Return what is to be said of a job; `advice` is what was learnt of its ends, by code and whether again."""
    found = [*_memory(job, runs, now), *_idle(job, runs, now), *_changed(job, runs, now), *_ahead(job, runs, now)]
    return [*found, *_retries(job, runs, now, advice)]


def _memory(job: Subject, runs: Past, now: datetime) -> Iterator[Finding]:
    present = job.spec.limits.memory_bytes
    better = limit(runs.succeeded.memory, present) if present else None
    if present is None or better is None:
        return
    largest = runs.succeeded.memory
    top = runs.succeeded.ids[np.argsort(np.nan_to_num(largest))[::-1][:_TOLD_RUNS]]
    what = "is nearly reached" if better.tight else "is far above what it needs"
    yield Finding(
        key=f"memory_limit:{job.id}:{present}",
        job_id=job.id,
        kind="memory_limit",
        severity=Severity.WARNING if better.tight else Severity.INFO,
        confidence=1 - 1 / (len(runs) + 1) ** 0.5,
        title=f"The memory limit of {job.name} {what}",
        text=f"Of {len(runs)} runs none used more than {_mib(better.used)} of {_mib(present)}. A limit of "
        f"{_mib(better.proposed)} leaves half as much again above the {_mib(better.expected)} expected at the most.",
        evidence=(_metric("memory_bytes", better.used, better.expected, "bytes", top),),
        action=Action(verb=ActionVerb.SET_MEMORY_LIMIT, value=better.proposed, before=present),
        prediction=Prediction(metric="memory_bytes", expected=better.expected, low=0, high=better.proposed),
        model="usage",
        at=now,
        expires=now + _SHOWN,
    )


def _idle(job: Subject, runs: Past, now: datetime) -> Iterator[Finding]:
    expressions = job.spec.schedule.expressions
    seen = idle(runs.started, runs.output, runs.results, runs.failed) if len(expressions) == 1 else None
    text = rarer(expressions[0], seen.every_s) if seen else None
    if seen is None or text is None:
        return
    before = job.spec.schedule.model_dump(mode="json")
    yield Finding(
        key=f"idle_runs:{job.id}:{blake2b(expressions[0].encode(), digest_size=8).hexdigest()}",
        job_id=job.id,
        kind="idle_runs",
        severity=Severity.INFO,
        confidence=0.7,
        title=f"{job.name} finds nothing to do in {seen.idle / seen.runs:.0%} of its runs",
        text=f"{seen.idle} of its last {seen.runs} runs succeeded with the same result. Something to do comes "
        f"about every {_length(seen.work_s)}; `{text}` instead of `{expressions[0]}` would find it at most "
        f"{_length(seen.every_s)} later.",
        evidence=(_metric("idle_share", seen.idle / seen.runs, None, "ratio", runs.ids[-_TOLD_RUNS:]),),
        action=Action(verb=ActionVerb.SET_SCHEDULE, value={**before, "expressions": [text]}, before=before),
        prediction=Prediction(
            metric="runs_per_day", expected=86_400 / seen.every_s, low=0, high=86_400 / seen.usual_s / 2
        ),
        model="usage",
        at=now,
        expires=now + _SHOWN,
    )


def _changed(job: Subject, runs: Past, now: datetime) -> Iterator[Finding]:
    good = runs.succeeded.where(np.arange(len(runs.succeeded)) >= len(runs.succeeded) - _LOOKED_AT)
    for metric, values, unit in (("duration_s", good.took, "s"), ("memory_bytes", good.memory, "bytes")):
        known = np.isfinite(values)
        some = good.where(known)
        news = changes(values[known], some.versions.tolist())[-1:]
        for change in news:
            if len(some) - change.at <= _NEW and abs(change.after / change.before - 1) >= _WORTH_TELLING:
                yield _change(job, some, change, metric, unit, now)


def _change(job: Subject, runs: Past, change: Change, metric: str, unit: str, now: datetime) -> Finding:
    times = change.after / change.before
    share = times - 1
    thing, verb, measure = {"duration_s": ("Runs", "take", "long"), "memory_bytes": ("Memory", "is", "much")}[metric]
    much = f"{abs(share):.0%} {'more' if share > 0 else 'less'}" if times < 2 else f"{times:,.3g} times as {measure}"
    first = int(runs.ids[change.at])
    began = (
        f"with version {change.version}" if change.version else f"with run {first}, at which the job stayed the same"
    )
    return Finding(
        key=f"change:{job.id}:{metric}:{first}",
        job_id=job.id,
        kind="change_point",
        severity=Severity.WARNING if share > 0.5 else Severity.INFO,
        confidence=0.8,
        title=f"{thing} of {job.name} {verb} {much}" + (f" since version {change.version}" if change.version else ""),
        text=f"From {_amount(change.before, unit)} to {_amount(change.after, unit)}, {began}.",
        evidence=(_metric(metric, change.after, change.before, unit, runs.ids[change.at : change.at + _TOLD_RUNS]),),
        prediction=Prediction(
            metric=metric, expected=change.after, low=min(change.after, change.after * 0.8), high=change.after * 1.25
        ),
        model="changes",
        at=now,
        expires=now + _SHOWN,
    )


def _ahead(job: Subject, runs: Past, now: datetime) -> Iterator[Finding]:
    limit_s = job.spec.timeout_ms and job.spec.timeout_ms / 1000
    if not limit_s or not len(runs.succeeded):
        return
    good = runs.succeeded
    grows = trend(good.started / 86_400, good.took)
    when = grows.reaches(limit_s) if grows else None
    if grows is None or when is None or when[0] > _AHEAD_DAYS:
        return
    likely = now + timedelta(days=when[0])
    value = int(limit_s * 2000)
    yield Finding(
        key=f"timeout_ahead:{job.id}:{job.spec.timeout_ms}",
        job_id=job.id,
        kind="timeout_ahead",
        severity=Severity.WARNING,
        confidence=0.7,
        title=f"{job.name} will meet its timeout about {likely:%Y-%m-%d}",
        text=f"Its runs take {_length(grows.now)} now and {grows.per_day:.1%} more each day ({grows.low:.1%} to "
        f"{grows.high:.1%}); the timeout is {_length(limit_s)}. At the earliest it is met in {when[1]:.0f} days.",
        evidence=(_metric("duration_s", grows.now, float(np.median(good.took)), "s", good.ids[-_TOLD_RUNS:]),),
        action=Action(verb=ActionVerb.SET_TIMEOUT, value=value, before=job.spec.timeout_ms),
        prediction=Prediction(metric="duration_s", expected=limit_s, low=limit_s * 0.8, high=limit_s * 1.3, by=likely),
        model="changes",
        at=now,
        expires=max(likely, now + timedelta(days=7)),
    )


def _retries(job: Subject, runs: Past, now: datetime, advice: Mapping[tuple[str, bool], Advice]) -> Iterator[Finding]:
    policy = job.spec.retry
    first = {code: known for (code, again), known in advice.items() if not again}
    if policy is None or not policy.attempts:
        code = max((c for c, known in first.items() if known.waits_s), key=lambda c: first[c].seen, default=None)
        if code is not None and first[code].chance >= _SURE:
            yield _retry_finding(job, runs, now, code, first[code])
        return
    hopeless = [code for code, known in first.items() if not known.waits_s and code.startswith("exit ")]
    if not policy.smart and hopeless:
        code = max(hopeless, key=lambda c: first[c].seen)
        yield _spare_finding(job, runs, now, code, first[code])


def _retry_finding(job: Subject, runs: Past, now: datetime, code: str, known: Advice) -> Finding:
    waits = known.waits_s
    value = {
        "attempts": len(waits),
        "delay_ms": waits[0] * 1000,
        "cap_ms": max(sum(waits), waits[0]) * 1000,
        "jitter": "equal",
        "smart": True,
    }
    return Finding(
        key=f"retry:{job.id}:{code}",
        job_id=job.id,
        kind="retry",
        severity=Severity.INFO,
        confidence=known.chance,
        title=f"A retry would mend most failures of {job.name} with {code}",
        text=f"Of {known.seen:.0f} such failures, of this job or others, {known.chance:.0%} ({known.low:.0%} to "
        f"{known.high:.0%}) had passed within {_length(sum(waits))}. The job retries nothing.",
        evidence=(_metric("recovered_share", known.chance, None, "ratio", runs.ids[runs.failed][-_TOLD_RUNS:]),),
        action=Action(verb=ActionVerb.SET_RETRY, value=value, before=job.spec.retry and _policy(job)),
        prediction=Prediction(metric="recovered_share", expected=known.chance, low=known.low, high=known.high),
        model="retry",
        at=now,
        expires=now + _SHOWN,
    )


def _spare_finding(job: Subject, runs: Past, now: datetime, code: str, known: Advice) -> Finding:
    before = _policy(job)
    number = code.removeprefix("exit ")
    value = {**before, "not_exit_codes": [*before["not_exit_codes"], number]}
    return Finding(
        key=f"retry_spared:{job.id}:{code}",
        job_id=job.id,
        kind="retry_spared",
        severity=Severity.INFO,
        confidence=1 - known.high,
        title=f"Retries of {job.name} after {code} are wasted",
        text=f"Of {known.seen:.0f} such failures a retry mended {known.chance:.0%} (at the most {known.high:.0%}).",
        evidence=(_metric("recovered_share", known.chance, None, "ratio", runs.ids[runs.failed][-_TOLD_RUNS:]),),
        action=Action(verb=ActionVerb.SET_RETRY, value=value, before=before),
        prediction=Prediction(metric="recovered_share", expected=known.chance, low=0, high=known.high),
        model="retry",
        at=now,
        expires=now + _SHOWN,
    )


def _policy(job: Subject) -> dict[str, Any]:
    assert job.spec.retry is not None
    return job.spec.retry.model_dump(mode="json")


def _metric(metric: str, value: float, expected: float | None, unit: str, ids: Any) -> MetricEvidence:
    known = None if expected is None else float(expected)
    return MetricEvidence(
        metric=metric, value=float(value), expected=known, unit=unit, run_ids=tuple(int(n) for n in ids)
    )


def _amount(value: float, unit: str) -> str:
    return _mib(value) if unit == "bytes" else _length(value)


def _mib(value: float) -> str:
    if value < _MIB:
        return f"{value / 1024:,.0f} KiB"
    return f"{value / _MIB:,.0f} MiB" if value < 10_240 * _MIB else f"{value / _MIB / 1024:,.1f} GiB"


def _length(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
