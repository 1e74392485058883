"""Why runs fail: write down what they said, compare it with what earlier ones said, and explain one in our own words.

The scheduler is never held up: a run is looked at when somebody asks, or by the process that learns from runs.
"""

import base64
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from scheduler_daemon.contract.claude import (
    FailureExplanation,
    Pattern,
    PatternDetail,
    PatternEnd,
    SimilarFailure,
)
from scheduler_daemon.contract.executions import LogLine, State
from scheduler_daemon.contract.insights import FailureSaid, RunsSaid
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.domain.errors import Conflict, NotFound
from scheduler_daemon.domain.redaction import redact_lines
from scheduler_daemon.insights import failures as engine
from scheduler_daemon.insights.templates import Miner, colourless
from scheduler_daemon.services import jobs as job_services
from scheduler_daemon.services import runs
from scheduler_daemon.services.listing import owner_seen
from scheduler_daemon.storage import executions, failures, jobs, logs, meta

TAIL = 12
SIMILAR = 5
COMPARED = 400
ENOUGH_ALIKE = 0.6
ENDED_AFTER = 3
"""Successes in a row after which an error counts as ended in a job."""
_LOOKED_AT = "successes_looked_at"

EXPLAINED = frozenset({State.FAILED, State.UNKNOWN})


def lines_of(db: Connection, execution_id: int, most: int = engine.LINES_LEARNT) -> list[engine.Line]:
    """Return the last lines of a run's output, without control sequences."""
    found = logs.last_texts(db, execution_id, most)
    return [engine.Line(line.number, line.stream, colourless(line.text)) for line in found]


@dataclass(frozen=True, slots=True)
class Digest:
    """What a failed run wrote, made sense of."""

    execution_id: int
    said: FailureSaid | None
    lines: Sequence[engine.Line]
    """The last ones, redacted."""
    excerpt: Sequence[tuple[int, str]]
    """What of more of them may be sent away, by number."""


def wrote(db: Connection, actor: Actor, execution_id: int) -> tuple[Any, list[engine.Line]]:
    """Return a failed run and its last lines. Raises NotFound, Conflict."""
    run = failed_run(db, actor, execution_id)
    return run, lines_of(db, run.id, engine.LINES_READ)


def digest(run: Any, lines: Sequence[engine.Line]) -> Digest:
    """Make sense of what a failed run wrote. It may take a second, so not while others wait for the database."""
    latest = lines[-engine.LINES_LEARNT :]
    safe = redact_lines([engine.cut(line.text) for line in lines])
    shown = [line._replace(text=text) for line, text in zip(latest, safe[-len(latest) :], strict=True)]
    return Digest(run.id, written(run, latest, Miner()), shown, engine.excerpt_of(lines, safe))


def written(run: Any, lines: Sequence[engine.Line], miner: Miner) -> FailureSaid | None:
    """Return what is kept of a failed run; None if it said nothing."""
    found = engine.error_line(lines)
    if found is None:
        return None
    (text,) = redact_lines([engine.cut(found.text)])  # first: once numbers are masked, a secret is none any more
    template = miner.add(text)
    near = [line.text for line in lines[-10:] if engine.likeness(line) > 0.25][-3:]
    return FailureSaid(
        run_id=run.id,
        job_id=run.job_id,
        at=run.ended_at or run.queued_at,
        pattern_id=template.id,
        pattern_text=template.text[:1000],
        line=found.number,
        text=text[:400],
        vector=base64.b64encode(engine.vector([text, text, *redact_lines(near)])),
    )


def record(db: Connection, said: RunsSaid) -> None:
    """Write down what runs said, each once; those of jobs that are no more are left out."""
    living = {row.id for row in jobs.by_ids(db, {one.job_id for one in said.failures})} if said.failures else set()
    kept = [one for one in said.failures if one.job_id in living]
    rows = [one.model_dump(include={"job_id", "pattern_id", "at", "line", "text"}) for one in kept]
    rows = [row | {"execution_id": one.run_id, "vector": one.vector} for row, one in zip(rows, kept, strict=True)]
    failures.keep(db, rows, {one.pattern_id: one.pattern_text for one in kept})
    if said.looked_at:
        failures.seen_in_successes(db, said.successes_with)
        meta.put(db, _LOOKED_AT, str(int(meta.get(db, _LOOKED_AT) or 0) + said.looked_at))


