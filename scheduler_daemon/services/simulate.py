"""What-if: read jobs, calendars, pools and history; play a period as planned and with changes; count how it went.

Reading needs the database and is quick; playing needs none and may take seconds, so the two are apart. What conditions
would find at a start nobody knows: they are taken to hold. That a run fails and is tried again is not played either.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection

from scheduler_daemon.contract.jobs import JobSpec
from scheduler_daemon.contract.people import Actor
from scheduler_daemon.contract.schedule import Schedule
from scheduler_daemon.contract.simulations import Change, Figures, JobFigures, Simulation, SimulationRequest
from scheduler_daemon.domain import access
from scheduler_daemon.domain.access import Verb
from scheduler_daemon.domain.calendar_days import Calendar
from scheduler_daemon.domain.concurrency import policy_of
from scheduler_daemon.domain.conditions import gate
from scheduler_daemon.domain.errors import Invalid, NotFound
from scheduler_daemon.domain.jitter import jitter
from scheduler_daemon.domain.observation import Recorded, observed
from scheduler_daemon.domain.occasions import Times, instant, timetable
from scheduler_daemon.domain.simulation import Job, Outage, Plan, Played, Tally, simulate
from scheduler_daemon.services import calendars
from scheduler_daemon.storage import histories, jobs, pools

MOST_FIRES = 2_000_000
"""Played at once, of all jobs together."""
SAMPLED = 20
"""So many of the last runs of a job tell how long one takes."""
MAX_ACTIVE = 1000
"""Runs of all jobs at once, where nothing else is asked for."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Subject:
    """A job as it is to be played."""

    id: str
    name: str
    spec: JobSpec
    times: Times
    durations: Sequence[int]


@dataclass(frozen=True, slots=True)
class Material:
    """What was read for a simulation, as far as possible not looked at yet: that is for whoever plays."""

    rows: list[Any]
    took: dict[str, list[tuple[datetime, datetime]]]
    changes: dict[str, Change]
    changed: dict[str, JobSpec]
    """The specs of the jobs that are to be different, by their ids."""
    calendars: dict[str, Calendar]
    pools: dict[str, int]
    record: list[Any] | None
    """None for a period that is not over."""
    paused: int


def read(db: Connection, actor: Actor, request: SimulationRequest, now: datetime) -> Material:
    """Read what a simulation needs of the jobs that the actor sees. Raises NotFound, Invalid."""
    rows = [row for row in jobs.living(db) if access.can(actor, Verb.VIEW, row.owner_id)]
    changes = _by_id(rows, request.changes)
    played = [row for row in rows if not row.paused or row.id in changes]
    changed = {row.id: _changed(row, changes[row.id]) for row in played if row.id in changes}
    _require_jobs(rows, [upstream for spec in changed.values() for upstream in spec.after])
    obedient = [row.spec["schedule"] for row in played if row.spec["schedule"].get("calendars")]
    schedules = [*map(Schedule.model_validate, obedient), *(spec.schedule for spec in changed.values())]
    return Material(
        rows=played,
        took=histories.took(db, [row.id for row in played], SAMPLED),
        changes=changes,
        changed=changed,
        calendars=calendars.known(db, schedules),
        pools=pools.slots(db),
        record=histories.of_fires(db, request.start, request.end, MOST_FIRES) if request.end <= now else None,
        paused=len(rows) - len(played),
    )


def _jobs(count: int) -> str:
    return f"{count} job" if count == 1 else f"{count} jobs"


def _by_id(rows: Sequence[Any], changes: Sequence[Change]) -> dict[str, Change]:
    ids = _require_jobs(rows, [change.job for change in changes])
    return {ids[change.job]: change for change in changes}


def _require_jobs(rows: Sequence[Any], refs: Sequence[str]) -> dict[str, str]:
    """Return the ids of jobs by name and id. Raises NotFound where one of these is no job."""
    ids = {row.name: row.id for row in rows} | {row.id: row.id for row in rows}
    missing = next((ref for ref in refs if ref not in ids), None)
    if missing is not None:
        raise NotFound(f"there is no job {missing!r}; `chronos job list` shows all")
    return ids


def _changed(row: Any, change: Change) -> JobSpec:
    changes = dict(change.changes)
    if isinstance(changes.get("schedule"), dict):
        changes["schedule"] = {**row.spec["schedule"], **changes["schedule"]}
    try:
        return JobSpec.model_validate({**row.spec, **changes})
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, ("changes", *first["loc"])))
        raise Invalid(f"{field} {first['msg'].removeprefix('Value error, ')}", field=field) from None


def play(material: Material, request: SimulationRequest) -> Simulation:
    """Play what was read. Raises Invalid for too many fires, BadSchedule."""
    fires = _Fires(request.start, request.end)
    subjects = [_subject(row, material, request) for row in material.rows]
    plan = _play(subjects, fires, request, material.pools, MAX_ACTIVE)
    changed = None
    if material.changes or request.pools or request.max_active is not None:
        others = [_with_change(subject, material) for subject in subjects]
        slots = material.pools | request.pools
        changed = _play(others, fires, request, slots, request.max_active or MAX_ACTIVE)
    actual = None
    if material.record is not None:
        actual = observed([subject.id for subject in subjects], (Recorded(*row) for row in material.record))
    told = [
        JobFigures(
            job=subject.name,
            job_id=subject.id,
            plan=_figures(plan.jobs[place]),
            changed=_figures(changed.jobs[place]) if changed else None,
            actual=_figures(actual.jobs[place]) if actual else None,
        )
        for place, subject in enumerate(subjects)
        if any(each and each.jobs[place].fires for each in (plan, changed, actual))
    ]
    return Simulation(
        start=request.start,
        end=request.end,
        seed=request.seed,
        plan=_figures(plan.fleet),
        changed=_figures(changed.fleet) if changed else None,
        actual=_figures(actual.fleet) if actual else None,
        jobs=tuple(told),
        notes=tuple(_notes(material, request)),
    )


