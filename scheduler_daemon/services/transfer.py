"""Take jobs over from a crontab, and write jobs out as text."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal

import yaml
from pydantic import ValidationError
from sqlalchemy import Connection

from scheduler_daemon.contract.imports import Action, ImportLine, ImportReport
from scheduler_daemon.contract.jobs import Concurrency, JobCreate, JobSpec
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.contract.policies import TRUSTED
from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.domain import access
from scheduler_daemon.domain.access import Verb
from scheduler_daemon.domain.crontab import CrontabJob, CrontabLine, LineKind, parse_crontab
from scheduler_daemon.domain.crontab_export import export_crontab
from scheduler_daemon.domain.errors import NotAllowed
from scheduler_daemon.services import jobs as job_services
from scheduler_daemon.services import listing, views
from scheduler_daemon.services.people import account_name
from scheduler_daemon.storage import jobs


@dataclass(frozen=True, slots=True)
class Options:
    """How a crontab is to be read. `source` names it for the next import; without `user` it is the actor's."""

    source: str
    system: bool = False
    user: str | None = None
    zone: str | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Imported:
    """The report, and the ids of the jobs that were made or changed."""

    report: ImportReport
    changed: tuple[str, ...]


def import_crontab(
    db: Connection, actor: Actor, content: bytes, options: Options, *, now: datetime, new_id: Callable[[], str]
) -> Imported:
    """Make or update a job for each entry; every line is reported. Raises Invalid for an unknown zone, NotAllowed."""
    access.require(actor, Verb.EDIT, actor.id)
    parsed = parse_crontab(
        content,
        system=options.system,
        user=options.user or actor.name,
        zone=options.zone or "UTC",
        source=options.source,
    )
    plan = _Plan(db, actor, f"crontab:{options.source}", now)
    lines = [plan.line(line) for line in parsed.lines]
    changed: tuple[str, ...] = ()
    if not options.dry_run:
        made = job_services.create_many(db, actor, plan.new, now=now, new_id=new_id)
        for row, spec in plan.changed:
            job_services.save_imported(db, actor, row, spec, now)
        changed = (*made, *(row.id for row, _ in plan.changed))
    counts = {action: sum(line.action is action for line in lines) for action in Action}
    report = ImportReport(
        source=options.source,
        dry_run=options.dry_run,
        created=counts[Action.CREATED],
        updated=counts[Action.UPDATED],
        unchanged=counts[Action.UNCHANGED],
        refused=counts[Action.REFUSED],
        gone=tuple(sorted(row.name for key, row in plan.before.items() if key not in plan.seen)),
        warnings=parsed.warnings,
        lines=tuple(lines),
    )
    return Imported(report, changed)


class _Plan:
    """What an import would do, line by line."""

    def __init__(self, db: Connection, actor: Actor, source: str, now: datetime) -> None:
        self.before = jobs.by_source(db, source)
        if any(not access.can(actor, Verb.EDIT, row.owner_id) for row in self.before.values()):
            raise NotAllowed("someone else has imported a crontab by this name; give yours another source name")
        self.seen: set[str] = set()
        self.new: list[JobCreate] = []
        self.changed: list[tuple[Any, JobSpec]] = []
        self._account = account_name(os.getuid())
        self._source = source
        self._now = now
        self._names = jobs.all_names(db)

    def line(self, line: CrontabLine) -> ImportLine:
        """Plan one line and say what becomes of it."""
        action = Action.REFUSED if line.kind is LineKind.ERROR else Action.NOTED
        name, reason = None, line.reason
        if line.job is not None:
            try:
                action, name = self._job(line.job)
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(map(str, first["loc"]))
                action, reason = Action.REFUSED, f"{where} {first['msg'].removeprefix('Value error, ')}"
        return ImportLine(
            number=line.number,
            kind=line.kind,
            text=line.text.encode("utf-8", "replace").decode(),
            action=action,
            job=name,
            warnings=line.warnings,
            reason=reason,
        )

    def _job(self, job: CrontabJob) -> tuple[Action, str]:
        self.seen.add(job.key)
        row = self.before.get(job.key)
        if row is None:
            spec = _spec(job, self._free_name(job.name), self._account)
            self.new.append(JobCreate(spec=spec, paused=job.never_fires, source=self._source, source_key=job.key))
            return Action.CREATED, spec.name
        # What cron knows is taken from the file; what it does not know, such as tags, is kept as the user set it.
        kept = views.spec_of(row)
        fresh = _spec(job, row.name, self._account)
        known = {field: getattr(fresh, field) for field in ("command", "stdin", "env", "shell", "user")}
        schedule = kept.schedule.model_copy(
            update={"expressions": fresh.schedule.expressions, "zone": fresh.schedule.zone}
        )
        spec = kept.model_copy(update=known | {"schedule": schedule})
        if spec == kept:
            return Action.UNCHANGED, row.name
        self.changed.append((row, spec))
        return Action.UPDATED, row.name

    def _free_name(self, wanted: str) -> str:
        number = 1
        name = wanted
        while name in self._names:
            number += 1
            name = f"{wanted[:74]}-{number}"
        self._names.add(name)
        return name