def explain(
    db: Connection, actor: Actor, found: Digest, alike: Sequence[tuple[int, float]] | None = None
) -> FailureExplanation:
    """Say why a run failed, as far as its output and earlier failures tell, and keep what it said.

    `alike` are earlier runs of other patterns that said much the same, and how much, best first; None to look for
    them here. Raises NotFound, Conflict.
    """
    run = failed_run(db, actor, found.execution_id)
    if found.said is not None and failures.find(db, run.id) is None:
        record(db, RunsSaid(failures=(found.said,)))
    safe = found.lines
    kept = failures.find(db, run.id)
    pattern = detail(db, actor, kept.pattern_id) if kept else None
    similar = _similar(db, actor, kept, alike) if kept else ()
    error = next((line for line in safe if kept and line.number == kept.line), None)
    at = run.ended_at or run.queued_at
    return FailureExplanation(
        run=run.id,
        job=run.job,
        title=_title(run, error),
        text=_text(run, pattern, similar),
        error_line=_log_line(error, at) if error else None,
        tail=tuple(_log_line(line, at) for line in safe[-TAIL:]),
        pattern=pattern,
        similar=similar,
        claude=None,
    )


def failed_run(db: Connection, actor: Actor, execution_id: int) -> Any:
    """Return a failed run. Raises NotFound, and Conflict for one that did not fail."""
    run = runs.get(db, actor, execution_id)
    if run.state not in EXPLAINED:
        raise Conflict(f"run {execution_id} of {run.job!r} is {run.state}; only a failed run can be explained")
    return run


def patterns(
    db: Connection, actor: Actor, *, job: str | None = None, since: datetime | None = None, limit: int = 100
) -> list[Pattern]:
    """Return the errors that runs fail with, the latest first. Raises NotFound for an unknown job."""
    owner = owner_seen(actor)
    job_id = job_services.get(db, actor, job).id if job else None
    found = failures.patterns(db, owner_id=owner, since=since, job_id=job_id)[:limit]
    return _patterns(db, found, owner)


def detail(db: Connection, actor: Actor, pattern_id: str) -> PatternDetail:
    """Return an error with what ended it. Raises NotFound."""
    owner = owner_seen(actor)
    row = failures.pattern(db, pattern_id)
    mine = [] if row is None else [
        one for one in failures.patterns(db, owner_id=owner, since=None, job_id=None) if one.id == row.id
    ]  # fmt: skip
    if not mine:
        raise NotFound(f"there is no error pattern {pattern_id!r}; `chronos insight patterns` lists all")
    ended: list[PatternEnd] = []
    going_on: list[str] = []
    last: dict[str, Any] = {}
    for place in failures.places(db, [mine[0].id], owner):
        if place.job_id not in last or last[place.job_id].last_run < place.last_run:
            last[place.job_id] = place
    for place in last.values():
        end = _end(db, place)
        (going_on.append(place.job) if end is None else ended.append(end))
    (pattern,) = _patterns(db, mine, owner)
    return PatternDetail(**pattern.model_dump(), ended=tuple(ended), going_on=tuple(going_on))


def _patterns(db: Connection, found: Sequence[Any], owner: int | None) -> list[Pattern]:
    jobs_of: dict[str, dict[str, None]] = defaultdict(dict)
    hosts_of: dict[str, dict[str, None]] = defaultdict(dict)
    for place in failures.places(db, {row.id for row in found}, owner):
        jobs_of[place.pattern_id][place.job] = None
        hosts_of[place.pattern_id][place.host] = None
    failed, looked_at = failures.totals(db), int(meta.get(db, _LOOKED_AT) or 0)
    return [
        Pattern(
            **{name: getattr(row, name) for name in ("id", "text", "name", "meaning", "fix", "count", "last_run")},
            first_seen=row.first_seen,
            last_seen=row.last_seen,
            jobs=tuple(jobs_of[row.id]),
            hosts=tuple(hosts_of[row.id]),
            lift=round(engine.lift(row.count, failed, row.succeeded_with, looked_at), 2) if looked_at else None,
        )
        for row in found
    ]