def _notes(material: Material, request: SimulationRequest) -> Iterator[str]:
    if material.paused:
        yield f"paused and left out: {_jobs(material.paused)}"
    guessed = sum(not took for took in material.took.values())
    if guessed:
        yield f"never ran, and taken to take {request.default_duration_ms} ms a run: {_jobs(guessed)}"
    retried = sum(bool(row.spec.get("retry")) for row in material.rows)
    if retried:
        yield f"with retries, which are taken not to be needed: {_jobs(retried)}"
    ids = {row.id for row in material.rows}
    orphans = sum(not ids.issuperset(row.spec.get("after", ())) for row in material.rows)
    if orphans:
        yield f"after jobs that are left out, and played as if they ran after the others alone: {_jobs(orphans)}"
    bound = sum(bool(row.spec.get("conditions")) for row in material.rows)
    if bound:
        yield f"with conditions, which are taken to hold: {_jobs(bound)}"


def _subject(row: Any, material: Material, request: SimulationRequest) -> Subject:
    spec = JobSpec.model_validate(row.spec)
    durations = sorted(max(0, (end - start) // _MILLISECOND) for start, end in material.took[row.id])
    times = timetable(spec.schedule, row.id, material.calendars)
    return Subject(row.id, row.name, spec, times, durations or [request.default_duration_ms])


def _with_change(subject: Subject, material: Material) -> Subject:
    if subject.id not in material.changes:
        return subject
    spec, given = material.changed[subject.id], material.changes[subject.id].duration_ms
    times = timetable(spec.schedule, subject.id, material.calendars)
    return Subject(subject.id, subject.name, spec, times, subject.durations if given is None else [given])


class _Fires:
    """The fires of a period, found once for each schedule that does not depend on its job."""

    def __init__(self, start: datetime, end: datetime) -> None:
        self._before = -((_EPOCH - start) // _SECOND) - 1
        self._end = (end - _EPOCH) / _SECOND
        self._found: dict[Any, list[int]] = {}

    def of(self, subject: Subject) -> list[int]:
        schedule = subject.spec.schedule
        own = any("H" in text.upper() for text in schedule.expressions)
        key = (subject.id, schedule) if own else schedule
        if key not in self._found:
            self._found[key] = self._find(subject.times)
        return self._found[key]

    def _find(self, times: Times) -> list[int]:
        found: list[int] = []
        fire = times.next_second(self._before)
        while fire is not None and fire < self._end:
            found.append(fire)
            if len(found) > MOST_FIRES:
                raise _too_many()
            fire = times.next_second(fire)
        return found


def _too_many() -> Invalid:
    return Invalid(f"the period holds more than {MOST_FIRES:,} fires; ask for a shorter one", field="to")


def _play(
    subjects: Sequence[Subject], fires: _Fires, request: SimulationRequest, slots: dict[str, int], max_active: int
) -> Played:
    named = {subject.name: place for place, subject in enumerate(subjects)}
    places = named | {subject.id: place for place, subject in enumerate(subjects)}
    made = []
    total = 0
    for subject in subjects:
        found = fires.of(subject)
        total += len(found)
        if total > MOST_FIRES:
            raise _too_many()
        made.append(_job(subject, found, places))
    outages = [Outage(_ms(each.start), _ms(each.end)) for each in request.outages]
    return simulate(Plan(made, slots, max_active, outages, request.seed))


def _job(subject: Subject, fires: Sequence[int], places: Mapping[str, int]) -> Job:
    spec = subject.spec
    held: list[int] = []
    if spec.schedule.jitter_s:
        window = timedelta(seconds=spec.schedule.jitter_s)
        following = [*(instant(fire) for fire in fires[1:]), None]
        held = [
            jitter(subject.id, instant(fire), window, after) // _MILLISECOND
            for fire, after in zip(fires, following, strict=False)
        ]
    return Job(
        key=subject.id,
        fires=fires,
        durations=subject.durations,
        policy=policy_of(spec.model_dump(include={"concurrency", "concurrency_limit", "queue_limit"})),
        pool=spec.pool,
        priority=spec.priority,
        misfire=spec.misfire,
        grace=spec.misfire_grace_ms,
        held=held,
        after=[places[upstream] for upstream in spec.after if upstream in places],
        rule=spec.trigger_rule,
        opens=partial(_opens, spec.not_before, spec.schedule.zone) if spec.not_before else None,
    )


def _opens(not_before: str, zone: str, fire: int) -> int:
    return _ms(gate(not_before, zone, instant(fire)))


def _ms(at: datetime) -> int:
    return (at - _EPOCH) // _MILLISECOND


def _figures(tally: Tally) -> Figures:
    return Figures(
        fires=tally.fires,
        started=tally.started,
        overlaps=tally.overlaps,
        skipped=tally.skipped,
        superseded=tally.superseded,
        replaced=tally.replaced,
        missed=tally.missed,
        waiting=tally.waiting,
        peak=tally.peak,
        peak_at=None if tally.peak_at is None else _EPOCH + tally.peak_at * _MILLISECOND,
        late_p50_ms=tally.lateness(0.5),
        late_p99_ms=tally.lateness(0.99),
        busy_ms=tally.busy,
    )
