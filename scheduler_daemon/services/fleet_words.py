"""Answer a question about the fleet in our own words: at once, from the same facts that Claude may look up. Rules only.

A job that is named is told of; a word such as `fail` or `next` asks for a part; where there is neither, all is told.
"""

import contextlib
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from scheduler_daemon.contract.people import Actor
from scheduler_daemon.domain.errors import NotFound
from scheduler_daemon.services import listing
from scheduler_daemon.services.lookups import Facts, look_up
from scheduler_daemon.storage import jobs

_ASKS: Final = {
    "failures": re.compile(r"fail|fehl|broke|wrong|error|trouble|miss|bad|problem|red\b", re.IGNORECASE),
    "fires": re.compile(r"next|when|coming|soon|due|tonight|tomorrow|schedul|fire", re.IGNORECASE),
    "found": re.compile(r"insight|advi[cs]e|propos|improv|odd|strange|anomal|slow|wast", re.IGNORECASE),
    "use": re.compile(r"cpu|processor|use|busy|heav|load|expens", re.IGNORECASE),
}
_SOME: Final = 5
_NAMED: Final = 3


def answer(db: Connection, actor: Actor, question: str, now: datetime) -> str:
    """Return sentences, each in a line."""
    named = _named(db, actor, question, now)
    lines = [line for facts in named for line in _job(facts)]
    wanted = [part for part, asks in _ASKS.items() if asks.search(question)]
    if not named and not wanted:
        lines += _counts(db, actor, now)
        wanted = ["failures", "fires", "found"]
    if not named:
        lines += [line for part in wanted for line in _PARTS[part](db, actor, now)]
    return "\n".join(lines)


def _named(db: Connection, actor: Actor, question: str, now: datetime) -> list[Facts]:
    """Return what is known of the jobs whose names stand in a question, the longest names first."""
    words = {word.strip(".,;:?!\"'`()") for word in question.split()}
    found = []
    for name in sorted(jobs.names_taken(db, words), key=lambda name: -len(name)):
        with contextlib.suppress(NotFound):  # which it is for who may not see it
            found.append(look_up(db, actor, "show_job", {"name": name}, now))
    return found[:_NAMED]


def _counts(db: Connection, actor: Actor, now: datetime) -> Iterator[str]:
    counts, _ = listing.overview(db, actor, now)
    yield (
        f"There {_are(counts.jobs, 'job')}, {counts.paused} of them paused; {counts.running} running, "
        f"{counts.queued} waiting. In the last day {_many(counts.succeeded_24h, 'run')} succeeded, "
        f"{counts.failed_24h} failed, {counts.missed_24h} missed."
    )


def _failures(db: Connection, actor: Actor, now: datetime) -> Iterator[str]:
    failing = [fact["job"] for fact in look_up(db, actor, "list_jobs", {"state": "failed"}, now) if "job" in fact]
    yield f"Failing now: {_list(failing)}." if failing else "No job's last run failed."
    told = [fact for fact in look_up(db, actor, "count_runs", {"limit": _SOME}, now) if fact["failed"]]
    if told:
        each = (f"{fact['job']} {fact['failed']} of {fact['runs']} runs" for fact in told)
        yield f"Failed in the last 7 days: {', '.join(each)}."


def _fires(db: Connection, actor: Actor, now: datetime) -> Iterator[str]:
    coming = look_up(db, actor, "list_fires", {"limit": _SOME}, now)
    each = (f"{fact['job']} at {_at(fact['next_fire'])}" for fact in coming)
    yield f"Next: {', '.join(each)}." if coming else "Nothing is scheduled."


def _insights(db: Connection, actor: Actor, now: datetime) -> Iterator[str]:
    found = look_up(db, actor, "list_insights", {}, now)
    each = (f"{fact['insight'].replace('_', ' ')} of {fact['job']}" for fact in found[:_SOME])
    yield f"Open insights ({len(found)}): {', '.join(each)}." if found else "No insight is open."


def _use(db: Connection, actor: Actor, now: datetime) -> Iterator[str]:
    told = look_up(db, actor, "count_runs", {"limit": 40}, now)
    heavy = sorted(told, key=lambda fact: -float(fact["cpu_s"]))[:_SOME]
    each = (f"{fact['job']} {fact['cpu_s']:.1f} s in {fact['runs']} runs" for fact in heavy)
    yield f"Processor time of the last 7 days: {', '.join(each)}." if heavy else "Nothing ran in the last 7 days."


_PARTS: Final = {"failures": _failures, "fires": _fires, "found": _insights, "use": _use}


def _job(facts: Facts) -> Iterator[str]:
    job, runs = facts[0], facts[1:]
    due = f"fires next at {_at(job['next_fire'])}" if job["next_fire"] else "fires at no time"
    due = "is paused" if job["paused"] else due
    yield f"{job['job']}: {job['schedule'] or 'no schedule'}; it {due}."
    if runs:
        ended = [run for run in runs if run["seconds"] is not None]
        failed = sum(run["state"] == "failed" for run in runs)
        took = f", {ended[0]['seconds']:.1f} s" if ended else ""
        yield f"Its last run ({runs[0]['run']}) {runs[0]['state']}{took}; of the last {len(runs)}, {failed} failed."
    else:
        yield "It never ran."


def _at(instant: str) -> str:
    return f"{datetime.fromisoformat(instant):%Y-%m-%d %H:%M} UTC"


def _list(names: list[str]) -> str:
    more = f" and {len(names) - _SOME} more" if len(names) > _SOME else ""
    return ", ".join(names[:_SOME]) + more


def _many(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"


def _are(count: int, thing: str) -> str:
    return f"{'is' if count == 1 else 'are'} {_many(count, thing)}"