def _end(db: Connection, place: Any) -> PatternEnd | None:
    """Return what ended an error in a job, None while it may go on."""
    first, successes = failures.since_failure(db, place.job_id, place.last_run)
    if first is None or successes < ENDED_AFTER:
        return None
    before = executions.find(db, place.last_run)
    said, changed = "", False
    if before is not None and first.job_version != before.job_version:
        changed = True
        versions = [
            row for row in jobs.versions(db, place.job_id) if before.job_version < row.version <= first.job_version
        ]
        said = "; ".join(f"{row.message or 'no message'} ({row.author})" for row in versions[:3])
    return PatternEnd(
        job=place.job,
        run=first.id,
        at=first.ended_at,
        successes=successes,
        version=first.job_version if changed else None,
        change=said,
    )


def _similar(
    db: Connection, actor: Actor, kept: Any, alike: Sequence[tuple[int, float]] | None
) -> tuple[SimilarFailure, ...]:
    """Return earlier failures like one: of the same pattern, then by what they say."""
    owner = owner_seen(actor)
    same = failures.earlier(db, kept.execution_id, owner_id=owner, pattern_id=kept.pattern_id, limit=SIMILAR)
    found = [(row, 1.0) for row in same]
    if len(found) < SIMILAR:
        near = _near(db, owner, kept) if alike is None else _with_rows(db, owner, alike)
        found += [each for each in near if each[1] >= ENOUGH_ALIKE][: SIMILAR - len(found)]
    return tuple(
        SimilarFailure(run=row.execution_id, job=row.job, at=row.at, text=row.text, alike=round(min(1.0, much), 2))
        for row, much in found
    )


def _near(db: Connection, owner: int | None, kept: Any) -> list[tuple[Any, float]]:
    """Compare with the latest failures of other patterns; the index, where Redis answers, knows far more of them."""
    others = failures.earlier(db, kept.execution_id, owner_id=owner, pattern_id=None, limit=COMPARED)
    others = [row for row in others if row.pattern_id != kept.pattern_id]
    return [(others[at], much) for at, much in engine.nearest(kept.vector, [row.vector for row in others], SIMILAR)]


def _with_rows(db: Connection, owner: int | None, alike: Sequence[tuple[int, float]]) -> list[tuple[Any, float]]:
    rows = {row.execution_id: row for row in failures.of_runs(db, [run for run, _ in alike], owner)}
    return [(rows[run], much) for run, much in alike if run in rows]


def _title(run: Any, error: engine.Line | None) -> str:
    if error is not None:
        return error.text.strip()[:200]
    return f"{run.job} failed and wrote nothing"


def _text(run: Any, pattern: PatternDetail | None, similar: Sequence[SimilarFailure]) -> str:
    said = [_how(run)]
    if pattern is not None and pattern.count > 1:
        others = [name for name in pattern.jobs if name != run.job]
        where = f", in {len(others) + 1} jobs ({', '.join(others[:3])} too)" if others else ""
        said.append(f"This error has come {pattern.count} times since {pattern.first_seen:%Y-%m-%d %H:%M} UTC{where}.")
    elif pattern is not None:
        said.append("It is the first time that this error is seen.")
    for end in pattern.ended[:2] if pattern is not None else ():
        how = (
            f"version {end.version} of it: {end.change}" if end.version else "no change of the job; it passed by itself"
        )
        said.append(f"In {end.job} it ended on {end.at:%Y-%m-%d} with {how}.")
    if similar and similar[0].alike < 1:
        said.append(
            f"Much like run {similar[0].run} of {similar[0].job} on {similar[0].at:%Y-%m-%d}: {similar[0].text}"
        )
    if pattern is not None and pattern.fix:
        said.append(f"What helps, by Claude: {pattern.fix}")
    return " ".join(said)


def _how(run: Any) -> str:
    if run.exit_code is not None:
        return f"It ended with exit code {run.exit_code}."
    if run.signal is not None:
        return (
            f"It was ended by signal {run.signal}{' (' + run.outcome.replace('_', ' ') + ')' if run.outcome else ''}."
        )
    return f"It ended as {(run.outcome or run.state).replace('_', ' ')}{': ' + run.reason if run.reason else ''}."


def _log_line(line: engine.Line, at: datetime) -> LogLine:
    return LogLine(number=line.number, stream=line.stream, at=at, text=line.text, partial=False)