@lru_cache(maxsize=4096)
def _schedule(expression: str, zone: str) -> Schedule:
    return Schedule(expressions=(expression,), zone=zone)


def _spec(job: CrontabJob, name: str, account: str) -> JobSpec:
    return JobSpec(
        name=name,
        command=job.command,
        schedule=_schedule(job.schedule, job.zone),
        shell=job.shell,
        stdin=job.stdin,
        env=dict(job.env),
        user=None if job.user == account else job.user,
        concurrency=Concurrency.ALLOW,
        policy=TRUSTED.name,
    )


def export(db: Connection, actor: Actor, form: Literal["yaml", "json", "crontab"]) -> str:
    """Write every job the actor sees, by name."""
    visible = listing.visible_owner(actor)
    rows = [row for row in jobs.living(db) if visible is None or visible == row.owner]
    if form == "crontab":
        return _crontab(rows, account_name(os.getuid()))
    documents = [{"id": row.id, "paused": row.paused, **_brief(row)} for row in rows]
    if form == "json":
        return json.dumps({"jobs": documents}, ensure_ascii=False, indent=2) + "\n"
    return yaml.safe_dump({"jobs": documents}, allow_unicode=True, sort_keys=False, width=120)


def _brief(row: Any) -> dict[str, Any]:
    """Return the spec without what is as it would be by itself."""
    return JobSpec.model_validate(row.spec).model_dump(mode="json", exclude_defaults=True)


def _entries(row: Any, account: str) -> list[CrontabJob]:
    spec = views.spec_of(row)
    return [
        CrontabJob(
            schedule=expression,
            command=spec.command,
            user=spec.user or account,
            zone=spec.schedule.zone,
            stdin=spec.stdin,
            env=tuple(spec.env.items()),
            shell=spec.shell,
            name=spec.name,
        )
        for expression in spec.schedule.expressions
    ]


def _unknown_to_cron(rows: Sequence[Any]) -> Iterator[tuple[str, str]]:
    """Yield the names of jobs that say more than when and what to run, and what."""
    words = {"calendars": "calendars", "blackouts": "blackouts", "jitter_s": "jitter", "start": "start", "end": "end"}
    for row in rows:
        found = [word for key, word in words.items() if row.spec["schedule"].get(key)]
        found += [word for word, key in (("retries", "retry"), ("parameters", "parameters")) if row.spec.get(key)]
        if found and not row.paused and row.spec["schedule"]["expressions"]:
            yield row.name, " and ".join(found)


def _crontab(rows: Sequence[Any], account: str) -> str:
    """Write entries; what a crontab cannot hold of a job is said in a comment before them."""
    left_out = [row.name for row in rows if row.paused or not row.spec["schedule"]["expressions"]]
    users = {row.spec["user"] for row in rows} - {None}
    head = [f"# {name} is left out: it is paused or has no schedule." for name in left_out]
    head += [f"# {name} fires in cron without its {what}." for name, what in _unknown_to_cron(rows)]
    entries = [entry for row in rows if row.name not in left_out for entry in _entries(row, account)]
    return "".join(f"{line}\n" for line in head) + export_crontab(entries, system=bool(users))
