"""Count how a past period went, from the record, in the terms of a simulated one. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from scheduler_daemon.contract.executions import Outcome, State
from scheduler_daemon.domain.simulation import Played, Tally

_MILLISECOND: Final = timedelta(milliseconds=1)
_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


class Recorded(NamedTuple):
    """What is recorded of a fire."""

    job: str
    fire_at: datetime
    state: str
    outcome: str | None
    started_at: datetime | None
    ended_at: datetime | None


def observed(jobs: Sequence[str], record: Iterable[Recorded]) -> Played:
    """Return how the fires of these jobs went; those of others are left out. `record` is in the order of fires."""
    tallies = {job: Tally() for job in jobs}
    ends: dict[str, datetime] = {}
    marks: dict[str, list[tuple[datetime, int]]] = {job: [] for job in jobs}
    for row in record:
        if row.job not in tallies:
            continue
        tally = tallies[row.job]
        _count(tally, row)
        tally.overlaps += row.job in ends and ends[row.job] > row.fire_at
        until = row.ended_at or datetime.max.replace(tzinfo=row.fire_at.tzinfo)
        ends[row.job] = max(until, ends.get(row.job, until))
        if row.started_at:
            marks[row.job] += [(row.started_at, 1), (until, -1)]
    fleet = Tally()
    for job, tally in tallies.items():
        tally.peak, tally.peak_at = _peak(marks[job])
        fleet.add(tally)
    fleet.peak, fleet.peak_at = _peak([mark for each in marks.values() for mark in each])
    return Played(fleet, list(tallies.values()))


def _count(tally: Tally, row: Recorded) -> None:
    tally.fires += 1
    if row.started_at:
        tally.started += 1
        tally.late[max(0, (row.started_at - row.fire_at) // _MILLISECOND)] += 1
        tally.replaced += row.outcome == Outcome.SUPERSEDED
        if row.ended_at:
            tally.busy += max(0, (row.ended_at - row.started_at) // _MILLISECOND)
    elif row.state == State.MISSED:
        tally.missed += 1
    elif row.outcome == Outcome.SUPERSEDED:
        tally.superseded += 1
    elif State(row.state).final:
        tally.skipped += 1
    else:
        tally.waiting += 1


def _peak(marks: list[tuple[datetime, int]]) -> tuple[int, int | None]:
    """Return the most runs at once and the ms since 1970 when there first were so many."""
    active = peak = 0
    peak_at = None
    for at, change in sorted(marks):
        active += change
        if active > peak:
            peak, peak_at = active, (at - _EPOCH) // _MILLISECOND
    return peak, peak_at
